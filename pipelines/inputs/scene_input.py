"""One scene of a batch: where it comes from, how it is opened, and what it is scored by."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from pipelines.inputs.labels import RasterLabel
from tiling.scenes.scene import Scene


@dataclass(frozen=True)
class Views:
    """A scene as the user has it, and as the network sees it.

    Attributes:
        scene: The scene whose size, CRS and transform the results have.
        seen: The same scene, or resampled to the network's scale.
    """

    scene: Scene
    seen: Scene


@dataclass(frozen=True)
class OpenedScene(Views):
    """A scene that is open, with the labels that it is scored by.

    Attributes:
        label: The first observer's.
        second: The second observer's.
        field: File that the mask of its field of view was read from; its pixels follow from it.
    """

    label: RasterLabel | None = None
    second: RasterLabel | None = None
    field: Path | None = None


@dataclass(frozen=True)
class SceneInput:
    """One scene of a batch; may be sent to another process.

    Attributes:
        source: Path or URL, as the user gave it, but without secrets: it is shown.
        name: Stem of the scene's file; the folder of its results has this name.
        open: Opens scene, label and second observer's label; the last two may be None.
        png: Whether a `mask.png` is written too.
        image: Path or URL of the picture that the report shows, whole; `source` where it is None.
    """

    source: str
    name: str
    open: Callable[[], AbstractContextManager[OpenedScene]]
    png: bool = False
    image: str | None = None
