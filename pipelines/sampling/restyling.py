"""Restyled crops: the same ground or fundus, as another camera, season or region would show it."""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from monai.transforms import MapTransform, RandomizableTransform
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from pipelines.sampling.samples import Sample

Floats = NDArray[np.float32]


class RandRestyled(RandomizableTransform, MapTransform):
    """Changes colours, contrast, haze, sharpness and noise of an image that is not yet normalised.

    Each change is drawn for itself. The ranges hold what other cameras and regions differ by: the
    contrast of a satellite's scene, for example, may be a third of an aerial photograph's.

    Args:
        prob: Share of the crops.
    """

    def __init__(self, prob: float) -> None:
        MapTransform.__init__(self, keys=("image", "valid"))
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Restyles an image [c, h, w] on the scale of 8 bits; bytes stay bytes."""
        self.randomize(None)
        there = data["valid"][0] > 0
        if not self._do_transform or not there.any():
            return dict(data)
        image = self._coloured(data["image"].astype(np.float32), there)
        image = self._noised(self._sharpened(np.clip(image, 0, 255)))
        image = np.clip(image, 0, 255)
        if data["image"].dtype == np.uint8:
            image = np.rint(image)
        return {**data, "image": image.astype(data["image"].dtype)}

    def _factor(self, least: float, most: float, count: int = 1) -> Floats:
        """Factors drawn evenly on a log scale, [count, 1, 1]."""
        drawn = np.exp(self.R.uniform(np.log(least), np.log(most), (count, 1, 1)))
        return drawn.astype(np.float32)

    def _coloured(self, image: Floats, there: NDArray[np.bool_]) -> Floats:
        bands = len(image)
        if self.R.random() < 0.4:
            grey = image.mean(axis=0, keepdims=True)
            image = grey + np.float32(self.R.uniform(0, 1.6)) * (image - grey)
        if self.R.random() < 0.8:
            mean = image[:, there].mean(axis=1)[:, None, None]
            image = mean + self._factor(0.4, 1.5) * (image - mean)
            image = image * self._factor(0.5, 1.5) * self._factor(0.8, 1.25, bands)
        if self.R.random() < 0.4:
            part: Floats = np.clip(image, 0, 255) / np.float32(255)
            image = np.float32(255) * part ** self._factor(0.6, 1.7)
        if self.R.random() < 0.25:
            share = np.float32(self.R.uniform(0.05, 0.5))
            haze = np.float32(self.R.uniform(110, 240)) * self._factor(0.9, 1.1, bands)
            image = (1 - share) * image + share * haze
        return image

    def _sharpened(self, image: Floats) -> Floats:
        kind = self.R.random()
        sigma, strength = self.R.uniform(0.4, 1.6), np.float32(self.R.uniform(0.3, 1.5))
        if kind < 0.5:
            return image
        blurred: Floats = gaussian_filter(image, (0, sigma, sigma))
        return blurred if kind < 0.75 else image + strength * (image - blurred)

    def _noised(self, image: Floats) -> Floats:
        if self.R.random() >= 0.3:
            return image
        noise = self.R.normal(0, self.R.uniform(1, 10), image.shape)
        return image + noise.astype(np.float32)
