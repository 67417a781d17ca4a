"""What the bands are that are blended side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipelines.config.base import AUTO
from pipelines.config.inference import ResultSettings
from pipelines.models.weights import ModelFacts, Steps, steps_taken

STEPS = "steps"
"""The band with the share of the steps that a tile took."""


CHANGE = "change"
"""The band with the change of probability in a tile's last step."""

DISAGREEMENT = "disagreement"
"""The band with the standard deviation over networks and views."""


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


def bands_of(
    models: Sequence[ModelFacts],
    steps: Steps,
    *,
    save_steps: bool = False,
    save_uncertainty: bool = False,
    tta: bool = False,
) -> Bands:
    """The bands that predictions have."""
    most = steps_taken(models, steps)
    others = [STEPS] if steps == AUTO else []
    if save_uncertainty:
        others += [CHANGE] if most > 1 else []
        others += [DISAGREEMENT] if tta or len(models) > 1 else []
    return Bands(models[0].network.classes - 1, most if save_steps else 1, tuple(others))


def bands_of_settings(models: Sequence[ModelFacts], settings: ResultSettings) -> Bands:
    """The bands that predictions with these settings have."""
    return bands_of(
        models,
        settings.steps,
        save_steps=settings.save_steps,
        save_uncertainty=settings.save_uncertainty,
        tta=settings.tta,
    )
