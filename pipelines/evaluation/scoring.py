"""Counts a predicted raster against a label, window by window, in memory that does not grow."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipelines.config.scoring import ScoringSettings
from pipelines.inputs.labels import IGNORE_INDEX, Label
from pipelines.results.layout import steps_in
from pipelines.results.outcome import OpenRaster, SceneScores
from pipelines.scores.counts import Counter, SceneCounts, together
from pipelines.scores.relaxed import Disc
from pipelines.scores.topology import TopologyCounts, count_topology
from tiling.blend import NODATA, TOP
from tiling.mask import threshold_level
from tiling.scenes.resample import pixel_size
from tiling.scenes.scene import Raster, WrappedRaster
from tiling.window import Window, split

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


class Drawing(WrappedRaster):
    """A label, scored as if it were a prediction: the second observer's.

    Args:
        label: What was drawn.
        within: Counts only where this prediction does.
    """

    graded = False

    def __init__(self, label: Label, within: Levels) -> None:
        super().__init__(label)
        self._label = label
        self._within = within
        self.classes = within.classes

    def read(self, window: Window) -> NDArray[np.uint8]:
        """See `Levels.read`."""
        drawn = self._label.read(window)
        left_out = (drawn == IGNORE_INDEX) | (self._within.read(window)[0] == NODATA)
        return np.stack(
            [
                np.where(left_out, NODATA, (drawn == index) * np.uint8(TOP)).astype(np.uint8)
                for index in range(1, len(self.classes) + 1)
            ]
        )


def count(
    levels: Levels,
    label: Label,
    settings: ScoringSettings,
    progress: Callable[[int], None] = lambda windows: None,
) -> SceneCounts:
    """Counts a scene.

    Args:
        levels: What is scored.
        label: Of the same size.
        settings: What is scored: rho, threshold, topology.
        progress: Is told of each window of `AT_ONCE` pixels a side that is done.

    Raises:
        SceneError: A raster cannot be read.
        LabelError: The label holds a value that is no class.
    """
    disc = Disc(settings.rho)
    counter = Counter(len(levels.classes) + 1, disc)
    scene = Window(0, 0, levels.height, levels.width)
    for window in split(levels.height, levels.width, AT_ONCE):
        around = window.grown(disc.margin).intersection(scene)
        counter.add(levels.read(around), label.read(around), window, around)
        progress(1)
    topology = _topology(levels, label, settings) if settings.topology else None
    return counter.counts(topology, graded=levels.graded)


def score(
    files: Mapping[str, Path],
    open_raster: OpenRaster,
    label: Label,
    second: Label | None,
    settings: ScoringSettings,
    progress: Callable[[int], None] = lambda windows: None,
) -> SceneScores:
    """Counts a scene's prediction, its recurrent steps, and the second observer's label.

    Args:
        files: The scene's rasters; see `pipelines.results.outcome.SceneOutcome`.
        open_raster: Opens one of them.
        label: Of the same size.
        second: The second observer's; it counts where the prediction does.
        settings: What is scored: rho, threshold, topology.
        progress: As in `count`, for each raster.

    Raises:
        SceneError: A raster cannot be read.
        LabelError: A label holds a value that is no class.
        PredictionError: A raster holds what is no probability, or no class.
    """
    *before, last = steps_in(files) or [files["probability"]]
    steps = []
    for path in before:
        with open_raster(path) as levels:
            steps.append(count(levels, label, settings, progress))
    with open_raster(last) as levels:
        counts = count(levels, label, settings, progress)
        drawn = None
        if second is not None:
            drawn = count(Drawing(second, levels), label, settings, progress)
    return SceneScores(counts, drawn, (*steps, counts) if steps else ())


def _topology(levels: Levels, label: Label, settings: ScoringSettings) -> TopologyCounts:
    """Of the foreground as a whole at the chosen threshold."""
    threshold = threshold_level(settings.threshold)

    def predicted(window: Window) -> NDArray[np.uint8]:
        whole = together(levels.read(window))
        return _mask(whole >= threshold, whole, label.read(window))

    def labelled(window: Window) -> NDArray[np.uint8]:
        drawn = label.read(window)
        return _mask(drawn > 0, together(levels.read(window)), drawn)

    return count_topology(predicted, labelled, levels.height, levels.width, pixel_size(levels))


def _mask(
    foreground: NDArray[np.bool_], levels: NDArray[np.uint8], drawn: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    left_out = (levels == NODATA) | (drawn == IGNORE_INDEX)
    mask: NDArray[np.uint8] = np.where(left_out, NODATA, foreground).astype(np.uint8)
    return mask
