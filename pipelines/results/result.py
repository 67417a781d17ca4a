"""What a run returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipelines.results.estimate import SceneEstimate
from pipelines.results.report import Failure, Report


@dataclass(frozen=True)
class Result:
    """What a run returns.

    Attributes:
        report: What it has to tell.
        folder: Where the report lies.
        failed: All that failed in the run: what the report names, and what came before and after.
        trained: The weights files of a training, one for each fold.
        estimates: What each scene would take, where only that was asked for.
    """

    report: Report
    folder: Path
    failed: Sequence[Failure]
    trained: Sequence[Path] = ()
    estimates: Sequence[SceneEstimate] | None = None

    @property
    def weights(self) -> Path | None:
        """The first of the weights files; None where nothing was trained."""
        return self.trained[0] if self.trained else None
