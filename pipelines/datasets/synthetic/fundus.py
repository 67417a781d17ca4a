"""Draws fundus photographs in the layout of DRIVE."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter

HEIGHT, WIDTH = 584, 565
"""Rows and columns of a DRIVE image."""


_FINER = 3  # Vessels are drawn at three times the size and averaged, for smooth borders.


def draw_fundus(
    seed: int = 0,
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Draws a fundus image of DRIVE's size.

    Args:
        seed: Seed of the drawing.

    Returns:
        Image [3, 584, 565], vessel label [584, 565] of 0 and 1, field of view [584, 565].
    """
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    centre = np.array([WIDTH / 2, HEIGHT / 2])
    radius = WIDTH * 0.478
    from_centre = np.hypot(columns - centre[0], rows - centre[1])
    field = from_centre < radius

    side = random.choice([-1.0, 1.0])
    disc = centre + (side * radius * random.uniform(0.45, 0.6), radius * random.uniform(-0.1, 0.1))
    fovea = disc + (-side * radius * random.uniform(0.85, 1.0), radius * random.uniform(0, 0.12))

    vessels, depth = _vessels(disc, fovea, radius, random)
    image = np.array([188, 100, 54.0])[:, None, None] * np.ones((3, HEIGHT, WIDTH))
    image *= 1 - 0.35 * (from_centre / radius) ** 4
    mottle = gaussian_filter(random.normal(size=(HEIGHT, WIDTH)), 18) * 18
    image *= 1 + 0.10 * mottle + 0.02 * gaussian_filter(random.normal(size=mottle.shape), 2) * 4
    to_fovea = np.hypot(columns - fovea[0], rows - fovea[1])
    image *= 1 - 0.35 * np.exp(-((to_fovea / (0.16 * radius)) ** 2))
    to_disc = np.hypot(columns - disc[0], (rows - disc[1]) * 0.92)
    bright = 1 / (1 + np.exp((to_disc - 0.16 * radius) / 3))
    image += bright * np.array([52, 78, 52.0])[:, None, None]
    dark = np.array([0.26, 0.46, 0.40])[:, None, None]
    image *= 1 - dark * gaussian_filter(depth, 0.8)
    for _ in range(random.integers(0, 6)):
        spot = centre + random.normal(0, radius * 0.4, 2)
        blob = np.exp(-(((columns - spot[0]) ** 2 + (rows - spot[1]) ** 2) / random.uniform(6, 30)))
        image += blob * random.choice([-1.0, 1.0]) * np.array([18, 24, 10.0])[:, None, None]
    image = gaussian_filter(image, (0, 0.6, 0.6)) * gaussian_filter(field.astype(float), 1)
    image += random.normal(0, 3.5, image.shape) * field
    label = ((vessels > 0.5) & field).astype(np.uint8)
    return np.clip(image, 0, 255).astype(np.uint8), label, field


def write_drive_folder(
    folder: Path, *, train: int = 4, test: int = 2, labelled_test: bool = True, seed: int = 0
) -> Path:
    """Writes drawn fundus images with the names, formats and values of DRIVE.

    Args:
        folder: Files are written to `folder/{training,test}/...`.
        train: Number of images in `training`, at most 20 (21 to 40).
        test: Number of images in `test`, at most 20 (01 to 20).
        labelled_test: Whether the test set has labels; recent downloads of DRIVE have none.
        seed: Added to the number of an image to give its seed.

    Returns:
        The folder.
    """
    for split, first, count in (("training", 21, train), ("test", 1, test)):
        short = "training" if split == "training" else "test"
        for number in range(first, first + count):
            image, label, field = draw_fundus(seed + number)
            files: list[tuple[str, NDArray[np.uint8]]] = [
                (f"images/{number:02d}_{short}.tif", np.moveaxis(image, 0, -1)),
                (f"mask/{number:02d}_{short}_mask.gif", field.astype(np.uint8) * np.uint8(255)),
            ]
            if split == "training" or labelled_test:
                files.append((f"1st_manual/{number:02d}_manual1.gif", label * np.uint8(255)))
            if split == "test" and labelled_test:
                second = _second_observer(label, number)
                files.append((f"2nd_manual/{number:02d}_manual2.gif", second * np.uint8(255)))
            for name, pixels in files:
                path = folder / split / name
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels).save(path)
    return folder


def _second_observer(label: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Returns a second label whose borders lie a little further in or out, [584, 565]."""
    wobble = gaussian_filter(np.random.default_rng(seed).normal(size=label.shape), 6) * 6
    second: NDArray[np.uint8] = (
        gaussian_filter(label.astype(float), 0.8) > 0.5 + 0.2 * wobble
    ).astype(np.uint8)
    return second


def _vessels(
    disc: NDArray[np.float64],
    fovea: NDArray[np.float64],
    radius: float,
    random: np.random.Generator,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draws vessels from the optic disc; returns coverage and darkness [584, 565], 0 to 1."""
    size = (WIDTH * _FINER, HEIGHT * _FINER)
    covered = Image.new("L", size)
    shade = Image.new("L", size)
    pens = ImageDraw.Draw(covered), ImageDraw.Draw(shade)
    inward = np.arctan2(*(fovea - disc)[::-1])
    for arcade in (-1.0, 1.0):
        for kind, darkness in ((0.0, 255), (0.22, 190)):
            heading = inward + arcade * (random.uniform(0.9, 1.25) + kind)
            _branch(pens, disc, heading, -arcade * 0.0042, random.uniform(6.5, 8.5) - 6 * kind,
                    radius * 1.9, darkness, random)  # fmt: skip
            heading = inward + arcade * (random.uniform(1.9, 2.4) + kind)
            _branch(pens, disc, heading, arcade * 0.001, random.uniform(4, 6), radius, darkness,
                    random)  # fmt: skip
    small = (WIDTH, HEIGHT)
    coverage, dark = (
        np.asarray(canvas.resize(small, Image.Resampling.BOX), dtype=np.float64) / 255
        for canvas in (covered, shade)
    )
    return coverage, dark


def _branch(
    pens: tuple[ImageDraw.ImageDraw, ImageDraw.ImageDraw],
    start: NDArray[np.float64],
    heading: float,
    bend: float,
    width: float,
    length: float,
    darkness: int,
    random: np.random.Generator,
) -> None:
    """Draws a vessel that gets thinner and has branches; width and length in pixels."""
    place, step, wiggle = start.copy(), 3.0, 0.0
    side = random.choice([-1.0, 1.0])
    for travelled in np.arange(0, length, step):
        wiggle = 0.9 * wiggle + random.normal(0, 0.02)
        heading += bend * step + wiggle
        after = place + step * np.array([np.cos(heading), np.sin(heading)])
        calibre = max(1.1, width * (1 - 0.62 * travelled / length))
        line = [(place[0] * _FINER, place[1] * _FINER), (after[0] * _FINER, after[1] * _FINER)]
        thickness = round(calibre * _FINER)
        fade = int(darkness * min(1.0, 0.45 + calibre / 8))
        pens[0].line(line, fill=255, width=thickness, joint="curve")
        pens[1].line(line, fill=fade, width=thickness, joint="curve")
        place = after
        if calibre > 1.6 and travelled > 12 and random.random() < 0.075:
            side = -side
            _branch(pens, place, heading + side * random.uniform(0.5, 1.0),
                    -side * random.uniform(0, 0.004), calibre * random.uniform(0.5, 0.75),
                    (length - travelled) * random.uniform(0.35, 0.7), darkness, random)  # fmt: skip
