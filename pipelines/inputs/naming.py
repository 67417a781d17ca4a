"""How files that belong together are called."""

import glob
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".gif", ".jpg", ".jpeg", ".jp2", ".img", ".bmp")


FIRST = ("{number}_manual1", "{stem}_manual1", "{stem}_1stHO", "{stem}")
"""Names of a label, or of the first observer's, as data sets give them: DRIVE, HRF, CHASE_DB1."""


SECOND = ("{number}_manual2", "{stem}_manual2", "{stem}_2ndHO", "{stem}")
"""The same for the second observer's."""


FIELD = ("{stem}_mask", "{number}_mask", "{stem}")
"""The same for masks of the field of view."""


def find_label(
    folder: Path, stem: str, names: Sequence[str] = FIRST, other_than: str | None = None
) -> Path | None:
    """The file of a folder that belongs to a scene; the first of the names that is there.

    Args:
        folder: Where to look.
        stem: Of the scene.
        names: How such files are called: `FIRST`, `SECOND` or `FIELD`.
        other_than: A file that is not meant: the scene itself.
    """
    for name in names:
        wanted = name_of(name, stem)
        for path in sorted(folder.glob(f"{glob.escape(wanted)}.*")):
            # The glob alone would take roads.2.tif for a label of roads.tif.
            fits = path.stem == wanted and path.suffix.lower() in EXTENSIONS
            if fits and (other_than is None or path.resolve() != Path(other_than).resolve()):
                return path
    return None


def name_of(pattern: str, stem: str) -> str:
    """The stem of a file that belongs to a scene, as one of `FIRST`, `SECOND` or `FIELD` has it."""
    return pattern.format(stem=stem, number=stem.split("_")[0])


def stem_of(source: str) -> str:
    """What a scene is called: its file's name without the last suffix."""
    return PurePosixPath(source).stem
