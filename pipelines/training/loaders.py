"""Loaders of training and its scoring: batches of crops by number, tiles of held-out images."""

import os
import re
import sys
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import NamedTuple

import numpy as np
import torch
from monai.transforms import Compose, ToTensord
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from pipelines.config.training import TrainingSettings
from pipelines.errors import PipelineError
from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.runtime import processes as distributed
from pipelines.sampling import statistics
from pipelines.sampling.batches import CropBatches, CropSchedule, NumbersFrom
from pipelines.sampling.initial_masks import RandStartd
from pipelines.sampling.samples import KEYS
from pipelines.sampling.sources import CropSource
from pipelines.sampling.transforms import Normalised, augmentation
from pipelines.training.objective import Objective
from tiling.window import Window

_MOST_WORKERS = 4
"""Most processes that make crops by default; each holds the fundus images in memory."""


class Tile(NamedTuple):
    """A tile of a held-out image.

    Attributes:
        source: The image.
        window: A window of it that holds labelled pixels (see `Contents.labelled`).
        data_set: Number of the data set that the image is of.
    """

    source: CropSource
    window: Window
    data_set: int = 0


_AT_ONCE = 4
"""Most held-out tiles of a batch."""


class HeldOutTiles(Dataset[dict[str, Tensor]]):
    """Labelled tiles of the held-out images, normalised, or one process's share of them.

    They are read anew each time: those of large scenes would not fit into memory.

    Args:
        labelled: The tiles of all processes.
        mean: Mean of each band.
        std: Standard deviation of each band.
        process: Number of this process, and how many share the tiles.
    """

    def __init__(
        self,
        labelled: Sequence[Tile],
        mean: tuple[float, ...],
        std: tuple[float, ...],
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.tiles = [*labelled[process[0] :: process[1]]]
        # Every process has as many, or they would wait for each other forever.
        most = -(-len(labelled) // process[1])
        self.blank = most - len(self.tiles)
        self.tiles += labelled[: self.blank]
        self.prepare = Compose([Normalised(mean, std), ToTensord(KEYS, track_meta=False)])

    def __len__(self) -> int:
        """How many tiles."""
        return len(self.tiles)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        """One tile: image [c, s, s], label and valid [1, s, s].

        Of an image that is smaller than a tile it is smaller too: group norm sees what is missing.
        """
        source, window, data_set = self.tiles[index]
        tile = source.tile(window, self.side(index))
        if index >= len(self.tiles) - self.blank:
            tile["label"] = np.full_like(tile["label"], IGNORE_INDEX)
        prepared: dict[str, Tensor] = self.prepare(tile)
        return {**prepared, "data_set": torch.tensor(data_set)}

    def side(self, index: int) -> int:
        """Side of a tile in pixels."""
        return min(statistics.TILE, max(self.tiles[index].source.shape()))


def schedule_of(settings: TrainingSettings) -> CropSchedule:
    """How training crops are drawn.

    Raises:
        PipelineError: There are more processes than crops in a batch.
    """
    how = settings.how
    plan = CropSchedule(how.crop_sizes, how.batch_pixels, settings.seed)
    if distributed.processes() > plan.fewest():
        raise PipelineError(
            f"{distributed.processes()} processes share batches of as few as {plan.fewest()} "
            f"crops: some would have none; raise --batch-pixels (now {how.batch_pixels})"
        )
    return plan


def crop_loader(
    settings: TrainingSettings,
    objective: Objective,
    sources: Sequence[CropSource],
    weights: Sequence[float],
    reached: Callable[[], int],
) -> DataLoader[dict[str, Tensor]]:
    """Batches of crops, or this process's part of them, made by processes of their own.

    Args:
        settings: What training depends on.
        objective: What is trained.
        sources: Images that crops are cut from.
        weights: How often each source is drawn, relative to the others.
        reached: Tells how many batches are done, when iteration starts.
    """
    how = settings.how
    workers = _workers() if settings.workers is None else settings.workers
    start = RandStartd(how.damaged_starts, len(objective.class_weights))
    batches = CropBatches(
        sources,
        weights,
        schedule_of(settings),
        augmentation(
            objective.mean,
            objective.std,
            light=how.augmented,
            restyled=how.restyled,
            missing=how.missing,
            start=start,
        ),
        (distributed.process(), distributed.processes()),
    )
    return DataLoader(
        batches,
        batch_size=None,
        sampler=NumbersFrom(how.iterations, reached),
        num_workers=workers,
        persistent_workers=workers > 0,
        # A fork would take over the threads and signal handlers of a Prefect run, and end badly.
        multiprocessing_context="spawn" if workers else None,
        worker_init_fn=_leave_quietly,
        pin_memory=torch.cuda.is_available(),
    )


def _leave_quietly(_: int) -> None:
    """Keeps a process of crops silent if the training ends while a crop is handed over.

    The thread that hands over would print a traceback beside the line that says all.
    """
    shown = sys.excepthook

    def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, ConnectionError | EOFError):
            shown(kind, error, trace)

    sys.excepthook = hook


def crops_died(error: Exception) -> bool:
    """Whether an error of torch says that a process that makes crops died."""
    if isinstance(error, ConnectionError | EOFError):
        return True  # While a crop was being handed over.
    died = re.match(r"DataLoader worker \(pid.*\) (is killed|exited unexpectedly)", str(error))
    return died is not None


def _workers() -> int:
    """Processes that make crops by default: on a CPU one is faster than any network here."""
    if not torch.cuda.is_available():
        return 1
    cores = len(os.sched_getaffinity(0)) // distributed.processes_here()
    return min(_MOST_WORKERS, max(1, cores - 1))


def held_out_loader(
    objective: Objective, held_out: Sequence[Tile]
) -> DataLoader[dict[str, Tensor]]:
    """Tiles of the held-out images, or this process's part of them, four at a time."""
    process = distributed.process(), distributed.processes()
    tiles = HeldOutTiles(held_out, objective.mean, objective.std, process)
    return DataLoader(tiles, batch_sampler=_of_one_size(tiles))


def _of_one_size(tiles: HeldOutTiles) -> list[list[int]]:
    """Numbers of tiles, up to four of a size that follow one another."""
    batches: list[list[int]] = []
    for number in range(len(tiles)):
        last = batches[-1] if batches else []
        if last and len(last) < _AT_ONCE and tiles.side(last[0]) == tiles.side(number):
            last.append(number)
        else:
            batches.append([number])
    return batches
