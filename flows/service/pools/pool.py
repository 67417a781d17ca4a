"""A work pool on the server, and every deployment in it."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.exceptions import ObjectNotFound
from prefect.workers.utilities import get_default_base_job_template_for_infrastructure_type

from flows.errors import ServerError
from flows.service.alerts import end_dead_runs
from flows.service.deployments import deployments
from flows.service.pools.templates import DATA, job_template, worker_type
from flows.table import FLOWS

_IN_CONTAINERS = ("docker", "kubernetes")


def deploy_to_pool(
    pool: str, kind: str | None, image: str | None, gpus: int, say: Callable[[str], None]
) -> None:
    """Has every flow run by the workers of a pool, which is made if it is missing.

    Args:
        pool: Its name.
        kind: One of `flows.service.pools.templates.KINDS`, for a new pool; None for processes.
        image: With this package in it; None leaves that of the pool.
        gpus: For each run, in a new pool.
        say: Told what was done, line by line.

    Raises:
        ServerError: The pool is there and is of another kind.
    """
    end_dead_runs()
    type_there = asyncio.run(_pool_type(pool, kind, image, gpus, say))
    in_containers = type_there in _IN_CONTAINERS
    for deployment in deployments():
        variables: dict[str, object] = {}
        if image is not None and in_containers:
            variables["image"] = image
        if gpus and type_there == "kubernetes" and not _computes(deployment.name):
            variables["gpus"] = 0
        deployment.run_by(pool, DATA if in_containers else str(Path.cwd()), variables)
        deployment.apply()
        for remark in deployment.remarks:
            say(remark)
    say(f"{', '.join(FLOWS)}: run by the workers of {pool}")


async def _pool_type(
    pool: str, kind: str | None, image: str | None, gpus: int, say: Callable[[str], None]
) -> str:
    """Makes the pool if it is missing; returns Prefect's name of its workers."""
    wanted = None if kind is None else worker_type(kind)
    async with get_client() as client:
        try:
            found = await client.read_work_pool(pool)
        except ObjectNotFound:
            pass
        else:
            if wanted not in (None, found.type):
                raise ServerError(
                    f"pool {pool}: is there and runs {found.type}, not {wanted}; give another "
                    "--pool, or leave --type out"
                )
            if gpus:
                say(
                    f"pool {pool}: is there, its template stays: set GPUs in the UI, or give a "
                    "new --pool"
                )
            return found.type
        kind, wanted = kind or "process", wanted or "process"
        default = await get_default_base_job_template_for_infrastructure_type(wanted)
        if default is None:
            raise ServerError(
                f"Prefect knows no workers of type {wanted}: pip install 'rurnet[{wanted}]'"
            )
        template = job_template(
            kind, default, image=image or "rurnet:latest", gpus=gpus, folder=str(Path.cwd())
        )
        await client.create_work_pool(
            WorkPoolCreate(name=pool, type=wanted, base_job_template=template)
        )
        say(f"pool {pool}: made, of type {wanted}")
        return wanted


def _computes(flow: str) -> bool:
    """Whether a flow runs networks, and not only reads rasters."""
    return flow.startswith(("infer-", "train-"))
