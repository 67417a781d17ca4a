"""From what a user names (files, globs, folders, /vsi paths) to the jobs of a batch."""

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pipelines.batch import Job, Opened
from pipelines.errors import DataError
from pipelines.fundus import FundusSample, field_of_view, images_in, read_binary, sample_of
from pipelines.predict import Prediction
from tiling.errors import SinkError
from tiling.masked import MaskedScene
from tiling.scene import RasterScene
from tiling.window import Window

SCENE_EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".jpg", ".jpeg", ".jp2", ".img")

_FIELD_SEEN_AT = 2048
"""Longest side, in pixels, of the overview that a field of view is derived from."""


def road_jobs(
    scenes: Sequence[str], labels: Path | None, *, white_is_nodata: bool = False
) -> list[Job]:
    """Jobs for aerial scenes.

    Args:
        scenes: Files, globs, folders, or /vsi paths.
        labels: Folder of labels with the scenes' stems; other values than 0 are road.
        white_is_nodata: Whether patches of white are missing pixels.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no scene.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    return [
        Job(source, _stem(source), partial(_open_road, source, labels, white_is_nodata))
        for source in _expanded(scenes, _rasters_in)
    ]


def fundus_jobs(images: Sequence[str], labels: Path | None) -> list[Job]:
    """Jobs for fundus images: inside the field of view only, with a PNG mask besides.

    Args:
        images: Files, globs or folders; annotations of DRIVE, CHASE_DB1 and HRF that lie in a
            folder are passed over.
        labels: Folder of the first observer's labels; None scores nothing.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no image.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    found = _expanded(images, lambda folder: [str(path) for path in images_in(folder)])
    return [
        Job(source, _stem(source), partial(_open_fundus, source, labels), write_png)
        for source in found
    ]


def sample_job(sample: FundusSample) -> Job:
    """The job of a sample whose annotations are known."""
    return Job(str(sample.image), sample.name, partial(_open_sample, sample), write_png)


def write_png(prediction: Prediction) -> dict[str, Path]:
    """Writes `mask.png` beside the mask: 0 and 255, nodata (outside the field of view) 0."""
    path = prediction.mask.with_suffix(".png")
    partial_path = path.with_name(f".{path.name}.partial")
    with RasterScene(prediction.mask, bands=1) as mask:
        pixels, _ = mask.read(Window(0, 0, mask.height, mask.width))
    image = Image.fromarray((pixels[0] == 1).astype(np.uint8) * np.uint8(255))
    try:
        image.save(partial_path, format="PNG")
        partial_path.replace(path)
    except OSError as error:
        partial_path.unlink(missing_ok=True)
        raise SinkError(
            f"{path}: cannot be written ({error}); free some space or choose another --output"
        ) from error
    return {"png": path}


@dataclass(frozen=True)
class RasterLabel:
    """A label raster of one band; other values than 0 are foreground."""

    scene: RasterScene

    @property
    def name(self) -> str:
        """Its file."""
        return self.scene.name

    @property
    def height(self) -> int:
        """Rows."""
        return self.scene.height

    @property
    def width(self) -> int:
        """Columns."""
        return self.scene.width

    def read(self, window: Window) -> NDArray[np.bool_]:
        """See `pipelines.batch.Label`."""
        foreground: NDArray[np.bool_] = self.scene.read(window)[0][0] > 0
        return foreground


@contextmanager
def _open_road(source: str, labels: Path | None, white_is_nodata: bool) -> Iterator[Opened]:
    with RasterScene(source, bands=3, white_is_nodata=white_is_nodata) as scene:
        path = None if labels is None else _label_of(source, labels)
        if path is None:
            yield Opened(scene)
            return
        with RasterScene(path, bands=1) as label:
            yield Opened(scene, RasterLabel(label))


@contextmanager
def _open_fundus(source: str, labels: Path | None) -> Iterator[Opened]:
    sample = sample_of(Path(source), labels)
    if labels is None:
        sample = FundusSample(sample.name, sample.image, field=sample.field)
    with _open_sample(sample) as opened:
        yield opened


@contextmanager
def _open_sample(sample: FundusSample) -> Iterator[Opened]:
    with RasterScene(sample.image, bands=3) as scene:
        if sample.field is None:
            field = field_of_view(scene.overview(_FIELD_SEEN_AT))
        else:
            field = read_binary(sample.field, (scene.height, scene.width))
        masked = MaskedScene(scene, field)
        with _open_label(sample.label) as label, _open_label(sample.second) as second:
            yield Opened(masked, label, second)


@contextmanager
def _open_label(path: Path | None) -> Iterator[RasterLabel | None]:
    if path is None:
        yield None
        return
    with RasterScene(path, bands=1) as scene:
        yield RasterLabel(scene)


def _label_of(source: str, labels: Path) -> Path | None:
    for path in sorted(labels.glob(f"{glob.escape(_stem(source))}.*")):
        # The glob alone would take roads.2.tif for a label of roads.tif.
        fits = path.stem == _stem(source) and path.suffix.lower() in SCENE_EXTENSIONS
        if fits and path.resolve() != Path(source).resolve():
            return path
    return None


def _stem(source: str) -> str:
    return PurePosixPath(source).stem


def _rasters_in(folder: Path) -> list[str]:
    return sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in SCENE_EXTENSIONS and not path.name.startswith(".")
    )


def _expanded(sources: Sequence[str], listing: Callable[[Path], list[str]]) -> list[str]:
    """Folders and globs replaced by what they hold; other names stay, be they there or not.

    A file that is not there is an error of its own job, not of the batch.
    """
    found: list[str] = []
    for source in sources:
        path = Path(source)
        if path.is_dir():
            inside = listing(path)
        elif glob.has_magic(source) and not path.exists():
            inside = sorted(glob.glob(source))
        else:
            inside = [source]
        if not inside:
            raise DataError(
                f"{source}: no images in it; give files of {', '.join(SCENE_EXTENSIONS)}"
            )
        found += [name for name in inside if name not in found]
    return found
