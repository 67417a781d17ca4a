"""Configuration of results that are brought up to date."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, model_validator

from pipelines.config.base import Configuration


class UpdateSettings(Configuration):
    """Settings of results that are brought up to date from earlier ones."""

    from_run: Annotated[
        Path | None,
        Field(description="Folder of an earlier run's results (its output): what has not changed "
              "since is taken over, and the rest starts from the earlier masks."),
    ] = None  # fmt: skip
    sequence: Annotated[
        bool,
        Field(description="Take the scenes as frames in order: each is brought up to date from "
              "the one before."),
    ] = False  # fmt: skip

    @model_validator(mode="after")
    def _one_earlier(self) -> Self:
        if self.from_run is not None and self.sequence:
            raise ValueError("from and sequence exclude each other: give one of them")
        return self
