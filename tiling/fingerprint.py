"""What tells one input from another: size, bands, type, samples of its pixels, and its files."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio

from tiling.readers.files import EXTENSIONS
from tiling.readers.raster import GDAL_ERRORS, without_georeferencing_warning
from tiling.scenes.names import file_behind, shown
from tiling.scenes.scene import Scene
from tiling.window import Window

BESIDE = "beside"
"""Key of the hashes of files that are taken whole; an input without such files lacks it."""

_SAMPLES = 8
"""Sample windows along each side of a scene; fewer where these would be more than half of it."""

_SAMPLE_SIDE = 64

_SMALL = 2**20
"""Bytes up to which a side-car file is hashed whole; of larger ones, size and time tell."""


def fingerprint(scene: Scene, whole: Sequence[str | Path] = ()) -> dict[str, Any]:
    """All that tells an input from another one, as plain JSON values.

    Side-car files (`.aux.xml`, `.tfw`, `.msk`, ...) are few bytes that change all pixels, or
    their place, so their contents count, not only samples of what comes of them.

    Args:
        scene: The input.
        whole: More files that its pixels depend on, such as the mask of a field of view.
    """
    digest = hashlib.sha256()
    for window in _samples(scene):
        pixels, valid = scene.read(window)
        digest.update(np.ascontiguousarray(pixels).data)
        digest.update(np.packbits(valid).data)
    more = [str(path) for path in whole]
    names = [*_with_sources(scene.files), *more]
    stats = {name: Path(name).stat() for name in names if Path(name).is_file()}
    beside = {
        shown(name): hashlib.sha256(Path(name).read_bytes()).hexdigest()[:16]
        for name, stat in stats.items()
        if name in more or (stat.st_size <= _SMALL and not name.lower().endswith(EXTENSIONS))
    }
    return {
        "height": scene.height,
        "width": scene.width,
        "bands": scene.bands,
        "type": str(scene.dtype),
        "samples": digest.hexdigest(),
        "files": {shown(name): [stat.st_size, stat.st_mtime_ns] for name, stat in stats.items()},
        **({BESIDE: beside} if beside else {}),
    }


def _with_sources(files: Iterable[str]) -> list[str]:
    """Local files that a scene is read from: archives, and what lies in a VRT of VRTs, too."""
    found: dict[str, None] = {}
    waiting = [behind for name in files if (behind := file_behind(name)) is not None]
    first = waiting[:1]
    while waiting:
        name = waiting.pop(0)
        if name in found:
            continue
        found[name] = None
        if name.lower().endswith(".vrt") and name not in first:
            # GDAL lists the sources of the outermost one only.
            try:
                with without_georeferencing_warning(), rasterio.open(name) as inner:
                    behinds = [file_behind(one) for one in inner.files]
                    waiting += [one for one in behinds if one is not None]
            except GDAL_ERRORS:
                continue  # Reading the scene will say so.
    return list(found)


def _samples(scene: Scene) -> Iterator[Window]:
    """Evenly spread windows, at most a quarter of a scene of more pixels than one of them."""
    height, width = (min(_SAMPLE_SIDE, length) for length in (scene.height, scene.width))
    rows, columns = (
        np.linspace(
            0, length - side, min(_SAMPLES, max(1, length // (2 * _SAMPLE_SIDE))), dtype=int
        )
        for length, side in ((scene.height, height), (scene.width, width))
    )
    for row in rows:
        for column in columns:
            yield Window(int(row), int(column), height, width)


def same_input(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether two fingerprints are of one input, as far as both tell.

    Those of earlier versions tell of side-car files their sizes and times only.
    """
    if BESIDE not in old:
        now = {key: value for key, value in now.items() if key != BESIDE}
    return old == now


def other_files(old: dict[str, Any], now: dict[str, Any], whole: Sequence[str | Path]) -> bool:
    """Whether files that are taken whole have other contents than before, where that is known.

    Results depend on them at full size, while a scene may be seen at a smaller one.
    """
    before, after = old.get(BESIDE, {}), now.get(BESIDE, {})
    return any(before.get(str(name), after[str(name)]) != after[str(name)] for name in whole)


def same_place(raster: Path, scene: Scene) -> bool:
    """Whether a raster has the coordinates of a scene, at whatever scale the scene is seen.

    Args:
        raster: A raster that was made of the scene.
        scene: The scene, perhaps resampled.
    """
    with without_georeferencing_warning(), rasterio.open(raster) as made:
        # Where the upper left, upper right and lower left corners lie.
        corners = np.array([[0, 1, 0], [0, 0, 1], [1, 1, 1]])
        of_made, of_scene = (
            np.array(one.transform).reshape(3, 3) @ np.diag([one.width, one.height, 1.0]) @ corners
            for one in (made, scene)
        )
        pixel = max(map(abs, (made.transform.a, made.transform.b, made.transform.d)))
        if scene.crs is None and made.crs is None and scene.transform.is_identity:
            return bool(made.transform.is_identity)
        if (scene.crs is None) != (made.crs is None):
            return False
        if scene.crs is not None and scene.crs != made.crs:
            codes = scene.crs.to_epsg(), made.crs.to_epsg()
            if codes[0] != codes[1] or scene.crs.to_dict() != made.crs.to_dict():
                return False
    off = np.abs(of_made - of_scene).max()
    return bool(off <= _SAME_PLACE * pixel)


_SAME_PLACE = 0.01
"""Share of a pixel that a place may be off by rounding."""
