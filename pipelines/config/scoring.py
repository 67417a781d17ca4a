"""Settings of the scores."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipelines.config.base import AUTO, VALUES, Configuration


class ThresholdSettings(Configuration):
    """The threshold of masks and scores."""

    threshold: Annotated[
        Annotated[float, Field(gt=0, le=1)] | Literal["auto"],
        Field(description="Probability from which a pixel counts as foreground; auto takes for "
              "each scene the one with the highest F1 that its probabilities make expect."),
    ] = 0.5  # fmt: skip

    @property
    def one_threshold(self) -> float:
        """The threshold of all scenes.

        Raises:
            ValueError: Each has its own.
        """
        if self.threshold == AUTO:
            raise ValueError("each scene has its own threshold")
        return self.threshold


class GivenThresholdSettings(ThresholdSettings):
    """The threshold of rasters that are there already, of whatever network."""

    threshold: Annotated[
        Annotated[float, Field(gt=0, le=1)] | Literal["auto"],
        Field(description="Probability from which a pixel counts as foreground; auto is for "
              "inference alone."),
    ] = 0.5  # fmt: skip

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if self.threshold == AUTO:
            raise ValueError(
                "threshold auto is for inference, which knows the weights: give a number, for "
                "example that of a scene in its report.json"
            )
        return self


class LabelSettings(Configuration):
    """Settings of labels that are vectors, or lie on another grid."""

    label_width: Annotated[
        str | None,
        Field(pattern=r"^\d+(\.\d+)?m$", description="Width of the lines in labels that are "
              "vectors (GeoPackage, GeoJSON, FlatGeobuf, shapefile), in metres, for example 7m."),
    ] = None  # fmt: skip

    align_labels: Annotated[
        bool,
        Field(description="Bring labels of another CRS, size or place to the grid of their scene: "
              "each pixel takes the label's nearest one. By default such labels are refused, and "
              "those of fundus images always are."),
    ] = False  # fmt: skip

    @property
    def line_width(self) -> float | None:
        """The metres in `label_width`; None without them."""
        return float(self.label_width.removesuffix("m")) if self.label_width else None


class ScoringSettings(ThresholdSettings, LabelSettings):
    """Settings of the comparison of predictions with labels."""

    rho: Annotated[
        float,
        Field(
            ge=0,
            le=50,
            description="Tolerance of the relaxed scores: how many pixels a match may be away.",
        ),
    ] = 3.0
    ignore: Annotated[
        str | None,
        Field(pattern=f"^({VALUES})$", description="Label values to leave out, for example 255 "
              "or 254,255. A label's nodata value is left out too, unless it is 0."),
    ] = None  # fmt: skip
    topology: Annotated[
        bool, Field(description="Score the topology too: clDice, APLS, components and loops.")
    ] = True
    figures: Annotated[
        bool,
        Field(
            description="Write the figures of the report as PNG files too, for example for a paper."
        ),
    ] = False

    @property
    def ignored_values(self) -> tuple[int, ...]:
        """The numbers in `ignore`; empty without them."""
        return tuple(int(value) for value in self.ignore.split(",")) if self.ignore else ()
