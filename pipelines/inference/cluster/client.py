"""The client of a Dask cluster, and the team that its workers are.

Dask is imported only where it is asked for.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.backends.choice import Backend
from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError, shortened
from pipelines.inference.cluster.team import Member, Team, check_member, introduced, team_for
from pipelines.models.weights import Model

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger("rurnet")

WAIT_FOR_A_WORKER_S = 60

_SILENT_S = 30.0
"""Seconds without a sign of life after which a worker is not waited for; the others give them
every few seconds."""


@contextmanager
def dask_client(settings: PredictionSettings) -> Iterator["Client"]:
    """A client of the cluster asked for; a local one is started and ended here.

    Raises:
        PipelineError: Dask is not installed, or no cluster with workers answers.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise PipelineError(
            "several workers need Dask: pip install 'rurnet[cluster]', or leave --workers and "
            "--scheduler out"
        ) from error
    # It logs a lost worker or scheduler with tracebacks; the first is mended, the second comes
    # again as our error.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if settings.scheduler is None:
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=1,
                    # Parts bound the memory; a limit would only kill what is about to finish.
                    memory_limit=0,
                    dashboard_address=None,
                )
            )
            address = cluster.scheduler_address
        else:
            address = settings.scheduler
        try:
            client = stack.enter_context(Client(address, timeout=WAIT_FOR_A_WORKER_S))
            # Adaptive clusters start a first worker only where there is something to do.
            knock = client.submit(int, pure=False)
            client.wait_for_workers(1, timeout=WAIT_FOR_A_WORKER_S)
            knock.release()
        except (OSError, ValueError, TimeoutError) as error:
            raise PipelineError(
                f"{address}: no Dask cluster with workers answers there ({error}); "
                "check --scheduler, and that workers have joined it"
            ) from error
        yield client


def team_of(
    client: "Client", models: Sequence[Model], settings: PredictionSettings, marker: Path
) -> Team:
    """Asks all workers who they are, and checks that they are alike.

    Args:
        client: Of the cluster.
        models: The weights, as they are here.
        settings: What is asked for.
        marker: See `pipelines.inference.cluster.team.marked_output`.

    Raises:
        PipelineError: They differ among each other or from this process, do not share the output
            folder, or do not answer.
    """
    members = _members(client, models, settings.device, marker)
    kinds = sorted({member.device for member in members.values()})
    if len(kinds) > 1:
        raise PipelineError(
            f"the workers compute on {' and '.join(kinds)}: bytes would depend on which did "
            "what; give --device, or use workers of one kind"
        )
    team = team_for(models, settings, kinds[0], marker, _backend_of(members, settings))
    for worker, member in members.items():
        check_member(worker, member, team)
    return team


def _backend_of(members: Mapping[str, Member], settings: PredictionSettings) -> Backend | None:
    """What the workers can compute with instead of torch, if all of them can.

    Raises:
        PipelineError: OpenVINO is asked for, and one of them has none.
    """
    found = {member.backend for member in members.values()}
    if settings.backend == "openvino":
        if None in found:
            without = next(one for one, member in members.items() if member.backend is None)
            raise PipelineError(
                f"{without}: a worker without OpenVINO, or one that computes on a GPU; "
                "pip install 'rurnet[openvino]' there and give --device cpu, or leave --backend out"
            )
        return members[min(members)].backend  # Others differ: `check_member` names them.
    return found.pop() if settings.backend == "auto" and len(found) == 1 else None


def _members(
    client: "Client", models: Sequence[Model], device: str, marker: Path
) -> dict[str, Member]:
    """What each worker says of itself, by its address."""
    seen = {
        address: float(worker["last_seen"])
        for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()
    }
    # By the clock of the scheduler: that of another machine may be another one.
    awake = [one for one, when in seen.items() if max(seen.values()) - when < _SILENT_S]
    if asleep := sorted(seen.keys() - set(awake)):
        _LOG.warning("left out, as they do not answer: workers %s", ", ".join(asleep))
    # In a thread: it waits for a worker that hangs as long as that does.
    pool = ThreadPoolExecutor(1, thread_name_prefix="ask")
    asked = pool.submit(
        client.run, introduced, device, [model.source for model in models], Path.cwd(), marker,
        workers=awake, on_error="return",
    )  # fmt: skip
    try:
        found = asked.result(WAIT_FOR_A_WORKER_S)
    except TimeoutError as error:
        raise PipelineError(
            f"a worker among {', '.join(sorted(awake))} does not answer; see to it, or end it"
        ) from error
    finally:
        pool.shutdown(wait=False)
    members: dict[str, Member] = {}
    for worker, member in found.items():
        if isinstance(member, Member):
            members[worker] = member
        elif not isinstance(member, OSError):  # That is a worker that ended just now.
            raise PipelineError(
                f"{worker}: a worker that cannot say what it is ({shortened(member)}); install "
                f"release {version('rurnet')} of rurnet there, as here"
            )
    if not members:
        raise PipelineError(
            f"{', '.join(sorted(seen)) or 'the cluster'}: no worker is left that answers; see why "
            "they ended, and start them again"
        )
    return members
