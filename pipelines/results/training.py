"""How far a training has come, and how it ended, as it is told."""

from dataclasses import dataclass

from pipelines.results.tally import duration

TRAINING, FIRST_CROPS, SCORING = (
    "training", "waiting for the first crops", "scoring held-out images",
)  # fmt: skip
"""The phases of a training."""


@dataclass(frozen=True)
class TrainingStanding:
    """How far a training has come.

    Attributes:
        phase: What is being done: `TRAINING`, or what that waits for.
        fold: Number of this training in a cross-validation, from 1 on, and how many there are.
        iteration: Iterations done.
        iterations: Iterations of the whole training.
        share: Of this training, or of all folds, that is done, 0 to 1, going by the limit that
            comes first.
        loss: Of the last iteration; None before the first.
        held_out: Break-even of the last scoring; None before the first.
        seconds_left: Expected until this training ends; None while nothing tells it.
        limit: The option that sets `seconds_left`.
    """

    phase: str
    fold: tuple[int, int]
    iteration: int
    iterations: int
    share: float
    loss: float | None = None
    held_out: float | None = None
    seconds_left: float | None = None
    limit: str = "--iterations"

    @property
    def place(self) -> str:
        """Fold and iteration, in words."""
        number, folds = self.fold
        of_fold = f"fold {number} of {folds}, " if folds > 1 else ""
        return f"{of_fold}iteration {self.iteration} of {self.iterations}"

    @property
    def numbers(self) -> str:
        """Loss, score and time that is left, in words: those that are known."""
        said = [] if self.loss is None else [f"loss {self.loss:.3f}"]
        if self.held_out is not None:
            said.append(f"held out {self.held_out:.3f}")
        if self.seconds_left is not None:
            said.append(f"{duration(self.seconds_left)} left")
        return ", ".join(said)

    def __str__(self) -> str:
        said = ", ".join(each for each in (self.place, self.numbers) if each)
        if self.seconds_left is not None and self.limit != "--iterations":
            said += f" ({self.limit})"
        return f"{self.phase}: {said}"


@dataclass(frozen=True)
class TrainingEnd:
    """How a training ended.

    Attributes:
        said: How far it came, and what ended it.
        advice: What can be done next, a line each.
        share: Of all folds that are done, 0 to 1.
    """

    said: str
    advice: tuple[str, ...] = ()
    share: float = 1.0
