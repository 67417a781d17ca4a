"""Massachusetts Roads, in the layout of the University of Toronto."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import DataError
from tiling.raster import RasterScene
from tiling.scene import Scene
from tiling.white import WhiteScene

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

    @contextmanager
    def open_image(self) -> Iterator[Scene]:
        """The scene, with its missing pixels told apart."""
        with RasterScene(self.image, bands=3) as scene:
            yield WhiteScene(scene)

    def open_label(self) -> RasterScene:
        """The label, one band."""
        return RasterScene(self.label, bands=1)


def road_pairs(folder: Path, split: str) -> list[RoadPair]:
    """Pairs of one split, by name.

    Args:
        folder: The data set.
        split: "train", "valid" or "test".

    Raises:
        DataError: The folder is missing, or holds no pair.
    """
    images = folder / split / "sat"
    if not images.is_dir():
        raise DataError(
            f"{images}: no such folder; get Massachusetts Roads from "
            f"https://www.cs.toronto.edu/~vmnih/data/ and lay it out as {LAYOUT}"
        )
    pairs = []
    for image in sorted(images.glob("*.tif*")):
        labels = sorted((folder / split / "map").glob(f"{image.stem}.tif*"))
        if labels:
            pairs.append(RoadPair(image.stem, image, labels[0]))
    if not pairs:
        raise DataError(f"{images}: no scene with a label; the layout is {LAYOUT}")
    return pairs
