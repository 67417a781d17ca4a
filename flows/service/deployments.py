"""The flows of `flows.table` as Prefect flows, each with a deployment of its own name.

A Prefect flow is also an attribute of this module, `infer_roads` for `infer-roads`: there the
process of a run finds it again.
"""

import logging
from typing import TYPE_CHECKING, Any, cast

from prefect import Flow, get_run_logger
from prefect.deployments.runner import RunnerDeployment
from prefect.types.entrypoint import EntrypointType

from flows.cli.process import let_readers_be_quiet, let_threads_wait_quietly
from flows.cli.progress import LogProgress, ManyProgress
from flows.cli.signature import with_fields
from flows.errors import checked
from flows.service.artifacts import ArtifactProgress, leave_artifacts
from flows.table import FLOWS, Config, FlowEntry

if TYPE_CHECKING:
    from pipelines.results.result import Result


def _prefect_flow(entry: FlowEntry[Config]) -> "Flow[..., Result]":
    """Returns a Prefect flow whose parameters are the fields of the entry's configuration."""

    def body(values: Config) -> "Result":
        let_threads_wait_quietly()
        let_readers_be_quiet()
        logging.getLogger("rurnet").setLevel(logging.INFO)
        progress = ManyProgress([LogProgress(get_run_logger()), ArtifactProgress()])
        result = entry.run(values, progress)
        leave_artifacts(entry.name, result)
        return checked(result)

    function = with_fields(entry.config(), body, entry.help)
    function.__module__ = __name__
    function.__name__ = function.__qualname__ = entry.name.replace("-", "_")
    return Flow(function, name=entry.name, persist_result=False)


PREFECT_FLOWS = {name: _prefect_flow(entry) for name, entry in FLOWS.items()}
"""Every Prefect flow by its name."""


def __getattr__(attribute: str) -> "Flow[..., Result]":
    try:
        return PREFECT_FLOWS[attribute.replace("_", "-")]
    except KeyError:
        raise AttributeError(f"{__name__} has no attribute {attribute}") from None


def deployments() -> list[RunnerDeployment]:
    """Returns one deployment per flow, of the same name."""
    made: list[Any] = [
        flow.to_deployment(
            name=flow.name,
            description=flow.description,
            entrypoint_type=EntrypointType.MODULE_PATH,
        )
        for flow in PREFECT_FLOWS.values()
    ]
    return cast(list[RunnerDeployment], made)  # Coroutines only if called from one.
