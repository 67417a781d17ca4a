"""From what a user names (files, globs, folders, /vsi paths) to the jobs of a batch."""

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import DataError
from pipelines.fundus import FundusSample, field_of_view, images_in, read_binary, sample_of
from pipelines.job import Job, Opened
from tiling.area import AreaScene, read_area
from tiling.files import open_scene
from tiling.masked import MaskedScene
from tiling.raster import RasterScene
from tiling.resample import ResampledScene, pixel_size
from tiling.scene import Scene
from tiling.white import WhiteScene
from tiling.window import Window

SCENE_EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".jpg", ".jpeg", ".jp2", ".img")

_SAME_GSD = 0.01
"""Pixel sizes that differ by less than this share are one: nothing is gained by resampling."""

_FIELD_SEEN_AT = 2048
"""Longest side, in pixels, of the overview that a field of view is derived from."""


@dataclass(frozen=True)
class Reading:
    """How scenes are read.

    Attributes:
        bands: How many they must have, or which are taken (from 1).
        gsd: Metres per pixel at which the network sees them; None for their own.
        gsd_wanted: Whether a scene without metres is an error then.
        area: GeoJSON file, outside of whose polygons pixels are missing.
        white_is_nodata: Whether patches of white are missing pixels.
    """

    bands: int | tuple[int, ...] = 3
    gsd: float | None = None
    gsd_wanted: bool = False
    area: Path | None = None
    white_is_nodata: bool = False


def road_jobs(
    scenes: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[Job]:
    """Jobs for aerial scenes.

    Args:
        scenes: Files, globs, folders, or /vsi paths.
        labels: Folder of labels with the scenes' stems; other values than 0 are road.
        reading: How they are read.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no scene.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    return [
        Job(source, _stem(source), partial(_open_road, source, labels, reading))
        for source in _expanded(scenes, _rasters_in)
    ]


def fundus_jobs(
    images: Sequence[str], labels: Path | None, bands: int | tuple[int, ...] = 3
) -> list[Job]:
    """Jobs for fundus images: inside the field of view only, with a PNG mask besides.

    Args:
        images: Files, globs or folders; annotations of DRIVE, CHASE_DB1 and HRF that lie in a
            folder are passed over.
        labels: Folder of the first observer's labels; None scores nothing.
        bands: How many they must have, or which are taken (from 1).

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no image.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    found = _expanded(images, lambda folder: [str(path) for path in images_in(folder)])
    return [
        Job(source, _stem(source), partial(_open_fundus, source, labels, bands), png=True)
        for source in found
    ]


def sample_job(sample: FundusSample) -> Job:
    """The job of a sample whose annotations are known."""
    return Job(str(sample.image), sample.name, partial(_open_sample, sample), png=True)


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
def _open_road(source: str, labels: Path | None, reading: Reading) -> Iterator[Opened]:
    path = None if labels is None else _label_of(source, labels)
    with open_scene(source, bands=reading.bands) as file, _open_label(path) as label:
        scene: Scene = file
        if reading.white_is_nodata:
            scene = WhiteScene(scene)
        if reading.area is not None:
            scene = AreaScene(scene, read_area(reading.area, scene))
        yield Opened(scene, _at_gsd(scene, reading), label)


def _at_gsd(scene: Scene, reading: Reading) -> Scene:
    """The scene as the network sees it."""
    if reading.gsd is None:
        return scene
    own = pixel_size(scene)
    if own is None:
        if reading.gsd_wanted:
            raise DataError(
                f"{scene.name}: its pixels have no size in metres, so --gsd means nothing; "
                "leave it out, or give the scene a projected CRS, e.g. gdalwarp -t_srs"
            )
        return scene
    scale = own / reading.gsd
    if abs(scale - 1) < _SAME_GSD:
        return scene
    height, width = (max(1, round(length * scale)) for length in (scene.height, scene.width))
    return ResampledScene(scene, height, width)


@contextmanager
def _open_fundus(
    source: str, labels: Path | None, bands: int | tuple[int, ...]
) -> Iterator[Opened]:
    sample = sample_of(Path(source), labels)
    if labels is None:
        sample = FundusSample(sample.name, sample.image, field=sample.field)
    with _open_sample(sample, bands) as opened:
        yield opened


@contextmanager
def _open_sample(sample: FundusSample, bands: int | tuple[int, ...] = 3) -> Iterator[Opened]:
    with open_scene(sample.image, bands=bands) as scene:
        if sample.field is None:
            field = field_of_view(scene.overview(_FIELD_SEEN_AT))
        else:
            field = read_binary(sample.field, (scene.height, scene.width))
        masked = MaskedScene(scene, field)
        with _open_label(sample.label) as label, _open_label(sample.second) as second:
            yield Opened(masked, masked, label, second)


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
