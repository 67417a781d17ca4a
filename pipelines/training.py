"""Training on Lightning: the paper's loss, checkpoints, resume, logs."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from math import inf
from pathlib import Path
from typing import Any, Literal, cast

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from pipelines import distributed
from pipelines.callbacks import (
    BestCheckpoint,
    LastCheckpoint,
    LogLines,
    WholeFiles,
    optional_callbacks,
    read_checkpoint,
)
from pipelines.crops import CropSource, stream
from pipelines.errors import DeviceMemoryError, PipelineError, TrainingError, shortened
from pipelines.loading import crop_loader, crops_died, held_out_loader
from pipelines.mlflow_log import mlflow_logger
from pipelines.objective import Objective
from pipelines.predictor import out_of_memory
from pipelines.scores.curve import HALF
from pipelines.scores.histogram import Counts, Histogram, curve_of, foreground_at
from pipelines.starts import starting_mask
from pipelines.training_config import Precision, TrainingSettings
from rurnet.loss import IGNORE, label_weight, multi_step_loss
from rurnet.network import SegmentationNetwork
from rurnet.registry import create
from tiling.errors import TilingError

_LARGEST_GRADIENT = 1.0

_LATE = 0.2
"""Share of the iterations with random steps that take some before those with a loss."""


class SegmentationModule(lightning.LightningModule):
    """A network, the multi-step loss, and the held-out images' scores.

    Args:
        settings: What training depends on.
        objective: What is trained.
    """

    def __init__(self, settings: TrainingSettings, objective: Objective) -> None:
        super().__init__()
        # Parts of a batch are worked through one by one, and a batch ends with one step.
        self.automatic_optimization = False
        self.settings = settings
        self.how = settings.how
        self.objective = objective
        self.network = create(settings.model, **objective.arguments).channels_last()
        if objective.start is not None:
            self.network.load_state_dict(objective.start)
        self.counts = Histogram().counts
        weights = torch.tensor(objective.class_weights)
        self.register_buffer("class_weights", weights, persistent=False)

    def training_step(self, batch: dict[str, Tensor], _: int) -> None:
        """One step of the optimizer (equation 7).

        Raises:
            TrainingError: The loss is not a number, or its gradient.
        """
        optimizer = cast(LightningOptimizer, self.optimizers())
        optimizer.zero_grad()
        labels = batch["label"][:, 0]
        class_weights = self.get_buffer("class_weights")
        # Of all processes' parts: they have unlike numbers of labelled pixels. Their gradients
        # are averaged, hence the mean of the weights and not the sum.
        denominator = self._over_processes(label_weight(labels, class_weights), "mean")
        parts = min(self.settings.accumulate, len(labels))
        before, steps = self._steps()
        loss = labels.new_zeros((), dtype=torch.float32)
        pieces = [batch[key].tensor_split(parts) for key in ("image", "label", "start")]
        for image, label, start in zip(*pieces, strict=True):
            part = multi_step_loss(
                self._logits(image, start, before, steps),
                label[:, 0],
                alpha=self.objective.alpha,
                class_weights=class_weights,
                dice=self.settings.dice / parts,
                cldice=self.settings.cldice / parts,
                denominator=denominator,
            )
            self.manual_backward(part)
            loss += part.detach()
        clip = _LARGEST_GRADIENT if self.how.optimizer == "adamw" else inf
        norm = torch.nn.utils.clip_grad_norm_(self.parameters(), clip)
        self._check(loss, norm)
        optimizer.step()
        cast(LRScheduler, self.lr_schedulers()).step()
        self.log("train/loss", self._over_processes(loss, "mean"), prog_bar=True)

    def _logits(self, image: Tensor, start: Tensor, before: int, steps: int) -> list[Tensor]:
        """Logits of the steps that the loss sees, which come after `before` others."""
        image = image.contiguous(memory_format=torch.channels_last)
        mask = starting_mask(start, self.network.classes).to(image)
        state = self.network.initial_state(image, mask)
        with torch.no_grad():
            for _ in range(before):
                _, state = self.network.step(image, state)
        return self.network.unroll(image, state, steps)

    def _steps(self) -> tuple[int, int]:
        """Steps before those with a loss, and steps with one.

        Fewer than the network's N: a mask is to be good after one step too; t steps are taken t
        times as often as one. Some before N others: more steps must not make a mask worse.
        """
        most = self.network.steps
        # Of the iteration alone: all processes draw alike, and a resumed training too.
        random = stream("steps", self.settings.seed, self.global_step)
        if self.network.one_shot or not self.how.random_steps:
            return 0, most
        if random.random() < _LATE:
            return int(random.integers(1, most + 1)), most
        often = np.arange(1, most + 1)
        return 0, int(random.choice(often, p=often / often.sum()))

    def _over_processes(self, value: Tensor, operation: str) -> Tensor:
        """Mean or sum of a value over all processes."""
        return cast(Tensor, self.trainer.strategy.reduce(value, reduce_op=operation))

    def _check(self, loss: Tensor, norm: Tensor) -> None:
        """The weights would be lost with the next step."""
        if torch.isfinite(loss) and torch.isfinite(norm):
            return
        what = "loss" if not torch.isfinite(loss) else "gradient"
        raise TrainingError(
            f"iteration {self.global_step + 1}: the {what} is not a number any more; what "
            "checkpoints there are, are from before it; train with a lower --learning-rate, "
            "in another --output or with --overwrite"
        )

    def on_validation_epoch_start(self) -> None:
        """Starts a new count."""
        self.histogram = Histogram()

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        """Counts the held-out tiles' pixels."""
        image = batch["image"].contiguous(memory_format=torch.channels_last)
        foreground = 1 - self.network(image)[-1].float().softmax(dim=1)[:, 0]
        levels = (foreground * 254).round().to(torch.uint8).cpu().numpy()
        label = batch["label"][:, 0].cpu().numpy()
        self.histogram.add(levels, (label > 0) & (label != IGNORE), label != IGNORE)

    def on_validation_epoch_end(self) -> None:
        """Logs F1 at 0.5 and break-even of the held-out images."""
        ours = torch.from_numpy(self.histogram.counts).to(self.device)
        self.counts = self._over_processes(ours, "sum").cpu().numpy()
        f1 = float(foreground_at(self.counts, HALF).f1)
        break_even = float(curve_of(self.counts).break_even().value)
        # The same in all processes; Lightning cannot know.
        self.log("held_out/f1", f1, prog_bar=True, sync_dist=True)
        self.log("held_out/break_even", break_even, prog_bar=True, sync_dist=True)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the held-out counts with the weights they belong to."""
        checkpoint["held_out_counts"] = self.counts.tolist()

    def configure_optimizers(self) -> Any:
        """The protocol's optimizer and schedule."""
        rate, iterations = self.how.learning_rate, self.how.iterations
        optimizer: torch.optim.Optimizer
        schedule: LRScheduler
        if self.how.optimizer == "adamw":
            optimizer = torch.optim.AdamW(self.parameters(), lr=rate, weight_decay=1e-4)
            # Its first phase ends at iteration 0.1 * iterations - 1; of none it divides by nothing.
            rising = 0.2 if iterations == 10 else 0.1
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimizer, max_lr=rate, total_steps=iterations, pct_start=rising
            )
        else:
            optimizer = torch.optim.SGD(self.parameters(), lr=rate, momentum=0.9, weight_decay=5e-4)
            every = max(1, round(iterations * self.how.decay_interval))
            schedule = torch.optim.lr_scheduler.StepLR(optimizer, every, gamma=0.95)
        return [optimizer], [schedule]


@dataclass(frozen=True)
class Trained:
    """What a training ends with.

    Attributes:
        network: The weights of the best held-out break-even, in evaluation mode.
        held_out: The held-out images' counts [2, 255] with these weights, by tiles of
            `pipelines.loading.HELD_OUT_TILE`.
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

    Under `torchrun` every process takes its part of each batch, and all end with the same weights.

    Args:
        settings: What training depends on.
        objective: What is trained.
        sources: What crops are cut from.
        weights: How often each source is drawn, relative to the others.
        held_out: Images that choose the weights and the threshold; not among `sources`.
        folder: Where checkpoints and logs go.

    Returns:
        The best weights on the held-out images.

    Raises:
        TrainingError: The loss is not a number any more. Checkpoints from before are kept.
        PipelineError: A checkpoint to go on from is damaged, or a process that makes crops died.
        DeviceMemoryError: A batch does not fit into memory.
        OSError: The folder cannot be written.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    how = settings.how
    module = SegmentationModule(settings, objective)
    checkpoints = folder / "checkpoints"
    interval = max(1, how.iterations // settings.scorings)
    best = BestCheckpoint(
        checkpoints, filename="best", monitor="held_out/break_even", mode="max",
        save_top_k=1, enable_version_counter=False,
    )  # fmt: skip
    told = RichProgressBar(leave=True) if sys.stderr.isatty() else LogLines()
    last = LastCheckpoint(checkpoints / "last.ckpt", max(1, interval // 4), interval, settings)
    callbacks = [*optional_callbacks(settings), best, last, LearningRateMonitor("step"), told]
    every = min(20, how.iterations)
    trainer = lightning.Trainer(
        accelerator="auto",
        devices=distributed.processes_here(),
        num_nodes=distributed.machines(),
        strategy="ddp" if distributed.processes() > 1 else "auto",
        sync_batchnorm=distributed.processes() > 1,
        # Crops and tiles are shared among the processes here, by number.
        use_distributed_sampler=False,
        precision=precision_of(settings.precision),
        max_steps=how.iterations,
        max_time=None if settings.max_time is None else timedelta(minutes=settings.max_time),
        val_check_interval=interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=every,
        callbacks=callbacks,
        enable_progress_bar=isinstance(told, RichProgressBar),
        logger=_loggers(settings, folder, every),
        enable_model_summary=False,
        plugins=[WholeFiles()],
    )
    # The running average is made where the module is then, before the trainer moves it.
    module.to(trainer.strategy.root_device)
    loader = crop_loader(settings, objective, sources, weights, lambda: trainer.global_step)
    scoring = held_out_loader(objective, held_out)
    resume = None if settings.overwrite or not last.path.exists() else str(last.path)
    if resume is None or not last.ended():
        with _without_untrue_warnings(), _as_raised():
            trainer.fit(module, loader, scoring, ckpt_path=resume, weights_only=False)
    return _best(settings, objective, checkpoints / "best.ckpt")


def _loggers(settings: TrainingSettings, folder: Path, every: int) -> list[Logger]:
    """TensorBoard, CSV (one file for each start), and MLflow where it is wanted."""
    loggers: list[Logger] = [
        TensorBoardLogger(folder, name="", version="tensorboard"),
        CSVLogger(folder, name="csv", flush_logs_every_n_steps=every),
    ]
    if settings.mlflow is not None:
        loggers.append(mlflow_logger(settings.mlflow, folder, settings.compared()))
    return loggers


@contextmanager
def _without_untrue_warnings() -> Iterator[None]:
    """What Lightning warns of in general and is as it should be here."""
    with warnings.catch_warnings():
        for message in (
            "Checkpoint directory .* exists and is not empty",  # A resume finds its own in it.
            "You're resuming from a checkpoint that ended before",  # `NumbersFrom` resumes there.
            "`isinstance.treespec",  # Lightning's own call.
            "The '.*_dataloader' does not have many workers",  # --workers says how many.
        ):
            warnings.filterwarnings("ignore", message)
        yield


@contextmanager
def _as_raised() -> Iterator[None]:
    """What a process that makes crops raises, without the traceback that torch puts around it.

    And an interrupt, which Lightning takes for the end of the program, and the lack of memory.
    """
    try:
        yield
    except SystemExit as end:
        if isinstance(end.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt(*end.__context__.args) from None
        raise
    except (RuntimeError, MemoryError, ConnectionError, EOFError) as error:
        if isinstance(error, MemoryError) or out_of_memory(error):
            raise DeviceMemoryError(
                f"a batch does not fit into memory ({shortened(error)}); work through it in parts "
                "with --accumulate, or give fewer --batch-pixels"
            ) from error
        if crops_died(error):
            if "Terminated" in str(error):
                # A scheduler, or `timeout`, terminates all processes of a job, this one too.
                raise KeyboardInterrupt(signal.SIGTERM) from None
            raise PipelineError(
                f"a process that makes crops died ({shortened(error)}), perhaps for want of "
                "memory; the same command goes on from what is there, with fewer --workers too"
            ) from error
        raise
    except (PipelineError, TilingError) as error:
        if "in DataLoader worker process" not in str(error):
            raise
        *_, last = str(error).strip().splitlines()
        raise type(error)(last.partition(": ")[2]) from None


def precision_of(wanted: Precision) -> Literal["32-true", "bf16-mixed"]:
    """bf16 where it pays: on a GPU that has it. On CPUs it measured half as fast as 32 bits."""
    if wanted != "auto":
        return wanted
    pays = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if pays else "32-true"


def _best(settings: TrainingSettings, objective: Objective, path: Path) -> Trained:
    checkpoint = read_checkpoint(path)
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
