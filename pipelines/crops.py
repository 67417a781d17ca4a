"""Training crops: from scenes by windows, from fundus images held in memory.

A crop depends on the seed and its number alone, not on the worker that makes it or on what
came before: a resumed training goes on with the crops it would have seen.
"""

import hashlib
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from math import ceil
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from torch.utils.data import Dataset, Sampler

from pipelines.errors import DataError
from pipelines.field import field_diameter, working_diameter
from pipelines.fundus import FundusSample
from pipelines.job import IGNORED, Job, Label, Opened
from pipelines.predictor import on_8_bits
from pipelines.transforms import (
    KEYS,
    TRAINING_KEYS,
    LoadFundusd,
    RandScaledCropd,
    Sample,
    padded,
    resized,
)
from rurnet.loss import IGNORE
from tiling.scene import Scene
from tiling.window import Window, split

_SCALES = (0.8, 1.25)
"""How much smaller or larger than at its working diameter a crop shows a fundus."""
MOST_OPEN = 200
"""Scenes that a process keeps open: a system grants it about a thousand files."""


class CropSource(ABC):
    """Something crops are cut from: arrays image, label and valid, as in `pipelines.transforms`.

    Attributes:
        name: Of the image.
    """

    name: str

    @abstractmethod
    def crop(self, size: int, random: np.random.Generator) -> Sample:
        """A random crop of `size` by `size`, not yet normalised."""

    @abstractmethod
    def read(self, window: Window) -> Sample:
        """The pixels of a window that lies within the image, not yet normalised."""

    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """Height and width of the image."""

    def windows(self, size: int) -> Iterator[Window]:
        """The whole image in squares of `size`, each pixel once; the last ones may be smaller."""
        return split(*self.shape(), size)

    def tile(self, window: Window, size: int) -> Sample:
        """A window as a square of `size`; past its border all is missing."""
        return padded(self.read(window), size)

    def tiles(self, size: int) -> Iterator[Sample]:
        """The tiles of `windows`, one after the other."""
        return (self.tile(window, size) for window in self.windows(size))


class SceneSource(CropSource):
    """Crops of a scene, read by window; four of five look for foreground first.

    Where few pixels are foreground, crops without any would teach little at the start: such a crop
    takes the best of four random places.

    Args:
        job: Opens scene and label.
    """

    _lately_opened: ClassVar[deque["SceneSource"]] = deque()

    def __init__(self, job: Job) -> None:
        self.name = job.name
        self.job = job
        self._files = ExitStack()
        self._open: Opened | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: each data loader's process opens its own."""
        return {**self.__dict__, "_files": ExitStack(), "_open": None}

    def scenes(self) -> tuple[Scene, Label]:
        """Image and label, opened once and for as long as not too many others are."""
        if self._open is None:
            self._open = self._files.enter_context(self.job.open())
            self._lately_opened.append(self)
            if len(self._lately_opened) > MOST_OPEN:
                self._lately_opened.popleft().close()
        assert self._open.label is not None
        return self._open.scene, self._open.label

    def close(self) -> None:
        """Closes the files, until they are asked for again."""
        self._files.close()
        self._open = None

    def crop(self, size: int, random: np.random.Generator) -> Sample:
        """See `CropSource.crop`."""
        image, label = self.scenes()
        height, width = min(size, image.height), min(size, image.width)

        def place() -> Window:
            row = int(random.integers(image.height - height + 1))
            column = int(random.integers(image.width - width + 1))
            return Window(row, column, height, width)

        def foreground(window: Window) -> int:
            classes = label.read(window)
            return int(((classes > 0) & (classes != IGNORED)).sum())

        window = place()
        if random.random() < 0.8:
            window = max([window, place(), place(), place()], key=foreground)
        return padded(self.read(window), size)

    def shape(self) -> tuple[int, int]:
        """See `CropSource.shape`."""
        image, _ = self.scenes()
        return image.height, image.width

    def read(self, window: Window) -> Sample:
        """See `CropSource.read`; pixels of other types than 8 bits are as the networks see them."""
        image, label = self.scenes()
        pixels, valid = image.read(window)
        labels = np.where(valid[None], label.read(window), IGNORE).astype(np.uint8)
        return {
            "image": pixels if pixels.dtype == np.uint8 else on_8_bits(pixels),
            "label": labels,
            "valid": valid[None].astype(np.uint8),
        }


class FundusSource(CropSource):
    """Crops of a fundus image at about its working diameter, through MONAI.

    Args:
        sample: Image and annotations.
        diameters: See `pipelines.field.working_diameter`; None keeps images and crops as they are.

    Attributes:
        diameter: Of the field of view, in pixels of the arrays.
    """

    def __init__(self, sample: FundusSample, diameters: tuple[int, int] | None) -> None:
        self.name = sample.name
        arrays = LoadFundusd()({"sample": sample})
        own = field_diameter(arrays["valid"][0] > 0)
        self.diameter = round(working_diameter(own, diameters)) if diameters else own
        self.scales = _SCALES if diameters else (1.0, 1.0)
        height, width = (
            max(1, round(side * self.diameter / own)) for side in arrays["image"].shape[1:]
        )
        self.arrays = resized(arrays, height, width)

    def crop(self, size: int, random: np.random.Generator) -> Sample:
        """See `CropSource.crop`."""
        transform = RandScaledCropd(size, self.scales)
        transform.set_random_state(seed=int(random.integers(2**31)))
        return transform(self.arrays)

    def shape(self) -> tuple[int, int]:
        """See `CropSource.shape`."""
        height, width = self.arrays["image"].shape[1:]
        return height, width

    def read(self, window: Window) -> Sample:
        """See `CropSource.read`."""
        rows, columns = window.slices()
        return {key: self.arrays[key][:, rows, columns] for key in self.arrays}


Purpose = Literal["crop", "size", "steps"]
_PURPOSES = get_args(Purpose)


def stream(purpose: Purpose, seed: int, number: int, place: int = 0) -> np.random.Generator:
    """Random numbers of one purpose, a function of the seed and of what is numbered alone.

    Args:
        purpose: What is drawn.
        seed: Of the training.
        number: Of the batch.
        place: In the batch.
    """
    # Keys are of one length: numpy fills shorter ones with zeros, and those would be one stream.
    return np.random.default_rng((seed, number, place, _PURPOSES.index(purpose)))


@dataclass(frozen=True)
class CropPlan:
    """How training crops are drawn.

    Attributes:
        sizes: Sides of the crops in pixels; every batch has one of them.
        batch_pixels: Pixels of a batch: small crops come in larger batches.
        seed: Of everything random.
    """

    sizes: tuple[int, ...]
    batch_pixels: int
    seed: int

    def batch(self, number: int) -> tuple[int, int]:
        """Side and count of the crops of a batch."""
        size = self.sizes[int(stream("size", self.seed, number).integers(len(self.sizes)))]
        return size, self._count(size)

    def pixels(self) -> float:
        """Of a batch, on average."""
        return float(np.mean([self._count(size) * size**2 for size in self.sizes]))

    def fewest(self) -> int:
        """Crops of the smallest batch."""
        return min(self._count(size) for size in self.sizes)

    def _count(self, size: int) -> int:
        return max(2, round(self.batch_pixels / size**2))


class CropBatches(Dataset[dict[str, torch.Tensor]]):
    """Batches of crops by number: image [b, c, s, s], all else [b, 1, s, s].

    Args:
        sources: What crops are cut from.
        weights: How often each source is drawn, relative to the others.
        plan: Sizes and seed.
        augment: Transform from a raw crop to a training sample.
        process: Which of the processes this is that share every batch: its number, and of how many.
    """

    def __init__(
        self,
        sources: Sequence[CropSource],
        weights: Sequence[float],
        plan: CropPlan,
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
                sample["label"] = torch.full_like(sample["label"], IGNORE)
            samples.append(sample)
        there = [key for key in TRAINING_KEYS if key in samples[0]]
        return {key: torch.stack([s[key] for s in samples]) for key in there}


class NumbersFrom(Sampler[int]):
    """Batch numbers up to a total, from where training stands.

    Args:
        total: One past the last number.
        reached: Tells how many are done, when iteration starts.
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


@dataclass(frozen=True)
class Contents:
    """What one reading of an image tells.

    Attributes:
        name: Of the image.
        pixels: Those that are there.
        sums: Of each band over these.
        squares: Sums of the squares.
        classes: Labelled pixels of each class.
        digest: Of image, label and what is missing.
    """

    name: str
    pixels: int
    sums: NDArray[np.float64]
    squares: NDArray[np.float64]
    classes: NDArray[np.int64]
    digest: str

    @property
    def foreground(self) -> bool:
        """Whether any labelled pixel is."""
        return bool(self.classes[1:].any())


def contents_of(source: CropSource, classes: int = 2) -> Contents:
    """Reads a whole image.

    Args:
        source: The image.
        classes: How many its label may have, background included.
    """
    pixels, sums, squares = 0, np.zeros(1), np.zeros(1)
    labelled = np.zeros(classes, np.int64)
    digest = hashlib.sha256()
    for tile in source.tiles(512):
        there = tile["image"][:, tile["valid"][0] > 0].astype(np.float64)
        pixels += there.shape[1]
        sums = sums + there.sum(axis=1)
        squares = squares + (there**2).sum(axis=1)
        label = tile["label"][tile["label"] != IGNORE]
        labelled += np.bincount(label, minlength=classes)[:classes]
        for key in KEYS:
            digest.update(np.ascontiguousarray(tile[key]).data)
    return Contents(source.name, pixels, sums, squares, labelled, digest.hexdigest()[:16])


def band_statistics(images: Sequence[Contents]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each band over the pixels that are there in all images.

    Raises:
        DataError: All pixels of all images are missing.
    """
    count = sum(image.pixels for image in images)
    if count == 0:
        raise DataError(
            f"{images[0].name}: all pixels of this and the other training images are missing "
            "(nodata, alpha, mask, or outside the field of view); mend them"
        )
    mean: NDArray[np.float64] = sum((image.sums for image in images), np.zeros(1)) / count
    squares = sum((image.squares for image in images), np.zeros(1)) / count
    std = np.sqrt(np.maximum(0, squares - mean**2))
    # 1 for a band that is the same everywhere: what is left of it is the sums' rounding.
    std[std < 1e-5 * np.maximum(1, np.abs(mean))] = 1
    # Digits that tell small deviations too.
    return tuple(float(f"{m:.6g}") for m in mean), tuple(float(f"{s:.6g}") for s in std)
