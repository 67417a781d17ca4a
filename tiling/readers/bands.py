"""Which bands of a file are read, and what types their pixels may have."""

import json
import shlex
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tiling.errors import SceneError
from tiling.readers.nodata import NOT_MEASURED
from tiling.scenes.scene import Pixels, Valid

Bands = int | Sequence[int] | None
"""How many bands a file must have, or which are read, by number from 1 on; None for all colours."""

TYPES = ("uint8", "uint16", "int16", "float32", "float64")
"""Types that pixels may have; float64 is read as float32."""

CLASS_TYPES = (*TYPES, "int8", "uint32", "int32", "uint64", "int64")
"""Types that pixels may have which are numbers of classes."""


def chosen_bands(
    name: str,
    wanted: Bands,
    colours: Sequence[int],
    count: int,
    doubtful: Sequence[int] = (),
    pages: int = 1,
) -> tuple[int, ...]:
    """Numbers, from 1 on, of the bands to read.

    Args:
        name: The file's name, for messages.
        wanted: How many bands, or which.
        colours: Numbers of the file's bands that are not alpha.
        count: How many bands it has in all.
        doubtful: Those among `colours` that the file calls alpha.
        pages: How many pictures it holds.

    Raises:
        SceneError: It has fewer or more colour bands, or lacks one that is wanted.
    """
    if wanted is None:
        return tuple(colours)
    if not isinstance(wanted, int):
        missing = [band for band in wanted if not 1 <= band <= count]
        if missing or not wanted:
            lacks = f"no band {missing[0]}" if missing else "no band chosen"
            raise SceneError(
                f"{name}: {lacks}, there are {count}; choose among 1 to {count} with --bands"
            )
        return tuple(wanted)
    if len(colours) == wanted:
        return tuple(colours)
    has = "1 band" if len(colours) == 1 else f"{len(colours)} bands"
    if doubtful:
        has += f" (band {doubtful[0]} is called alpha, but holds as many values as a colour)"
    if wanted == 1:
        raise SceneError(f"{name}: {has}, but 1 wanted; keep one, e.g. {keeping(name, '1')}")
    if len(colours) == 1 and pages >= wanted:
        program = (
            f"from tifffile import imread, imwrite; "
            f'imwrite("NEW.tif", imread({json.dumps(name)}), '
            'planarconfig="separate", photometric="minisblack")'
        )
        raise SceneError(
            f"{name}: {has} and {pages} pages, but the network wants {wanted} bands; if the pages "
            f"are bands, this puts them together: python -c {shlex.quote(program)}"
        )
    if len(colours) > wanted:
        choice, remark = colours[:wanted], ""
    else:
        choice, remark = [*colours, *[colours[-1]] * wanted][:wanted], "; one may stand twice"
    numbers = ",".join(map(str, choice))
    raise SceneError(
        f"{name}: {has}, but the network wants {wanted}; "
        f"choose them, e.g. --bands {numbers} (for all scenes of a run{remark}), or before "
        "training " + keeping(name, numbers)
    )


def keeping(name: str, bands: str) -> str:
    """The command that makes a file of some bands of another one, e.g. of "3,2,1"."""
    # `rio stack` refuses images without coordinates.
    return f"rio convert {shlex.quote(f'vrt://{name}?bands={bands}')} NEW.tif"


def pixel_type(name: str, types: Iterable[str], allowed: Sequence[str] = TYPES) -> np.dtype[Any]:
    """The type in which a file's pixels are read.

    Args:
        name: The file's name, for messages.
        types: The type of each band.
        allowed: Types that are read.

    Raises:
        SceneError: The bands have several types, or one that is not allowed.
    """
    found = sorted(set(types))
    if len(found) > 1:
        raise SceneError(
            f"{name}: its bands have the types {', '.join(found)}; choose some of one type with "
            "--bands, or have all read as floats: give the name "
            f"{shlex.quote(f'vrt://{name}?ot=Float32')}, and --value-range"
        )
    if found[0] not in allowed:
        raise SceneError(
            f"{name}: pixels are {found[0]}, which are not read; convert them: "
            f"rio convert --dtype float32 {shlex.quote(name)} NEW.tif, and give the range of the "
            "values with --value-range"
        )
    return np.dtype("float32" if found[0] == "float64" else found[0])


def as_read(pixels: Pixels, valid: Valid, dtype: np.dtype[Any]) -> tuple[Pixels, Valid]:
    """Pixels [bands, h, w] of a file as a scene returns them, and which are there [h, w].

    A pixel of floats is missing where any band is not finite or far too large (`NOT_MEASURED`).
    Missing floats become 0: they would overflow in later computations.
    """
    if dtype.kind != "f":
        return pixels.astype(dtype, copy=False), valid
    with np.errstate(over="ignore"):
        pixels = pixels.astype(dtype, copy=False)
    # So is nan: it is not below anything.
    valid = valid & (np.abs(pixels) < NOT_MEASURED).all(axis=0)
    return np.where(valid, pixels, dtype.type(0)), valid
