"""What a run ends with."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.results.estimate import SceneEstimate


@dataclass(frozen=True)
class Result:
    """What a run ends with.

    Attributes:
        report: What `report.json` holds.
        folder: Where the report lies.
        trained: The weights files of a training, one for each fold.
        plans: What there was to do, where only that was asked for.
    """

    report: dict[str, Any]
    folder: Path
    trained: Sequence[Path] = ()
    plans: list[SceneEstimate] | None = None

    @property
    def weights(self) -> Path | None:
        """The first of the weights files; None where nothing was trained."""
        return self.trained[0] if self.trained else None
