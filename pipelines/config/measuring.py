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
