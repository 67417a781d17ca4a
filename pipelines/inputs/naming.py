"""Names of files: which may be images, which may be labels, and which belong together."""

import glob
from collections.abc import Sequence
from pathlib import Path

from pipelines.errors import LabelError
from tiling.scenes.files import EXTENSIONS

LABEL_EXTENSIONS = EXTENSIONS
"""Extensions of labels: whatever can be read."""


IMAGE_EXTENSIONS = tuple(one for one in EXTENSIONS if one != ".gif")
"""Extensions of scenes and photographs. A GIF has 256 colours at most, so it is a drawing: DRIVE
keeps its labels as such, and no data set its images."""


FIRST = ("{number}_manual1", "{stem}_manual1", "{stem}_1stHO", "{stem}")
"""Names of labels, or of the first observer's, as in DRIVE, HRF and CHASE_DB1."""


SECOND = ("{number}_manual2", "{stem}_manual2", "{stem}_2ndHO", "{stem}")
"""Names of the second observer's labels."""


FIELD = ("{stem}_mask", "{number}_mask", "{stem}")
"""Names of masks of the field of view."""


def find_label(
    folder: Path, stem: str, names: Sequence[str] = FIRST, other_than: str | None = None
) -> Path | None:
    """The file in a folder that belongs to a scene, or None; earlier names go first.

    Args:
        folder: Where to look.
        stem: Stem of the scene's file.
        names: Names that such files have: `FIRST`, `SECOND` or `FIELD`.
        other_than: A file to pass over: the scene itself.

    Raises:
        LabelError: Two files have the name, and which of them belongs to it nobody knows.
    """
    itself = None if other_than is None else Path(other_than).resolve()
    for name in names:
        wanted = name_of(name, stem)
        # The glob alone would take roads.2.tif for a label of roads.tif.
        fitting = [
            path
            for path in sorted(folder.glob(f"{glob.escape(wanted)}.*"))
            if path.stem == wanted
            and path.suffix.lower() in LABEL_EXTENSIONS
            and path.resolve() != itself
        ]
        if len(fitting) > 1:
            raise LabelError(
                f"{' and '.join(map(str, fitting))} are both of {stem}; take one away or rename it"
            )
        if fitting:
            return fitting[0]
    return None


def name_of(pattern: str, stem: str) -> str:
    """The stem that a pattern of `FIRST`, `SECOND` or `FIELD` gives for a scene's stem."""
    return pattern.format(stem=stem, number=stem.split("_")[0])
