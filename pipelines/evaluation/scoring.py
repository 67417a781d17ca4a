"""Counts predicted rasters against a label, window by window, in memory that does not grow."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.scoring import ScoringSettings
from pipelines.inputs.label_checks import (
    Agreement,
    LabelContents,
    check_contents,
    remarks_on_contents,
    remarks_on_turned,
)
from pipelines.inputs.labels import IGNORE_INDEX, Label
from pipelines.results.layout import steps_in
from pipelines.results.outcome import SceneErrors, SceneScores
from pipelines.scores.counts import Counter, SceneCounts, together
from pipelines.scores.relaxed import Disc
from pipelines.scores.topology import TopologyCounter
from tiling.blend import NODATA, TOP
from tiling.masks.mask import threshold_level
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.scenes.scene import Raster
from tiling.window import Window, split

if TYPE_CHECKING:
    from pipelines.measurements.errors import ErrorRegions

AT_ONCE = 2048
"""Side of the windows that scoring reads, in pixels."""


class Levels(Raster, Protocol):
    """What is scored: probability levels, by window."""

    @property
    def graded(self) -> bool:
        """Whether they are probabilities; of a mask or drawing levels are 0 or 254."""
        ...

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the foreground classes: one for each band."""
        ...

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Levels 0 to 254 [bands, h, w], 255 where nothing is to be counted."""
        ...


def score(
    files: Mapping[str, Path | str],
    opened: Callable[[Path | str], AbstractContextManager[Levels]],
    label: Label,
    second: Label | None,
    settings: ScoringSettings,
    progress: Callable[[int], None] = lambda windows: None,
    *,
    pixel_told: float | None = None,
    own_threshold: float | None = None,
) -> SceneScores:
    """Counts what was written of a scene.

    Args:
        files: Rasters by what they are, see `pipelines.results.layout`.
        opened: Opens one of them.
        label: See `count`.
        second: See `count`.
        settings: See `count`.
        progress: See `count`.
        pixel_told: See `count`.
        own_threshold: See `count`.

    Raises:
        SceneError: A raster cannot be read.
        LabelError: A label holds a value that is no class, or nothing that could be scored.
        PredictionError: A raster holds what is no probability, or no class.
    """
    with ExitStack() as stack:
        paths = steps_in(files) or [files["probability"]]
        steps = [stack.enter_context(opened(path)) for path in paths]
        return count(
            steps, label, second, settings, progress,
            pixel_told=pixel_told, own_threshold=own_threshold,
        )  # fmt: skip


def count(
    steps: Sequence[Levels],
    label: Label,
    second: Label | None,
    settings: ScoringSettings,
    progress: Callable[[int], None] = lambda windows: None,
    *,
    pixel_told: float | None = None,
    own_threshold: float | None = None,
) -> SceneScores:
    """Counts a scene in one walk over it, in which each raster is read once.

    Args:
        steps: What is scored: the prediction, after the same after earlier recurrent steps.
        label: Of the same size.
        second: What a second observer drew, scored as if it were a prediction.
        settings: What is scored: rho, threshold, topology.
        progress: Is told of each window of `AT_ONCE` pixels a side that is done, of each raster.
        pixel_told: Side of a pixel in metres, whatever the coordinates say; None measures it.
        own_threshold: The scene's own, where each has its own.

    Raises:
        SceneError: A raster cannot be read.
        LabelError: The label holds a value that is no class, or nothing that could be scored.
    """
    last = steps[-1]
    scene, margin = Window(0, 0, last.height, last.width), Disc(settings.rho).margin
    pixel = pixel_size(last, pixel_told)
    metres = pixel.side if pixel else None
    counters = [
        _RasterCounter(levels, settings, metres, own_threshold, graded=levels.graded)
        for levels in steps
    ]
    regions = _regions(settings.rho) if last.crs is not None else None
    level = threshold_level(settings.one_threshold if own_threshold is None else own_threshold)
    of_second = _RasterCounter(last, settings, metres, own_threshold, graded=False)
    contents, contents_of_second = LabelContents(), LabelContents()
    for window in split(scene.height, scene.width, AT_ONCE):
        around = window.grown(margin).intersection(scene)
        drawn = label.read(around)
        contents.add(drawn[window.slices(around)])
        for raster, counter in zip(steps, counters, strict=True):
            levels = raster.read(around)
            counter.add(levels, drawn, window, around)
            progress(1)
        if regions is not None:
            whole = together(levels)
            counted = (whole != NODATA) & (drawn != IGNORE_INDEX)
            regions.add(whole >= level, drawn > 0, counted, window, around)
        if second is not None:
            drawn_again = second.read(around)
            contents_of_second.add(drawn_again[window.slices(around)])
            of_second.add(as_levels(drawn_again, levels), drawn, window, around)
            progress(1)
    classes = ("background", *last.classes)
    remarks: list[str] = []
    labels = [(label, contents)] + ([] if second is None else [(second, contents_of_second)])
    counts = [counter.counts() for counter in counters]
    agreements = [_agreement(counts[-1], level), None]
    for (one, holds), agreement in zip(labels, agreements, strict=False):
        check_contents(one, holds, classes)
        remarks += remarks_on_contents(one, holds, classes, agreement)
    if agreements[0] is not None and not last.graded:
        remarks += remarks_on_turned(last.name, agreements[0])
    return SceneScores(
        counts[-1],
        None if second is None else of_second.counts(),
        tuple(counts) if len(counts) > 1 else (),
        contents.share_left_out,
        None if regions is None else _errors(regions, last, pixel),
        tuple(remarks),
    )


def _agreement(counts: SceneCounts, level: int) -> Agreement | None:
    """How a prediction agrees with its label; None of several classes, which cannot be turned."""
    if len(counts.strict) > 1:
        return None
    (rest, alarms), (missed, hits) = (
        (int(of[:level].sum()), int(of[level:].sum())) for of in counts.strict[0]
    )
    return Agreement.of(hits, alarms, missed, rest)


def _regions(rho: float) -> "ErrorRegions":
    # shapely and scipy take a while: where nothing is scored they are not needed.
    from pipelines.measurements.errors import ErrorRegions

    return ErrorRegions(Disc(rho))


def _errors(regions: "ErrorRegions", raster: Raster, pixel: PixelSize | None) -> SceneErrors:
    assert raster.crs is not None
    return SceneErrors(regions.found(), raster.crs.to_wkt(), raster.transform, pixel)


def as_levels(drawn: NDArray[np.uint8], within: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A label as if it were a prediction: levels 0 and 254 [classes, h, w].

    Args:
        drawn: Classes [h, w], or `IGNORE_INDEX`.
        within: A prediction's levels [classes, h, w]: the label counts where they do.
    """
    classes = np.arange(1, len(within) + 1)[:, None, None]
    left_out = (drawn == IGNORE_INDEX) | (within[0] == NODATA)
    levels: NDArray[np.uint8] = np.where(drawn == classes, TOP, 0).astype(np.uint8)
    levels[:, left_out] = NODATA
    return levels


class _RasterCounter:
    """Counts one raster, its topology too where that is asked for."""

    def __init__(
        self,
        levels: Levels,
        settings: ScoringSettings,
        metres: float | None,
        own: float | None,
        *,
        graded: bool,
    ) -> None:
        self._counter = Counter(len(levels.classes) + 1, Disc(settings.rho))
        self._threshold = threshold_level(settings.one_threshold if own is None else own)
        self._own = own is not None
        self._graded = graded
        self._topology = (
            TopologyCounter(levels.height, levels.width, metres) if settings.topology else None
        )

    def add(
        self, levels: NDArray[np.uint8], label: NDArray[np.uint8], window: Window, around: Window
    ) -> None:
        """See `Counter.add`."""
        self._counter.add(levels, label, window, around)
        if self._topology is None:
            return
        inside = window.slices(around)
        whole, drawn = together(levels[:, *inside]), label[inside]
        left_out = (whole == NODATA) | (drawn == IGNORE_INDEX)
        # The foreground as a whole, at the chosen threshold.
        predicted, labelled = (
            np.where(left_out, np.uint8(NODATA), foreground)
            for foreground in (whole >= self._threshold, drawn > 0)
        )
        self._topology.add(window, predicted, labelled)

    def counts(self) -> SceneCounts:
        """What was counted."""
        topology = None if self._topology is None else self._topology.counts()
        level = self._threshold if self._own else None
        return self._counter.counts(topology, graded=self._graded, level=level)
