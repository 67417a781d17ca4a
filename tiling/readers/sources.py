"""What a file may be made of: a virtual raster names other files, which may be any.

Two rules. Raw bytes are read as pixels only from files that lie beside their VRT. And where the
environment variable RURNET_ROOTS names folders, nothing outside of them is read.
"""

import os
import re
import warnings
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.io import DatasetReader

from tiling.errors import SceneError
from tiling.scenes.mosaic import vrt_of
from tiling.scenes.names import file_behind, is_local, shown

ROOTS = "RURNET_ROOTS"
"""Environment variable: folders, and beginnings of URLs and /vsi paths, with colons between."""

MOST_PIXELS = "RURNET_MAX_PIXELS"
"""Environment variable: the largest number of pixels of a scene."""

_MOST_PIXELS = 10**12

_NAMES_A_FILE = re.compile(r"(filename|dataset|dsname|file)$", re.IGNORECASE)
"""Elements of a VRT whose text is the name of a file."""

_ARCHIVES = ("/vsizip/", "/vsitar/", "/vsigzip/", "/vsi7z/", "/vsirar/", "/vsisubfile/", "zip://",
             "tar://", "gzip://", "zip+file://", "tar+file://", "gzip+file://")  # fmt: skip

_UNREADABLE = (
    ElementTree.ParseError, OSError, ValueError, KeyError, RasterioError, CPLE_BaseError,
)  # fmt: skip
"""Errors of files that are no VRT, or none that can be read: whoever opens them says so."""

_SNIFFED = 4096
"""Bytes of a file in which the beginning of a VRT is looked for."""


def check_sources(name: str) -> None:
    """Checks what a raster is made of, before GDAL reads a pixel of it.

    Args:
        name: File, or anything GDAL takes as one.

    Raises:
        SceneError: It, or something that it is made of, lies outside of `RURNET_ROOTS`; or a band
            is raw bytes of a file that does not lie in the VRT's folder.
    """
    _check(name, name, _roots(), set())


def check_tiles(name: str, dataset: DatasetReader) -> None:
    """Checks the files of an open raster that GDAL alone can list, such as a tile index.

    Raises:
        SceneError: One of them lies outside of `RURNET_ROOTS`.
    """
    if (roots := _roots()) is not None:
        for source in dataset.files:
            _check_inside(source, name, roots)


def check_size(name: str, height: int, width: int) -> None:
    """Checks that a raster is not absurdly large.

    Raises:
        SceneError: It has more pixels than `RURNET_MAX_PIXELS`, by default 10^12.
    """
    most = int(float(os.environ.get(MOST_PIXELS, _MOST_PIXELS)))
    if height * width > most:
        raise SceneError(
            f"{name}: {width} x {height} pixels are more than {most}; its header is damaged, or "
            f"made to fill the disk. If it is right, set {MOST_PIXELS}={height * width}"
        )


def _roots() -> list[str] | None:
    told = os.environ.get(ROOTS)
    return [one for one in re.split(r":(?!//)", told) if one] if told else None


def _check(name: str, owner: str, roots: list[str] | None, met: set[str]) -> None:
    """Checks a raster and, if it is virtual, its sources; each once."""
    if name in met:
        return
    met.add(name)
    if name.lower().startswith("vrt://"):
        _check(name[len("vrt://") :].partition("?")[0], owner, roots, met)
        return
    if roots is not None and "<VRTDataset" not in name:
        _check_inside(name, owner, roots)
    written = _written(name)
    if written is None:
        return
    folder = Path() if "<VRTDataset" in name else Path(name).parent
    if roots is not None and written:
        # Before GDAL opens it: that may open the sources too.
        for source, _ in _sources(_parsed(name, written), folder):
            _check_inside(source, owner, roots)
    tree = _as_understood(name)
    for source, raw in () if tree is None else _sources(tree, folder):
        if raw:
            _check_beside(source, folder, name)
        _check(source, owner, roots, met)


def _written(name: str) -> str | None:
    """The text of a VRT; empty where GDAL has to unpack it, None for other rasters."""
    if "<VRTDataset" in name:
        return name
    if name.startswith(_ARCHIVES):
        return ""
    # Not of a URL: it may be one of thousands. A VRT that comes from one is its owner's affair.
    if not is_local(name):
        return None
    with suppress(OSError, ValueError), Path(name).open("rb") as file:
        start = file.read(_SNIFFED)
        if b"<VRTDataset" in start:
            return (start + file.read()).decode(errors="replace")
    return None


def _parsed(name: str, text: str) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(text)
    except (ElementTree.ParseError, ValueError) as error:
        raise SceneError(
            f"{shown(name)}: a VRT that is no sound XML ({error}), so that nobody knows what it is "
            "made of; write it anew, or give the rasters it is made of"
        ) from error


def _as_understood(name: str) -> ElementTree.Element | None:
    """What GDAL makes of a VRT, as it would write it: it takes more than what is sound XML."""
    with suppress(*_UNREADABLE), warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(name) as dataset:
            return vrt_of(dataset) if dataset.driver == "VRT" else None
    return None


def _sources(tree: ElementTree.Element, folder: Path) -> Iterator[tuple[str, bool]]:
    """The names in a VRT, and whether the bytes of the file are the pixels."""
    raw = {
        id(each)
        for band in tree.iter()
        if "vrtrawrasterband" in (value.lower() for value in band.attrib.values())
        for each in band.iter()
    }
    for element in tree.iter():
        text = (element.text or "").strip()
        if not text or not _NAMES_A_FILE.search(element.tag):
            continue
        attributes = {key.lower(): value.lower() for key, value in element.attrib.items()}
        # Only bytes are looked for beside the VRT where nothing is said.
        beside = attributes.get("relativetovrt", "1" if id(element) in raw else "0")
        near = beside in ("1", "yes", "true", "on")
        yield str(folder / text) if near else text, id(element) in raw


def _check_beside(source: str, folder: Path, name: str) -> None:
    if is_local(source) and Path(source).resolve().is_relative_to(folder.resolve()):
        return
    raise SceneError(
        f"{shown(name)}: a band of it is the bytes of {shown(source)}, which does not lie in its "
        "folder: any file could be shown so; move it beside, or make a raster of it with "
        "rio convert -f GTiff where you trust it"
    )


def _check_inside(source: str, owner: str, roots: list[str]) -> None:
    file = file_behind(source) or _picked_from(source)
    if file is None and not is_local(source):
        inside = any(source.startswith(root) for root in roots if not root.startswith("."))
    else:
        path = Path(file or source).resolve()
        inside = any(path.is_relative_to(Path(root).resolve()) for root in roots)
    if not inside:
        of = "" if source == owner else f", and {shown(owner)} is made of it"
        raise SceneError(
            f"{shown(source)}: lies outside of what may be read{of}; move it to one of "
            f"{ROOTS}={os.environ[ROOTS]}, or add its folder there"
        )


def _picked_from(source: str) -> str | None:
    """The file in a name like `GPKG:FILE:TABLE`; None where there is none."""
    pieces = [one.strip('"') for one in source.split(":")]
    return next((one for one in pieces if Path(one).is_file()), None) if len(pieces) > 1 else None
