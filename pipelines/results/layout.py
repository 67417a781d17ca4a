"""Names of the files of a scene's results."""

from collections.abc import Iterable, Mapping
from itertools import count, takewhile
from pathlib import Path
from typing import TypeVar

RASTERS = ("probability.tif", "mask.tif")
"""Files of every scene."""

STEP = "probability-step"
"""Name of the raster of a recurrent step, before its number."""


_Name = TypeVar("_Name", Path, Path | str)


def named(paths: Iterable[Path]) -> dict[str, Path]:
    """Files by what they are: "probability", "mask", "png", ..."""
    return {path.stem if path.suffix == ".tif" else path.suffix[1:]: path for path in paths}


def steps_in(files: Mapping[str, _Name]) -> list[_Name]:
    """The probability rasters of the recurrent steps among a scene's files, first step first."""
    names = (f"{STEP}{number}" for number in count(1))
    return [files[name] for name in takewhile(files.__contains__, names)]
