"""Callbacks of a training: the average of the weights, the early stop, what is told."""

import logging
import time
from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, Timer, WeightAveraging
from torch import Tensor

from pipelines.config.training import TrainingSettings
from pipelines.results.progress import Progress
from pipelines.results.training import FIRST_CROPS, SCORING, TRAINING, TrainingStanding

_LOG = logging.getLogger("rurnet")


_TOLD_EVERY_S = 0.5


_SMOOTH_S = 3.0
"""Seconds of iterations before which their pace is not known."""


_SCORED = ("f1", "break_even")


def optional_callbacks(settings: TrainingSettings) -> list[lightning.Callback]:
    """Returns the callbacks that the settings ask for: weight averaging, early stopping."""
    found: list[lightning.Callback] = []
    if settings.how.ema:
        found.append(WeightAveraging(avg_fn=partial(_running_average, settings.how.ema)))
    if settings.patience:
        found.append(
            _Patience(
                "held_out/break_even", mode="max", patience=settings.patience, check_finite=False
            )
        )
    return found


class _Patience(EarlyStopping):
    """Stops early. A resumed training takes the patience of its present settings."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the count of scorings without a better score, but not the patience."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def _running_average(decay: float, average: Tensor, current: Tensor, count: Tensor) -> Tensor:
    """Exponential running average; it decays faster at first, to forget the random weights."""
    if not average.is_floating_point():
        return current  # The count of batches of batch norm.
    # Stays on the device: reading a number would wait for the GPU, for each tensor.
    weight = ((1 + count) / (10 + count)).clamp(max=decay)
    return torch.lerp(current, average, weight.to(average))


class ShownProgress(lightning.Callback):
    """Tells how far a training has come, and logs the scores of the held-out images.

    Args:
        progress: Who is told.
        timer: Measures the time of the training, and may end it.
        settings: Settings of the training.
        fold: Number of this training, from 1 on, and how many there are.
    """

    def __init__(
        self, progress: Progress, timer: Timer, settings: TrainingSettings, fold: tuple[int, int]
    ) -> None:
        self.scores: list[tuple[int, float]] = []
        """Iteration and break-even of each scoring, also of those before a kill."""
        self._progress, self._timer, self._fold = progress, timer, fold
        self._limit_s = None if settings.max_time is None else 60 * settings.max_time
        self._last = -_TOLD_EVERY_S
        self._paced: tuple[int, float] | None = None
        self._loss: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """Returns the scores."""
        return {"scores": self.scores}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the scores."""
        self.scores = [*map(tuple, state_dict["scores"])]

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Tells where it begins."""
        self._tell(trainer, FIRST_CROPS)

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Tells how far it is, not more often than can be read."""
        if self._paced is None:
            # From the end of the first: it waits for the processes that make crops.
            self._paced = trainer.global_step, time.monotonic()
        if time.monotonic() - self._last >= _TOLD_EVERY_S:
            # Reading a number waits for the GPU.
            self._loss = float(trainer.callback_metrics["train/loss"])
            self._tell(trainer, TRAINING)

    def on_validation_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Tells that the held-out images are scored."""
        self._tell(trainer, SCORING)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Logs the scores of the held-out images."""
        metrics = trainer.callback_metrics
        held_out = [float(metrics[f"held_out/{key}"]) for key in _SCORED]
        self.scores.append((trainer.global_step, held_out[-1]))
        self._tell(trainer, TRAINING)
        if not trainer.is_global_zero:
            return
        prefix = "held_out/break_even_"
        each = [f"{float(metrics[key]):.3f}" for key in metrics if key.startswith(prefix)]
        _LOG.info(
            "iteration %d of %s: held-out images have F1 %.3f, break-even %.3f%s",
            trainer.global_step, trainer.max_steps, *held_out,
            f" (by data set: {', '.join(each)})" if each else "",
        )  # fmt: skip

    def _tell(self, trainer: lightning.Trainer, phase: str) -> None:
        if not trainer.is_global_zero:
            return
        self._last = time.monotonic()
        done, iterations = trainer.global_step, int(trainer.max_steps)
        left, share, limit = self._by_pace(done, iterations), done / iterations, "--iterations"
        if self._limit_s is not None:
            elapsed = self._timer.time_elapsed()
            share = min(1.0, max(share, elapsed / self._limit_s))
            if left is None or self._limit_s - elapsed < left:
                left, limit = max(0.0, self._limit_s - elapsed), "--max-time"
        number, folds = self._fold
        self._progress.training(
            TrainingStanding(
                phase, self._fold, done, iterations, (number - 1 + share) / folds, self._loss,
                self.scores[-1][1] if self.scores else None, left, limit,
            )
        )  # fmt: skip

    def _by_pace(self, done: int, iterations: int) -> float | None:
        """Seconds that the iterations left will take at the pace of this start, with scorings."""
        if self._paced is None:
            return None
        first, since = self._paced
        taken = time.monotonic() - since
        if done == first or taken < _SMOOTH_S:
            return None
        return taken / (done - first) * (iterations - done)
