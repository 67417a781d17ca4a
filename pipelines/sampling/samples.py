"""Training samples: what one holds, and how it is filled up and resized.

Keys of a sample, all [channels, h, w]:

    image   as read: uint8, or float32 on the scale of 8 bits; normalised: float32, 0 (the training
            mean) where `valid` is 0
    label   uint8: class, 255 (`IGNORE_INDEX`) where a pixel is left out of the loss
    valid   uint8: 1 where there is a pixel, 0 where it is missing or outside the field of view
    start   uint8: class in the initial mask, 255 where it is uniform (see `initial_masks`)
"""

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.inputs.normalisation import ValueRange, on_8_bits
from tiling.scenes.resample import Resampling
from tiling.scenes.scene import Pixels, Valid
from tiling.window import Window

KEYS = ("image", "label", "valid")


TRAINING_KEYS = (*KEYS, "start")


Sample = dict[Hashable, Any]


def as_sample(
    image: Pixels,
    valid: Valid,
    classes: NDArray[np.uint8],
    value_range: ValueRange | None = None,
) -> Sample:
    """A sample, not yet normalised.

    Args:
        image: Pixels of any type [bands, h, w]: bytes stay, others come to the scale of 8 bits.
        valid: Which pixels are there [h, w].
        classes: Label [h, w].
        value_range: Pixel values that stand for 0 and 255; None for those of the type.
    """
    bytes_stay = image.dtype == np.uint8 and value_range is None
    scaled = image if bytes_stay else on_8_bits(image, value_range)
    return relabelled({"image": scaled, "valid": valid[None].astype(np.uint8)}, classes)


def relabelled(sample: Sample, classes: NDArray[np.uint8]) -> Sample:
    """The sample with another label [h, w]; what is missing in the image is left out of it."""
    label = np.where(sample["valid"] > 0, classes[None], IGNORE_INDEX).astype(np.uint8)
    return {**sample, "label": label}


def padded(sample: Sample, size: int) -> Sample:
    """Fills image, label and valid up to a square of `size`; the added pixels are missing."""
    height, width = sample["image"].shape[1:]
    if (height, width) == (size, size):
        return sample
    margins = ((0, 0), (0, size - height), (0, size - width))
    fill = {"image": 0, "label": IGNORE_INDEX, "valid": 0}
    return {key: np.pad(sample[key], margins, constant_values=fill[str(key)]) for key in sample}


def resized(data: Mapping[Hashable, Any], height: int, width: int) -> Sample:
    """Resizes image, label (of two classes) and valid.

    The image is resampled as for prediction. The nearest pixel of label and valid says what is
    left out or missing; elsewhere a pixel is foreground if half of its area or more is.
    """
    shape = data["image"].shape[1:]
    if shape == (height, width):
        return {key: np.ascontiguousarray(data[key]) for key in KEYS}
    label, valid = data["label"][0], data["valid"][0]

    def at_size(plane: NDArray[Any], how: Image.Resampling) -> NDArray[Any]:
        return np.array(Image.fromarray(plane).resize((width, height), how))

    def area(of: NDArray[np.bool_]) -> NDArray[np.float32]:
        return at_size(of.astype(np.float32), Image.Resampling.BOX)

    image, _ = Resampling(shape, (height, width))(
        data["image"], valid > 0, Window(0, 0, height, width)
    )
    ignored = at_size(label, Image.Resampling.NEAREST) == IGNORE_INDEX
    # Measured on three labels of HRF, halved (3263 px to 1650): this keeps 98.8, 99.4 and 100 %
    # of the vessels' centre lines, the nearest pixel 92.6, 93.3 and 99.7 %, two of them in twice
    # as many pieces. Vessels get 5 to 8 % more pixels, but a label that is brought back to its
    # own size is closer to the original, by 0.004 to 0.006 of F1.
    foreground = area(label == 1) >= area(label != IGNORE_INDEX) / 2
    return {
        "image": np.rint(image).astype(np.uint8) if data["image"].dtype == np.uint8 else image,
        "label": np.where(ignored, IGNORE_INDEX, foreground).astype(np.uint8)[None],
        "valid": at_size(valid, Image.Resampling.NEAREST)[None],
    }
