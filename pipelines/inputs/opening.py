"""Opens scenes and fundus images as the network is to see them, with their labels."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

from pipelines.config.base import AUTO
from pipelines.errors import DataError
from pipelines.inputs.field_masks import check_field, read_field
from pipelines.inputs.field_of_view import (
    SEEN_AT,
    FieldOfView,
    field_diameter,
    field_of_view,
    field_remarks,
    scale_seen,
    seen_whole,
)
from pipelines.inputs.fundus import FundusSample, sample_from
from pipelines.inputs.labels import Labelling, RasterLabel, open_label
from pipelines.inputs.naming import FIELD, find_label
from pipelines.inputs.normalisation import (
    ValueRange,
    WantedRange,
    may_leave_range,
    range_of_type,
)
from pipelines.inputs.pixel_values import robust_range
from pipelines.inputs.scale import at_gsd, at_scale, on_retina, remarks_on_scale
from pipelines.inputs.scene_input import FieldUsed, OpenedScene
from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.scenes.area import AreaScene, read_area
from tiling.scenes.eye import Eye
from tiling.scenes.in_range import InRangeScene
from tiling.scenes.masked import MaskedScene
from tiling.scenes.names import shown
from tiling.scenes.scene import FileScene, Scene
from tiling.scenes.white import WhiteScene

_MUCH_ENLARGED = 2
"""A photograph enlarged by more is remarked: of two eyes of CHASE_DB1 at half their size, vessels
were 7 % shorter in diameters, and 12 % wider (docs/measurements.md)."""


@dataclass(frozen=True)
class Reading:
    """How scenes are read.

    Attributes:
        bands: How many they must have, or which are read (from 1 on); None reads all colours.
        gsd: Metres per pixel at which the network sees them; None for their own.
        gsd_wanted: Whether a scene whose pixels have no size in metres is then an error.
        pixel_told: Side of a pixel of the scenes in metres, whatever their coordinates say; None
            measures it.
        any_scale: Whether a scene may be scaled by more than `MOST_SCALED`.
        field_diameters: Smallest and largest diameter in pixels at which the network sees the
            field of view of a fundus; None for its own.
        scale: Pixels that the network sees for each pixel of a fundus, along a side, whatever its
            diameter; None goes by that.
        field_source: Where the field of view of a fundus comes from: the whole image, the image
            in which it is found, a folder of masks, or None for the sample's own mask, and the
            image where it has none.
        area: GeoJSON file; outside of its polygons pixels are missing.
        white_is_nodata: Whether patches of white are missing pixels.
        micrometres: Side of a fundus's pixel on the retina, whatever its file says.
        labelling: What the values of labels mean.
        value_range: Pixel values that stand for 0 and 255.
    """

    bands: int | tuple[int, ...] | None = 3
    gsd: float | None = None
    gsd_wanted: bool = False
    pixel_told: float | None = None
    any_scale: bool = False
    field_diameters: tuple[int, int] | None = None
    scale: float | None = None
    field_source: Literal["whole", "derived"] | Path | None = None
    area: Path | None = None
    white_is_nodata: bool = False
    micrometres: float | None = None
    labelling: Labelling = field(default_factory=Labelling)
    value_range: WantedRange = None


@contextmanager
def opened_scene(source: str, path: Path | None, reading: Reading) -> Iterator[OpenedScene]:
    """Opens an aerial scene and its label, if it has one."""
    with (
        _open_image(source, reading.bands) as file,
        open_label(path, reading.labelling, file) as label,
    ):
        scene: Scene = file
        if reading.white_is_nodata:
            scene = WhiteScene(scene)
        if reading.area is not None:
            if file.control is not None:
                remedy = file.control.remedy(file.name)
                raise DataError(
                    f"{file.name}: has {file.control.kind} but no transform, so {reading.area} "
                    f"cannot be placed on it; give the file that this makes: {remedy}"
                )
            scene = AreaScene(scene, read_area(reading.area, scene))
        remarks = remarks_on_scale(scene, reading.pixel_told, reading.gsd)
        scene, ends = _in_range(scene, reading)
        seen = scene
        if reading.gsd is not None:
            seen = at_gsd(
                scene, reading.gsd, reading.pixel_told,
                wanted=reading.gsd_wanted, any_scale=reading.any_scale,
            )  # fmt: skip
        yield OpenedScene(
            scene, seen, label,
            value_range=ends,
            file=file,
            remarks=(*remarks_on_file(file), *remarks, *remarks_on_pages(label)),
            pixel_told=reading.pixel_told,
            control=file.control,
        )  # fmt: skip


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


def remarks_on_file(file: FileScene) -> tuple[str, ...]:
    """Returns what a person should know of how a file's pixels lie, line by line."""
    remarks = list(_remarks_on_gap(file))
    if file.control is not None and file.control.arrays:
        remarks.append(
            f"{file.name}: geolocation arrays tell where its pixels lie, which the results do not "
            f"carry; to have results with coordinates, give the file that this makes: "
            f"{file.control.remedy(file.name)}"
        )
    return (*remarks, *remarks_on_pages(file))


def remarks_on_pages(file: FileScene | RasterLabel | None) -> tuple[str, ...]:
    """Returns that a file holds more pictures than the one that is read: at most one line."""
    if file is None or file.pages == 1:
        return ()
    return (
        f"{file.name}: holds {file.pages} pictures, of which the first is read; another one "
        f"has the name {shlex.quote(f'GTIFF_DIR:2:{file.name}')}",
    )


def _remarks_on_gap(file: FileScene) -> tuple[str, ...]:
    """Returns what a person should know of a mosaic: one line where it has a gap that counts."""
    if file.gap is None:
        return ()
    pixels, valid = file.read(file.gap.place)
    if not valid.any():
        return ()
    value = ",".join(f"{value:g}" for value in pixels.ravel())
    return (
        f"{file.name}: {100 * file.gap.share:.3g} % of it {file.gap.cause}, but counts as pixels "
        f"of {value}; to make them missing, with all pixels of {file.gap.of_file} that are 0: "
        f"{file.gap.remedy}",
    )


@contextmanager
def opened_fundus(source: str, labels: Path | None, reading: Reading) -> Iterator[OpenedScene]:
    """Opens a fundus image inside its field of view; no labels where there is no folder of them."""
    with opened_sample(sample_from(source, labels), reading) as opened:
        yield opened


@contextmanager
def opened_sample(sample: FundusSample, reading: Reading) -> Iterator[OpenedScene]:
    """Opens a fundus image inside its field of view, with the sample's own annotations."""
    with _open_image(sample.image, reading.bands) as file:
        found, mask, remarks = _field(sample, file, reading)
        scene, ends = _in_range(MaskedScene(file, found.mask), reading)
        shape = scene.height, scene.width
        scale = reading.scale or 1.0
        if reading.scale is None and reading.field_diameters is not None:
            scale = scale_seen(found.mask, shape, reading.field_diameters)
        seen = at_scale(scene, scale, scale)
        used = FieldUsed(
            str(mask or reading.field_source or "derived"),
            share=float(found.mask.mean()),
            # A mask that was derived is coarser than a large scene.
            diameter=round(field_diameter(found.mask) * max(shape) / max(found.mask.shape)),
            scale=max(seen.height, seen.width) / max(shape),
        )
        eye = file.eye or Eye()
        micrometres, on_scale = on_retina(file.name, eye, reading.micrometres)
        with (
            open_label(sample.label, reading.labelling) as label,
            open_label(sample.second, reading.labelling) as second,
        ):
            yield OpenedScene(
                scene, seen, label, second,
                value_range=ends,
                file=file,
                field_mask=mask,
                field=used,
                remarks=(
                    *remarks,
                    *_remarks_on_size(file.name, used, reading),
                    *on_scale,
                    *_remarks_on_text(file.name, eye),
                ),
                laterality=eye.laterality,
                micrometres=micrometres,
            )  # fmt: skip


def _remarks_on_size(name: str, used: FieldUsed, reading: Reading) -> tuple[str, ...]:
    if reading.scale is not None or used.scale <= _MUCH_ENLARGED:
        return ()
    return (
        f"{name}: its field of view is only {used.diameter} pixels across, so the network sees it "
        f"enlarged {used.scale:.2g} times: thin vessels are not in it, and fewer and wider ones "
        "are measured than in a larger photograph of the same eye; give it as large as the camera "
        "took it, or do not compare its measurements with those of larger ones",
    )


def _remarks_on_text(name: str, eye: Eye) -> tuple[str, ...]:
    if not eye.burned_in:
        return ()
    return (
        f"{name}: its file says that there is text in the picture, which may tell whose it is, "
        "and the report shows the picture; do not hand it on",
    )


def _field(
    sample: FundusSample, scene: FileScene, reading: Reading
) -> tuple[FieldOfView, Path | None, tuple[str, ...]]:
    """The field of view of a fundus, its mask if it has one, and what a person should know of it.

    Raises:
        DataError: There is no mask in the folder that is to hold it, or it cannot be one.
    """
    shape, source = (scene.height, scene.width), reading.field_source
    if source == "whole":
        return FieldOfView(np.ones(shape, bool), bordered=False), None, ()
    path = None if source == "derived" else sample.field
    if isinstance(source, Path):
        path = find_label(source, sample.name, FIELD, other_than=str(sample.image))
        if path is None:
            raise DataError(
                f"{shown(sample.image)}: no mask of its name in {source} ({sample.name}_mask, "
                f"{sample.name}); add or rename it, or leave --field out"
            )
    if path is None:
        found = field_of_view(seen_whole(scene, SEEN_AT))
        return found, None, field_remarks(scene.name, found)
    found = read_field(path, shape)
    remarks = (*field_remarks(str(path), found), *check_field(path, found.mask, scene))
    return found, path, remarks
