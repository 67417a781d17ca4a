"""Trains a network, or goes on where a killed training stopped."""

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from lightning.pytorch.callbacks import LearningRateMonitor, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pipelines.config.training import Precision, TrainingSettings
from pipelines.errors import DeviceMemoryError, PipelineError, shortened
from pipelines.runtime import processes as distributed
from pipelines.runtime.device import out_of_memory
from pipelines.sampling.sources import CropSource
from pipelines.scores.histogram import Counts, curve_of
from pipelines.training.callbacks import (
    BestCheckpoint,
    LastCheckpoint,
    LogLines,
    WholeFiles,
    optional_callbacks,
    read_checkpoint,
)
from pipelines.training.loaders import Tile, crop_loader, crops_died, held_out_loader
from pipelines.training.mlflow_logger import mlflow_logger
from pipelines.training.module import SegmentationModule
from pipelines.training.objective import Objective
from rurnet.network import SegmentationNetwork
from tiling.errors import TilingError


@dataclass(frozen=True)
class Trained:
    """What a training ends with.

    Attributes:
        network: The weights of the best held-out break-even, in evaluation mode.
        held_out: The held-out images' counts [2, 255] with these weights, by tiles of
            `pipelines.sampling.statistics.TILE`.
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
    held_out: Sequence[Tile],
    folder: Path,
) -> Trained:
    """Trains, or goes on where a killed training stopped.

    Under `torchrun` every process takes its part of each batch, and all end with the same weights.

    Args:
        settings: What training depends on.
        objective: What is trained.
        sources: What crops are cut from.
        weights: How often each source is drawn, relative to the others.
        held_out: Labelled tiles of the images that choose the weights and the threshold; none of
            these images is among `sources`.
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
