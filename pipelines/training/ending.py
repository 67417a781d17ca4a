"""Why a training ended, and what can be done next."""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from pipelines.config.training import TrainingSettings
from pipelines.models.names import shipped
from pipelines.models.weights import WeightsCard, card_of
from pipelines.results.tally import duration
from pipelines.results.training import TrainingEnd
from pipelines.training.checkpoints import read_checkpoint

_RISING = 0.005
"""Gain of break-even between the last two scorings that more iterations may go on with."""

_PACED = 20
"""Iterations from which on their pace is known: the start takes as long as some of them."""


@dataclass(frozen=True)
class Reached:
    """How far a training came.

    Attributes:
        iteration: Iterations done.
        seconds: They took, over all starts; None where an old checkpoint does not say it.
        scores: Iteration and break-even of each scoring of the held-out images.
    """

    iteration: int
    seconds: float | None
    scores: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Chosen:
    """Which weights a training ends with.

    Attributes:
        iteration: The iteration they are of; 0 for those that it started from.
        score: Their break-even on the held-out images; None where it is not known.
        share: Their share, 0 to 1, in an average with the weights that it started from.
    """

    iteration: int
    score: float | None
    share: float = 1.0


def reached_in(last: Path) -> Reached:
    """Reads from a training's last checkpoint how far it came.

    Raises:
        PipelineError: The checkpoint is damaged.
    """
    checkpoint = read_checkpoint(last)
    noted: dict[str, Any] = checkpoint["callbacks"]
    seconds = noted.get("Timer", {}).get("time_elapsed", {}).get("train")
    scores = noted.get("ShownProgress", {}).get("scores", ())
    return Reached(checkpoint["global_step"], seconds, tuple(scores))


def ending_of(
    settings: TrainingSettings,
    card: WeightsCard,
    weights: Path,
    chosen: Chosen,
    reached: Reached,
    fold: tuple[int, int] = (1, 1),
) -> TrainingEnd:
    """Says how a training ended, and what can be done next.

    Args:
        settings: Settings of the training.
        card: Of the weights that it made.
        weights: Their file.
        chosen: Which they are.
        reached: How far it came.
        fold: Number of the training, from 1 on, and how many there are.
    """
    number, folds = fold
    iterations = settings.how.iterations
    time = "" if reached.seconds is None else f" in {duration(reached.seconds)}"
    said = f"{reached.iteration} of {iterations} iterations{time}"
    advice: tuple[str, ...] = ()
    if reached.iteration >= iterations:
        advice = _if_rising(settings, weights, reached, folds)
    elif _out_of_time(settings, reached):
        said += f", ended early by --max-time {settings.max_time:g}"
        advice = _with_more_time(settings, card, reached)
    else:
        said += f", ended early after {settings.patience} scorings that were no better (--patience)"
    score = chosen.score
    held_out = "" if score is None else f", with break-even {score:.3f} on the held-out images"
    if chosen.iteration == 0 and settings.start_from is not None:
        said += (
            f"; no scoring was better than {settings.start_from}: its weights are kept{held_out}"
        )
        advice = (*advice, *_if_no_better(settings))
    elif chosen.share < 1:
        said += (
            f"; the weights are an average of {settings.start_from} and those of iteration "
            f"{chosen.iteration}, these with a share of {chosen.share:g}{held_out}"
        )
    else:
        said += f"; the weights are those of iteration {chosen.iteration}{held_out}"
    if folds > 1:
        said = f"fold {number} of {folds}: {said}"
    return TrainingEnd(said, advice, share=number / folds)


def _out_of_time(settings: TrainingSettings, reached: Reached) -> bool:
    limit, seconds = settings.max_time, reached.seconds
    return limit is not None and (seconds is None or seconds >= 60 * limit)


def _if_rising(
    settings: TrainingSettings, weights: Path, reached: Reached, folds: int
) -> tuple[str, ...]:
    """What can be done after all iterations: more of them, where the score still rose."""
    if len(reached.scores) < 2:
        return ()
    (_, before), (_, after) = reached.scores[-2:]
    if after - before < _RISING:
        return ()
    # The weights of one fold have been trained on what other folds hold out.
    go_on = (
        f", or go on from these weights in another --output with --start-from {weights}"
        if folds == 1
        else ""
    )
    return (
        f"the score still rose ({before:.3f}, then {after:.3f}): give --iterations "
        f"{2 * settings.how.iterations} and another --output{go_on}",
    )


def _if_no_better(settings: TrainingSettings) -> tuple[str, ...]:
    rate = settings.how.learning_rate / 4
    return (
        f"to try again, in another --output: a lower --learning-rate (such as {rate:g}), more "
        "--iterations, or more labelled images",
    )


def _with_more_time(
    settings: TrainingSettings, card: WeightsCard, reached: Reached
) -> tuple[str, ...]:
    """What can be done after a training that time ended: give it more, or ask for less."""
    assert settings.max_time is not None
    afresh = ", without --overwrite" if settings.overwrite else ""
    if reached.iteration < _PACED:
        return (f"to go on, the same command with a longer --max-time{afresh}",)
    seconds = reached.seconds or 60 * settings.max_time
    pace = seconds / max(1, reached.iteration)
    whole = ceil(1.05 * pace * settings.how.iterations / 60)
    # A tenth less, as processes start and images are scored in that time too.
    fit = int(0.9 * 60 * settings.max_time / pace)
    advice = [f"to go on, the same command with --max-time {whole}{afresh}"]
    start = _start_for(settings, card)
    if start is not None:
        advice.append(
            f"or to be done in this time, --start-from {start} --iterations {fit} and another "
            "--output: those weights know the task already, and the learning rate falls to its end"
        )
    return tuple(advice)


def _start_for(settings: TrainingSettings, card: WeightsCard) -> str | None:
    """Name of shipped weights that this training could have started from; None if there are none.

    A training that did start from some has no need to hear it.
    """
    if settings.start_from is not None or settings.encoder_weights != "none":
        return None
    for name in shipped():
        if _kind(card_of(name)) == _kind(card):
            return name
    return None


def _kind(card: WeightsCard) -> tuple[str, str, dict[str, Any]]:
    """What weights to start from must have in common: all but the steps."""
    own = {name: value for name, value in card.arguments.items() if name != "steps"}
    return card.task, card.network, own
