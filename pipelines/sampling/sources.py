"""Images that training crops are cut from, and scenes as such, which are read window by window."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from math import ceil
from typing import Any, ClassVar

import numpy as np

from pipelines.inputs.labels import IGNORE_INDEX, RasterLabel
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.sampling.samples import Sample, as_sample, padded, resized
from tiling.scenes.scene import Scene
from tiling.window import Window, split

MOST_OPEN = 200
"""Scenes that a process keeps open: many systems let it open about a thousand files."""


class CropSource(ABC):
    """An image that crops are cut from; a crop has the keys of `pipelines.sampling.samples`.

    Attributes:
        name: Name of the image.
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
        """Squares of `size` that hold each pixel of the image once; the last may be smaller."""
        return split(*self.shape(), size)

    def tile(self, window: Window, size: int) -> Sample:
        """A window, filled up to a square of `size` with missing pixels."""
        return padded(self.read(window), size)

    def tiles(self, size: int) -> Iterator[Sample]:
        """The whole image as tiles, in the order of `windows`."""
        return (self.tile(window, size) for window in self.windows(size))


class SceneSource(CropSource):
    """Crops of a scene, read by window; four of five prefer places with foreground.

    Where few pixels are foreground, crops without any teach little at the start. So these four
    take the best of four random places.

    Args:
        item: Opens scene and label.
        scales: Smallest and largest factor by which the scene's own pixels are enlarged in crops.
    """

    _lately_opened: ClassVar[deque["SceneSource"]] = deque()

    def __init__(self, item: SceneInput, scales: tuple[float, float] = (1.0, 1.0)) -> None:
        self.name = item.name
        self.scales = scales
        self.scene_input = item
        self._files = ExitStack()
        self._open: OpenedScene | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without the open files: each data loader's process opens its own."""
        return {**self.__dict__, "_files": ExitStack(), "_open": None}

    def opened(self) -> OpenedScene:
        """The scene, which stays open until `MOST_OPEN` others have been opened."""
        if self._open is None:
            self._open = self._files.enter_context(self.scene_input.open())
            self._lately_opened.append(self)
            if len(self._lately_opened) > MOST_OPEN:
                self._lately_opened.popleft().close()
        return self._open

    def scenes(self) -> tuple[Scene, RasterLabel]:
        """Image and label, open as by `opened`."""
        opened = self.opened()
        assert opened.label is not None
        return opened.scene, opened.label

    def close(self) -> None:
        """Closes the files; `scenes` opens them again."""
        self._files.close()
        self._open = None

    def crop(self, size: int, random: np.random.Generator) -> Sample:
        """See `CropSource.crop`."""
        image, _ = self.scenes()
        side = size
        if self.scales != (1.0, 1.0):
            side = max(1, round(size / np.exp(random.uniform(*np.log(self.scales)))))
        height, width = min(side, image.height), min(side, image.width)

        def place() -> Window:
            row = int(random.integers(image.height - height + 1))
            column = int(random.integers(image.width - width + 1))
            return Window(row, column, height, width)

        places = [place()]
        if random.random() < 0.8:
            places += [place(), place(), place()]
        return resized(padded(self._most_seen(places), side), size, size)

    def _most_seen(self, places: Sequence[Window]) -> Sample:
        """The window with the most foreground that can be seen, as the scene has it.

        Labels go on where pixels are missing. So that few images are read, the first window is
        taken in which at least half of the drawn foreground can be seen.
        """
        label = self.scenes()[1]
        drawn = {}
        for window in places if len(places) > 1 else ():
            classes = label.read(window)
            drawn[window] = int(((classes > 0) & (classes != IGNORE_INDEX)).sum())
        best, most = None, -1
        for window in sorted(dict.fromkeys(places), key=lambda one: -drawn.get(one, 0)):
            sample = self._own(window)
            classes = sample["label"]
            seen = int(((classes > 0) & (classes != IGNORE_INDEX)).sum())
            if seen > most:
                best, most = sample, seen
            if 2 * most >= drawn.get(window, 0):
                break
        assert best is not None
        return best

    def shape(self) -> tuple[int, int]:
        """See `CropSource.shape`."""
        seen = self.opened().seen
        return seen.height, seen.width

    def read(self, window: Window) -> Sample:
        """See `CropSource.read`; as the network sees the scene."""
        opened = self.opened()
        scene, seen = opened.scene, opened.seen
        if seen is scene:
            return self._own(window)
        down, across = scene.height / seen.height, scene.width / seen.width
        top, left = int(window.row * down), int(window.column * across)
        bottom = min(scene.height, ceil((window.row + window.height) * down))
        right = min(scene.width, ceil((window.column + window.width) * across))
        own = self._own(Window(top, left, bottom - top, right - left))
        return resized(own, window.height, window.width)

    def _own(self, window: Window) -> Sample:
        """A window of the scene's own pixels."""
        image, label = self.scenes()
        pixels, valid = image.read(window)
        return as_sample(pixels, valid, label.read(window), self.opened().value_range)
