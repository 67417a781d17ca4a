"""One scene of a batch: where it comes from, how it is opened, and what it is scored by."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from pipelines.inputs.labels import RasterLabel
from pipelines.inputs.normalisation import ValueRange
from tiling.scenes.control import GroundControl
from tiling.scenes.ground import PixelSize, pixel_size
from tiling.scenes.scene import FileScene, Scene


@dataclass(frozen=True)
class Views:
    """A scene as the user has it, and as the network sees it.

    Attributes:
        scene: The scene whose size, CRS and transform the results have.
        seen: The same scene, or resampled to the network's scale.
        pixel_told: Side of a pixel in metres, where somebody has told it.
        control: What tells where the scene's pixels lie, where that is no transform.
    """

    scene: Scene
    seen: Scene
    pixel_told: float | None = field(default=None, kw_only=True)
    control: GroundControl | None = field(default=None, kw_only=True)

    @cached_property
    def pixel(self) -> PixelSize | None:
        """The size of a pixel on the ground; None where nothing tells it."""
        return pixel_size(self.scene, self.pixel_told)


@dataclass(frozen=True)
class FieldUsed:
    """The field of view of a fundus, as it is read.

    Attributes:
        source: "whole", "derived", or the file of its mask.
        share: Of the image that it covers, 0 to 1.
        diameter: In pixels of the image; where it is all of the image, that of a part.
        scale: Pixels that the network sees for each pixel of the image, along a side.
    """

    source: str
    share: float
    diameter: int
    scale: float

    def __str__(self) -> str:
        return (
            f"field of view ({self.source}) {self.share:.0%} of the image, {self.diameter} pixels "
            f"across, seen at {self.scale:.3g} times its size"
        )


@dataclass(frozen=True)
class OpenedScene(Views):
    """A scene that is open, with the labels that it is scored by.

    Attributes:
        label: The first observer's label; None where there is none.
        second: The second observer's.
        field_mask: File that the mask of its field of view was read from, where there is one.
        value_range: Pixel values that stand for 0 and 255; None for those of the type.
        file: The file that the scene is made from, as its reader has it.
        remarks: What a person should know of how it was read: each a line that names the file.
        field: The field of view of a fundus; None for other scenes.
        laterality: "R", "L" or "B" (both eyes), where its file tells it.
        micrometres: Side of a fundus's pixel on the retina, where it is known.
    """

    label: RasterLabel | None = None
    second: RasterLabel | None = None
    remarks: tuple[str, ...] = ()
    value_range: ValueRange | None = None
    file: FileScene | None = None
    field_mask: Path | None = None
    field: FieldUsed | None = None
    laterality: str | None = None
    micrometres: float | None = None


@dataclass(frozen=True)
class StacItem:
    """The STAC item that a scene comes from.

    Attributes:
        id: Of the item.
        href: Path or URL, without secrets.
        collection: Id of its collection; None where it has none.
        taken: When the scene was taken, ISO 8601; None where the item does not say.
    """

    id: str
    href: str
    collection: str | None
    taken: str | None


@dataclass(frozen=True)
class SceneInput:
    """One scene of a batch; may be sent to another process.

    Attributes:
        source: Path or URL, as the user gave it, but without secrets: it is shown.
        name: Stem of the scene's file; the folder of its results has this name.
        open: Opens scene, label and second observer's label; the last two may be None.
        png: Whether a `mask.png` is written too.
        image: Path or URL of the picture that the report shows, whole; `source` where it is None.
        stac_item: Where it comes from; None where no STAC item names it.
    """

    source: str
    name: str
    open: Callable[[], AbstractContextManager[OpenedScene]]
    png: bool = False
    image: str | None = None
    stac_item: StacItem | None = None
