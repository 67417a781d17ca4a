"""From the rasters of a scene to its lines, unless they are there already."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.config.lines import LineSettings
from pipelines.lines.features import Layer, Place, layers_of, with_polygons
from pipelines.lines.files import file_names, noted, write
from pipelines.lines.rules import Rules, cleaned
from pipelines.results.layout import steps_in
from pipelines.results.levels import RasterLevels
from pipelines.results.lines import LinesFound
from pipelines.results.outcome import OpenRaster
from tiling.blend import NODATA
from tiling.lines.network import Network
from tiling.lines.walk import AT_ONCE, walked
from tiling.masks.mask import threshold_level
from tiling.masks.polygons import polygons_of
from tiling.scenes.ground import PixelSize
from tiling.window import Window

_ENGINE = 1
"""Raised when the same rasters and settings give other lines than before."""


@dataclass(frozen=True)
class Lines:
    """The lines of a scene.

    Attributes:
        files: By what they hold: "lines", and others of formats with a file for each layer.
        found: What there is on them.
    """

    files: dict[str, Path]
    found: LinesFound


class Rasters:
    """The rasters of a scene, open.

    Args:
        mask: What is foreground, of any class.
        probability: None where there is only a mask.
        steps: Probabilities after each recurrent step; empty where they were not kept.
        threshold: The lowest level that is in the mask.
    """

    def __init__(
        self,
        mask: RasterLevels,
        probability: RasterLevels | None,
        steps: Sequence[RasterLevels],
        threshold: int,
    ) -> None:
        self.mask, self.probability, self.threshold = mask, probability, threshold
        self._steps = steps

    def foreground(self, window: Window) -> NDArray[np.bool_]:
        """Where the mask is [h, w]."""
        levels = _highest(self.mask.read(window))
        there: NDArray[np.bool_] = (levels >= self.threshold) & (levels != NODATA)
        return there

    def levels(self, window: Window) -> NDArray[np.uint8]:
        """Probabilities, then those of the steps [1 + steps, h, w]; 255 where none is known."""
        if self.probability is None:
            return np.full((1, window.height, window.width), NODATA, np.uint8)
        return np.stack([_highest(one.read(window)) for one in (self.probability, *self._steps)])

    def read(self, window: Window) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        """Both."""
        return self.foreground(window), self.levels(window)


def vectorise(
    name: str,
    files: Mapping[str, Path | str],
    open_raster: OpenRaster,
    settings: LineSettings,
    threshold: float,
    folder: Path,
    pixel: PixelSize | None,
    *,
    overwrite: bool = False,
    at_once: int = AT_ONCE,
    progress: Callable[[int], None] = lambda windows: None,
) -> Lines:
    """Makes the lines of a scene, unless they are there and the rasters are the same.

    Args:
        name: Of the scene.
        files: Its rasters by what they are: "probability", "mask", "probability-step1", ...
        open_raster: Opens one of them.
        settings: What is asked for.
        threshold: The probability from which on a pixel is foreground, where there is no mask.
        folder: Where the lines go.
        pixel: The size of a pixel; None where nothing tells it.
        overwrite: Make them anew in any case.
        at_once: Side of the windows that are read; the result does not depend on it.
        progress: Is told of each window that is done.

    Raises:
        SceneError: A raster cannot be read.
        PredictionError: A raster is none of probabilities or classes.
        SinkError: The disk refuses.
        PipelineError: The format needs what is not installed.
    """
    with opened(files, open_raster, threshold_level(threshold)) as rasters:
        note = _note(files, rasters, settings, pixel)
        paths = {Path(one).stem: folder / one for one in reversed(file_names(settings.format))}
        if not overwrite and all(path.is_file() for path in paths.values()):
            old = noted(paths["lines"])
            if old is not None and old["made_from"] == note:
                return Lines(paths, LinesFound(**old["found"]))
        mask = rasters.mask
        rules = Rules.of(settings, pixel, rasters.threshold)
        place = Place(name, mask.transform, rules, "px" if pixel is None else "m")
        scene = Window(0, 0, mask.height, mask.width)
        network = cleaned(
            walked(mask.height, mask.width, rasters.read, at_once, progress),
            rules,
            scene,
            None if rasters.probability is None else rasters.levels,
        )
        layers = layers_of(network, place, rasters.threshold)
        polygons = polygons_of(mask.height, mask.width, rasters.foreground, at_once)
        found = _found(network, layers[0], place)
        layers.append(with_polygons(polygons, place))
        folder.mkdir(parents=True, exist_ok=True)
        what = {"made_from": note, "found": asdict(found)}
        return Lines(write(layers, mask.crs, folder, settings.format, what), found)


@contextmanager
def opened(
    files: Mapping[str, Path | str], open_raster: OpenRaster, threshold: int
) -> Iterator[Rasters]:
    """Opens the rasters of a scene.

    Args:
        files: By what they are.
        open_raster: Opens one.
        threshold: The lowest level that is in the mask.
    """
    with ExitStack() as stack:
        first = stack.enter_context(open_raster(files["probability"]))
        mask = first
        if first.graded and "mask" in files:
            mask = stack.enter_context(open_raster(files["mask"]))
        steps = [stack.enter_context(open_raster(path)) for path in steps_in(files)]
        yield Rasters(mask, first if first.graded else None, steps, threshold)


def _found(network: Network, lines: Layer, place: Place) -> LinesFound:
    degrees = [network.degree(node) for node in network.nodes]
    length = sum(lines.columns[f"length_{place.unit}"])
    return LinesFound(
        kilometres=round(length / 1000, 3) if place.unit == "m" else None,
        pixels=round(length / place.rules.pixel.side, 1),
        lines=len(lines.geometries),
        junctions=sum(degree > 2 for degree in degrees),
        ends=sum(degree == 1 for degree in degrees),
        bridged=sum(value > 0 for value in lines.columns[f"bridged_{place.unit}"]),
    )


def _note(
    files: Mapping[str, Path | str],
    rasters: Rasters,
    settings: LineSettings,
    pixel: PixelSize | None,
) -> dict[str, Any]:
    """All that the lines depend on, as plain JSON values."""
    told = settings.model_dump(mode="json", include=set(LineSettings.model_fields))
    used = {
        kind: path
        for kind, path in files.items()
        if kind in ("probability", "mask") or path in steps_in(files)
    }
    return {
        **told,
        "threshold": rasters.threshold,
        "pixel": None if pixel is None else [pixel.height, pixel.width],
        "rasters": {kind: _digest(path) for kind, path in sorted(used.items())},
        "engine": _ENGINE,
        "version": version("rurnet"),
    }


def _digest(path: Path | str) -> str:
    """A hash of a file; of what is no local file, its name."""
    digest = hashlib.sha256()
    if not Path(path).is_file():
        return str(path)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()[:16]


def _highest(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The highest level of all foreground classes [h, w]."""
    highest: NDArray[np.uint8] = levels.max(axis=0)
    return highest
