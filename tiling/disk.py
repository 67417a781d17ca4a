"""Files that appear whole or not at all, folders of one run at a time, and a disk's refusals."""

import fcntl
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import rasterio
from rasterio._err import CPLE_BaseError

from tiling.errors import SinkError, TilingError

_HALF_WRITTEN = re.compile(r"\..+\.[0-9a-f]{32}")
"""Names that `appearing` gives to files until they are whole."""

_ABANDONED_S = 3600.0
"""Seconds after which nobody goes on with what is half written: whoever writes takes seconds."""

_REFUSALS = (OSError, rasterio.errors.RasterioError, CPLE_BaseError, SystemError)
"""What a full disk is called by Python and, depending on when it notices, by rasterio."""


@contextmanager
def refusals_named(path: Path) -> Iterator[None]:
    """Says of what the disk refuses which file or folder it is about, and what to do.

    Raises:
        SinkError: In place of the disk's own error.
    """
    try:
        yield
    except TilingError:
        raise  # Not the disk's word: an error of a scene, say.
    except _REFUSALS as error:
        raise SinkError(
            f"{path}: cannot be written ({' '.join(str(error).split())}); free some space or "
            "choose another --output, then run again: what is computed is kept"
        ) from error


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """A name beside `path` to write to; renamed in the end, removed where that fails.

    The name is of its own: several processes may be at one file, the last one stays.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        yield partial
        with partial.open("rb") as file:
            os.fsync(file.fileno())  # A power cut must not leave a name without its content.
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def remove_half_written(folder: Path) -> None:
    """Removes what `appearing` was at in a folder when its process was killed.

    No other process may be at work there.
    """
    for left in folder.iterdir():
        if _HALF_WRITTEN.fullmatch(left.name) and left.is_file():
            left.unlink(missing_ok=True)


def remove_abandoned(folder: Path, written: Path) -> None:
    """Removes what killed processes have left half written in a folder that several may write to.

    It is told by its age. A folder of such a name goes with what is in it.

    Args:
        folder: Where to look; not in folders inside it.
        written: A file that was written just now, on the same disk: its clock may be another
            machine's.
    """
    now = written.stat().st_mtime
    for left in folder.iterdir():
        with suppress(OSError):  # Another process was faster.
            if _HALF_WRITTEN.fullmatch(left.name) and now - left.stat().st_mtime > _ABANDONED_S:
                if left.is_dir():
                    shutil.rmtree(left, ignore_errors=True)
                else:
                    left.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other runs out of a folder, until this one ends, however it does.

    Raises:
        SinkError: Another run is at work there.
    """
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SinkError(
                f"{folder}: another run is writing there; "
                "wait for its end, or give another --output"
            ) from None
        except OSError:
            pass  # A file system without locks: two runs at once are the user's own care.
        yield
    finally:
        os.close(handle)
