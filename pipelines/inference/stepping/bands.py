"""What the bands are that are blended side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.config.base import AUTO
from pipelines.models.weights import Model, Steps, steps_taken

STEPS = "steps"
"""The band with the share of the steps that a tile took."""


@dataclass(frozen=True)
class Bands:
    """The bands of every part: probabilities, step after step, then what else there is.

    Attributes:
        classes: Number of foreground classes.
        steps: How many recurrent steps are kept, the last one included.
        others: Names of the bands after them.
    """

    classes: int
    steps: int
    others: tuple[str, ...] = ()

    @property
    def count(self) -> int:
        """How many there are."""
        return self.classes * self.steps + len(self.others)

    @property
    def last(self) -> slice:
        """Those of the last step."""
        return self.of_step(self.steps - 1)

    def of_step(self, step: int) -> slice:
        """Those of a step that is kept, counted from 0."""
        return slice(step * self.classes, (step + 1) * self.classes)

    def other(self, name: str) -> slice:
        """The one of that name."""
        first = self.classes * self.steps + self.others.index(name)
        return slice(first, first + 1)


def bands_of(models: Sequence[Model], steps: Steps, *, save_steps: bool) -> Bands:
    """The bands that predictions have."""
    kept = steps_taken(models, steps) if save_steps else 1
    return Bands(models[0].network.classes - 1, kept, (STEPS,) if steps == AUTO else ())
