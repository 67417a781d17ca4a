"""Names of files: which may be images, which may be labels, and which belong together."""

import glob
import re
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import LabelError, first_few
from tiling.readers.files import EXTENSIONS
from tiling.scenes.names import extension_of, stem_of
from tiling.scenes.vector import LESS_USUAL, VECTORS, is_vector

LABEL_EXTENSIONS = (*EXTENSIONS, *VECTORS)
"""Extensions of labels: whatever can be read."""


IMAGE_EXTENSIONS = tuple(one for one in EXTENSIONS if one != ".gif")
"""Extensions of scenes and photographs. A GIF has 256 colours at most, so it is a drawing: DRIVE
keeps its labels as such, and no data set its images."""


_GEOJSON = re.compile(
    rb'"type"\s*:\s*"(FeatureCollection|Feature|GeometryCollection|(Multi)?(LineString|Polygon))"'
)

_AT_ITS_START = 4096
"""Bytes of a JSON file in which its type is looked for."""

OTHER_IMAGES = (
    ".webp", ".jfif", ".tga", ".heic", ".heif", ".avif", ".jxl", ".psd", ".dng", ".ecw", ".sid",
    ".nc", ".hdf", ".h5", ".gpkg", ".ntf", ".svs", ".ndpi", ".zip",
)  # fmt: skip
"""Extensions of other files that may hold images; in folders they are passed over."""


FIRST = (
    "{number}_manual1", "{stem}_manual1", "{stem}_1stHO", "{stem}.ah", "{stem}_manual_orig",
    "{stem}",
)  # fmt: skip
"""Names of labels, or of the first observer's: in DRIVE, CHASE_DB1, STARE, DR HAGIS, elsewhere."""


SECOND = ("{number}_manual2", "{stem}_manual2", "{stem}_2ndHO", "{stem}.vk", "{stem}")
"""Names of the second observer's labels."""


FIELD = ("{stem}_mask", "{number}_mask", "{stem}_mask_orig", "{stem}")
"""Names of masks of the field of view."""


def find_label(
    folder: Path, stem: str, names: Sequence[str] = FIRST, other_than: str | None = None
) -> Path | None:
    """The file in a folder that belongs to a scene, or None; earlier names go first.

    Args:
        folder: Where to look; a file belongs to all scenes.
        stem: Stem of the scene's file.
        names: Names that such files have: `FIRST`, `SECOND` or `FIELD`.
        other_than: A file to pass over: the scene itself.

    Raises:
        LabelError: Two files have the name, and which of them belongs to it nobody knows.
    """
    if folder.is_file():
        return folder
    itself = None if other_than is None else Path(other_than).resolve()
    named = [[one for one in _named(folder, name_of(name, stem)) if one.resolve() != itself]
             for name in names]  # fmt: skip
    for extensions in (LABEL_EXTENSIONS, LESS_USUAL):
        for files in named:
            fitting = [one for one in files if _is_of(one, extensions)]
            if len(fitting) > 1:
                raise LabelError(
                    f"{' and '.join(map(str, fitting))} are both of {stem}; take one away or "
                    "rename it"
                )
            if fitting:
                return fitting[0]
    return None


def passed_over(folder: Path, stem: str, names: Sequence[str] = FIRST) -> str:
    """Returns which files have a label's name but are none, for the message that there is none.

    Args:
        folder: See `find_label`.
        stem: See `find_label`.
        names: See `find_label`.
    """
    others = [one.name for name in names for one in _named(folder, name_of(name, stem))
              if not _is_of(one, (*LABEL_EXTENSIONS, *LESS_USUAL))]  # fmt: skip
    if not others:
        return ""
    return (
        f" (passed over: {first_few(others)}, which can be no label: neither an image nor vectors "
        f"as {', '.join((*VECTORS, *LESS_USUAL))}, of which .json must be GeoJSON)"
    )


def _named(folder: Path, wanted: str) -> list[Path]:
    """The files in a folder that have a stem."""
    # The glob alone would take roads.2.tif for a label of roads.tif.
    found = sorted(folder.glob(f"{glob.escape(wanted)}.*"))
    return [path for path in found if stem_of(path.name) == wanted]


def _is_of(path: Path, extensions: Sequence[str]) -> bool:
    """Whether a file has one of some extensions; of JSON only GeoJSON counts."""
    extension = extension_of(path.name)
    if extension == ".json" and extension in extensions:
        with path.open("rb") as file:
            return _GEOJSON.search(file.read(_AT_ITS_START)) is not None
    return extension in extensions


def is_vector_file(path: Path | None) -> bool:
    """Whether labels are one file of vectors, for all scenes."""
    return path is not None and is_vector(path) and path.is_file()


def name_of(pattern: str, stem: str) -> str:
    """The stem that a pattern of `FIRST`, `SECOND` or `FIELD` gives for a scene's stem."""
    return pattern.format(stem=stem, number=stem.split("_")[0])
