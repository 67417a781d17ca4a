"""Base classes of the configurations, and patterns of their values."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

VALUES = r"-?\d+(,-?\d+)*"


RANGE = r"-?\d+(\.\d+)?,-?\d+(\.\d+)?"


AUTO: Literal["auto"] = "auto"
"""A value range that each scene's own values give."""

NAMES = r"[^,]+(,[^,]+)*"
"""Names separated by commas."""


PixelSide = Annotated[
    float | None,
    Field(
        gt=0,
        description="Side of a pixel on the ground in metres, for example 0.3, whatever the "
        "coordinates say. By default it is measured where there are coordinates.",
    ),
]
"""An option that tells the size of pixels."""

RasterKind = Annotated[
    Literal["auto", "probability", "mask"],
    Field(description="Content of the predicted rasters; auto decides by their values."),
]
"""An option that tells what rasters hold."""

LevelRange = Annotated[
    str | None,
    Field(pattern=f"^({RANGE})$", description="Pixel values of probability 0 and 1, for "
          "example 0,100. By default those that the raster declares, or else 0,255 for "
          "integers and 0,1 for floats."),
]  # fmt: skip
"""An option that tells what values of rasters stand for."""


class Configuration(BaseModel):
    """Base of all configurations: frozen, with finite numbers only and no unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RangeSettings(Configuration):
    """Settings with the pixel values of the two ends of a scale; subclasses define the scale."""

    value_range: str | None = None

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if (ends := self.value_ends) is not None and ends[0] >= ends[1]:
            raise ValueError(f"value range must ascend, as in 0,255, not {self.value_range}")
        return self

    @property
    def value_ends(self) -> tuple[float, float] | None:
        """The two numbers of `value_range`; None without them."""
        if self.value_range in (None, AUTO):
            return None
        low, high = self.value_range.split(",")
        return float(low), float(high)


class ClassSettings(Configuration):
    """Settings with names of the foreground classes; subclasses define the default names."""

    classes: str | None = None

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = self.class_names or ()
        if len({"background", *names}) <= len(names) or "" in names:
            raise ValueError(
                "classes must be names of the foreground, each given once, without background"
            )
        return self

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The names in `classes`, without spaces around them; None without them."""
        if not self.classes:
            return None
        return tuple(" ".join(name.split()) for name in self.classes.split(","))
