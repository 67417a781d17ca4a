"""What a DICOM file says of its pixels and of the eye, without a word on the person."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import Any

from tiling.dicom.names import meta_of, parted
from tiling.dicom.unquoted import unquoted
from tiling.errors import CodecError, SceneError
from tiling.scenes.eye import Eye

GREY = ("MONOCHROME1", "MONOCHROME2")

_COLOURS = (
    "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT", "YBR_PARTIAL_420", "PALETTE COLOR",
)  # fmt: skip

_SIDES = ("R", "L", "B")


@dataclass(frozen=True)
class Header:
    """How the pixels of a DICOM file lie.

    Attributes:
        rows: Of a frame.
        columns: Of a frame.
        frames: How many it holds.
        photometric: What its samples stand for.
        bits: Those of a sample that are used.
        eye: What it says of the eye.
    """

    rows: int
    columns: int
    frames: int
    photometric: str
    bits: int
    eye: Eye

    @property
    def bands(self) -> int:
        """Of the picture that is made of it: 1 of grey, 3 of colours."""
        return 1 if self.photometric in GREY else 3


@contextmanager
def pydicom_named(name: str) -> Iterator[None]:
    """Says of errors in reading a DICOM file which file it is, by its pseudonym.

    What pydicom says is left out: it quotes values, and they may be a name.

    Raises:
        CodecError: There is no pydicom, or no decoder.
        SceneError: The file cannot be read.
    """
    try:
        with unquoted():
            yield
    except (SceneError, MemoryError):
        raise
    except ImportError:
        raise CodecError(
            f"{name}: a DICOM file, for which a package is missing; pip install 'rurnet[dicom]'"
        ) from None
    except Exception as error:
        kind = type(error).__name__
        if isinstance(error, RuntimeError) and "missing dependencies" in str(error):
            raise CodecError(
                f"{name}: its compression needs a package that is missing; "
                "pip install 'rurnet[dicom]'"
            ) from None
        raise SceneError(
            f"{name}: a DICOM file that cannot be read ({kind}); it seems damaged or cut off: "
            "export it again"
        ) from None


def header_of(name: str, called: str) -> Header:
    """What a DICOM file says of its pixels.

    Args:
        name: Of the file, or of a frame of it.
        called: What messages call it.

    Raises:
        CodecError: There is no pydicom.
        SceneError: It cannot be read, or is no photograph.
    """
    file, _ = parted(name)
    meta = meta_of(file)
    if meta is None:
        raise SceneError(
            f"{called}: has the name of a DICOM file, but is none (DICM is not at byte 128); "
            "export it again as a DICOM file, or as PNG or TIFF"
        )
    with pydicom_named(called):
        import pydicom

        data = pydicom.dcmread(file, stop_before_pixels=True)
        if not meta.is_photograph:
            kind = pydicom.uid.UID(meta.sop_class).name
            raise SceneError(
                f"{called}: is no photograph, but of the kind {kind}; give ophthalmic or other "
                "photographs, or secondary captures"
            )
        return _checked(data, called)


def _checked(data: Any, called: str) -> Header:
    if "Rows" not in data or "Columns" not in data or not data.Rows or not data.Columns:
        raise SceneError(f"{called}: a DICOM file without a picture; leave it out")
    photometric = str(data.get("PhotometricInterpretation", ""))
    samples = 1 if photometric in (*GREY, "PALETTE COLOR") else 3
    unread = [
        text
        for text, there in (
            (f"colours of the kind {photometric or 'unknown'}",
             photometric not in (*GREY, *_COLOURS)),
            (f"{data.get('SamplesPerPixel')} samples a pixel",
             int(data.get("SamplesPerPixel", 1)) != samples),
            ("signed pixels", int(data.get("PixelRepresentation", 0)) != 0),
            (f"pixels of {data.get('BitsAllocated')} bits",
             int(data.get("BitsAllocated", 0)) not in (8, 16)),
        )
        if there
    ]  # fmt: skip
    if unread:
        raise SceneError(f"{called}: has {unread[0]}, which are not read; export it as PNG or TIFF")
    return Header(
        rows=int(data.Rows),
        columns=int(data.Columns),
        frames=int(data.get("NumberOfFrames") or 1),
        photometric=photometric,
        bits=int(data.get("BitsStored", data.BitsAllocated)),
        eye=_eye(data),
    )


def _eye(data: Any) -> Eye:
    side = str(data.get("ImageLaterality") or data.get("Laterality") or "").upper()
    return Eye(
        laterality=side if side in _SIDES else None,
        micrometres=_micrometres(data),
        burned_in=str(data.get("BurnedInAnnotation", "")).upper() == "YES",
    )


def _micrometres(data: Any) -> tuple[float, float] | None:
    """Height and width of a pixel; None where the spacing is not two sizes: the picture is good."""
    try:
        height, width = (float(millimetres) * 1e3 for millimetres in data.PixelSpacing)
    except (AttributeError, TypeError, ValueError):
        return None
    return (height, width) if isfinite(height * width) and min(height, width) > 0 else None
