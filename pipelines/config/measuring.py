"""Settings of the measurements."""

from typing import Annotated

from pydantic import Field

from pipelines.config.base import Configuration

_NUMBER = r"\d+(\.\d+)?"


class MeasureSettings(Configuration):
    """Whether results are measured."""

    measurements: Annotated[
        bool,
        Field(description="Measure what was found (lengths, widths, vessels) and look for the "
              "least certain places, for the report."),
    ] = True  # fmt: skip


class VesselMeasureSettings(MeasureSettings):
    """Settings of the measurements of vessels."""

    disc: Annotated[
        str | None,
        Field(pattern=rf"(?i)^({_NUMBER},{_NUMBER},{_NUMBER}|.+\.csv)$", description="The optic "
              "disc, around which vessels are measured in zones: x, y and radius in pixels, for "
              "example 512,480,60, or a CSV file with the columns image, x, y, r."),
    ] = None  # fmt: skip
    micrometres_per_pixel: Annotated[
        float | None,
        Field(gt=0, description="Side of an image's pixel on the retina in micrometres, for "
              "example 6.5. By default that of the image's file, as DICOM files may tell it."),
    ] = None  # fmt: skip
    dicom_results: Annotated[
        bool,
        Field(description="Of images in DICOM files, write the vessels as a DICOM segmentation "
              "and the measurements as a DICOM structured report too."),
    ] = True  # fmt: skip
