"""From the rasters of a scene to its lines, unless they are there already."""

import hashlib
from collections.abc import Callable, Mapping
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
from pipelines.lines.source import Source, opened
from pipelines.results.layout import steps_in
from pipelines.results.lines import LinesFound
from pipelines.results.outcome import OpenRaster
from tiling.lines.network import Network
from tiling.lines.walk import AT_ONCE, walked
from tiling.masks.mask import threshold_level
from tiling.masks.polygons import polygons_of
from tiling.scenes.ground import PixelSize
from tiling.window import Window

_ENGINE = 2
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
        note = note_of(rasters, settings, pixel, rasters=digests(files))
        kept = None if overwrite else kept_lines(folder, settings.format, note)
        return kept or made(
            rasters, name, settings, folder, pixel, note, at_once=at_once, progress=progress
        )


def made(
    source: Source,
    name: str,
    settings: LineSettings,
    folder: Path,
    pixel: PixelSize | None,
    note: Mapping[str, Any],
    finish: Callable[[Layer], Layer] = lambda layer: layer,
    *,
    at_once: int = AT_ONCE,
    progress: Callable[[int], None] = lambda windows: None,
) -> Lines:
    """Makes lines and writes them.

    Args:
        source: Of what.
        name: Its name, which is part of the features' ids.
        settings: See `vectorise`.
        folder: See `vectorise`.
        pixel: See `vectorise`.
        note: What they are made from, for a later run.
        finish: Gives each layer its last form.
        at_once: See `vectorise`.
        progress: See `vectorise`.
    """
    rules = Rules.of(settings, pixel, source.threshold)
    place = Place(name, source.transform, rules, "px" if pixel is None else "m")
    height, width = source.height, source.width

    def read(window: Window) -> tuple[NDArray[np.bool_], NDArray[np.uint8]]:
        return source.foreground(window), source.levels(window)

    network = cleaned(
        walked(height, width, read, at_once, progress, source.areas),
        rules,
        Window(0, 0, height, width),
        source.levels if source.graded else None,
    )
    layers = layers_of(network, place, source.threshold)
    found = _found(network, layers[0], place)
    polygons = polygons_of(height, width, source.foreground, at_once, source.areas)
    layers.append(with_polygons(polygons, place))
    folder.mkdir(parents=True, exist_ok=True)
    what = {"made_from": note, "found": asdict(found)}
    layers = [finish(layer) for layer in layers]
    return Lines(write(layers, source.crs, folder, settings.format, what), found)


def kept_lines(folder: Path, format: str, note: Mapping[str, Any]) -> Lines | None:
    """The lines that a folder has, if they were made from the same."""
    paths = {Path(one).stem: folder / one for one in reversed(file_names(format))}
    if not all(path.is_file() for path in paths.values()):
        return None
    old = noted(paths["lines"])
    if old is None or old["made_from"] != note:
        return None
    return Lines(paths, LinesFound(**old["found"]))


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


def note_of(
    source: Source, settings: LineSettings, pixel: PixelSize | None, **made_of: Any
) -> dict[str, Any]:
    """All that lines depend on, as plain JSON values.

    Args:
        source: What they are made of.
        settings: What is asked for.
        pixel: The size of a pixel.
        made_of: What tells the source from another.
    """
    told = settings.model_dump(
        mode="json", include=set(LineSettings.model_fields), exclude={"join"}
    )
    return {
        **told,
        "threshold": source.threshold,
        "pixel": None if pixel is None else [pixel.height, pixel.width],
        **made_of,
        "engine": _ENGINE,
        "version": version("rurnet"),
    }


def digests(files: Mapping[str, Path | str]) -> dict[str, str]:
    """A hash of each raster of a scene that its lines are made of."""
    used = {
        kind: path
        for kind, path in files.items()
        if kind in ("probability", "mask") or path in steps_in(files)
    }
    return {kind: _digest(path) for kind, path in sorted(used.items())}


def _digest(path: Path | str) -> str:
    """A hash of a file; of what is no local file, its name."""
    digest = hashlib.sha256()
    if not Path(path).is_file():
        return str(path)
    with Path(path).open("rb") as file:
        while block := file.read(1 << 22):
            digest.update(block)
    return digest.hexdigest()[:16]
