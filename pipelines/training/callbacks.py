"""Callbacks of a training: the average of the weights, the early stop, the log."""

import logging
import time
from functools import partial
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import EarlyStopping, WeightAveraging
from torch import Tensor

from pipelines.config.training import TrainingSettings

_LOG = logging.getLogger("rurnet")


_LINE_EVERY_S = 30.0


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


class LogLines(lightning.Callback):
    """Logs the progress of a training; used without a terminal for a progress bar."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Logs the loss, at most every 30 seconds."""
        if trainer.is_global_zero and time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            loss = float(trainer.callback_metrics["train/loss"])
            _LOG.info("iteration %d of %s: loss %.4f", trainer.global_step, trainer.max_steps, loss)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Logs the scores of the held-out images."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        held_out = [float(metrics[f"held_out/{key}"]) for key in _SCORED]
        prefix = "held_out/break_even_"
        each = [f"{float(metrics[key]):.3f}" for key in metrics if key.startswith(prefix)]
        _LOG.info(
            "iteration %d of %s: held-out images have F1 %.3f, break-even %.3f%s",
            trainer.global_step, trainer.max_steps, *held_out,
            f" (by data set: {', '.join(each)})" if each else "",
        )  # fmt: skip
