"""Masks that training starts from besides the uniform one: earlier, damaged and foreign ones.

A network that has only seen its own masks believes any mask: a false bar in the mask that it
starts from stays. If it starts from such masks in training, it learns to look at the image.
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import torch
from monai.transforms import MapTransform, Randomizable
from numpy.typing import NDArray
from torch import Tensor

from pipelines.inputs.labels import IGNORE_INDEX

_SURE = 0.95
"""Probability of the class that a mask gives: a softmax rarely reaches 1."""


_SHIFT = 24
"""Largest shift of an earlier mask, in pixels."""


_PATCHES = 6
"""Largest number of rectangles that are drawn into a mask."""


_THIN = 3
"""Width in pixels of the rectangles that are lines."""


class RandStartd(Randomizable, MapTransform):
    """Adds `start`: the class of each pixel of an initial mask, `IGNORE_INDEX` where it is uniform.

    The mask is a damaged label: shifted (an older acquisition), flipped (another place), and with
    rectangles and lines of any class drawn over it.

    Args:
        share: Share of the samples that start from such a mask; the others start from a uniform
            one.
        classes: Number of classes, background included.
    """

    def __init__(self, share: float, classes: int) -> None:
        super().__init__(keys=("label",))
        self.share = share
        self.classes = classes

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Adds the mask [1, h, w], uint8."""
        label: NDArray[np.uint8] = np.asarray(data["label"])
        start = np.full_like(label, IGNORE_INDEX)
        if self.R.random() < self.share:
            start = self._damaged(label)
        return {**data, "start": start}

    def _damaged(self, label: NDArray[np.uint8]) -> NDArray[np.uint8]:
        start = label.copy()
        if self.R.random() < 0.25:
            start = start[:, ::-1, ::-1].copy()
        if self.R.random() < 0.5:
            start = np.roll(start, self.R.randint(-_SHIFT, _SHIFT + 1, 2), axis=(1, 2))
        height, width = start.shape[1:]
        for _ in range(self.R.randint(_PATCHES + 1)):
            rows = int(height * self.R.uniform(0.02, 0.4)) + 1
            columns = int(width * self.R.uniform(0.02, 0.4)) + 1
            shape = self.R.randint(3)
            # Two of three are lines: false foreground often is one.
            rows, columns = ((rows, columns), (rows, _THIN), (_THIN, columns))[shape]
            top, left = self.R.randint(height), self.R.randint(width)
            start[:, top : top + rows, left : left + columns] = self.R.randint(self.classes)
        return start


def starting_mask(start: Tensor, classes: int) -> Tensor:
    """Probabilities [B, classes, H, W], as `SegmentationNetwork.initial_state` takes them.

    Args:
        start: [B, 1, H, W], class per pixel, `IGNORE_INDEX` where the mask is to be uniform.
        classes: Number of classes.
    """
    known = start != IGNORE_INDEX
    rest = (1 - _SURE) / (classes - 1)
    one_hot = torch.cat([start == index for index in range(classes)], dim=1)
    sure = torch.where(one_hot, _SURE, rest)
    return torch.where(known, sure, 1 / classes)
