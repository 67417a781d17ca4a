"""GPUs are shared out among runs: each has its own, by a concurrency limit of Prefect's server.

There is a limit for each GPU, named after it. So it holds for all runs of a machine, whether
`flows.serve`, a worker or a container started them, and a person can see who has which, share one
between two runs (a limit of 2), or take one out of use (a limit of 0).
"""

import logging
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from http import HTTPStatus

from httpx import HTTPStatusError
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.asyncio import ConcurrencySlotAcquisitionError
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from pydantic import BaseModel

from pipelines.config.inference import PredictionSettings
from pipelines.config.training import TrainingSettings
from pipelines.runtime.gpus import VISIBLE, gpus_here

_LEASE_S = 60.0
"""How long the server waits for word of whoever holds a GPU: the shortest that it takes."""

_ASK_AGAIN_S = 5.0

_TAKEN = HTTPStatus.LOCKED


def wanted_gpus(values: BaseModel, gpus: int) -> int:
    """Returns how many GPUs a run is to have of its own.

    Args:
        values: What was asked for.
        gpus: That there are.
    """
    if isinstance(values, TrainingSettings):
        return min(gpus, 1)
    if not isinstance(values, PredictionSettings):
        return 0
    # A device that was named is nobody else's business, and a cluster has its own.
    if values.device != "auto" or values.scheduler is not None:
        return 0
    if values.dry_run and not values.measure:
        return 0
    return min(gpus, max(1, values.workers))


@contextmanager
def own_gpus(wanted: Callable[[int], int], say: Callable[[str], None]) -> Iterator[list[str]]:
    """Waits for GPUs that no other run has, and shows this process only those.

    Must be entered before the process uses CUDA.

    Args:
        wanted: How many, given how many there are; 0 shows all, and waits for none.
        say: Told which they are, or that there is none yet.
    """
    here = gpus_here()
    count = wanted(len(here))
    if not count:
        yield []
        return
    with _held(here, count, say) as mine:
        before = os.environ.get(VISIBLE)
        os.environ[VISIBLE] = ",".join(mine)
        say(f"computes on {', '.join(mine)}")
        try:
            yield mine
        finally:
            if before is None:
                del os.environ[VISIBLE]
            else:
                os.environ[VISIBLE] = before


@contextmanager
def _held(gpus: Sequence[str], count: int, say: Callable[[str], None]) -> Iterator[list[str]]:
    """Holds slots of the limits of so many GPUs, for as long as the context lasts."""
    with get_client(sync_client=True) as client:
        _make_limits(client, gpus)
    said = False
    while True:
        with get_client(sync_client=True) as client:
            slots = _slots(client, gpus)
        in_use = sum(all_of > 0 for _, all_of in slots.values())
        mine = free_gpus(gpus, slots)[:count]
        # Those out of use are not waited for, unless there is no other.
        if mine and len(mine) >= min(count, in_use):
            with ExitStack() as stack:
                if _entered(stack, mine):
                    yield mine
                    return
            time.sleep(random.random())  # Several asked for the same.
            continue
        if not said:
            say(f"waits for a GPU: all {len(gpus)} are other runs', or out of use")
            said = True
        time.sleep(_ASK_AGAIN_S)


def _entered(stack: ExitStack, gpus: Sequence[str]) -> bool:
    """Takes a slot of each of the GPUs, or none if another run was faster."""
    logging.getLogger("prefect._internal.concurrency").addFilter(_is_no_refusal)
    try:
        stack.enter_context(
            concurrency(
                [_limit(gpu) for gpu in gpus],
                max_retries=0,
                lease_duration=_LEASE_S,
                strict=True,
                # A server that is away for a while ends no run.
                raise_on_lease_renewal_failure=False,
            )
        )
    except ConcurrencySlotAcquisitionError as error:
        refused = error.__cause__
        if isinstance(refused, HTTPStatusError) and refused.response.status_code == _TAKEN:
            return False
        raise
    return True


def _is_no_refusal(record: logging.LogRecord) -> bool:
    """Keeps out of logs that another run was faster: it is raised as well."""
    return not str(record.msg).startswith("Service %r failed to process item")


def free_gpus(gpus: Sequence[str], slots: Mapping[str, tuple[int, int]]) -> list[str]:
    """Returns the GPUs that have a free slot, those with the fewest runs first, else in any order.

    Runs that begin at the same time mostly choose different ones then.

    Args:
        gpus: Their identifiers.
        slots: For each, how many are taken, and how many there are.
    """
    free = [gpu for gpu in gpus if slots[gpu][0] < slots[gpu][1]]
    return sorted(random.sample(free, len(free)), key=lambda gpu: slots[gpu][0])


def _make_limits(client: SyncPrefectClient, gpus: Sequence[str]) -> None:
    """Makes the limits that are missing; those of persons stay."""
    for gpu in gpus:
        try:
            client.read_global_concurrency_limit_by_name(_limit(gpu))
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # Another run was first.
                client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=_limit(gpu), limit=1)
                )


def _slots(client: SyncPrefectClient, gpus: Sequence[str]) -> dict[str, tuple[int, int]]:
    found = {gpu: client.read_global_concurrency_limit_by_name(_limit(gpu)) for gpu in gpus}
    return {gpu: (each.active_slots, each.limit) for gpu, each in found.items()}


def _limit(gpu: str) -> str:
    return f"rurnet {gpu}"
