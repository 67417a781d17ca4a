"""Has parts computed by the workers of a Dask cluster.

Dask is imported only where it is asked for.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipelines.backends.choice import Backend
from pipelines.errors import ClusterLostError, DeviceLostError, PipelineError
from pipelines.inference.cluster.another_gpu import NOT_TRIED
from pipelines.inference.cluster.client import check_team
from pipelines.inference.cluster.connection import Connection, losses_named
from pipelines.inference.cluster.parts import error_of_part
from pipelines.inference.cluster.team import Team, predictor_of
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from tiling.part import Part
from tiling.store import PartStore

if TYPE_CHECKING:
    from distributed import Client, Future

_LOG = logging.getLogger("rurnet")

CLUSTER_LOST = (
    "not tried, as the Dask cluster was lost; see to its scheduler and workers, then run again: "
    "the same command goes on with what is missing"
)

_FEWEST_SCENES = 4
"""Scenes that are under way at least, with a cluster."""

_LOOK_EVERY_S = 5.0

_STUCK_S = 600.0
"""Seconds without any part of a scene after which those under way are done a second time."""


class DaskWorkers:
    """Has parts computed by a cluster; a lost worker's parts go to the others.

    Workers read scenes and weights, and write parts, under the same paths as this process.
    """

    def __init__(self, connection: Connection, team: Team) -> None:
        self.device = team.device
        self.offer = team.backend
        # One more than there are workers, so that none waits while a scene is put together; and
        # some for those that join later.
        self.scenes = max(_FEWEST_SCENES, len(_workers(connection.client)) + 1)
        self.ended: str | None = None
        self._connection = connection
        self._gone: set[str] = set()
        self._lock = Lock()
        self._team = team
        self._begun = count()

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """See `pipelines.inference.workers.Workers.compute`."""
        folder, use = Path.cwd(), uuid4().hex
        # Without the list of all parts, which would travel with each of them.
        alone = replace(store, parts=())
        # Scene after scene: a worker that took parts of several in turn would open each anew.
        priority = -next(self._begun)

        def submitted(
            client: "Client", part: Part, workers: Sequence[str] | None = None
        ) -> "Future[Any]":
            return client.submit(
                _compute, self._team, folder, item, use, alone, part, backend,
                pure=False, priority=priority, workers=workers,
            )  # fmt: skip

        left = dict.fromkeys(parts)
        while left:
            client = self._connection.client
            try:
                self._share_out(client, item, left, submitted, progress)
            except ClusterLostError:
                self._wait_for_cluster(client, item)

    def _wait_for_cluster(self, lost: "Client", item: SceneInput) -> None:
        try:
            self._connection.renew(lost, partial(check_team, team=self._team))
        except ClusterLostError as error:
            self.ended = CLUSTER_LOST
            raise ClusterLostError(f"{item.source}: {error}") from error

    def _share_out(
        self,
        client: "Client",
        item: SceneInput,
        left: dict[Part, None],
        submitted: Callable[..., "Future[Any]"],
        progress: Callable[[int], None],
    ) -> None:
        """Has parts computed, and takes those that are from what is left.

        Raises:
            ClusterLostError: The client has no scheduler any more.
        """
        from distributed import KilledWorker

        with losses_named():
            futures = {submitted(client, part): part for part in left}
        try:
            self._follow(client, item, left, futures, submitted, progress)
        except ClusterLostError:
            raise  # Nothing is asked of the client here: one that is closing would never answer.
        except Exception as error:  # Whatever it is, no part is left to be computed.
            client.cancel(list(futures))
            if not isinstance(error, KilledWorker):
                raise
            raise PipelineError(
                f"{item.source}: a part of it ended several workers ({error}); most likely they "
                "ran out of memory: give a smaller --part-size or --batch, then run again"
            ) from error

    def _follow(
        self,
        client: "Client",
        item: SceneInput,
        left: dict[Part, None],
        futures: dict["Future[Any]", Part],
        submitted: Callable[..., "Future[Any]"],
        progress: Callable[[int], None],
    ) -> None:
        """Waits for all parts; those of a worker that hangs are given to the others too.

        Raises:
            Exception: What went wrong with a part.
        """
        from distributed import wait

        last = time.monotonic()
        while left:
            if client.status != "running" or self.ended == CLUSTER_LOST:
                # What it was given since then would stay with it for ever.
                raise ClusterLostError(f"its client is {client.status}")
            if self.ended is not None:
                raise DeviceLostError(self.ended)  # Parts would wait for a worker for ever.
            done = set()
            with losses_named(), client.as_current(), suppress(TimeoutError):
                done = wait([*futures], timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED").done
            for future in done:
                part = futures.pop(future)
                with losses_named():
                    worker, error = future.result()
                if error is not None:
                    if isinstance(error, DeviceLostError):
                        self._let_go(client, worker)
                    raise error
                if part in left:
                    del left[part]
                    progress(part.tile_count)
                    last = time.monotonic()
            if left and time.monotonic() - last > _STUCK_S:
                last = time.monotonic()
                with losses_named():
                    futures |= {
                        submitted(client, part, others): part
                        for part, others in self._stuck(client, item, futures)
                    }
        # Second copies, of which the first came back after all.
        client.cancel([*futures])

    def _let_go(self, client: "Client", worker: str) -> None:
        """Lets a worker go whose GPU is lost: it would fail at all that it is given."""
        with self._lock:
            if worker in self._gone:
                return
            self._gone.add(worker)
        with losses_named():
            client.retire_workers([worker], close_workers=True)
            left = _workers(client) - self._gone
        _LOG.warning("worker %s lost its GPU and is let go; %d are left", worker, len(left))
        if not left:
            self.ended = NOT_TRIED

    def _stuck(
        self, client: "Client", item: SceneInput, futures: dict["Future[Any]", Part]
    ) -> list[tuple[Part, list[str]]]:
        """Parts that were given to a worker and do not come back, and who else could do them."""
        parts = {future.key: part for future, part in futures.items()}
        given = client.processing()
        holders = {worker for worker, keys in given.items() if parts.keys() & set(keys)}
        others = sorted(given.keys() - holders)
        if not holders or not others:
            return []
        _LOG.warning(
            "%s: no part came back for %.0f min; what workers %s have is given to others too",
            item.source, _STUCK_S / 60, ", ".join(sorted(holders)),
        )  # fmt: skip
        return [(parts[key], others) for one in holders for key in given[one] if key in parts]


def _workers(client: "Client") -> set[str]:
    """Addresses of the workers that a cluster has."""
    return {*client.nthreads()}


def _compute(
    team: Team,
    folder: Path,
    item: SceneInput,
    use: str,
    store: PartStore,
    part: Part,
    backend: Backend | None,
) -> tuple[str, Exception | None]:
    """Computes one part; runs on a worker.

    Returns:
        The worker's address, and what went wrong, if something did.
    """
    from distributed import get_worker

    found = error_of_part(partial(predictor_of, team, folder, backend), item, use, store, part)
    return str(get_worker().address), found
