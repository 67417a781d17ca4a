"""Runs whose process is gone: they would stay RUNNING and hold their slot."""

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterName,
    FlowRunFilter,
    FlowRunFilterState,
    FlowRunFilterStateType,
)
from prefect.client.schemas.objects import StateType
from prefect.states import Crashed


def crash_abandoned_runs(deployments: list[str]) -> list[str]:
    """Marks runs as crashed that have begun and cannot be going on.

    To be called by the only process that serves these deployments, before it runs anything: at
    that moment every run that is pending or running has lost its process.

    Args:
        deployments: Names of the deployments.

    Returns:
        The names of the runs that were marked.
    """
    begun = [StateType.RUNNING, StateType.PENDING, StateType.CANCELLING]
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs(
            deployment_filter=DeploymentFilter(name=DeploymentFilterName(any_=deployments)),
            flow_run_filter=FlowRunFilter(
                state=FlowRunFilterState(type=FlowRunFilterStateType(any_=begun))
            ),
        )
        for run in runs:
            message = "The process that ran it is gone (killed, or the machine went down)."
            client.set_flow_run_state(run.id, Crashed(message=message), force=True)
    return [run.name for run in runs]
