"""From what a user names (files, globs, folders, /vsi paths) to the jobs of a batch."""

import glob
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath

from pipelines.errors import DataError
from pipelines.field import field_diameter, field_of_view, working_diameter
from pipelines.fundus import FundusSample, images_in, read_field, sample_of
from pipelines.job import Job, Opened
from pipelines.labels import Labelling, find_label, open_label
from tiling.area import AreaScene, read_area
from tiling.files import open_scene
from tiling.masked import MaskedScene
from tiling.resample import ResampledScene, pixel_size
from tiling.scene import Scene
from tiling.white import WhiteScene

SCENE_EXTENSIONS = (".tif", ".tiff", ".vrt", ".png", ".jpg", ".jpeg", ".jp2", ".img")

SAME_SCALE = 0.01
"""Scales that differ by less than this share are one: nothing is gained by resampling."""

FIELD_SEEN_AT = 2048
"""Longest side, in pixels, of the overview that a field of view is derived from."""


@dataclass(frozen=True)
class Reading:
    """How scenes are read.

    Attributes:
        bands: How many they must have, or which are taken (from 1); None takes all colours.
        gsd: Metres per pixel at which the network sees them; None for their own.
        gsd_wanted: Whether a scene without metres is an error then.
        field_diameters: Smallest and largest diameter in pixels at which the network sees the
            field of view of a fundus; None for its own.
        area: GeoJSON file, outside of whose polygons pixels are missing.
        white_is_nodata: Whether patches of white are missing pixels.
        labelling: What the values of labels mean.
    """

    bands: int | tuple[int, ...] | None = 3
    gsd: float | None = None
    gsd_wanted: bool = False
    field_diameters: tuple[int, int] | None = None
    area: Path | None = None
    white_is_nodata: bool = False
    labelling: Labelling = field(default_factory=Labelling)


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
        scene_job(
            source,
            None if labels is None else find_label(labels, stem_of(source), other_than=source),
            reading,
        )
        for source in expanded(scenes, rasters_in)
    ]


def fundus_jobs(
    images: Sequence[str], labels: Path | None, reading: Reading | None = None
) -> list[Job]:
    """Jobs for fundus images: inside the field of view only, with a PNG mask besides.

    Args:
        images: Files, globs or folders; annotations of DRIVE, CHASE_DB1 and HRF that lie in a
            folder are passed over.
        labels: Folder of the first observer's labels; None scores nothing.
        reading: How they are read: which bands, at which scale, and what labels mean.

    Raises:
        DataError: The folder of labels is missing, or a folder or glob holds no image.
    """
    if labels is not None and not labels.is_dir():
        raise DataError(f"{labels}: no such folder of labels; check --labels")
    reading = reading or Reading()
    found = expanded(images, lambda folder: [str(path) for path in images_in(folder)])
    return [
        Job(source, stem_of(source), partial(_open_fundus, source, labels, reading), png=True)
        for source in found
    ]


def scene_job(source: str, label: Path | None, reading: Reading) -> Job:
    """The job of a scene whose label is known."""
    return Job(source, stem_of(source), partial(_open_scene, source, label, reading))


def sample_job(sample: FundusSample, reading: Reading | None = None) -> Job:
    """The job of a sample whose annotations are known; `reading` as in `fundus_jobs`."""
    opening = partial(_open_sample, sample, reading or Reading())
    return Job(str(sample.image), sample.name, opening, png=True)


@contextmanager
def _open_scene(source: str, path: Path | None, reading: Reading) -> Iterator[Opened]:
    with (
        open_scene(source, bands=reading.bands) as file,
        open_label(path, reading.labelling) as label,
    ):
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
    return _at_scale(scene, own / reading.gsd)


def _at_diameter(scene: MaskedScene, reading: Reading) -> Scene:
    """A fundus as the network sees it."""
    if reading.field_diameters is None:
        return scene
    # The mask may be coarser than the scene.
    own = field_diameter(scene.mask) * max(scene.height, scene.width) / max(scene.mask.shape)
    return _at_scale(scene, working_diameter(own, reading.field_diameters) / own)


def _at_scale(scene: Scene, scale: float) -> Scene:
    """The scene with `scale` times as many pixels along each side; itself where it is about 1."""
    if abs(scale - 1) < SAME_SCALE:
        return scene
    height, width = (max(1, round(length * scale)) for length in (scene.height, scene.width))
    return ResampledScene(scene, height, width)


@contextmanager
def _open_fundus(source: str, labels: Path | None, reading: Reading) -> Iterator[Opened]:
    sample = sample_of(Path(source), labels)
    if labels is None:
        sample = FundusSample(sample.name, sample.image, field=sample.field)
    with _open_sample(sample, reading) as opened:
        yield opened


@contextmanager
def _open_sample(sample: FundusSample, reading: Reading) -> Iterator[Opened]:
    with open_scene(sample.image, bands=reading.bands) as scene:
        if sample.field is None:
            within = field_of_view(scene.overview(FIELD_SEEN_AT)[0])
        else:
            within = read_field(sample.field, (scene.height, scene.width))
        masked = MaskedScene(scene, within)
        with (
            open_label(sample.label, reading.labelling) as label,
            open_label(sample.second, reading.labelling) as second,
        ):
            yield Opened(masked, _at_diameter(masked, reading), label, second)


def stem_of(source: str) -> str:
    """What a scene is called: its file's name without the last suffix."""
    return PurePosixPath(source).stem


def rasters_in(folder: Path, extensions: Sequence[str] = SCENE_EXTENSIONS) -> list[str]:
    """The rasters of a folder by name."""
    return sorted(
        str(path)
        for path in folder.iterdir()
        if path.suffix.lower() in extensions and not path.name.startswith(".")
    )


def expanded(sources: Sequence[str], listing: Callable[[Path], list[str]]) -> list[str]:
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
