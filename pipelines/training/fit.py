"""Fits a network, and resumes a training that was killed."""

import logging
import signal
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import lightning
import numpy as np
from lightning.pytorch.callbacks import LearningRateMonitor, Timer
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger

from pipelines.config.training import TrainingSettings
from pipelines.errors import DeviceMemoryError, PipelineError, shortened
from pipelines.models.weights import between
from pipelines.results.progress import Progress
from pipelines.runtime import processes as distributed
from pipelines.runtime.device import out_of_memory
from pipelines.sampling.sources import CropSource
from pipelines.scores.histogram import Counts, curve_of
from pipelines.training.callbacks import ShownProgress, optional_callbacks
from pipelines.training.checkpoints import (
    BestCheckpoint,
    LastCheckpoint,
    WholeFiles,
    read_checkpoint,
)
from pipelines.training.ending import Chosen, Reached, reached_in
from pipelines.training.loaders import Tile, crop_loader, crops_died, held_out_loader
from pipelines.training.mlflow_logger import mlflow_logger
from pipelines.training.module import SegmentationModule
from pipelines.training.objective import Objective
from pipelines.training.run_folder import precision_of
from rurnet.network import SegmentationNetwork
from tiling.errors import TilingError

_LOG = logging.getLogger("rurnet")

_SHARES = (0.0, 0.25, 0.5, 0.75)
"""Shares of what was trained, in averages with the weights that it started from."""


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        network: The network with the best break-even on the held-out images, in evaluation mode;
            the one that the training started from, or an average of both, where that is better.
        held_out: Its counts [2, 255] on the held-out images, predicted in tiles of
            `pipelines.sampling.statistics.TILE`.
        threshold: Probability threshold with the highest F1 on the held-out images.
        chosen: Which weights these are.
        reached: How far the training came.
    """

    network: SegmentationNetwork
    held_out: Counts
    threshold: float
    chosen: Chosen
    reached: Reached


def train(
    settings: TrainingSettings,
    objective: Objective,
    sources: Sequence[CropSource],
    weights: Sequence[float],
    held_out: Sequence[Tile],
    folder: Path,
    progress: Progress,
    fold: tuple[int, int] = (1, 1),
) -> Trained:
    """Trains a network, or resumes a training that was killed.

    Under `torchrun` each process takes its part of every batch, and all end with the same weights.

    Args:
        settings: Settings of the training.
        objective: Network, normalisation and loss.
        sources: Images from which crops are cut.
        weights: How often each source is drawn, relative to the others.
        held_out: Labelled tiles of the images that choose the weights and the threshold; none of
            these images is among `sources`.
        folder: Folder for checkpoints and logs.
        progress: Who is told.
        fold: Number of this training, from 1 on, and how many there are.

    Returns:
        The network with the best score on the held-out images.

    Raises:
        TrainingError: The loss is no longer a number. Earlier checkpoints are kept.
        PipelineError: A checkpoint is damaged, or a process that makes crops died.
        DeviceMemoryError: A batch does not fit into memory.
        OSError: The folder cannot be written.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    lightning.seed_everything(settings.seed, workers=True, verbose=False)
    how = settings.how
    data_sets = 1 + max(tile.data_set for tile in held_out)
    module = SegmentationModule(settings, objective, data_sets)
    checkpoints = folder / "checkpoints"
    interval = max(1, how.iterations // settings.scorings)
    best = BestCheckpoint(
        checkpoints, filename="best", monitor="held_out/break_even", mode="max",
        save_top_k=1, enable_version_counter=False,
    )  # fmt: skip
    limit = None if settings.max_time is None else timedelta(minutes=settings.max_time)
    timer = Timer(limit, verbose=False)
    shown = ShownProgress(progress, timer, settings, fold)
    last = LastCheckpoint(checkpoints / "last.ckpt", max(1, interval // 4), interval, settings)
    callbacks = [
        timer, *optional_callbacks(settings), best, last, LearningRateMonitor("step"), shown,
    ]  # fmt: skip
    log_interval = min(20, how.iterations)
    where: dict[str, Any] = {
        "accelerator": "auto",
        "devices": distributed.processes_here(),
        "num_nodes": distributed.machines(),
        "strategy": "ddp" if distributed.processes() > 1 else "auto",
        "sync_batchnorm": distributed.processes() > 1,
        # The loaders share crops and tiles among the processes themselves.
        "use_distributed_sampler": False,
        "precision": precision_of(settings, folder),
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(
        **where,
        max_steps=how.iterations,
        val_check_interval=interval,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=log_interval,
        callbacks=callbacks,
        logger=_loggers(settings, folder, log_interval),
        plugins=[WholeFiles()],
    )
    # The running average copies the module before the trainer moves it to its device.
    module.to(trainer.strategy.root_device)
    loader = crop_loader(settings, objective, sources, weights, lambda: trainer.global_step)
    scoring = held_out_loader(objective, held_out)
    resume = None if settings.overwrite or not last.path.exists() else str(last.path)
    if resume is None or not last.ended():
        with _without_untrue_warnings(), _as_raised():
            trainer.fit(module, loader, scoring, ckpt_path=resume, weights_only=False)
    trained = _best(settings, objective, checkpoints / "best.ckpt", reached_in(last.path))
    start = objective.start
    # An encoder's weights do not know the task: only those of a whole training are averaged with.
    if start is None or settings.start_from is None:
        return trained
    judge = lightning.Trainer(**where, logger=False, enable_checkpointing=False)

    def scored(share: float) -> tuple[SegmentationModule, float]:
        average = SegmentationModule(settings, objective, data_sets)
        average.network.load_state_dict(between(start, trained.network.state_dict(), share))
        with _without_untrue_warnings(), _as_raised():
            (scores,) = judge.validate(average, scoring, verbose=False)
        return average, float(scores[best.monitor or ""])

    return _averaged_with_start(trained, scored)


def _loggers(settings: TrainingSettings, folder: Path, interval: int) -> list[Logger]:
    """Returns the loggers: TensorBoard, CSV (a file for each start), and MLflow if configured."""
    loggers: list[Logger] = [
        TensorBoardLogger(folder, name="", version="tensorboard"),
        CSVLogger(folder, name="csv", flush_logs_every_n_steps=interval),
    ]
    if settings.mlflow is not None:
        loggers.append(mlflow_logger(settings.mlflow, folder, settings.compared()))
    return loggers


@contextmanager
def _without_untrue_warnings() -> Iterator[None]:
    """Silences warnings of Lightning that do not apply here."""
    with warnings.catch_warnings():
        for message in (
            "Checkpoint directory .* exists and is not empty",  # Right for a resumed training.
            "You're resuming from a checkpoint that ended before",  # `NumbersFrom` resumes there.
            # A training goes on without --patience.
            "Be aware that when using `ckpt_path`, callbacks used to create the checkpoint",
            "`isinstance.treespec",  # Caused by Lightning itself.
            "The '.*_dataloader' does not have many workers",  # --workers sets the number.
        ):
            warnings.filterwarnings("ignore", message)
        yield


@contextmanager
def _as_raised() -> Iterator[None]:
    """Turns errors inside Lightning into the original or a clear error.

    Errors of crop processes lose the traceback that torch adds, an interrupt that Lightning turned
    into an exit becomes an interrupt again, and lack of memory gets a message with a remedy.
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
                f"a batch does not fit into memory ({shortened(error)}); process it in parts "
                "with --accumulate, or lower --batch-pixels"
            ) from error
        if crops_died(error):
            if "Terminated" in str(error):
                # A scheduler or `timeout` terminates all processes of a job, including this one.
                raise KeyboardInterrupt(signal.SIGTERM) from None
            raise PipelineError(
                f"a process that makes crops died ({shortened(error)}), perhaps for lack of "
                "memory; the same command goes on from what is there, if need be with fewer "
                "--workers"
            ) from error
        raise
    except (PipelineError, TilingError) as error:
        if "in DataLoader worker process" not in str(error):
            raise
        *_, last = str(error).strip().splitlines()
        raise type(error)(last.partition(": ")[2]) from None


def _averaged_with_start(
    trained: Trained, scored: Callable[[float], tuple[SegmentationModule, float]]
) -> Trained:
    """The best of what was trained, the weights that it started from, and averages of both.

    Averages are often better than both on images that are unlike those of the training, see
    `pipelines.models.weights.between`.

    Args:
        trained: What was trained.
        scored: Makes the average in which it has a share, and its score on the held-out images.
    """
    # Old checkpoints do not say how they scored.
    if trained.chosen.score is None:
        return trained
    found = {share: scored(share) for share in _SHARES}
    _LOG.info(
        "held-out images: break-even %.3f with the weights that the training started from, %.3f "
        "after it, %s with averages in which it has a share of %s",
        found[0][1], trained.chosen.score,
        ", ".join(f"{found[share][1]:.3f}" for share in _SHARES[1:]),
        ", ".join(f"{share:g}" for share in _SHARES[1:]),
    )  # fmt: skip
    # Of those that score the same, the one nearest to the start; nan, where nothing is found, last.
    share = max(found, key=lambda share: np.nan_to_num(found[share][1], nan=-1))
    module, score = found[share]
    if not score >= trained.chosen.score or (share and score == trained.chosen.score):
        return trained
    return replace(
        trained,
        network=module.network.eval(),
        held_out=module.counts,
        threshold=_best_threshold(module.counts),
        chosen=Chosen(trained.chosen.iteration if share else 0, score, share),
    )


def _best(
    settings: TrainingSettings, objective: Objective, path: Path, reached: Reached
) -> Trained:
    checkpoint = read_checkpoint(path)
    module = SegmentationModule(settings, objective)
    module.load_state_dict(checkpoint["state_dict"])
    held_out = np.array(checkpoint["held_out_counts"], np.int64)
    iteration = int(checkpoint["global_step"])
    return Trained(
        network=module.network.eval(),
        held_out=held_out,
        threshold=_best_threshold(held_out),
        chosen=Chosen(iteration, dict(reached.scores).get(iteration)),
        reached=reached,
    )


def _best_threshold(held_out: Counts) -> float:
    best = float(curve_of(held_out).best().threshold)
    # It is nan if nothing is found at any.
    return 0.5 if np.isnan(best) else round(best, 3)
