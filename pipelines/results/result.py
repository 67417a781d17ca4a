"""What a run returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.estimate import SceneEstimate
    from pipelines.results.report import Failure, Report
    from pipelines.results.training import TrainingEnd


@dataclass(frozen=True)
class Result:
    """What a run returns.

    Attributes:
        report: What it has to tell.
        folder: Where the report lies.
        failed: All that failed in the run: what the report names, and what came before and after.
        trained: The weights files of a training, one for each fold.
        endings: How each training ended.
        estimates: What each scene would take, where only that was asked for.
        reported: Whether this run wrote the report that lies in `folder`.
        nothing: Why there was nothing to do; None where there was something.
    """

    report: "Report"
    folder: Path
    failed: "Sequence[Failure]"
    trained: Sequence[Path] = ()
    endings: "Sequence[TrainingEnd]" = ()
    estimates: "Sequence[SceneEstimate] | None" = None
    reported: bool = True
    nothing: str | None = None

    @property
    def done(self) -> str:
        """How many scenes are done, in words."""
        there, left_out = len(self.report.scenes), len(self.report.skipped)
        every = there + left_out + len(self.failed)
        outside = f", {left_out} outside the area of interest" if left_out else ""
        return f"{there} of {every} scene{'' if every == 1 else 's'} done{outside}"

    @property
    def weights(self) -> Path | None:
        """The first of the weights files; None where nothing was trained."""
        return self.trained[0] if self.trained else None
