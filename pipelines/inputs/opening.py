"""Opens scenes and fundus images as the network is to see them, with their labels."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.errors import DataError
from pipelines.inputs.field_of_view import (
    field_diameter,
    field_of_view,
    read_field,
    working_diameter,
)
from pipelines.inputs.fundus import FundusSample, sample_of
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.scene_input import OpenedScene
from tiling.scenes.area import AreaScene, read_area
from tiling.scenes.files import open_scene
from tiling.scenes.masked import MaskedScene
from tiling.scenes.resample import ResampledScene, pixel_size
from tiling.scenes.scene import Scene
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
    """

    bands: int | tuple[int, ...] | None = 3
    gsd: float | None = None
    gsd_wanted: bool = False
    field_diameters: tuple[int, int] | None = None
    area: Path | None = None
    white_is_nodata: bool = False
    labelling: Labelling = field(default_factory=Labelling)


@contextmanager
def opened_scene(source: str, path: Path | None, reading: Reading) -> Iterator[OpenedScene]:
    """Opens an aerial scene and its label, if it has one."""
    with (
        open_scene(source, bands=reading.bands) as file,
        open_label(path, reading.labelling, file) as label,
    ):
        scene: Scene = file
        if reading.white_is_nodata:
            scene = WhiteScene(scene)
        if reading.area is not None:
            scene = AreaScene(scene, read_area(reading.area, scene))
        yield OpenedScene(scene, _at_gsd(scene, reading), label)


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
    # A mask that was derived is coarser than a large scene.
    own = field_diameter(scene.mask) * max(scene.height, scene.width) / max(scene.mask.shape)
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
            yield OpenedScene(masked, _at_diameter(masked, reading), label, second)
