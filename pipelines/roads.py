"""Massachusetts Roads, in the layout of the University of Toronto."""

from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DataError
from pipelines.job import Job
from pipelines.jobs import Reading, rasters_in, scene_job
from pipelines.labels import find_label

_READING = Reading(white_is_nodata=True)

LAYOUT = "DIR/{train,valid,test}/sat/*.tiff with DIR/.../map/*.tif of the same names"


@dataclass(frozen=True)
class RoadPair:
    """A scene and its label.

    Attributes:
        name: Stem of the scene's file.
        image: RGB, 8 bits; white patches are missing pixels.
        label: 0 background, any other value road.
    """

    name: str
    image: Path
    label: Path

    def job(self) -> Job:
        """How it is opened."""
        return scene_job(str(self.image), self.label, _READING)


def road_pairs(folder: Path, split: str) -> list[RoadPair]:
    """Pairs of one split, by name.

    Args:
        folder: The data set.
        split: "train", "valid" or "test".

    Raises:
        DataError: The folder is missing, holds no pair, or not for every scene a label.
    """
    images = folder / split / "sat"
    if not images.is_dir():
        raise DataError(
            f"{images}: no such folder; get Massachusetts Roads from "
            f"https://www.cs.toronto.edu/~vmnih/data/ and lay it out as {LAYOUT}"
        )
    pairs, unlabelled = [], []
    for image in map(Path, rasters_in(images, (".tif", ".tiff"))):
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
            "have one; add it, or take the scene away"
        )
    return pairs
