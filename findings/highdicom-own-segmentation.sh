#!/usr/bin/env bash
# highdicom writes a segmentation of a photograph with a pixel spacing, and cannot read it again.
#
# Expected: segread() reads what Segmentation().save_as() wrote, as it does where the photograph
#   tells no pixel spacing.
# Happens: the writer copies Pixel Spacing into a Pixel Measures Sequence without Slice Thickness,
#   which a photograph does not have and DICOM asks for in volumes only. The reader wants both, and
#   raises AttributeError. Other readers (pydicom, dciodvfy) find nothing wrong with the file.
# Why it matters: photographs of the eye or skin with a scale are those that are worth measuring.
#   The file is stored, and the error comes at whoever reads it later.
# A way round: take PixelSpacing out of the copy of the source that the writer gets, or give
#   pixel_measures with a slice thickness.
# Versions: highdicom 0.28.2, pydicom 3.0.2, Python 3.11.
# Seen: 2026-11-28.

set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -qq --disable-pip-version-check \
    highdicom==0.28.2 pydicom==3.0.2
cd "$work"
"$work/venv/bin/python" -W ignore - <<'PY'
import sys

import highdicom as hd
import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import ExplicitVRLittleEndian, generate_uid


def photograph(spacing):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"  # Secondary capture.
    data.SOPInstanceUID, data.StudyInstanceUID = generate_uid(), generate_uid()
    data.SeriesInstanceUID, data.Modality = generate_uid(), "XC"
    for name in (
        "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "StudyID", "AccessionNumber", "ReferringPhysicianName",
    ):
        setattr(data, name, "")
    data.Rows, data.Columns, data.SamplesPerPixel = 8, 8, 3
    data.PhotometricInterpretation, data.PlanarConfiguration = "RGB", 0
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    data.PixelData = bytes(8 * 8 * 3)
    if spacing:
        data.PixelSpacing = spacing
    return data


def read_again(spacing):
    segment = hd.seg.SegmentDescription(
        1, "vessel", codes.SCT.AnatomicalStructure, codes.SCT.BloodVessel, "MANUAL"
    )
    hd.seg.Segmentation(
        [photograph(spacing)], np.eye(8, dtype=np.uint8)[None], "BINARY", [segment],
        generate_uid(), 1, generate_uid(), 1, "me", "my model", "1", "1",
    ).save_as("mask.dcm")
    try:
        return f"{hd.seg.segread('mask.dcm').pixel_array.sum()} pixels"
    except AttributeError as error:
        return f"AttributeError: {error}"


print(f"highdicom {hd.__version__}, pydicom {pydicom.__version__}")
without, with_spacing = read_again(None), read_again([0.01, 0.01])
print("of a photograph without a pixel spacing:", without)
print("of one with:                            ", with_spacing)
# Printed on the date above:
#   highdicom 0.28.2, pydicom 3.0.2
#   of a photograph without a pixel spacing: 8 pixels
#   of one with:                             AttributeError: Sequence does not have the required attributes for a Pixel Measures Sequence.
if without != "8 pixels" or not with_spacing.startswith("AttributeError"):
    sys.exit("CHANGED: a segmentation of a photograph with a pixel spacing is read again")
PY
