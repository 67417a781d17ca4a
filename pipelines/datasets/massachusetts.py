"""Massachusetts Roads, in the layout of the University of Toronto."""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pipelines.config.training import TrainRoads
from pipelines.datasets.examples import (
    Example,
    Source,
    TrainingData,
    check_labels,
    checked_contents,
    drawn_name,
    one_pixel_size,
)
from pipelines.datasets.synthetic import write_roads_folder
from pipelines.errors import DataError
from pipelines.inputs.discovery import aerial_input, rasters_in
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import labelling_of
from pipelines.inputs.naming import find_label, passed_over
from pipelines.inputs.opening import Reading
from pipelines.inputs.scene_input import SceneInput
from pipelines.sampling.sources import SceneSource
from tiling.scenes.ground import PixelSize, pixel_size

_READING = Reading(white_is_nodata=True)

_CLASSES = ("background", "road")

LAYOUT = "DIR/{train,valid,test}/sat/*.tiff with DIR/.../map/*.tif of the same names"


@dataclass(frozen=True)
class RoadPair:
    """A scene and its label.

    Attributes:
        name: Stem of the scene's file.
        image: RGB, 8 bits; white patches are missing pixels.
        label: 0 background, any other value road; or lines or polygons.
    """

    name: str
    image: Path
    label: Path

    def scene_input(self, reading: Reading = _READING) -> SceneInput:
        """The scene, to be opened with its label."""
        return aerial_input(str(self.image), self.label, reading)


def road_pairs(folder: Path, split: str) -> list[RoadPair]:
    """Pairs of one split, by name.

    Args:
        folder: The data set.
        split: "train", "valid" or "test".

    Raises:
        DataError: The folder is missing, holds no pair, or lacks the label of a scene.
    """
    images = folder / split / "sat"
    if not images.is_dir():
        raise DataError(
            f"{images}: no such folder; get Massachusetts Roads from "
            f"https://www.cs.toronto.edu/~vmnih/data/ and lay it out as {LAYOUT}"
        )
    pairs, unlabelled = [], []
    for image in map(Path, rasters_in(images)):
        label = find_label(folder / split / "map", image.stem, ("{stem}",))
        if label is None:
            unlabelled.append(image)
        else:
            pairs.append(RoadPair(image.stem, image, label))
    if not pairs:
        raise DataError(f"{images}: no scene with a label; the layout is {LAYOUT}")
    if unlabelled:
        raise DataError(
            f"{unlabelled[0]}: no label of its name in {folder / split / 'map'}, though others "
            f"have one{passed_over(folder / split / 'map', unlabelled[0].stem, ('{stem}',))}; "
            "add it, or take the scene away"
        )
    return pairs


def road_data(config: TrainRoads) -> TrainingData:
    """Massachusetts Roads: trains on `train`, scores `test`, or `valid` where there is none.

    Scenes to train on are opened here, and read by `Example.contents`.

    Raises:
        DataError: The data are missing or in another layout, or a scene has no label.
        LabelError: A label has another size or place, or, of those that are scored at the end, a
            third value.
        SceneError: A scene or a label cannot be opened.
    """
    labelling = labelling_of(2, (), config)
    told = _told(config)
    reading = replace(_READING, labelling=labelling)
    folders = [
        [
            pair.scene_input(
                replace(reading, pixel_told=size, gsd=size and told[0], any_scale=True)
            )
            for pair in road_pairs(folder, "train")
        ]
        for folder, size in zip(config.data, told, strict=True)
    ]
    split = "test" if (config.data[0] / "test" / "sat").is_dir() else "valid"
    tests = [pair.scene_input(reading) for pair in road_pairs(config.data[0], split)]
    sizes = [_checked_pixel_size(item) for items in folders for item in items]
    check_labels(tests, _CLASSES[1])
    # Pixels of Massachusetts Roads are a metre wide, even where the coordinates were lost.
    gsd = told[0] or (one_pixel_size(sizes) if any(sizes) else 1.0)

    def draw() -> list[Source]:
        if not config.samples:
            return []
        folder = write_roads_folder(
            config.output / drawn_name(), train=6, valid=0, size=_DRAWN_SIZE, seed=1000
        )
        return [SceneSource(pair.scene_input()) for pair in road_pairs(folder, "train")]

    return TrainingData(
        "roads", tuple(folder.resolve().name for folder in config.data), _CLASSES,
        [
            [_example(item, _scales(size, told[0], config.how.zoom)) for item in items]
            for items, size in zip(folders, told, strict=True)
        ],
        split, tests, draw=draw, drawn_share=config.samples / 100, ground_sampling_distance=gsd,
        shares=config.shares,
    )  # fmt: skip


def official_road_data(config: TrainRoads) -> TrainingData:
    """Massachusetts Roads as its author divided it: its 14 `valid` scenes choose the weights.

    Raises:
        DataError: See `road_data`.
        LabelError: See `road_data`.
        SceneError: See `road_data`.
    """
    reading = replace(_READING, labelling=labelling_of(2, (), config), any_scale=True)
    items = [pair.scene_input(reading) for pair in road_pairs(config.data[0], "valid")]
    for item in items:
        _checked_pixel_size(item)
    zoom = config.how.zoom
    valid = [_example(item, _scales(None, None, zoom)) for item in items]
    return replace(road_data(config), valid=valid)


def _told(config: TrainRoads) -> list[float | None]:
    """The pixel size of each folder that the configuration tells; None for the coordinates'."""
    sizes: list[float | None] = [None] * len(config.data)
    for name, values in (("--pixel-sizes", config.pixel_sizes), ("--shares", config.shares)):
        if values is not None and len(values) != len(config.data):
            raise DataError(
                f"{name} has {len(values)} numbers, but there are {len(config.data)} folders of "
                "--data; give one for each"
            )
    return sizes if config.pixel_sizes is None else [*config.pixel_sizes]


_DRAWN_SIZE = 768
"""Side of a drawn scene, in pixels."""

_SEEN_FINER = 2.0
"""How much finer, or coarser, than a network's own the pixels may be that a scene is cut at."""


def _scales(own: float | None, network: float | None, zoom: float) -> tuple[float, float]:
    """Smallest and largest factor by which a scene's pixels are enlarged in crops.

    A scene of another pixel size may be predicted at the network's, or at its own where no
    coordinates tell it; so crops are cut at all sizes between, if these are not too different.

    Args:
        own: Metres per pixel of the scene; None where nobody tells them.
        network: Metres per pixel that the network sees.
        zoom: Largest factor by which crops are enlarged or reduced besides.
    """
    if own is None or network is None:
        return 1 / zoom, zoom
    near = min(max(own, network / _SEEN_FINER), network * _SEEN_FINER)
    seen = sorted((network, near))
    return own / seen[1] / zoom, own / seen[0] * zoom


def _example(item: SceneInput, scales: tuple[float, float]) -> Example:
    source = SceneSource(item, scales)
    return Example(source, item, item.name, partial(checked_contents, source, _CLASSES[1]))


def _checked_pixel_size(item: SceneInput) -> PixelSize | None:
    """The size of the pixels of a scene whose label lies on it.

    Raises:
        LabelError: It does not.
    """
    with item.open() as opened:
        if opened.label is not None:
            check_fits(opened.label, opened.scene)
        return pixel_size(opened.scene)
