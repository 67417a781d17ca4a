"""The pixels of a DICOM file as those of a usual picture."""

from typing import Any

import numpy as np

from tiling.dicom.header import GREY, Header, pydicom_named
from tiling.dicom.names import parted
from tiling.scenes.scene import Pixels


def decoded(name: str, called: str, header: Header) -> Pixels:
    """The picture in a DICOM file [bands, h, w], uint8 or uint16, of RGB or grey.

    Colours of any kind become RGB. The values that its bits allow are stretched over the type:
    4095 of 12 bits is 65535. Where the least value stands for white, it is turned round. Windows,
    overlays and shutters, which are for display only, are left aside.

    Args:
        name: Of the file, or of a frame of it.
        called: What messages call it.
        header: What it says of its pixels.

    Raises:
        CodecError: There is no decoder.
        SceneError: It cannot be decoded.
    """
    file, frame = parted(name)
    with pydicom_named(called):
        import pydicom
        from pydicom.pixels.processing import apply_color_lut
        from pydicom.pixels.utils import pixel_array

        data = pydicom.dcmread(file)
        pixels: Any = pixel_array(data, index=(frame or 1) - 1)
        bits = header.bits
        if header.photometric == "PALETTE COLOR":
            _without_padding(data)
            pixels = apply_color_lut(pixels, data)[..., :3]
            bits = 8 * pixels.dtype.itemsize
    # A palette may have entries of 16 bits for indices of 8: the picture keeps to its own type.
    full = _brought(_stretched(pixels, bits), dtype_of(header))
    if header.photometric == "MONOCHROME1":
        full = np.iinfo(full.dtype).max - full
    return full[None] if header.photometric in GREY else np.moveaxis(full, -1, 0).copy()


def dtype_of(header: Header) -> np.dtype[Any]:
    """The type of the picture's pixels."""
    return np.dtype("uint8" if header.bits <= 8 else "uint16")


def _without_padding(data: Any) -> None:
    """Takes off the byte that makes the length of a palette of 8 bits even.

    pydicom 3.0 takes the bits of an entry from the length, and gives up where it does not divide.
    """
    for colour in ("Red", "Green", "Blue"):
        entries = data[f"{colour}PaletteColorLookupTableDescriptor"].value[0]
        told = data.get(f"{colour}PaletteColorLookupTableData")
        if told is not None and len(told) == entries + 1:
            setattr(data, f"{colour}PaletteColorLookupTableData", told[:entries])


def _brought(pixels: Pixels, dtype: np.dtype[Any]) -> Pixels:
    """Pixels over the full range of their type, as another type."""
    if pixels.dtype == dtype:
        return pixels
    wider = pixels.astype(np.uint16)
    found: Pixels = (wider >> 8).astype(np.uint8) if dtype == np.uint8 else wider * np.uint16(257)
    return found


def _stretched(pixels: Pixels, bits: int) -> Pixels:
    """Pixels of so many bits over the full range of 8 or of 16."""
    dtype = np.dtype("uint8" if bits <= 8 else "uint16")
    top, full = 2**bits - 1, int(np.iinfo(dtype).max)
    if top == full:
        return pixels.astype(dtype, copy=False)
    stretched: Pixels = ((pixels.astype(np.uint32) & top) * full // top).astype(dtype)
    return stretched
