"""One scene of a batch: where it comes from, and what it is scored by."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from pipelines.inputs.labels import Label
from tiling.scenes.scene import Scene


@dataclass(frozen=True)
class Views:
    """A scene as the user has it, and as the network sees it.

    Attributes:
        scene: Whose size, CRS and transform the results take.
        seen: The same, or resampled to the network's scale.
    """

    scene: Scene
    seen: Scene


@dataclass(frozen=True)
class OpenedScene(Views):
    """A scene, ready to read, with what it is scored by."""

    label: Label | None = None
    second: Label | None = None


@dataclass(frozen=True)
class SceneInput:
    """One scene of a batch; may be sent to another process.

    Attributes:
        source: What was asked for: a path or URL.
        name: Folder of its results; its stem.
        open: Opens scene, label and second observer's label; the last two may be None.
        png: Whether there is to be a `mask.png` too.
    """

    source: str
    name: str
    open: Callable[[], AbstractContextManager[OpenedScene]]
    png: bool = False
