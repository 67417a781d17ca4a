"""Opens scenes and fundus images as the network is to see them, with their labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.config.base import AUTO
from pipelines.errors import DataError
from pipelines.inputs.field_of_view import (
    field_diameter,
    field_of_view,
    read_field,
    working_diameter,
)
from pipelines.inputs.fundus import FundusSample, sample_of
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.normalisation import (
    ValueRange,
    WantedRange,
    may_leave_range,
    range_of_type,
)
from pipelines.inputs.pixel_values import robust_range
from pipelines.inputs.scene_input import OpenedScene
from tiling.errors import SceneError
from tiling.scenes.area import AreaScene, read_area
from tiling.scenes.files import open_scene
from tiling.scenes.in_range import InRangeScene
from tiling.scenes.masked import MaskedScene
from tiling.scenes.resample import ResampledScene, pixel_size
from tiling.scenes.scene import FileScene, Scene, Valid
from tiling.scenes.white import WhiteScene

SAME_SCALE = 0.01
"""Scales that differ by less than this share count as one: resampling would gain nothing."""


FIELD_SEEN_AT = 2048
"""Longest side, in pixels, of the overview that a field of view is derived from."""


@dataclass(frozen=True)
class Reading:
    """How scenes are read.

    Attributes:
        bands: How many they must have, or which are read (from 1 on); None reads all colours.
        gsd: Metres per pixel at which the network sees them; None for their own.
        gsd_wanted: Whether a scene whose pixels have no size in metres is then an error.
        field_diameters: Smallest and largest diameter in pixels at which the network sees the
            field of view of a fundus; None for its own.
        area: GeoJSON file; outside of its polygons pixels are missing.
        white_is_nodata: Whether patches of white are missing pixels.
        labelling: What the values of labels mean.
        value_range: Pixel values that stand for 0 and 255.
    """

    bands: int | tuple[int, ...] | None = 3
    gsd: float | None = None
    gsd_wanted: bool = False
    field_diameters: tuple[int, int] | None = None
    area: Path | None = None
    white_is_nodata: bool = False
    labelling: Labelling = field(default_factory=Labelling)
    value_range: WantedRange = None


@contextmanager
def opened_scene(source: str, path: Path | None, reading: Reading) -> Iterator[OpenedScene]:
    """Opens an aerial scene and its label, if it has one."""
    with (
        _open_image(source, reading.bands) as file,
        open_label(path, reading.labelling) as label,
    ):
        scene: Scene = file
        if reading.white_is_nodata:
            scene = WhiteScene(scene)
        if reading.area is not None:
            scene = AreaScene(scene, read_area(reading.area, scene))
        scene, ends = _in_range(scene, reading)
        yield OpenedScene(scene, _at_gsd(scene, reading), label, value_range=ends, file=file)


def _open_image(source: str | Path, bands: int | tuple[int, ...] | None) -> FileScene:
    """Opens a file whose pixels are colours: one band of a palette is grey, not its numbers.

    Raises:
        SceneError: One band is wanted, but the colours of its palette are not grey.
    """
    file = open_scene(source, bands=bands)
    if bands != 1 or not file.palette:
        return file
    file.close()
    file = open_scene(source, bands=None)
    if file.bands != 1:
        file.close()
        raise SceneError(
            f"{source}: its pixels have the colours of a palette, but 1 band is wanted; choose "
            "red, green or blue with --bands 1, 2 or 3"
        )
    return file


def _in_range(scene: Scene, reading: Reading) -> tuple[Scene, ValueRange | None]:
    """The scene with no value outside its range, and the range; None for that of the type."""
    wanted = reading.value_range
    ends = robust_range(scene) if wanted == AUTO else wanted
    if may_leave_range(scene.dtype, ends):
        scene = InRangeScene(scene, *(ends or range_of_type(scene.dtype)))
    return scene, ends


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


def _at_diameter(scene: Scene, field: Valid, reading: Reading) -> Scene:
    """A fundus as the network sees it."""
    if reading.field_diameters is None:
        return scene
    # A mask that was derived is coarser than a large scene.
    own = field_diameter(field) * max(scene.height, scene.width) / max(field.shape)
    return _at_scale(scene, working_diameter(own, reading.field_diameters) / own)


def _at_scale(scene: Scene, scale: float) -> Scene:
    """The scene with `scale` times as many pixels along each side, or itself at about 1."""
    if abs(scale - 1) < SAME_SCALE:
        return scene
    height, width = (max(1, round(length * scale)) for length in (scene.height, scene.width))
    return ResampledScene(scene, height, width)


@contextmanager
def opened_fundus(source: str, labels: Path | None, reading: Reading) -> Iterator[OpenedScene]:
    """Opens a fundus image inside its field of view; no labels where there is no folder of them."""
    sample = sample_of(Path(source), labels)
    if labels is None:
        sample = FundusSample(sample.name, sample.image, field=sample.field)
    with opened_sample(sample, reading) as opened:
        yield opened


@contextmanager
def opened_sample(sample: FundusSample, reading: Reading) -> Iterator[OpenedScene]:
    """Opens a fundus image inside its field of view, with the sample's own annotations."""
    with _open_image(sample.image, reading.bands) as file:
        if sample.field is None:
            within = field_of_view(file.overview(FIELD_SEEN_AT)[0])
        else:
            within = read_field(sample.field, (file.height, file.width))
        scene, ends = _in_range(MaskedScene(file, within), reading)
        with (
            open_label(sample.label, reading.labelling) as label,
            open_label(sample.second, reading.labelling) as second,
        ):
            seen = _at_diameter(scene, within, reading)
            yield OpenedScene(scene, seen, label, second, value_range=ends, file=file)
