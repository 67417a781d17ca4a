"""The words of the command lines, and the environment that they run in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

PROGRAM = "rurnet"
"""Name of the program; it is looked for in the PATH unless a setting gives its place."""

_OF_QGIS = (
    "PYTHONHOME", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONUTF8", "GDAL_DATA", "GDAL_DRIVER_PATH",
    "PROJ_DATA", "PROJ_LIB", "GEOTIFF_CSV", "OSGEO4W_ROOT",
)  # fmt: skip
"""What QGIS's launchers set for its own libraries; others of other versions must not see it."""


def environment(own: Mapping[str, str]) -> dict[str, str]:
    """The environment of the child process.

    Args:
        own: That of QGIS.
    """
    kept = {name: value for name, value in own.items() if name not in _OF_QGIS}
    return {**kept, "RURNET_PROGRESS": "json", "PYTHONIOENCODING": "utf-8", "NO_COLOR": "1"}


def find_roads(
    scene: str,
    output: str,
    *,
    model: str = "",
    lines: bool = True,
    threshold: float | None = None,
    area: str = "",
    more: str = "",
) -> list[str]:
    """The words that find the roads of a scene.

    Args:
        scene: Its file.
        output: Folder of the results.
        model: Name or file of the weights; empty for the default.
        lines: Whether roads are wanted as lines too.
        threshold: Probability from which on a pixel is road; None for the default.
        area: GeoJSON file of the area of interest; empty for all of the scene.
        more: Further options, as they are typed.
    """
    words = ["infer-roads", scene, "--output", output]
    if model:
        words += ["--model", model]
    if lines:
        words.append("--lines")
    if threshold is not None:
        words += ["--threshold", f"{threshold:g}"]
    if area:
        words += ["--aoi", area]
    return words + shlex.split(more)


def vectorise_mask(
    raster: str,
    output: str,
    *,
    tolerance: float | None = None,
    longest_gap: float | None = None,
    more: str = "",
) -> list[str]:
    """The words that turn a mask or probabilities into lines.

    Args:
        raster: The file.
        output: Folder of the results.
        tolerance: Metres that a line may be off the middle of the road; None for the default.
        longest_gap: Metres of the longest gap that is bridged; None for the default.
        more: Further options, as they are typed.
    """
    words = ["vectorise", raster, "--output", output]
    if tolerance is not None:
        words += ["--tolerance", f"{tolerance:g}"]
    if longest_gap is not None:
        words += ["--longest-gap", f"{longest_gap:g}"]
    return words + shlex.split(more)


def compare_with_labels(
    raster: str, labels: str, output: str, *, label_width: float | None = None, more: str = ""
) -> list[str]:
    """The words that score a raster against a label.

    Args:
        raster: The predicted file.
        labels: The label's file, of pixels or vectors.
        output: Folder of the results.
        label_width: Width of the lines of a label of vectors, in metres; None for pixels.
        more: Further options, as they are typed.
    """
    words = ["evaluate", raster, "--labels", labels, "--output", output]
    if label_width is not None:
        words += ["--label-width", f"{label_width:g}m"]
    return words + shlex.split(more)


def file_of(source: str) -> str:
    """The file of a layer, from the source that QGIS knows it by.

    Raises:
        ValueError: It is no file: a service, a database, or a layer in memory.
    """
    # A layer of a file with several: /data/roads.gpkg|layername=roads.
    path = source.split("|", 1)[0]
    if not path.startswith("/vsi") and not Path(path).is_file():
        raise ValueError(
            f"{source}: not a file; save the layer as a GeoTIFF or a GeoPackage and take that"
        )
    return path
