"""MONAI dictionary transforms of training samples: cropping at a scale, and augmentation."""

from collections.abc import Hashable, Mapping
from io import BytesIO
from typing import Any

import numpy as np
from monai.transforms import (
    Compose,
    MapTransform,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    Randomizable,
    RandomizableTransform,
    RandRotate90d,
    RandScaleIntensityd,
    RandShiftIntensityd,
    ToTensord,
    Transform,
)
from PIL import Image

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.inputs.normalisation import normalised
from pipelines.sampling.initial_masks import RandStartd
from pipelines.sampling.restyling import RandRestyled
from pipelines.sampling.samples import KEYS, TRAINING_KEYS, Sample, padded, resized


class RandScaledCropd(Randomizable, Transform):
    """Takes a square crop at a random scale and resizes it to `size`.

    Pixels past the border of a smaller image are missing.

    Args:
        size: Side of the crop in pixels.
        scales: Smallest and largest factor by which the image is enlarged; drawn evenly on a log
            scale.
    """

    def __init__(self, size: int, scales: tuple[float, float]) -> None:
        self.size = size
        self.scales = scales

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Crops image, label and valid alike."""
        height, width = data["image"].shape[1:]
        scale = float(np.exp(self.R.uniform(*np.log(self.scales))))
        side = max(1, round(self.size / scale))
        rows, columns = min(side, height), min(side, width)
        row = self.R.randint(height - rows + 1)
        column = self.R.randint(width - columns + 1)
        crop: Sample = {
            key: data[key][:, row : row + rows, column : column + columns] for key in KEYS
        }
        return resized(padded(crop, side), self.size, self.size)


class Normalised(MapTransform):
    """Brings an image to float32 of mean 0 and deviation 1; missing pixels become 0.

    Args:
        mean: Mean of each band, on the scale of the image.
        std: Standard deviation of each band.
    """

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        super().__init__(keys=("image", "valid"))
        self.mean = np.array(mean, np.float32)[:, None, None]
        self.std = np.array(std, np.float32)[:, None, None]

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Normalises the image."""
        image = data["image"].astype(np.float32)
        return {**data, "image": normalised(image, data["valid"], self.mean, self.std)}


class RandMissingd(RandomizableTransform, MapTransform):
    """Makes the pixels of a rectangle missing, as nodata and the borders of scenes do.

    Its sides are a tenth to two thirds of the crop's, and it may reach over the crop's border.

    Args:
        prob: Share of the crops.
    """

    def __init__(self, prob: float) -> None:
        MapTransform.__init__(self, keys=("label", "valid"))
        RandomizableTransform.__init__(self, prob)

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Changes label and valid of a crop that is not yet normalised."""
        self.randomize(None)
        sides = self.R.uniform(0.1, 0.67, 2)
        starts = self.R.uniform(-sides / 2, 1 - sides / 2)
        if not self._do_transform:
            return dict(data)
        size = np.array(data["valid"].shape[1:])
        low = np.rint(np.maximum(starts, 0) * size).astype(int)
        high = np.rint((starts + sides) * size).astype(int)
        label, valid = data["label"].copy(), data["valid"].copy()
        hole = (slice(None), slice(low[0], high[0]), slice(low[1], high[1]))
        label[hole], valid[hole] = IGNORE_INDEX, 0
        return {**data, "label": label, "valid": valid}


class MeanFilld(MapTransform):
    """Sets missing pixels to 0 again after augmentation has changed them."""

    def __init__(self) -> None:
        super().__init__(keys=("image", "valid"))

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Fills the image."""
        return {**data, "image": data["image"] * data["valid"]}


class RandJPEGd(RandomizableTransform, MapTransform):
    """Gives an image of three bands the artefacts of JPEG compression.

    Args:
        prob: Share of the crops.
        quality: Lowest and highest quality.
    """

    def __init__(self, prob: float, quality: tuple[int, int] = (30, 90)) -> None:
        MapTransform.__init__(self, keys=("image",))
        RandomizableTransform.__init__(self, prob)
        self.quality = quality

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Compresses an image, uint8 [3, h, w]; other images stay as they are."""
        self.randomize(None)
        quality = int(self.R.randint(self.quality[0], self.quality[1] + 1))
        image = data["image"]
        if not self._do_transform or image.shape[0] != 3 or image.dtype != np.uint8:
            return dict(data)
        file = BytesIO()
        Image.fromarray(np.moveaxis(image, 0, -1)).save(file, "JPEG", quality=quality)
        return {**data, "image": np.moveaxis(np.asarray(Image.open(file)), -1, 0)}


class RandIlluminationd(RandomizableTransform, MapTransform):
    """Brightens one side of an image and darkens the other, as a flash or the sun does.

    Args:
        prob: Share of the crops.
        strength: Largest change, as a share, from the middle to a corner.
    """

    def __init__(self, prob: float, strength: float = 0.3) -> None:
        MapTransform.__init__(self, keys=("image",))
        RandomizableTransform.__init__(self, prob)
        self.strength = strength

    def __call__(self, data: Mapping[Hashable, Any]) -> Sample:
        """Shades an image [c, h, w] that is not yet normalised."""
        self.randomize(None)
        down, across = self.R.uniform(-self.strength / 2, self.strength / 2, 2)
        if not self._do_transform:
            return dict(data)
        height, width = data["image"].shape[1:]
        rows, columns = np.linspace(-1, 1, height), np.linspace(-1, 1, width)
        shade = 1 + down * rows[:, None] + across * columns[None]
        return {**data, "image": data["image"] * shade.astype(np.float32)}


def augmentation(
    mean: tuple[float, ...],
    std: tuple[float, ...],
    *,
    light: bool = True,
    restyled: float = 0.0,
    missing: float = 0.0,
    start: RandStartd | None = None,
) -> Compose:
    """Normalisation, the eight symmetries of the square, and changes of light and sharpness.

    Args:
        mean: Mean of each band.
        std: Standard deviation of each band.
        light: Whether light, colour and sharpness change.
        restyled: Share of the crops that look as another camera or region would show them.
        missing: Share of the crops in which a rectangle is missing.
        start: Makes masks to start from; None makes none.
    """
    changes: list[Any] = [
        RandScaleIntensityd("image", factors=0.25, prob=0.6),
        RandScaleIntensityd("image", factors=0.15, prob=0.5, channel_wise=True),
        RandShiftIntensityd("image", offsets=0.3, prob=0.6),
        RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5)),
        RandGaussianSmoothd("image", sigma_x=(0.3, 1.0), sigma_y=(0.3, 1.0), prob=0.15),
        RandGaussianNoised("image", prob=0.2, std=0.08),
        MeanFilld(),
    ]
    return Compose(
        [
            *([RandRestyled(restyled)] if restyled else []),
            *([RandJPEGd(prob=0.1), RandIlluminationd(prob=0.3)] if light else []),
            *([RandMissingd(missing)] if missing else []),
            Normalised(mean, std),
            RandFlipd(KEYS, prob=0.5, spatial_axis=0),
            RandRotate90d(KEYS, prob=0.75, max_k=3),
            *(changes if light else []),
            *([start] if start else []),
            ToTensord(TRAINING_KEYS, track_meta=False, allow_missing_keys=True),
        ]
    )
