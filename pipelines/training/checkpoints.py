"""Checkpoints of a training: how they are written, read, and kept for the best weights."""

from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from pipelines.config.training import TrainingSettings
from pipelines.errors import PipelineError, shortened
from pipelines.training.loaders import crops_died
from tiling.disk import appearing


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints that appear only when they are complete, in any kind of folder."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Writes a temporary file beside `path` and renames it.

        Raises:
            OSError: The file cannot be written.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as partial:
            try:
                torch.save(checkpoint, partial)
            except RuntimeError as error:  # torch raises it for a full disk.
                if crops_died(error):
                    raise
                raise OSError(shortened(error)) from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Reads a checkpoint.

    Raises:
        PipelineError: It is damaged or missing.
    """
    try:
        checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    except (RuntimeError, EOFError, KeyError, OSError, UnpicklingError) as error:
        raise PipelineError(
            f"{path}: cannot be read ({shortened(error)}); start again with --overwrite"
        ) from error
    return checkpoint


class BestCheckpoint(ModelCheckpoint):
    """Keeps the best weights, also when a training is resumed in a folder that was moved."""

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores the best score, with all paths changed to the present folder."""

        def here(path: str) -> str:
            return str(Path(str(self.dirpath)) / Path(path).name) if path else path

        paths = {key: here(state_dict[key]) for key in ("best_model_path", "kth_best_model_path")}
        best = {here(path): score for path, score in state_dict["best_k_models"].items()}
        super().load_state_dict(
            {**state_dict, **paths, "best_k_models": best, "dirpath": self.dirpath}
        )


class LastCheckpoint(Checkpoint):
    """Writes the checkpoint from which a killed training is resumed.

    When a scoring of the held-out images is due, it is written after the scoring. A training
    resumed from a checkpoint just before would skip the scoring and might miss its best weights.

    Args:
        path: File of the checkpoint.
        every: Iterations between two checkpoints.
        scored_every: Iterations between two scorings.
        settings: Settings of the training; some of them decide when it ends.
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
        """Returns whether the training in the checkpoint ended, with the same `max_time` etc.

        Raises:
            PipelineError: The checkpoint is damaged.
        """
        checkpoint = read_checkpoint(self.path)
        noted = checkpoint["callbacks"].get(self.state_key)
        return bool(noted == self.ends)

    def state_dict(self) -> dict[str, Any]:
        """Returns the settings that ended the training; empty before its end."""
        return self.ends if self.reached else {}

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Writes a checkpoint when one is due and no scoring is."""
        step = trainer.global_step
        if step % self.every == 0 and step % self.scored_every != 0:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Writes a checkpoint after a scoring, once the best weights are on disk."""
        # Not earlier: a training that is stopped early is scored once more.
        self.reached = trainer.should_stop
        trainer.save_checkpoint(self.path)
