"""Which files are DICOM, and what they are called: never by their own names.

Cameras and archives write persons' names and dates of birth into the names of files. So a file is
called after its SOP Instance UID, which says nothing of the person, and which whoever has the file
can look up in it. Nothing here needs pydicom.
"""

import hashlib
import re
import struct
from dataclasses import dataclass
from pathlib import Path

EXTENSIONS = (".dcm", ".dicom", ".dic")
"""In lower case. Files without one, or with a number as in UIDs, are looked into."""

INDEX = "DICOMDIR"
"""Name of the file that lists those of a medium."""

FRAME = "DICOM_FRAME"
"""Begins the name of a frame: `DICOM_FRAME:2:FILE`."""

_CALLED = "dicom-"

_FRAME = re.compile(rf"{FRAME}:(\d+):(.+)", re.DOTALL)

_PREAMBLE, _MAGIC = 128, b"DICM"

_LONG = (b"OB", b"UN", b"OW", b"SQ", b"UT")
"""Kinds of values whose length has four bytes."""

_LARGEST = 2**16

_UNKNOWN = 2**16
"""Bytes that tell files apart which have no UID."""

_PHOTOGRAPHS = re.compile(
    r"1\.2\.840\.10008\.5\.1\.4\.1\.1\.(77\.1\.5\.[1256]|77\.1\.4|7|7\.[1-4])"
)
"""SOP classes: ophthalmic photographs of 8 and 16 bits, wide-field ones, other photographs, and
secondary captures, as which many cameras send theirs."""


@dataclass(frozen=True)
class Meta:
    """What the file meta information says.

    Attributes:
        sop_class: UID of what kind of object it is.
        instance: UID of the object; empty where it says none.
    """

    sop_class: str
    instance: str

    @property
    def is_photograph(self) -> bool:
        """Whether it may be a photograph of an eye: no tomography, report or drawing."""
        return _PHOTOGRAPHS.fullmatch(self.sop_class) is not None


def meta_of(file: str | Path) -> Meta | None:
    """What a file says that it is; None where it is no DICOM file."""
    found: dict[int, str] = {}
    try:
        with Path(file).open("rb") as opened:
            if opened.read(_PREAMBLE + 4)[_PREAMBLE:] != _MAGIC:
                return None
            while len(head := opened.read(8)) == 8:
                group, element, kind, length = struct.unpack("<HH2sH", head)
                if kind in _LONG:
                    (length,) = struct.unpack("<I", opened.read(4))
                if group != 2 or length > _LARGEST:
                    break
                found[element] = opened.read(length).decode("ascii", "replace").strip("\0 ")
    except (OSError, ValueError, struct.error):
        return None
    return Meta(found.get(2, ""), found.get(3, ""))


def is_dicom(file: str | Path) -> bool:
    """Whether there is a DICOM file of a name."""
    suffix = Path(file).suffix.lower()
    named = suffix in EXTENSIONS
    if not named and suffix and not suffix[1:].isdecimal():
        return False
    try:
        return Path(file).is_file() and (named or meta_of(file) is not None)
    except (OSError, ValueError):  # No name of a file at all.
        return False


def parted(name: str) -> tuple[str, int | None]:
    """The file in a name, and the frame, from 1 on; None where the name is that of a file."""
    frame = _FRAME.fullmatch(name)
    return (frame[2], int(frame[1])) if frame else (name, None)


def is_pseudonym(name: str) -> bool:
    """Whether a name is what `pseudonym_of` calls a DICOM file or a frame of one."""
    return re.fullmatch(rf"{_CALLED}[0-9a-f]{{12}}(_\d+)?", name) is not None


def pseudonym_of(name: str) -> str | None:
    """What a DICOM file, or a frame of one, is called; None of other files.

    It is `dicom-` and the first 12 hexadecimal digits of the SHA-256 of its SOP Instance UID.
    """
    file, frame = parted(name)
    if not is_dicom(file):
        return None
    meta = meta_of(file)
    if meta is not None and meta.instance:
        told = meta.instance.encode()
    else:
        with Path(file).open("rb") as opened:
            told = opened.read(_UNKNOWN)
    called = f"{_CALLED}{hashlib.sha256(told).hexdigest()[:12]}"
    return called if frame is None else f"{called}_{frame}"
