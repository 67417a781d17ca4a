"""The result of a scene by an earlier run, that a new one takes over or starts from."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.errors import DataError
from pipelines.results.layout import named
from tiling.manifest import MANIFEST, TILES, Manifest, finished

FROM = "from"
"""Says in a fingerprint which earlier result a scene was brought up to date from."""

_OF_THE_MASK = {"threshold", "min_size"}
"""Settings that change nothing but the mask, which is made anew."""

_OF_THE_PIXELS = {"value_range"}
"""Settings that change all pixels that the network sees, but not what a mask is worth."""

_OF_THE_MACHINE = {"device", "engine"}
"""Settings that change the last bits: what is taken over is as it was made."""


@dataclass(frozen=True)
class Earlier:
    """What an earlier run made of a scene.

    Attributes:
        folder: Of its files.
        manifest: What it was made from.
    """

    folder: Path
    manifest: Manifest

    @property
    def files(self) -> dict[str, Path]:
        """Its rasters by what they are: see `pipelines.results.layout.named`."""
        return named(self.folder / name for name in self.manifest.outputs)

    @property
    def tiles(self) -> bytes:
        """The digests of its tiles; empty where they were not kept."""
        return bytes.fromhex(self.manifest.parts.get(TILES, ""))

    @property
    def identity(self) -> str:
        """Stands for all that it was made from."""
        made_from = [self.manifest.settings, self.manifest.parts, sorted(self.manifest.outputs)]
        text = json.dumps(made_from, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def check(self, source: str, settings: Mapping[str, Any]) -> None:
        """Checks that a scene may be brought up to date from this with some settings.

        Args:
            source: The scene.
            settings: Those of its fingerprint that were asked for.

        Raises:
            DataError: It was made with others.
        """
        old = self.manifest.settings
        left_out = _OF_THE_MASK | _OF_THE_MACHINE | _OF_THE_PIXELS
        names = [name for name in settings if old.get(name) != settings[name]]
        names = [name for name in names if name not in left_out]
        if names:
            differ = ", ".join(f"{one} {old.get(one)} (now {settings[one]})" for one in names)
            raise DataError(
                f"{source}: the result in {self.folder} was made with {differ}, so nothing of it "
                "can be taken over; give the same, or leave --from out"
            )

    def sees_alike(self, settings: Mapping[str, Any]) -> bool:
        """Whether equal pixels were the same to the network as they are with some settings."""
        old = self.manifest.settings
        return all(old.get(name) == settings.get(name) for name in _OF_THE_PIXELS)

    def same(self, settings: Mapping[str, Any]) -> bool:
        """Whether it was made with the very same settings."""
        old, now = ({k: v for k, v in one.items() if k != FROM}
                    for one in (self.manifest.settings, settings))  # fmt: skip
        return old == now


def earlier_result(folder: Path) -> Earlier | None:
    """The finished result in a folder; None where there is none.

    Raises:
        ManifestError: It cannot be read.
    """
    if not (folder / MANIFEST).is_file():
        return None
    manifest = finished(folder)
    return None if manifest is None else Earlier(folder, manifest)
