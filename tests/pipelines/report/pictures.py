"""Pictures of scenes as a reader sees them, and what they are made of."""

import io

import numpy as np
from PIL import Image, ImageFilter

from pipelines.report.previews import Picture, previews

HEIGHT, WIDTH = 90, 130


def f1_of(outcomes, values=None):
    """F1 by scene; undefined where no values are given."""
    names = [one.name for one in outcomes]
    return dict(zip(names, values, strict=True)) if values else dict.fromkeys(names)


def picture_of(outcome, threshold=127, bands=None):
    [picture] = previews([outcome], f1_of([outcome]), threshold, bands)
    return picture


def decoded(data):
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels


def greys(data):
    """Pixels [h, w] of a picture that is lossless and grey."""
    pixels = decoded(data)
    if pixels.ndim == 2:
        return pixels
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def noise(shape, seed=0, dtype="uint8", top=256):
    return np.random.default_rng(seed).integers(0, top, shape).astype(dtype)


def flat_levels(height=HEIGHT, width=WIDTH):
    return np.zeros((height, width), np.uint8)


def encoded(pixels, form="WEBP"):
    """Pixels as a lossless file's bytes."""
    data = io.BytesIO()
    Image.fromarray(pixels).save(
        data, format=form, **({"lossless": True} if form == "WEBP" else {})
    )
    return data.getvalue()


def build_picture(
    name="Image_11L", *, width=96, height=64, steps=3, labelled=True, scale=1.0, seed=0
):
    """A picture, and the arrays it was made from: `label` and `steps`, levels [h, w] each."""
    random = np.random.default_rng(seed)
    image = random.integers(60, 220, (height, width, 3), dtype=np.uint8)
    label = np.zeros((height, width), np.uint8)
    label[height // 3 : height // 3 + 6] = 254
    label[:, width // 2 : width // 2 + 5] = 254
    soft = np.asarray(Image.fromarray(label).filter(ImageFilter.GaussianBlur(2)), dtype=float)
    label[:4] = 255  # Not counted.
    levels = []
    for step in range(steps):
        noise = random.normal(0, 50 / (step + 1), (height, width))
        level = np.clip(soft + noise, 0, 254).astype(np.uint8)
        level[:, :5] = 255  # Missing.
        levels.append(level)
    picture = Picture(
        name=name, width=width, height=height, scale=scale, image=encoded(image),
        label=encoded(label, "PNG") if labelled else None,
        steps=tuple(encoded(level) for level in levels), threshold_level=127,
    )  # fmt: skip
    return picture, label, levels
