"""Has parts computed by the workers of a Dask cluster.

Dask is imported only where it is asked for.
"""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from pipelines.backends.choice import Backend
from pipelines.errors import DeviceLostError, PipelineError
from pipelines.inference.cluster.another_gpu import NOT_TRIED
from pipelines.inference.cluster.parts import error_of_part
from pipelines.inference.cluster.team import Team, predictor_of
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from tiling.part import Part
from tiling.store import PartStore

if TYPE_CHECKING:
    from distributed import Client, Future

_LOG = logging.getLogger("rurnet")

_FEWEST_SCENES = 4
"""Scenes that are under way at least, with a cluster."""

_LOOK_EVERY_S = 5.0

_STUCK_S = 600.0
"""Seconds without any part of a scene after which those under way are done a second time."""


class DaskWorkers:
    """Has parts computed by a cluster; a lost worker's parts go to the others.

    Workers read scenes and weights, and write parts, under the same paths as this process.
    """

    def __init__(self, client: "Client", team: Team) -> None:
        self.client = client
        self.device = team.device
        self.offer = team.backend
        # One more than there are workers, so that none waits while a scene is put together; and
        # some for those that join later.
        self.scenes = max(_FEWEST_SCENES, len(client.scheduler_info(n_workers=-1)["workers"]) + 1)
        self.ended: str | None = None
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
        from distributed import CancelledError, KilledWorker

        folder, use = Path.cwd(), uuid4().hex
        # Without the list of all parts, which would travel with each of them.
        alone = replace(store, parts=())
        # Scene after scene: a worker that took parts of several in turn would open each anew.
        priority = -next(self._begun)

        def submitted(part: Part, workers: Sequence[str] | None = None) -> "Future[Any]":
            return self.client.submit(
                _compute, self._team, folder, item, use, alone, part, backend,
                pure=False, priority=priority, workers=workers,
            )  # fmt: skip

        futures = {submitted(part): part for part in parts}
        try:
            self._follow(item, futures, submitted, progress)
        except CancelledError as error:
            # Nothing is asked of the client here: one that is closing would never answer.
            raise PipelineError(
                f"{item.source}: the Dask cluster was lost ({' '.join(str(error).split())}); "
                "see to its scheduler, then run again: what is computed is kept"
            ) from error
        except Exception as error:
            self.client.cancel(list(futures))
            if not isinstance(error, KilledWorker):
                raise
            raise PipelineError(
                f"{item.source}: a part of it ended several workers ({error}); most likely they "
                "ran out of memory: give a smaller --part-size or --batch, then run again"
            ) from error

    def _follow(
        self,
        item: SceneInput,
        futures: dict["Future[Any]", Part],
        submitted: Callable[..., "Future[Any]"],
        progress: Callable[[int], None],
    ) -> None:
        """Waits for all parts; those of a worker that hangs are given to the others too.

        Raises:
            Exception: What went wrong with a part.
        """
        from distributed import wait

        left = {*futures.values()}
        last = time.monotonic()
        while left:
            if self.ended is not None:
                raise DeviceLostError(self.ended)  # Parts would wait for a worker for ever.
            try:
                done = wait([*futures], timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            for future in done:
                part = futures.pop(future)
                worker, error = future.result()
                if error is not None:
                    if isinstance(error, DeviceLostError):
                        self._let_go(worker)
                    raise error
                if part in left:
                    left.remove(part)
                    progress(part.tile_count)
                    last = time.monotonic()
            if left and time.monotonic() - last > _STUCK_S:
                last = time.monotonic()
                futures |= {
                    submitted(part, others): part for part, others in self._stuck(item, futures)
                }
        self.client.cancel([*futures])  # Second copies, of which the first came back after all.

    def _let_go(self, worker: str) -> None:
        """Lets a worker go whose GPU is lost: it would fail at all that it is given."""
        with self._lock:
            if worker in self._gone:
                return
            self._gone.add(worker)
        self.client.retire_workers([worker], close_workers=True)
        left = self.client.scheduler_info(n_workers=-1)["workers"].keys() - self._gone
        _LOG.warning("worker %s lost its GPU and is let go; %d are left", worker, len(left))
        if not left:
            self.ended = NOT_TRIED

    def _stuck(
        self, item: SceneInput, futures: dict["Future[Any]", Part]
    ) -> list[tuple[Part, list[str]]]:
        """Parts that were given to a worker and do not come back, and who else could do them."""
        parts = {future.key: part for future, part in futures.items()}
        given = self.client.processing()
        holders = {worker for worker, keys in given.items() if parts.keys() & set(keys)}
        others = sorted(given.keys() - holders)
        if not holders or not others:
            return []
        _LOG.warning(
            "%s: no part came back for %.0f min; what workers %s have is given to others too",
            item.source, _STUCK_S / 60, ", ".join(sorted(holders)),
        )  # fmt: skip
        return [(parts[key], others) for one in holders for key in given[one] if key in parts]


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
