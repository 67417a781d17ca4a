"""Who computes the parts of a scene: this process, or the workers of a Dask cluster."""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import Protocol

from pipelines.backends.choice import Backend, offered, why
from pipelines.config.base import AUTO
from pipelines.config.inference import PredictionSettings
from pipelines.inference.cluster.another_gpu import AnotherGpu, GpuRelay
from pipelines.inference.cluster.client import team_of
from pipelines.inference.cluster.connection import dask_cluster
from pipelines.inference.cluster.dask_workers import DaskWorkers
from pipelines.inference.cluster.parts import stitched
from pipelines.inference.cluster.protocol import Workers
from pipelines.inference.cluster.team import marked_output, team_for
from pipelines.inference.fingerprint import networks_of
from pipelines.inference.predictor import NetworkPredictor, passes_of, predictor_for
from pipelines.inference.stepping.pace import Pace, Ruled
from pipelines.inputs.normalisation import ValueRange
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.stopping import StopRule
from pipelines.models.weights import ModelFacts, steps_taken, stop_rule
from pipelines.runtime.device import choose_device, device_kind, device_type, identifier_of
from tiling.part import Part
from tiling.stitch import TilePredictor, stitch
from tiling.store import PartStore

_LOG = logging.getLogger("rurnet")


class RangePredictor(Protocol):
    """What gives a `tiling.stitch.TilePredictor` for each range of values that scenes have."""

    def scaled_from(self, value_range: ValueRange | None) -> TilePredictor:
        """See `NetworkPredictor.scaled_from`."""
        ...


@contextmanager
def workers_for(
    models: Sequence[ModelFacts], settings: PredictionSettings, output: Path, tiles: Sequence[int]
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
        with dask_cluster(settings) as connection, marked_output(output) as marker:
            team = team_of(connection.client, models, settings, marker)
            _tell(models, settings, team.device, team.backend)
            yield DaskWorkers(connection, team)
        return
    kind = device_type(settings.device)
    offer = offered(settings, kind)
    _tell(models, settings, kind, offer)
    if settings.steps == AUTO:
        for model in models:
            stop_rule(model)  # Without one the run ends, not each scene.
    predictor = lru_cache(maxsize=None)(partial(predictor_for, models, settings))
    if settings.limited:
        told = (
            f"--budget {settings.budget}" if settings.budget else f"--deadline {settings.deadline}"
        )
        seconds = settings.seconds(datetime.now())
        rule, most = stop_rule(models[0]), steps_taken(models, settings.steps)
        passes = passes_of(models, tta=settings.tta)
        pace = Pace(rule, most, seconds, sum(tiles), len(tiles), passes, told)
        yield GpuRelay(PacedProcess(device_kind(settings.device), predictor, pace, offer), None)
        return
    here = ThisProcess(device_kind(settings.device), predictor, offer)
    with ExitStack() as stack:
        if settings.device != "auto":  # A device that was named is the only one.
            yield GpuRelay(here, None)
            return

        def other(gpu: str) -> AnotherGpu:
            marker = stack.enter_context(marked_output(output))
            team = team_for(models, settings, here.device, marker, offer)
            return stack.enter_context(AnotherGpu(gpu, team))

        mine = None if kind == "cpu" else identifier_of(choose_device(settings.device))
        yield GpuRelay(here, other, mine)


def _tell(
    models: Sequence[ModelFacts], settings: PredictionSettings, device: str, offer: Backend | None
) -> None:
    """Logs what computes and why; of a GPU there is nothing to say."""
    if device.split(",")[0] == "cpu":
        _LOG.info("%s", why(settings, offer, networks_of(models)))


@dataclass(frozen=True)
class ThisProcess:
    """Computes here, one scene after the other.

    Attributes:
        device: See `Workers.device`.
        predictor: Gives what turns tiles into probabilities with a backend.
        offer: See `Workers.offer`.
        scenes: See `Workers.scenes`.
        ended: See `Workers.ended`.
    """

    device: str
    predictor: Callable[[Backend | None], RangePredictor]
    offer: Backend | None = None
    scenes: int = 1
    ended: str | None = None

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
        stitched(opened, store, parts, predictor, progress)


@dataclass
class PacedProcess:
    """Computes here, some parts at a time, so that the run ends in time.

    Attributes:
        device: See `Workers.device`.
        predictor: Gives what turns tiles into probabilities with a backend.
        pace: Says how many steps tiles take.
        offer: See `Workers.offer`.
        scenes: See `Workers.scenes`.
        ended: See `Workers.ended`.
    """

    device: str
    predictor: Callable[[Backend | None], NetworkPredictor]
    pace: Pace
    offer: Backend | None = None
    scenes: int = 1
    ended: str | None = None
    _last_end: float | None = None
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
        if self._last_end is not None:
            self.pace.note_rest(self._tiles, time.monotonic() - self._last_end)
        networks, left = self.predictor(backend), deque(parts)
        while left:
            group = [left.popleft()]
            while left and sum(one.tile_count for one in group) < self.pace.group():
                group.append(left.popleft())
            ruled = Ruled(self.pace.rule())
            if ruled.rule != self._last:
                _LOG.info("%s: %s", item.source, self.pace)
                self._last = ruled.rule
            start, worked = time.monotonic(), time.process_time()
            predictor = networks.scaled_from(opened.value_range, ruled)
            stitch(opened.seen, store.grid, group, predictor, store.write, progress=progress)
            tiles = sum(one.tile_count for one in group)
            busy = (time.process_time() - worked) / predictor.lanes
            self.pace.note(ruled, tiles, time.monotonic() - start, busy)
        self._last_end, self._tiles = time.monotonic(), sum(one.tile_count for one in parts)
