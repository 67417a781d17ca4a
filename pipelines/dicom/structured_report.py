"""The measurements of a fundus as a DICOM structured report (TID 1500, Measurement Report)."""

import json
from typing import Any

from pipelines.dicom.codes import MEASURED, concept, unit
from pipelines.dicom.source import MANUFACTURER, Software, uid_from
from pipelines.measurements.measured import Numbers
from pipelines.measurements.vessels import NO_DIAGNOSIS

_SERIES = 9002


def report_uid(segmentation_uid: str, numbers: Numbers) -> str:
    """The UID of a report: that of the same numbers of the same mask is the same."""
    return uid_from("report", segmentation_uid, json.dumps(dict(numbers)))


def structured_report(
    source: Any,
    frame: int | None,
    segmentation: Any,
    numbers: Numbers,
    laterality: str | None,
    software: Software,
) -> Any:
    """A report of what was measured; it is complete, but nobody has verified it.

    Args:
        source: The photograph's data set.
        frame: The photograph's number, from 1 on, in a file of several; else None.
        segmentation: The segmentation that was measured.
        numbers: By their names in docs/measurements.md; None where one is undefined.
        laterality: "R" or "L" where the eye is known.
        software: What made it.
    """
    import highdicom as hd
    from pydicom.sr.codedict import codes

    device = hd.sr.ObserverContext(
        observer_type=codes.DCM.Device,
        observer_identifying_attributes=hd.sr.DeviceObserverIdentifyingAttributes(
            uid=uid_from("device", software.weights),
            name=MANUFACTURER,
            manufacturer_name=MANUFACTURER,
            model_name=software.model,
        ),
    )
    algorithm = hd.sr.AlgorithmIdentification(
        name=f"{MANUFACTURER} {software.model}",
        version=software.version,
        parameters=[f"{name}={value}" for name, value in software.parameters.items()],
    )
    image = hd.sr.SourceImageForSegmentation(
        source.SOPClassUID, source.SOPInstanceUID, None if frame is None else [frame]
    )
    # highdicom 0.28 finds no segment in a segmentation that has only one: its number is told here.
    segment = hd.sr.ReferencedSegmentationFrame(
        segmentation.SOPClassUID, segmentation.SOPInstanceUID, 1, 1, image
    )
    # It writes both numbers, of which DICOM allows one.
    del segment[0].ReferencedSOPSequence[0].ReferencedFrameNumber
    side = {"R": codes.SCT.Right, "L": codes.SCT.Left}.get(laterality or "")
    group = hd.sr.PlanarROIMeasurementsAndQualitativeEvaluations(
        tracking_identifier=hd.sr.TrackingIdentifier(
            uid=uid_from("vessels", segmentation.SOPInstanceUID), identifier="vessels"
        ),
        referenced_segment=segment,
        finding_type=codes.SCT.BloodVessel,
        finding_category=codes.SCT.AnatomicalStructure,
        finding_sites=[hd.sr.FindingSite(anatomic_location=codes.SCT.Retina, laterality=side)],
        algorithm_id=algorithm,
        measurements=[
            hd.sr.Measurement(name=concept(name), value=float(value), unit=unit(name))
            for name, value in numbers.items()
            if value is not None and name in MEASURED
        ],
    )
    content = hd.sr.MeasurementReport(
        observation_context=hd.sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[group],
        title=codes.DCM.ImagingMeasurementReport,
    )
    content[0].ContentSequence.append(
        hd.sr.TextContentItem(
            name=codes.DCM.Comment,
            value=NO_DIAGNOSIS,
            relationship_type=hd.sr.RelationshipTypeValues.CONTAINS,
        )
    )
    return hd.sr.ComprehensiveSR(
        evidence=[source, segmentation],
        content=content[0],
        series_instance_uid=uid_from("reports", source.SeriesInstanceUID, software.weights),
        series_number=_SERIES,
        sop_instance_uid=report_uid(segmentation.SOPInstanceUID, numbers),
        instance_number=frame or source.InstanceNumber,
        manufacturer=MANUFACTURER,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="Vessel measurements (RurNet), not a diagnosis",
    )
