"""What all configurations have in common."""

from typing import Self

from pydantic import BaseModel, ConfigDict, model_validator

VALUES = r"-?\d+(,-?\d+)*"


RANGE = r"-?\d+(\.\d+)?,-?\d+(\.\d+)?"


NAMES = r"[^,]+(,[^,]+)*"
"""Names between commas."""


class Configuration(BaseModel):
    """Base of all: values do not change, numbers are finite, and an unknown name is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class RangeSettings(Configuration):
    """Which pixel values stand for the ends of a scale; who inherits it says of which one."""

    value_range: str | None = None

    @model_validator(mode="after")
    def _range_ascends(self) -> Self:
        if (ends := self.value_ends) is not None and ends[0] >= ends[1]:
            raise ValueError(f"value range must ascend, not {self.value_range}")
        return self

    @property
    def value_ends(self) -> tuple[float, float] | None:
        """`value_range` as numbers."""
        if self.value_range is None:
            return None
        low, high = self.value_range.split(",")
        return float(low), float(high)


class ClassSettings(Configuration):
    """What the classes are called; who inherits it says where their names are from otherwise."""

    classes: str | None = None

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        names = self.class_names or ()
        if len({"background", *names}) <= len(names):
            raise ValueError("classes are those of the foreground, each of another name")
        return self

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """`classes` one by one."""
        return tuple(self.classes.split(",")) if self.classes else None
