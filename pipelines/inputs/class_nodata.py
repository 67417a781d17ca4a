"""What a declared nodata value means in labels and in predictions: one rule for both.

A nodata value of the background is none: many tools declare 0, and 0 is what they draw as the
background. One of the foreground cannot be told from it, and is an error.
"""

import shlex
from collections.abc import Callable

import numpy as np

from pipelines.errors import PipelineError
from tiling.scenes.scene import FileScene, Pixels, Valid

NOT_KNOWN = 256
"""Number of classes of labels whose number of classes is not known yet."""

_HIGHEST = 255
"""Nodata values from 1 up to here may be what somebody drew as the foreground."""


def there(scene: FileScene, pixels: Pixels, valid: Valid, background: float = 0) -> Valid:
    """Which pixels of a window count [h, w].

    Args:
        scene: The file.
        pixels: As it was read [bands, h, w].
        valid: Which of them the file says are there [h, w].
        background: The value that stands for the background.
    """
    if scene.nodata != background:
        return valid
    counted: Valid = valid | (pixels == background).any(axis=0)
    return counted


def may_be_foreground(nodata: float | None) -> bool:
    """Whether a nodata value may be the foreground of two classes."""
    return nodata is not None and 0 < nodata <= _HIGHEST


def swallowed(
    name: str, nodata: float, error: Callable[[str], PipelineError], otherwise: str
) -> PipelineError:
    """The error to raise where there is no foreground but what is declared nodata.

    Args:
        name: The file's name.
        nodata: The value that it declares.
        error: Makes the error of its message.
        otherwise: What to do where the value does stand for missing pixels.
    """
    return error(
        f"{name}: holds 0 and {nodata:g} alone, but declares {nodata:g} as nodata, so either it "
        f"has no foreground or the foreground is left out; if {nodata:g} is the foreground: "
        f"{without_nodata(name)}; if not, {otherwise}"
    )


def without_nodata(name: str) -> str:
    """The command that makes a file declare no nodata value any more."""
    return f"rio edit-info --unset-nodata {shlex.quote(name)}"


def check_no_class_is_missing(
    scene: FileScene,
    pixels: Pixels,
    valid: Valid,
    classes: int,
    error: Callable[[str], PipelineError],
) -> None:
    """Checks that what a window leaves out is none of several classes.

    Args:
        scene: The file.
        pixels: As it was read [1, h, w].
        valid: Which of them the file says are there [h, w].
        classes: How many there are, background included.
        error: Makes the error of its message.

    Raises:
        PipelineError: The nodata value is a class, and pixels have it.
    """
    if not 2 < classes < NOT_KNOWN or scene.nodata not in range(1, classes):
        return
    # Floats that are missing have lost their value.
    if bool(np.any(~valid & ((pixels[0] == scene.nodata) | (pixels.dtype.kind == "f")))):
        raise error(
            f"{scene.name}: declares {scene.nodata:g} as nodata, which is one of the classes 0 to "
            f"{classes - 1}; {without_nodata(scene.name)}"
        )
