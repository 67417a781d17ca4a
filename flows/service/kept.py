"""Deployments that keep what a person has set: schedules, parameters, tags, pauses, limits.

Prefect's own `RunnerDeployment` replaces all of that each time it is registered, by what the code
says: nothing, so that the nightly job never runs again.
"""

import asyncio
from http import HTTPStatus
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import DeploymentUpdate
from prefect.client.schemas.responses import DeploymentResponse
from prefect.deployments.runner import RunnerDeployment
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.utilities.callables import ParameterSchema
from pydantic import PrivateAttr

from flows.service.wrapping import Method, wrap_once

_OF_A_PERSON = (
    "schedules",
    "parameters",
    "tags",
    "paused",
    "concurrency_limit",
    "concurrency_options",
)
"""What a person sets for a deployment."""


class KeptDeployment(RunnerDeployment):
    """A deployment of which only what the code decides is renewed, once it is there.

    That is its description, its version, where its flow is found, and which parameters there are
    with which defaults.
    """

    _remarks: list[str] = PrivateAttr(default_factory=list)
    _pull_steps: list[dict[str, Any]] | None = PrivateAttr(default=None)

    @property
    def remarks(self) -> list[str]:
        """What a person should know of the deployment since it was registered, line by line."""
        return self._remarks

    def show_form(self, schema: dict[str, Any]) -> None:
        """Sets the fields that Prefect's page shows; its own have neither help nor limits."""
        self._parameter_openapi_schema = ParameterSchema(**schema)

    def run_by(self, pool: str, folder: str, variables: dict[str, Any]) -> None:
        """Has the deployment run by the workers of a pool.

        Args:
            pool: Its name.
            folder: In which runs work: there are inbox and outbox.
            variables: Of the pool's job template. Others that a person set stay.
        """
        self.work_pool_name = pool
        self.job_variables = variables
        step = {"prefect.deployments.steps.set_working_directory": {"directory": folder}}
        self._pull_steps = [step]

    async def aapply(self, *ignored: Any, **settings: Any) -> UUID:
        """Registers the deployment with the server, or renews it there.

        Args:
            ignored: See `settings`.
            settings: Prefect's: used where there is no such deployment yet.

        Returns:
            Its id on the server.
        """
        async with get_client() as client:
            try:
                found = await client.read_deployment_by_name(self.full_name)
            except ObjectNotFound:
                found = None
            if found is not None:
                await self._renew(client, found)
                return found.id
            made = await super().aapply(*ignored, **settings)
            if self._pull_steps is not None:
                # A deployment that is made takes them only with a storage of code.
                await client.update_deployment(made, DeploymentUpdate(pull_steps=self._pull_steps))
            return made

    def apply(self, *ignored: Any, **settings: Any) -> UUID:
        """See `aapply`; Prefect's own would not call it."""
        return asyncio.run(self.aapply(*ignored, **settings))

    async def _renew(self, client: PrefectClient, found: DeploymentResponse) -> None:
        renewed: dict[str, Any] = {
            "description": self.description,
            "version": self.version,
            "path": self._path,
            "entrypoint": self.entrypoint,
        }
        if found.work_pool_name != self.work_pool_name:
            self._remarks.append(
                f"{self.full_name}: was run by {_who(found.work_pool_name)}, is now run by "
                f"{_who(self.work_pool_name)}"
            )
            # The steps by which a pool's worker finds the code.
            renewed |= {"work_pool_name": self.work_pool_name, "pull_steps": None}
        if self._pull_steps is not None:
            renewed["pull_steps"] = self._pull_steps
            renewed["job_variables"] = {**found.job_variables, **self.job_variables}
        schema = self._parameter_openapi_schema.model_dump(exclude_unset=True)
        try:
            await client.update_deployment(
                found.id, DeploymentUpdate(**renewed, parameter_openapi_schema=schema)
            )
            set_by_schedules = [each.parameters for each in found.schedules]
            given = {name for some in (found.parameters, *set_by_schedules) for name in some}
            if unknown := sorted(given - set(schema["properties"])):
                self._no_longer_fit(f"there is no {', '.join(unknown)}")
        except PrefectHTTPStatusError as error:
            if error.response.status_code != HTTPStatus.CONFLICT:
                raise
            reason = error.response.json()["detail"]
            self._no_longer_fit(reason.removeprefix("Error updating deployment: "))
            await client.update_deployment(found.id, DeploymentUpdate(**renewed))

    def _no_longer_fit(self, reason: str) -> None:
        self._remarks.append(
            f"{self.full_name}: parameters that were set for it or its schedules no longer fit "
            f"({reason}); change them in the UI, or its runs fail"
        )


def keep_what_is_left_out() -> dict[str, str]:
    """Lets `prefect deploy` keep what its file says nothing of: a build step of `prefect.yaml`.

    Otherwise it empties parameters, tags and the limit of a deployment that is there. The file has
    no way to say that they stay.

    Returns:
        Values that the file takes: the folder in which runs work, and the version.
    """
    wrap_once(PrefectClient, "update_deployment", _keeping)
    return {"folder": str(Path.cwd()), "version": package_version("rurnet")}


def _keeping(original: Method) -> Method:
    async def update(self: PrefectClient, identity: UUID, deployment: DeploymentUpdate) -> None:
        given = deployment.model_dump(include=set(_OF_A_PERSON))
        # `paused` is False, not None, where the file says nothing.
        kept = {name for name, value in given.items() if not value}
        said = {name: getattr(deployment, name) for name in deployment.model_fields_set - kept}
        await original(self, identity, DeploymentUpdate(**said))

    return update


def _who(work_pool: str | None) -> str:
    return "flows.serve" if work_pool is None else f"the workers of the pool {work_pool}"
