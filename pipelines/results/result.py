"""What a run returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipelines.results.estimate import SceneEstimate
    from pipelines.results.report import Report
    from pipelines.results.this_run import Failure, ThisRun
    from pipelines.results.training import TrainingEnd


@dataclass(frozen=True)
class Result:
    """What a run returns.

    Attributes:
        built: What it has to tell; None where only estimates were asked for. See `report`.
        folder: Where the report lies.
        failed: All that failed in the run: what the report names, and what came before and after.
        trained: The weights files of a training, one for each fold.
        endings: How each training ended.
        estimates: What each scene would take, where only that was asked for.
        reported: Whether this run wrote the report that lies in `folder`.
        nothing: Why there was nothing to do; None where there was something.
    """

    built: "Report | None"
    folder: Path
    failed: "Sequence[Failure]"
    trained: Sequence[Path] = ()
    endings: "Sequence[TrainingEnd]" = ()
    estimates: "Sequence[SceneEstimate] | None" = None
    reported: bool = True
    nothing: str | None = None

    @property
    def report(self) -> "Report":
        """What it has to tell.

        Raises:
            ValueError: Only estimates were asked for: nothing was built.
        """
        if self.built is None:
            raise ValueError("estimates only: there is no report")
        return self.built

    @property
    def done(self) -> str:
        """How many scenes are done, in words."""
        if self.estimates is not None:
            estimated, every = sum(one.done for one in self.estimates), len(self.estimates)
            return f"{estimated} of {every} scene{'' if every == 1 else 's'} estimated"
        if self.report.this_run is not None:
            return self._done_in(self.report.this_run)
        there, left_out = len(self.report.scenes), len(self.report.skipped)
        every = there + left_out + len(self.failed)
        outside = f", {left_out} outside the area of interest" if left_out else ""
        return f"{there} of {every} scene{'' if every == 1 else 's'} done{outside}"

    def _done_in(self, run: "ThisRun") -> str:
        there, failed = len(self.report.scenes), len(self.report.failed)
        computed = sum(bool(scene.parts_computed) for scene in self.report.scenes)
        said = [
            f"{computed} scene{'' if computed == 1 else 's'} computed in this run",
            f"{there} of {there + failed} done in {self.folder}",
        ]
        if self.report.skipped:
            said.append(f"{len(self.report.skipped)} outside the area of interest")
        if run.waiting:
            said.append(f"{len(run.waiting)} waiting: {', '.join(o.input for o in run.waiting)}")
        if run.quarantined:
            said.append(f"{len(run.quarantined)} quarantined")
        return ", ".join(said)

    @property
    def weights(self) -> Path | None:
        """The first of the weights files; None where nothing was trained."""
        return self.trained[0] if self.trained else None
