"""Draws aerial scenes: roads, trees, roofs and fields at 1 m per pixel."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from rasterio.transform import from_origin
from scipy.interpolate import CubicSpline
from scipy.ndimage import gaussian_filter, zoom
from scipy.spatial import cKDTree

CRS = "EPSG:26986"


_FINER = 2  # Lines are drawn at twice the size and averaged, for smooth borders.


Colour = tuple[float, float, float]


_FIELDS: tuple[Colour, ...] = (
    (112, 122, 88), (128, 132, 98), (96, 108, 78), (150, 142, 112),
    (134, 126, 98), (84, 96, 68), (118, 116, 92), (142, 148, 110),
)  # fmt: skip


_ROOFS: tuple[Colour, ...] = (
    (142, 136, 132), (172, 168, 164), (118, 104, 98),
    (128, 96, 86), (204, 202, 198), (100, 98, 100),
)  # fmt: skip


@dataclass(frozen=True)
class Road:
    """A road: points along it [n, 2] as x, y in pixels, width in pixels and grey value."""

    points: NDArray[np.float64]
    width: float
    grey: float


def draw_road_scene(
    height: int, width: int, seed: int = 0
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.bool_]]:
    """Draws a scene at 1 m per pixel.

    Args:
        height: Number of rows.
        width: Number of columns.
        seed: Seed of the drawing.

    Returns:
        Image [3, height, width], road label [height, width] of 0 and 1, and valid pixels
        [height, width]. One corner, cut off by a slanted line, is not valid: black and unlabelled.
    """
    random = np.random.default_rng(seed)
    roads = _road_network(height, width, random)
    image = _fields(height, width, random)
    woods = _smooth_noise(height, width, 90, random) > random.uniform(0.5, 1.1)

    label = _coverage(height, width, roads)
    surface = np.zeros_like(image)
    for road in roads:
        covered = _coverage(height, width, [road])
        surface[:] = np.where(covered > 0, road.grey, surface)
    surface += _smooth_noise(height, width, 6, random)[None] * 6
    image = image * (1 - label) + surface * label

    image = _draw_roofs(image, roads, label, random)
    image = _draw_trees(image, roads, woods, random)
    image = gaussian_filter(image, (0, 0.7, 0.7))
    image *= 1 + 0.05 * _smooth_noise(height, width, 160, random)
    image += random.normal(0, 4.5, image.shape) + random.normal(0, 3, (height, width))

    valid = _valid(height, width, random)
    pixels = np.clip(image, 1, 254).astype(np.uint8)  # 0 is reserved for missing pixels.
    pixels[:, ~valid] = 0
    roads_label = ((label > 0.5) & valid).astype(np.uint8)
    return pixels, roads_label, valid


def write_road_scene(image: Path, label: Path | None, size: int = 1200, seed: int = 0) -> None:
    """Writes one scene as GeoTIFF (RGB, nodata 0) and optionally its label (0 and 255).

    Args:
        image: File of the scene; its folder is created.
        label: File of the label; None for no label.
        size: Height and width in pixels.
        seed: Seed of the drawing; it also sets the position of the scene.
    """
    pixels, roads, _ = draw_road_scene(size, size, seed)
    profile = {
        "driver": "GTiff", "height": size, "width": size, "dtype": "uint8", "crs": CRS,
        "transform": from_origin(200_000 + 5_000 * seed, 900_000, 1.0, 1.0),
        "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate",
    }  # fmt: skip
    image.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(image, "w", count=3, nodata=0, photometric="rgb", **profile) as sink:
        sink.write(pixels)
    if label is not None:
        label.parent.mkdir(parents=True, exist_ok=True)
        with rasterio.open(label, "w", count=1, **profile) as sink:
            sink.write(roads * np.uint8(255), 1)


def write_roads_folder(
    folder: Path, *, train: int = 3, valid: int = 1, size: int = 640, seed: int = 0
) -> Path:
    """Writes drawn scenes in the Toronto layout: `{train,valid}/{sat/*.tiff,map/*.tif}`.

    Args:
        folder: Folder to write to.
        train: Number of scenes in `train`.
        valid: Number of scenes in `valid`.
        size: Height and width of each scene in pixels.
        seed: Seed of the first scene; the others have the numbers that follow.

    Returns:
        The folder.
    """
    for split, first, count in (("train", seed, train), ("valid", seed + train, valid)):
        for number in range(first, first + count):
            name = f"sample_{number:03d}"
            write_road_scene(
                folder / split / "sat" / f"{name}.tiff",
                folder / split / "map" / f"{name}.tif",
                size,
                number,
            )
    return folder


def _smooth_noise(
    height: int, width: int, scale: float, random: np.random.Generator
) -> NDArray[np.float64]:
    """Returns noise [height, width] with mean 0, deviation 1 and structures of `scale` pixels."""
    shape = (int(height / scale) + 4, int(width / scale) + 4)
    coarse = random.normal(size=shape)
    fine = zoom(coarse, (height / (shape[0] - 3), width / (shape[1] - 3)), order=3)[:height, :width]
    noise: NDArray[np.float64] = (fine - fine.mean()) / fine.std()
    return noise


def _fields(height: int, width: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Draws the ground [3, height, width]: patches of several colours, some with stripes."""
    count = max(6, height * width // 25_000)
    centres = random.uniform((0, 0), (height, width), (count, 2))
    rows, columns = np.mgrid[:height, :width].astype(np.float64)
    warp = 12 * _smooth_noise(height, width, 60, random)
    _, patch = cKDTree(centres).query(np.stack([rows + warp, columns - warp], axis=-1))
    colours = np.array(_FIELDS)[random.integers(len(_FIELDS), size=count)]
    colours = colours + random.normal(0, 8, (count, 1))
    image: NDArray[np.float64] = np.moveaxis(colours[patch], -1, 0).copy()
    angle = random.uniform(0, np.pi, count)[patch]
    stripes = random.choice([0, 0, 0, 6], count)[patch]
    along = rows * np.sin(angle) + columns * np.cos(angle)
    image += stripes * np.sin(along * 0.9)
    for scale, strength in ((2.5, 5), (8, 6), (30, 5)):
        image += strength * _smooth_noise(height, width, scale, random)
    return image


def _road_network(height: int, width: int, random: np.random.Generator) -> list[Road]:
    """Returns the roads, narrow ones first so that wide ones are drawn over them."""
    size = np.array([width, height], dtype=np.float64)
    main = []
    for _ in range(random.integers(1, 3)):
        angle = random.uniform(0, np.pi)
        main.append(_through(size, angle, random, random.uniform(12, 20), bend=0.06))
    streets = []
    angle = random.uniform(0, np.pi)
    spacing = random.uniform(75, 130)
    extent = float(np.hypot(*size))
    for direction, skip in ((angle, 0.2), (angle + np.pi / 2, 0.35)):
        for offset in np.arange(-extent / 2, extent / 2, spacing):
            if random.random() < skip:
                continue
            start, end = sorted(random.uniform(-0.6, 0.6, 2))
            if end - start < 0.3:
                start, end = -0.6, 0.6
            streets.append(
                _segment(size, direction, offset + random.normal(0, 8), (start, end), random)
            )
    lanes = [
        _through(size, random.uniform(0, np.pi), random, random.uniform(4, 6), bend=0.12)
        for _ in range(random.integers(1, 4))
    ]
    return [*lanes, *streets, *main]


def _through(
    size: NDArray[np.float64], angle: float, random: np.random.Generator, width: float, bend: float
) -> Road:
    """Returns a curved road from one side of the scene to the other."""
    extent = float(np.hypot(*size))
    direction = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    knots = np.linspace(-0.65, 0.65, 8)
    sideways = random.uniform(-0.25, 0.25) + random.normal(0, bend, knots.size)
    line = size / 2 + extent * (knots[:, None] * direction + sideways[:, None] * across)
    return Road(_curve(line), width, float(random.uniform(118, 165)))


def _segment(
    size: NDArray[np.float64],
    angle: float,
    offset: float,
    span: tuple[float, float],
    random: np.random.Generator,
) -> Road:
    """A street of a grid, with a slight bend, that ends inside the scene or runs through it."""
    extent = float(np.hypot(*size))
    direction = np.array([np.cos(angle), np.sin(angle)])
    across = np.array([-direction[1], direction[0]])
    knots = np.linspace(*span, 6)
    sideways = offset + np.cumsum(random.normal(0, 3.5, knots.size))
    line = size / 2 + knots[:, None] * extent * direction + sideways[:, None] * across
    return Road(_curve(line), float(random.uniform(6.5, 10)), float(random.uniform(105, 170)))


def _curve(knots: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns points on a smooth curve through the knots, a few pixels apart."""
    along = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(knots, axis=0).T))])
    curve: NDArray[np.float64] = CubicSpline(along, knots)(np.arange(0, along[-1], 4.0))
    return curve


def _coverage(height: int, width: int, roads: list[Road]) -> NDArray[np.float64]:
    """Returns the share of each pixel that roads cover, 0 to 1, [height, width]."""
    canvas = Image.new("L", (width * _FINER, height * _FINER))
    pen = ImageDraw.Draw(canvas)
    for road in roads:
        points = [(x * _FINER, y * _FINER) for x, y in road.points]
        stroke = max(1, round(road.width * _FINER))
        pen.line(points, fill=255, width=stroke, joint="curve")
    return _averaged(canvas)


def _averaged(canvas: Image.Image) -> NDArray[np.float64]:
    """Averages an enlarged canvas down to the size of the scene; values 0 to 1."""
    size = (canvas.width // _FINER, canvas.height // _FINER)
    return np.asarray(canvas.resize(size, Image.Resampling.BOX), dtype=np.float64) / 255


def _draw_roofs(
    image: NDArray[np.float64],
    roads: list[Road],
    label: NDArray[np.float64],
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Draws houses with shadows in rows along the streets, none on a road."""
    height, width = label.shape
    free = label < 0.01
    for road in roads:
        steps = np.arange(8, len(road.points) - 1, 6)
        for index in steps:
            for side in (-1, 1):
                if random.random() < 0.45:
                    continue
                along = road.points[index + 1] - road.points[index]
                along /= np.hypot(*along)
                across = np.array([-along[1], along[0]]) * side
                half = random.uniform((5, 4), (10, 7))
                centre = road.points[index] + across * (
                    road.width / 2 + half[1] + random.uniform(5, 14)
                )
                corners = [centre + a * half[0] * along + b * half[1] * across
                           for a, b in ((-1, -1), (-1, 1), (1, 1), (1, -1))]  # fmt: skip
                box = _box(np.array(corners), height, width)
                if box is None or not free[box].all():
                    continue
                roof = np.array(_ROOFS[random.integers(len(_ROOFS))]) + random.normal(0, 8)
                _paint(image, box, np.array(corners) + (3, 3), np.array((48.0, 50.0, 52.0)))
                _paint(image, box, np.array(corners), roof)
                ridge = np.array(corners)[[0, 1, 2, 3]]
                ridge[[1, 2]] = (ridge[[0, 3]] + ridge[[1, 2]]) / 2
                _paint(image, box, ridge, roof * 0.86)
                free[box] = False
    return image


def _box(
    points: NDArray[np.float64], height: int, width: int, margin: int = 4
) -> tuple[slice, slice] | None:
    """Returns rows and columns around points; None if these reach outside the scene."""
    left, top = np.floor(points.min(0)).astype(int) - margin
    right, bottom = np.ceil(points.max(0)).astype(int) + margin
    if left < 0 or top < 0 or right > width or bottom > height:
        return None
    return slice(top, bottom), slice(left, right)


def _paint(
    image: NDArray[np.float64],
    box: tuple[slice, slice],
    polygon: NDArray[np.float64],
    colour: NDArray[np.float64],
) -> None:
    """Fills a polygon (x, y in scene pixels) inside a box of the image, in place."""
    rows, columns = box
    size = (columns.stop - columns.start, rows.stop - rows.start)
    canvas = Image.new("L", (size[0] * _FINER, size[1] * _FINER))
    local = (polygon - (columns.start, rows.start)) * _FINER
    ImageDraw.Draw(canvas).polygon([(x, y) for x, y in local], fill=255)
    covered = _averaged(canvas)
    image[:, rows, columns] += covered * (colour[:, None, None] - image[:, rows, columns])


def _draw_trees(
    image: NDArray[np.float64],
    roads: list[Road],
    woods: NDArray[np.bool_],
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """Draws tree crowns: dense in woods, sparse elsewhere, some over the edges of roads."""
    height, width = woods.shape
    inside = np.argwhere(woods)
    centres = []
    if len(inside):
        picked = random.integers(len(inside), size=len(inside) // 45)
        centres.append(inside[picked][:, ::-1] + random.uniform(0, 1, (picked.size, 2)))
    centres.append(random.uniform((0, 0), (width, height), (height * width // 2_500, 2)))
    for road in roads:
        beside = road.points[random.random(len(road.points)) < 0.12]
        centres.append(beside + random.normal(0, road.width * 0.9, beside.shape))
    for x, y in np.concatenate(centres):
        radius = random.uniform(2.5, 6.5)
        box = _box(np.array([[x - radius, y - radius], [x + radius, y + radius]]), height, width)
        if box is None:
            continue
        rows, columns = np.mgrid[box].astype(np.float64)
        distance = np.hypot(rows - y, columns - x)
        angle = np.arctan2(rows - y, columns - x)
        ragged = radius * (1 + 0.18 * np.sin(3 * angle + x) + 0.1 * np.sin(7 * angle + y))
        shade = np.clip(ragged - np.hypot(rows - y - 3, columns - x - 3), 0, 1) * 0.45
        image[:, box[0], box[1]] *= 1 - shade
        crown = np.clip(ragged - distance, 0, 1)
        green = np.array([62, 80, 56]) * random.uniform(0.75, 1.25)
        lit = 1 + 0.3 * np.clip((columns + rows - x - y) / (-2 * radius), -1, 1)
        image[:, box[0], box[1]] += crown * (green[:, None, None] * lit - image[:, box[0], box[1]])
    return image


def _valid(height: int, width: int, random: np.random.Generator) -> NDArray[np.bool_]:
    """Returns False in one corner, cut off by a slanted line, and True elsewhere."""
    rows, columns = np.mgrid[:height, :width]
    down, across = random.uniform(0.12, 0.25, 2)
    cut = rows / (height * down) + columns / (width * across) < 1
    turns = int(random.integers(2))
    valid: NDArray[np.bool_] = ~(cut[:, ::-1] if turns else cut)
    return valid
