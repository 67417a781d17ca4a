"""What goes on beside a training: averaging, stopping early, the last checkpoint, the log."""

import logging
import time
from functools import partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import (
    Checkpoint,
    EarlyStopping,
    ModelCheckpoint,
    WeightAveraging,
)
from lightning.pytorch.plugins.io import TorchCheckpointIO
from torch import Tensor

from pipelines.config.training import TrainingSettings
from pipelines.errors import PipelineError, shortened
from pipelines.training.loaders import crops_died
from tiling.disk import appearing

_LOG = logging.getLogger("rurnet")


_LINE_EVERY_S = 30.0


_SCORED = ("f1", "break_even")


def optional_callbacks(settings: TrainingSettings) -> list[lightning.Callback]:
    """Those that a protocol, or a user, may do without."""
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
    """Stops early; a training that goes on has the patience that it is given now."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on counting."""
        super().load_state_dict({**state_dict, "patience": self.patience})


def _running_average(decay: float, average: Tensor, current: Tensor, count: Tensor) -> Tensor:
    """The exponential running average, which starts fast: the first weights know nothing."""
    if not average.is_floating_point():
        return current  # Batch norm counts its batches.
    # On the device: a number would be waited for, for each tensor.
    weight = ((1 + count) / (10 + count)).clamp(max=decay)
    return torch.lerp(current, average, weight.to(average))


class WholeFiles(TorchCheckpointIO):
    """Checkpoints that appear whole or not at all, wherever temporary files are kept."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Writes beside the name, then renames.

        Raises:
            OSError: The disk refuses.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as partial:
            try:
                torch.save(checkpoint, partial)
            except RuntimeError as error:  # What torch calls a full disk.
                if crops_died(error):
                    raise
                raise OSError(shortened(error)) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a checkpoint holds.

    Raises:
        PipelineError: It is damaged, or not there.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    except (RuntimeError, EOFError, KeyError, OSError, UnpicklingError) as error:
        raise PipelineError(
            f"{path}: cannot be read ({shortened(error)}); start afresh with --overwrite"
        ) from error
    return checkpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best weights; a training whose folder was moved goes on with what it has there."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from the best score so far."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            {**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath}
        )


class LastCheckpoint(Checkpoint):
    """Writes what a killed training goes on from.

    Where the held-out images are about to be scored it waits until they are: a training that
    went on from just before would skip that scoring, and might miss its best weights.

    Args:
        path: The checkpoint.
        every: Iterations between two of them.
        scored_every: Iterations between two scorings.
        settings: Of which some say when training ends.
    """

    def __init__(
        self, path: Path, every: int, scored_every: int, settings: TrainingSettings
    ) -> None:
        self.path = path
        self.every = every
        self.scored_every = scored_every
        self.ends = {"max_time": settings.max_time, "patience": settings.patience}
        self.reached = False

    def ended(self) -> bool:
        """Whether a training with the same ends is done, early or not.

        Raises:
            PipelineError: The checkpoint is damaged.
        """
        checkpoint = read_checkpoint(self.path)
        noted = checkpoint["callbacks"].get(self.state_key)
        return bool(noted == self.ends)

    def state_dict(self) -> dict[str, Any]:
        """What ended the training, once it is at its end."""
        return self.ends if self.reached else {}

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Between scorings."""
        step = trainer.global_step
        if step % self.every == 0 and step % self.scored_every != 0:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """After a scoring, once the best weights are on disk."""
        # Not before: a training that is stopped early is scored once more.
        self.reached = trainer.should_stop
        trainer.save_checkpoint(self.path)


class LogLines(lightning.Callback):
    """Tells in a log how training gets on, where there is no terminal for a bar."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A line now and then."""
        if trainer.is_global_zero and time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            loss = float(trainer.callback_metrics["train/loss"])
            _LOG.info("iteration %d of %s: loss %.4f", trainer.global_step, trainer.max_steps, loss)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A line for each scoring."""
        if not trainer.is_global_zero:
            return
        held_out = {key: float(trainer.callback_metrics[f"held_out/{key}"]) for key in _SCORED}
        _LOG.info(
            "iteration %d of %s: held-out images have F1 %.3f, break-even %.3f",
            trainer.global_step, trainer.max_steps, *held_out.values(),
        )  # fmt: skip
