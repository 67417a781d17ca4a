"""The flows of `flows.table` as Prefect flows, each with a deployment of its own name.

A Prefect flow is also an attribute of this module, `infer_roads` for `infer-roads`: there the
process of a run finds it again.
"""

import json
import logging
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from prefect import Flow, State, get_run_logger
from prefect.states import Completed, Failed
from prefect.types.entrypoint import EntrypointType
from pydantic import ValidationError

from flows.cli.process import let_readers_be_quiet, let_threads_wait_quietly
from flows.cli.progress import LogProgress, ManyProgress
from flows.cli.signature import with_fields, wrong_values
from flows.errors import OptionsError, ScenesFailedError, checked
from flows.service.artifacts import Outcomes, leave_artifacts
from flows.service.form import form_of
from flows.service.gpus import own_gpus, wanted_gpus
from flows.service.kept import KeptDeployment
from flows.service.logs import say_failures_in_one_line
from flows.service.progress import ArtifactProgress, SceneTasks
from flows.table import FLOWS, Config, FlowEntry
from tiling.scenes.names import without_secrets

if TYPE_CHECKING:
    from pydantic import BaseModel

    from pipelines.results.result import Result


def _prefect_flow(entry: FlowEntry[Config]) -> "Flow[..., Result]":
    """Returns a Prefect flow whose parameters are the fields of the entry's configuration."""

    def body(values: Config) -> "State[Result]":
        let_threads_wait_quietly()
        let_readers_be_quiet()
        logging.getLogger("rurnet").setLevel(logging.INFO)
        log = get_run_logger()
        log.info("results go to %s", Path(getattr(values, "output", ".")).resolve())
        outcomes = Outcomes()
        progress = ManyProgress(
            [SceneTasks(), LogProgress(get_run_logger), ArtifactProgress(), outcomes]
        )
        from flows.cli.direct import OWN_ERRORS

        for name in secret_parameters(values):
            log.warning(
                "--%s holds a password or a signature, which Prefect keeps and shows with the "
                "run; give it to GDAL in the environment of the worker instead, e.g. in a file "
                "that GDAL_HTTP_HEADER_FILE names", name.replace("_", "-"),
            )  # fmt: skip
        say_failures_in_one_line(OWN_ERRORS)
        # States, not exceptions: Prefect would log the traceback of those, with frames of its own.
        try:
            with own_gpus(partial(wanted_gpus, values), log.info):
                result = entry.run(values, progress)
        except OWN_ERRORS as error:
            said = without_secrets(str(error))
            log.error("%s", said)
            return Failed(message=said, data=error)
        leave_artifacts(entry.name, result, outcomes)
        if result.nothing is not None:
            return Completed(name="Nothing to do", message=result.nothing, data=result)
        try:
            checked(result)
        except ScenesFailedError as error:
            return Failed(message=str(error), data=error)
        message = "; ".join([*(ending.said for ending in result.endings), result.done])
        return Completed(message=message, data=result)

    def refused(error: ValidationError) -> State[Any]:
        wrong = wrong_values(error, entry.config())
        said = "; ".join(text if field is None else f"{field}: {text}" for field, text in wrong)
        said = f"{without_secrets(said)}; nothing was run: change these parameters of the run"
        from flows.cli.direct import OWN_ERRORS

        say_failures_in_one_line(OWN_ERRORS)
        get_run_logger().error("%s", said)
        return Failed(message=said, data=OptionsError(said))

    function = with_fields(entry.config(), body, entry.help, refused)
    function.__module__ = __name__
    function.__name__ = function.__qualname__ = entry.name.replace("-", "_")
    return Flow(function, name=entry.name, persist_result=False)


def secret_parameters(values: "BaseModel") -> list[str]:
    """Returns the names of parameters with URLs that hold something secret."""
    return [
        name
        for name, value in values.model_dump(mode="json").items()
        for text in [json.dumps(value)]
        if without_secrets(text) != text
    ]


def run_as_prefect(name: str, values: "BaseModel") -> "Result":
    """Runs a flow in this process as a run of Prefect.

    Raises:
        ScenesFailedError: A scene failed.
        Exception: One of ours: nothing was run.
    """
    state: Any = PREFECT_FLOWS[name](**values.model_dump(), return_state=True)
    return cast("Result", state.result())


PREFECT_FLOWS = {name: _prefect_flow(entry) for name, entry in FLOWS.items()}
"""Every Prefect flow by its name."""


def __getattr__(attribute: str) -> "Flow[..., Result]":
    try:
        return PREFECT_FLOWS[attribute.replace("_", "-")]
    except KeyError:
        raise AttributeError(f"{__name__} has no attribute {attribute}") from None


def deployments() -> list[KeptDeployment]:
    """Returns one deployment per flow, of the same name."""
    made: list[Any] = [
        KeptDeployment.from_flow(
            flow,
            name=flow.name,
            description=flow.description,
            version=version("rurnet"),
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow in PREFECT_FLOWS.values()
    ]
    for deployment in made:
        deployment.show_form(form_of(FLOWS[deployment.name].config()))
    return cast(list[KeptDeployment], made)  # Coroutines only if called from one.
