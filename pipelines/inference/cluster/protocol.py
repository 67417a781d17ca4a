"""Who computes the parts of scenes, as scenes see them."""

from collections.abc import Callable, Sequence
from typing import Protocol

from pipelines.backends.choice import Backend
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from tiling.part import Part
from tiling.store import PartStore


class Workers(Protocol):
    """Who computes parts."""

    @property
    def scenes(self) -> int:
        """Scenes that may be under way at the same time."""
        ...

    @property
    def device(self) -> str:
        """See `pipelines.runtime.device.device_kind`."""
        ...

    @property
    def offer(self) -> Backend | None:
        """What they can compute with instead of torch; None where nothing."""
        ...

    @property
    def ended(self) -> str | None:
        """Why nothing more can be computed; None while it can."""
        ...

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """Computes parts of a scene into its store.

        Args:
            item: The scene, for whoever opens it anew.
            opened: The same, for whoever is here.
            store: Where parts are written.
            parts: What is missing.
            progress: Told how many tiles are done, each time some are.
            backend: What is to compute: torch where it is None, else what they offer.
        """
        ...
