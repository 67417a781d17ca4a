"""A mask as a DICOM segmentation that refers to its photograph."""

import copy
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.dicom.source import MANUFACTURER, Software, uid_from
from tiling.blend import NODATA

_STAND_IN = "1.2.840.10008.5.1.4.1.1.7"
"""SOP class of secondary captures."""

_SERIES = 9001
"""Number of the series; those of cameras are small."""


def segmentation_uid(
    source: Any,
    frame: int | None,
    mask: NDArray[np.uint8],
    classes: Sequence[str],
    software: Software,
) -> str:
    """The UID of a segmentation: that of the same mask of the same photograph is the same."""
    pixels = hashlib.sha256(np.ascontiguousarray(mask).data).hexdigest()
    made = software.version, *software.parameters.values()
    photograph = source.SOPInstanceUID, *(() if frame is None else (f"frame {frame}",))
    return uid_from("segmentation", *photograph, *classes, *mask.shape, pixels, *made)


def segmentation(
    source: Any,
    frame: int | None,
    mask: NDArray[np.uint8],
    classes: Sequence[str],
    software: Software,
) -> Any:
    """A segmentation with a segment for each class.

    The segments are blood vessels of the retina. DICOM has no value for pixels outside the field
    of view: they belong to no segment, as the background.

    Args:
        source: The photograph's data set.
        frame: The photograph's number, from 1 on, in a file of several; else None.
        mask: 0 background, then the classes, 255 outside the field of view [h, w].
        classes: Names of the foreground classes.
        software: What made it.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    algorithm = hd.AlgorithmIdentificationSequence(
        name=f"{MANUFACTURER} {software.short}"[:64],
        family=codes.DCM.ArtificialIntelligence,
        version=software.version,
        source=MANUFACTURER,
        parameters=software.parameters,
    )
    uid = segmentation_uid(source, frame, mask, classes, software)
    segments = [
        hd.seg.SegmentDescription(
            segment_number=number,
            segment_label=name[:64],
            segmented_property_category=codes.SCT.AnatomicalStructure,
            segmented_property_type=codes.SCT.BloodVessel,
            algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
            algorithm_identification=algorithm,
            tracking_uid=uid_from("segment", uid, number),
            tracking_id=name[:64],
            anatomic_regions=[codes.SCT.Retina],
        )
        for number, name in enumerate(classes, start=1)
    ]
    made = hd.seg.Segmentation(
        source_images=[_of_one_frame(source)],
        pixel_array=np.where(mask == NODATA, 0, mask).astype(np.uint8)[None],
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=segments,
        series_instance_uid=uid_from("segmentations", source.SeriesInstanceUID, software.weights),
        series_number=_SERIES,
        sop_instance_uid=uid,
        instance_number=frame or source.InstanceNumber,
        manufacturer=MANUFACTURER,
        manufacturer_model_name=software.short,
        software_versions=software.version,
        device_serial_number=software.weights[:16],
        content_label="VESSELS",
        content_description="Vessels found by a neural network. Not a diagnosis.",
        series_description="Vessels (RurNet)",
    )
    _refer(made, source, frame)
    made.PatientOrientation = source.get("PatientOrientation")
    return made


def _of_one_frame(source: Any) -> Any:
    """The photograph as an object of a class that cannot hold several frames.

    highdicom 0.28 expects functional groups in all objects of classes that may hold several, and
    those of ophthalmic photographs have none. Nor does it read what it writes where pixels have a
    size, but slices no thickness: the size stands in the photograph.
    """
    copied = copy.deepcopy(source)
    copied.SOPClassUID = _STAND_IN
    for name in ("PixelSpacing", "NumberOfFrames", "FrameIncrementPointer"):
        copied.pop(name, None)
    return copied


def _refer(made: Any, source: Any, frame: int | None) -> None:
    """Has all references to the photograph say the class that it really is of, and its frame."""

    def mend(inside: Any, element: Any) -> None:
        if (
            element.keyword == "ReferencedSOPClassUID"
            and inside.get("ReferencedSOPInstanceUID") == source.SOPInstanceUID
        ):
            element.value = source.SOPClassUID
        if frame is not None and element.keyword == "SourceImageSequence":
            for image in element.value:
                image.ReferencedFrameNumber = frame

    made.walk(mend)
