"""Batches of training crops by number.

A crop depends on the seed and its number alone, not on the worker that makes it or on what
came before: a resumed training goes on with the crops it would have seen.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Literal, get_args

import numpy as np
import torch
from monai.transforms import Compose
from torch.utils.data import Dataset, Sampler

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.sampling.samples import TRAINING_KEYS
from pipelines.sampling.sources import CropSource

Purpose = Literal["crop", "size", "steps"]


_PURPOSES = get_args(Purpose)


def stream(purpose: Purpose, seed: int, number: int, place: int = 0) -> np.random.Generator:
    """Random numbers for one purpose, which depend on nothing but the arguments.

    Args:
        purpose: What is drawn.
        seed: Seed of the training.
        number: Number of the batch.
        place: Place in the batch.
    """
    # All keys have one length: numpy fills shorter ones with zeros, so two could be the same.
    return np.random.default_rng((seed, number, place, _PURPOSES.index(purpose)))


@dataclass(frozen=True)
class CropSchedule:
    """How training crops are drawn.

    Attributes:
        sizes: Sides of the crops in pixels; all crops of a batch have one size.
        batch_pixels: Pixels of a batch: small crops come in larger batches.
        seed: Seed of everything random.
    """

    sizes: tuple[int, ...]
    batch_pixels: int
    seed: int

    def batch(self, number: int) -> tuple[int, int]:
        """Side and count of the crops of a batch."""
        size = self.sizes[int(stream("size", self.seed, number).integers(len(self.sizes)))]
        return size, self._count(size)

    def pixels(self) -> float:
        """Pixels of a batch, on average."""
        return float(np.mean([self._count(size) * size**2 for size in self.sizes]))

    def fewest(self) -> int:
        """How many crops the smallest batch has."""
        return min(self._count(size) for size in self.sizes)

    def _count(self, size: int) -> int:
        return max(2, round(self.batch_pixels / size**2))


class CropBatches(Dataset[dict[str, torch.Tensor]]):
    """Batches of crops by number: image [b, c, s, s], all else [b, 1, s, s].

    Args:
        sources: Images that crops are cut from.
        weights: How often each source is drawn, relative to the others.
        plan: Sizes and seed.
        augment: Transform from a raw crop to a training sample.
        process: Number of this process, and how many share every batch.
    """

    def __init__(
        self,
        sources: Sequence[CropSource],
        weights: Sequence[float],
        plan: CropSchedule,
        augment: Compose,
        process: tuple[int, int] = (0, 1),
    ) -> None:
        self.process = process
        self.sources = sources
        self.chances = np.array(weights) / np.sum(weights)
        self.plan = plan
        self.augment = augment

    def __getitem__(self, number: int) -> dict[str, torch.Tensor]:
        """Batch `number`, or this process's part of it."""
        size, count = self.plan.batch(number)
        samples = []
        first, processes = self.process
        for place in range(first, ceil(count / processes) * processes, processes):
            random = stream("crop", self.plan.seed, number, place)
            source = self.sources[int(random.choice(len(self.sources), p=self.chances))]
            self.augment.set_random_state(seed=int(random.integers(2**31)))
            sample = self.augment(source.crop(size, random))
            if place >= count:
                # Every process has as many crops, or they would wait for each other forever.
                sample["label"] = torch.full_like(sample["label"], IGNORE_INDEX)
            samples.append(sample)
        there = [key for key in TRAINING_KEYS if key in samples[0]]
        return {key: torch.stack([s[key] for s in samples]) for key in there}


class NumbersFrom(Sampler[int]):
    """Batch numbers up to a total, from where training stands.

    Args:
        total: One past the last number.
        reached: Tells, when iteration starts, how many batches are done.
    """

    def __init__(self, total: int, reached: Callable[[], int]) -> None:
        self.total = total
        self.reached = reached

    def __iter__(self) -> Iterator[int]:
        """The numbers that are left."""
        return iter(range(self.reached(), self.total))

    def __len__(self) -> int:
        """All of them: Lightning counts those done before a resume as well."""
        return self.total
