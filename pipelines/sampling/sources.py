"""What training crops are cut from: scenes by windows, fundus images held in memory."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import numpy as np

from pipelines.inputs.field_of_view import field_diameter, working_diameter
from pipelines.inputs.fundus import FundusSample
from pipelines.inputs.labels import IGNORE_INDEX, Label
from pipelines.inputs.normalisation import on_8_bits
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.sampling.transforms import (
    LoadFundusd,
    RandScaledCropd,
    Sample,
    padded,
    resized,
)
from tiling.scenes.scene import Scene
from tiling.window import Window, split

_SCALES = (0.8, 1.25)
"""How much smaller or larger than at its working diameter a crop shows a fundus."""


MOST_OPEN = 200
"""Scenes that a process keeps open: a system grants it about a thousand files."""


class CropSource(ABC):
    """Something crops are cut from; a crop has the keys of `pipelines.sampling.transforms`.

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
        item: Opens scene and label.
    """

    _lately_opened: ClassVar[deque["SceneSource"]] = deque()

    def __init__(self, item: SceneInput) -> None:
        self.name = item.name
        self.scene_input = item
        self._files = ExitStack()
        self._open: OpenedScene | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: each data loader's process opens its own."""
        return {**self.__dict__, "_files": ExitStack(), "_open": None}

    def scenes(self) -> tuple[Scene, Label]:
        """Image and label, opened once and for as long as not too many others are."""
        if self._open is None:
            self._open = self._files.enter_context(self.scene_input.open())
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
            return int(((classes > 0) & (classes != IGNORE_INDEX)).sum())

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
        labels = np.where(valid[None], label.read(window), IGNORE_INDEX).astype(np.uint8)
        return {
            "image": pixels if pixels.dtype == np.uint8 else on_8_bits(pixels),
            "label": labels,
            "valid": valid[None].astype(np.uint8),
        }


class FundusSource(CropSource):
    """Crops of a fundus image at about its working diameter, through MONAI.

    Args:
        sample: Image and annotations.
        diameters: See `pipelines.inputs.field_of_view.working_diameter`; None keeps images and
            crops as they are.

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
