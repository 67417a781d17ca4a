"""How predictions are scored against labels."""

from typing import Annotated

from pydantic import Field

from pipelines.config.base import VALUES, Configuration


class ThresholdSettings(Configuration):
    """Where probabilities are cut: masks are made by it, and scores are taken at it."""

    threshold: Annotated[
        float, Field(gt=0, le=1, description="Probability from which on a pixel is foreground.")
    ] = 0.5


class ScoringSettings(ThresholdSettings):
    """How predictions are scored against labels."""

    rho: Annotated[
        float,
        Field(ge=0, le=50, description="Pixels that a match may be away in the relaxed scores."),
    ] = 3.0
    ignore: Annotated[
        str | None,
        Field(pattern=f"^({VALUES})$", description="Values of label pixels that are left out, "
              "as in 255 or 254,255; a label's nodata is too, if it is not 0."),
    ] = None  # fmt: skip
    topology: Annotated[
        bool, Field(description="Score connections too: clDice, APLS, components, loops.")
    ] = True
    figures: Annotated[
        bool, Field(description="Write the report's figures as PNG files too, for papers.")
    ] = False

    @property
    def ignored_values(self) -> tuple[int, ...]:
        """`ignore` as numbers."""
        return tuple(int(value) for value in self.ignore.split(",")) if self.ignore else ()
