"""Drawn photographs as DICOM files, with a person's name in every place that has one."""

# ruff: noqa: E402

import io

import numpy as np
import pytest
from PIL import Image

pydicom = pytest.importorskip("pydicom", reason="needs rurnet[dicom]")

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

IDENTITIES = ("MUSTERFRAU", "ERIKA", "MUSTERARZT", "MRN-4711", "19500102", "CLINIC-9", "ACC-12")
"""What may be in no result: parts of name, numbers, date of birth, institution."""

OPHTHALMIC, SECONDARY = "1.2.840.10008.5.1.4.1.1.77.1.5.1", "1.2.840.10008.5.1.4.1.1.7"
TOMOGRAPHY = "1.2.840.10008.5.1.4.1.1.77.1.5.4"

UNCOMPRESSED = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
COMPRESSED = (RLELossless, JPEG2000Lossless, JPEGLSLossless)


def colours(height=48, width=40, dtype="uint8"):
    """Smooth colours [h, w, 3] over the type's range."""
    top = np.iinfo(dtype).max
    rows, columns = np.mgrid[:height, :width] / np.array([height, width]).reshape(2, 1, 1)
    return np.stack([top * rows, top * columns, top * (1 - rows)], axis=-1).astype(dtype)


def dataset(pixels, uid="1.2.3.4", sop_class=OPHTHALMIC, photometric=None, bits=None, **more):
    """A data set with pixels [h, w], [h, w, 3] or [frames, h, w, 3]."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID = sop_class
    data.file_meta.MediaStorageSOPInstanceUID = uid
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID, data.SOPInstanceUID = sop_class, uid
    data.PatientName, data.PatientID, data.PatientBirthDate = (
        "MUSTERFRAU^ERIKA",
        "MRN-4711",
        "19500102",
    )
    data.PatientSex = "F"
    data.InstitutionName, data.AccessionNumber = "CLINIC-9", "ACC-12"
    data.StudyInstanceUID, data.SeriesInstanceUID = "1.2.3", "1.2.3.1"
    data.StudyID, data.StudyDate, data.StudyTime = "1", "20250102", "101112"
    data.ReferringPhysicianName = "MUSTERARZT^MAX"
    data.Modality, data.SeriesNumber, data.InstanceNumber = "OP", 1, 1
    data.Manufacturer, data.ImageLaterality = "Drawn", "L"
    grey = pixels.shape[-1] != 3
    height, width = pixels.shape[-2:] if grey else pixels.shape[-3:-1]
    data.Rows, data.Columns = height, width
    data.SamplesPerPixel = 1 if grey else 3
    data.PhotometricInterpretation = photometric or ("MONOCHROME2" if grey else "RGB")
    if not grey:
        data.PlanarConfiguration = 0
        if pixels.ndim == 4:
            data.NumberOfFrames = len(pixels)
    data.BitsAllocated = 8 * pixels.dtype.itemsize
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    data.PixelData = pixels.tobytes()
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
    for name, value in more.items():
        setattr(data, name, value)
    return data


def write(path, data, syntax=ExplicitVRLittleEndian):
    """Writes a data set, uncompressed or in a lossless compression."""
    if syntax in COMPRESSED:
        data.compress(syntax, generate_instance_uid=False)
    elif syntax == JPEGBaseline8Bit:
        _as_jpeg(data)
    data.file_meta.TransferSyntaxUID = syntax
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_lossless_jpeg(path, data):
    """Writes a data set as lossless JPEG, which GDCM encodes."""
    gdcm = pytest.importorskip("gdcm", reason="needs rurnet[dicom]")
    raw = write(path.with_suffix(".raw"), data)
    reader = gdcm.ImageReader()
    reader.SetFileName(str(raw))
    assert reader.Read()
    change = gdcm.ImageChangeTransferSyntax()
    change.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.JPEGLosslessProcess14_1))
    change.SetInput(reader.GetImage())
    assert change.Change()
    writer = gdcm.ImageWriter()
    writer.SetFileName(str(path))
    writer.SetFile(reader.GetFile())
    writer.SetImage(change.GetOutput())
    assert writer.Write()
    raw.unlink()
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == JPEGLosslessSV1
    return path


def _as_jpeg(data):
    pixels = np.frombuffer(data.PixelData, np.uint8).reshape(data.Rows, data.Columns, 3)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=95, subsampling="4:2:2")
    data.PixelData = encapsulate([file.getvalue()])
    data["PixelData"].VR = "OB"
    data["PixelData"].is_undefined_length = True
    data.PhotometricInterpretation = "YBR_FULL_422"
