"""Training on Lightning: the paper's loss, checkpoints, resume, logs."""

import logging
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import (
    Checkpoint,
    LearningRateMonitor,
    ModelCheckpoint,
    RichProgressBar,
)
from lightning.pytorch.loggers import TensorBoardLogger
from monai.transforms import Compose, ToTensord
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipelines.config import Precision, TrainingSettings
from pipelines.crops import CropBatches, CropPlan, CropSource, NumbersFrom
from pipelines.objective import Objective
from pipelines.scores.curve import HALF
from pipelines.scores.histogram import Counts, Histogram, curve_of, foreground_at
from pipelines.transforms import KEYS, Normalised, augmentation
from rurnet.loss import IGNORE, multi_step_loss
from rurnet.network import SegmentationNetwork
from rurnet.registry import create

_LOG = logging.getLogger("rurnet")
_LINE_EVERY_S = 30.0
_SCORED = ("f1", "break_even")

HELD_OUT_TILE = 512
"""Side of the tiles that held-out images are scored by during training."""


class HeldOutTiles(Dataset[dict[str, Tensor]]):
    """All tiles of the held-out images, normalised."""

    def __init__(
        self, sources: Sequence[CropSource], mean: tuple[float, ...], std: tuple[float, ...]
    ) -> None:
        prepare = Compose([Normalised(mean, std), ToTensord(KEYS, track_meta=False)])
        raw = [tile for source in sources for tile in source.tiles(HELD_OUT_TILE)]
        self.tiles = [tile for tile in raw if (tile["label"] != IGNORE).any()]
        self.prepare = prepare

    def __len__(self) -> int:
        """How many tiles."""
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One tile: image [c, s, s], label and valid [1, s, s]."""
        prepared: dict[str, Tensor] = self.prepare(self.tiles[index])
        return prepared


class SegmentationModule(lightning.LightningModule):
    """A network, the multi-step loss, and the held-out images' scores.

    Args:
        settings: What training depends on.
        objective: What is trained.
    """

    def __init__(self, settings: TrainingSettings, objective: Objective) -> None:
        super().__init__()
        self.settings = settings
        self.objective = objective
        self.network = create(settings.model, **objective.arguments).channels_last()
        if objective.start is not None:
            self.network.load_state_dict(objective.start)
        self.histogram = Histogram()
        weights = torch.tensor(objective.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        """Loss of a batch (equation 7)."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        loss = multi_step_loss(
            self.network(image),
            batch["label"][:, 0],
            alpha=self.objective.alpha,
            class_weights=self.get_buffer("class_weights"),
            dice=self.settings.dice,
            cldice=self.settings.cldice,
        )
        self.log("train/loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Starts a new count."""
        self.histogram = Histogram()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Counts the held-out tiles' pixels."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        foreground = self.network(image)[-1].float().softmax(dim=1)[:, 1]
        levels = (foreground * 254).round().to(torch.uint8).cpu().numpy()
        label = batch["label"][:, 0].cpu().numpy()
        self.histogram.add(levels, label == 1, label != IGNORE)

    def on_validation_epoch_end(self) -> None:
        """Logs F1 at 0.5 and break-even of the held-out images."""
        counts = self.histogram.counts
        f1 = float(foreground_at(counts, HALF).f1)
        break_even = float(curve_of(counts).break_even().value)
        self.log("held_out/f1", f1, prog_bar=True)
        self.log("held_out/break_even", break_even, prog_bar=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the held-out counts with the weights they belong to."""
        checkpoint["held_out_counts"] = self.histogram.counts.tolist()

    def configure_optimizers(self) -> Any:
        """AdamW on a one-cycle schedule."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self.settings.learning_rate, weight_decay=1e-4
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=self.settings.learning_rate,
            total_steps=self.settings.iterations,
            pct_start=0.1,
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


@dataclass(frozen=True)
class Trained:
    """What a training ends with.

    Attributes:
        network: The weights of the best held-out break-even, in evaluation mode.
        held_out: The held-out images' counts [2, 255] with these weights, by tiles of
            `HELD_OUT_TILE`.
        threshold: Probability of the highest held-out F1.
        iteration: When they were reached.
    """

    network: SegmentationNetwork
    held_out: Counts
    threshold: float
    iteration: int


def train(
    settings: TrainingSettings,
    objective: Objective,
    sources: Sequence[CropSource],
    weights: Sequence[float],
    held_out: Sequence[CropSource],
    folder: Path,
) -> Trained:
    """Trains, or goes on where a killed training stopped.

    Args:
        settings: What training depends on.
        objective: What is trained.
        sources: What crops are cut from.
        weights: How often each source is drawn, relative to the others.
        held_out: Images that choose the weights and the threshold; not among `sources`.
        folder: Where checkpoints and the TensorBoard log go.

    Returns:
        The best weights on the held-out images.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    mean, std = objective.mean, objective.std
    module = SegmentationModule(settings, objective)
    checkpoints = folder / "checkpoints"
    interval = max(1, settings.iterations // settings.scorings)
    best = ModelCheckpoint(
        checkpoints, filename="best", monitor="held_out/break_even", mode="max",
        save_top_k=1, enable_version_counter=False,
    )  # fmt: skip
    told = RichProgressBar(leave=True) if sys.stderr.isatty() else LogLines()
    last = LastCheckpoint(checkpoints / "last.ckpt", max(1, interval // 4), interval)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices="auto" if torch.cuda.is_available() else 1,
        precision=_precision(settings.precision),
        max_steps=settings.iterations,
        val_check_interval=interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        log_every_n_steps=min(20, settings.iterations),
        callbacks=[best, last, LearningRateMonitor("step"), told],
        enable_progress_bar=isinstance(told, RichProgressBar),
        logger=TensorBoardLogger(folder, name="", version="tensorboard"),
        enable_model_summary=False,
    )
    plan = CropPlan(tuple(settings.crop_sizes), settings.batch_pixels, settings.seed)
    batches = CropBatches(sources, weights, plan, augmentation(mean, std))
    loader: DataLoader[dict[str, Tensor]] = DataLoader(
        batches,
        batch_size=None,
        sampler=NumbersFrom(settings.iterations, lambda: trainer.global_step),
        num_workers=settings.workers,
        persistent_workers=settings.workers > 0,
        # A fork would take over the threads and signal handlers of a Prefect run, and end badly.
        multiprocessing_context="spawn" if settings.workers else None,
        pin_memory=torch.cuda.is_available(),
    )
    scoring: DataLoader[dict[str, Tensor]] = DataLoader(HeldOutTiles(held_out, mean, std), 4)
    resume = str(last.path) if last.path.exists() else None
    with _without_untrue_warnings():
        trainer.fit(module, loader, scoring, ckpt_path=resume, weights_only=False)
    return _best(settings, objective, Path(best.best_model_path))


class LastCheckpoint(Checkpoint):
    """Writes what a killed training goes on from.

    Where the held-out images are about to be scored it waits until they are: a training that
    went on from just before would skip that scoring, and might miss its best weights.

    Args:
        path: The checkpoint.
        every: Iterations between two of them.
        scored_every: Iterations between two scorings.
    """

    def __init__(self, path: Path, every: int, scored_every: int) -> None:
        self.path = path
        self.every = every
        self.scored_every = scored_every

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """Between scorings."""
        step = trainer.global_step
        if step % self.every == 0 and step % self.scored_every != 0:
            trainer.save_checkpoint(self.path)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """After a scoring, once the best weights are on disk."""
        trainer.save_checkpoint(self.path)


@contextmanager
def _without_untrue_warnings() -> Iterator[None]:
    """What Lightning warns of in general and is as it should be here."""
    with warnings.catch_warnings():
        for message in (
            "Checkpoint directory .* exists and is not empty",  # A resume finds its own in it.
            "You're resuming from a checkpoint that ended before",  # `NumbersFrom` resumes there.
            "The '.*_dataloader' does not have many workers",  # --workers says how many.
        ):
            warnings.filterwarnings("ignore", message)
        yield


class LogLines(lightning.Callback):
    """Tells in a log how training gets on, where there is no terminal for a bar."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A line now and then."""
        if time.monotonic() - self._last >= _LINE_EVERY_S:
            self._last = time.monotonic()
            loss = float(trainer.callback_metrics["train/loss"])
            _LOG.info("iteration %d of %s: loss %.4f", trainer.global_step, trainer.max_steps, loss)

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        """A line for each scoring."""
        held_out = {key: float(trainer.callback_metrics[f"held_out/{key}"]) for key in _SCORED}
        _LOG.info(
            "iteration %d of %s: held-out images have F1 %.3f, break-even %.3f",
            trainer.global_step, trainer.max_steps, *held_out.values(),
        )  # fmt: skip


def _precision(wanted: Precision) -> Literal["32-true", "bf16-mixed"]:
    """bf16 where it pays: on a GPU that has it. On CPUs it measured half as fast as 32 bits."""
    if wanted != "auto":
        return wanted
    pays = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return "bf16-mixed" if pays else "32-true"


def _best(settings: TrainingSettings, objective: Objective, path: Path) -> Trained:
    checkpoint = torch.load(path, map_location="cpu", weights_only=False)
    module = SegmentationModule(settings, objective)
    module.load_state_dict(checkpoint["state_dict"])
    held_out = np.array(checkpoint["held_out_counts"], np.int64)
    best = float(curve_of(held_out).best().threshold)
    return Trained(
        network=module.network.eval(),
        held_out=held_out,
        # Where nothing is found at any threshold, none is better than one half.
        threshold=0.5 if np.isnan(best) else round(best, 3),
        iteration=int(checkpoint["global_step"]),
    )
