"""Who computes the parts of a scene: this process, or the workers of a Dask cluster.

Dask is imported only where it is asked for.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache, partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from uuid import uuid4

from pipelines.backends.choice import Backend, offered
from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError, UnforeseenError
from pipelines.inference.cluster.client import dask_client, team_of
from pipelines.inference.cluster.team import Team, marked_output, predictor_of
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.inference.stepping.pace import Pace, Ruled
from pipelines.inference.updating.plan import update_of
from pipelines.inputs.kept_open import KeptOpen
from pipelines.inputs.normalisation import ValueRange
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.stopping import StopRule
from pipelines.models.weights import Model, stop_rule
from pipelines.results.failure import OWN_ERRORS, trace_of, unforeseen
from pipelines.runtime.device import choose_device, device_kind
from tiling.part import Part
from tiling.stitch import TilePredictor, stitch
from tiling.store import PartStore

if TYPE_CHECKING:
    from distributed import Client, Future

_LOG = logging.getLogger("rurnet")

_FEWEST_SCENES = 4
"""Scenes that are under way at least, with a cluster."""

_LOOK_EVERY_S = 5.0

_STUCK_S = 600.0
"""Seconds without any part of a scene after which those under way are done a second time."""


class RangePredictor(Protocol):
    """What gives a `tiling.stitch.TilePredictor` for each range of values that scenes have."""

    def scaled_from(self, value_range: ValueRange | None) -> TilePredictor:
        """See `NetworkPredictor.scaled_from`."""
        ...


class Workers(Protocol):
    """Who computes parts."""

    @property
    def scenes(self) -> int:
        """Scenes that may be under way at the same time."""
        ...

    @property
    def device(self) -> str:
        """See `pipelines.runtime.device.device_kind`."""
        ...

    @property
    def offer(self) -> Backend | None:
        """What they can compute with instead of torch; None where nothing."""
        ...

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """Computes parts of a scene into its store.

        Args:
            item: The scene, for whoever opens it anew.
            opened: The same, for whoever is here.
            store: Where parts are written.
            parts: What is missing.
            progress: Told how many tiles are done, each time some are.
            backend: What is to compute: torch where it is None, else what they offer.
        """
        ...


@contextmanager
def workers_for(
    models: Sequence[Model], settings: PredictionSettings, output: Path, tiles: Sequence[int]
) -> Iterator[Workers]:
    """Starts or finds who computes, and lets them go in the end.

    Args:
        models: What predicts.
        settings: Who is asked for, and how long it may take.
        output: What all must share.
        tiles: How many there are to be done, of each scene.

    Raises:
        PipelineError: No such device, no such scheduler, or workers that differ or do not share
            the output folder.
    """
    if settings.workers or settings.scheduler is not None:
        with dask_client(settings) as client, marked_output(output) as marker:
            yield _DaskWorkers(client, team_of(client, models, settings, marker))
        return
    device = choose_device(settings.device)
    offer = offered(settings, device.type)
    predictor = lru_cache(maxsize=None)(partial(predictor_for, models, settings))
    if settings.limited:
        told = (
            f"--budget {settings.budget}" if settings.budget else f"--deadline {settings.deadline}"
        )
        seconds = settings.seconds(datetime.now())
        rule, whole = stop_rule(models[0]), sum(tiles)
        pace = Pace(rule, predictor(None).steps, seconds, whole, len(tiles), told)
        yield PacedProcess(device_kind(settings.device), predictor, pace, offer)
        return
    predictor(None)  # Weights without a rule for --steps auto end the run, not each scene.
    yield ThisProcess(device_kind(settings.device), predictor, offer)


@dataclass(frozen=True)
class ThisProcess:
    """Computes here, one scene after the other.

    Attributes:
        device: See `Workers.device`.
        predictor: Gives what turns tiles into probabilities with a backend.
        offer: See `Workers.offer`.
        scenes: See `Workers.scenes`.
    """

    device: str
    predictor: Callable[[Backend | None], RangePredictor]
    offer: Backend | None = None
    scenes: int = 1

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """See `Workers.compute`."""
        predictor = self.predictor(backend).scaled_from(opened.value_range)
        _stitched(opened, store, parts, predictor, progress)


@dataclass
class PacedProcess:
    """Computes here, some parts at a time, so that the run ends in time.

    Attributes:
        device: See `Workers.device`.
        predictor: Gives what turns tiles into probabilities with a backend.
        pace: Says how many steps tiles take.
        offer: See `Workers.offer`.
        scenes: See `Workers.scenes`.
    """

    device: str
    predictor: Callable[[Backend | None], NetworkPredictor]
    pace: Pace
    offer: Backend | None = None
    scenes: int = 1
    _ended: float | None = None
    _tiles: int = 0
    _last: StopRule | None = None

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """See `Workers.compute`."""
        if self._ended is not None:
            self.pace.note_rest(self._tiles, time.monotonic() - self._ended)
        left = deque(parts)
        while left:
            group = [left.popleft()]
            while left and sum(one.tile_count for one in group) < self.pace.group():
                group.append(left.popleft())
            ruled = Ruled(self.pace.rule())
            if ruled.rule != self._last:
                _LOG.info("%s: %s", item.source, self.pace)
                self._last = ruled.rule
            start = time.monotonic()
            predictor = self.predictor(backend).scaled_from(opened.value_range, ruled)
            stitch(opened.seen, store.grid, group, predictor, store.write, progress=progress)
            tiles = sum(one.tile_count for one in group)
            self.pace.note(ruled, tiles, time.monotonic() - start)
        self._ended, self._tiles = time.monotonic(), sum(one.tile_count for one in parts)


def _stitched(
    opened: OpenedScene,
    store: PartStore,
    parts: Sequence[Part],
    predictor: TilePredictor,
    progress: Callable[[int], None] = lambda tiles: None,
) -> None:
    """Computes parts, with what is known of them from an earlier result."""
    update = update_of(store)
    with nullcontext() if update is None else update.open() as known:
        stitch(
            opened.seen, store.grid, parts, predictor, store.write, known=known, progress=progress
        )


class _DaskWorkers:
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
        """See `Workers.compute`."""
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
            try:
                done = wait([*futures], timeout=_LOOK_EVERY_S, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                done = set()
            for future in done:
                part = futures.pop(future)
                if (error := future.result()) is not None:
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


_SCENES = KeptOpen()
"""The scene that is open on a worker, from one part to the next."""


def _compute(
    team: Team,
    folder: Path,
    item: SceneInput,
    use: str,
    store: PartStore,
    part: Part,
    backend: Backend | None,
) -> Exception | None:
    """Computes one part; runs on a worker.

    Returns:
        What went wrong, if something did. It is not raised: Dask would print it, and could not
        send it with what it came of, as GDAL's errors cannot be unpickled.
    """
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # What it says is raised as well.
    try:
        predictor = predictor_of(team, folder, backend)
        if store.path(part).exists():
            return None  # By a worker that was believed to be lost.
        with _SCENES.opened(item, use) as opened:
            scaled = predictor.scaled_from(opened.value_range)
            _stitched(opened, store, [part], scaled)
    except OWN_ERRORS as error:
        return type(error)(str(error))
    except Exception as error:
        return UnforeseenError(unforeseen(error), trace_of(error))
    return None
