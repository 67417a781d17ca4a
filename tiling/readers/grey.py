"""Files of one grey band, which some programs save as three equal ones."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.scenes.scene import BaseFileScene, FileScene, Pixels, Valid
from tiling.window import Window

COLOURS = 3
"""Bands that grey is saved in where a program knows colours only."""


class GreyScene(BaseFileScene):
    """A file of three equal bands as one band; where they differ is found when it is read.

    Args:
        file: The file, with three bands.
        lossy: Whether it is a JPEG, whose bands may differ a little.
    """

    def __init__(self, file: FileScene, lossy: bool) -> None:
        self.file = file
        self._lossy = lossy
        self.name, self.files = file.name, file.files
        self.height, self.width = file.height, file.width
        self.crs, self.transform, self.control = file.crs, file.transform, file.control
        self.bands, self.dtype, self.nodata = 1, file.dtype, file.nodata
        self.gap, self.bits, self.doubtful = file.gap, file.bits, file.doubtful
        self.pages = file.pages
        self.descriptions, self.scales = [""], file.scales[:1]

    def read(self, window: Window) -> tuple[Pixels, Valid]:
        """See `Scene.read`.

        Raises:
            SceneError: The bands differ, or cannot be read.
        """
        return self._grey(*self.file.read(window))

    def overview(self, longest: int) -> tuple[Pixels, Valid]:
        """See `FileScene.overview`."""
        pixels, valid = self.file.overview(longest)
        return pixels[:1], valid

    def close(self) -> None:
        """See `FileScene`."""
        self.file.close()

    def _grey(self, pixels: Pixels, valid: Valid) -> tuple[Pixels, Valid]:
        seen = pixels > 127 if self._lossy else pixels
        if ((seen != seen[:1]) & valid).any():
            raise SceneError(
                f"{self.name}: a drawing in colours: its three bands differ; keep the one that "
                f'shows it best: rio calc --not-masked "(read 1 1)" '
                f"{shlex.quote(self.name)} NEW.tif, or (read 1 2), (read 1 3)"
            )
        return pixels[:1], valid


def open_grey(path: str | Path, *, types: Sequence[str], lossy: bool = False) -> FileScene:
    """Opens a file of one band, or of three that are equal.

    Args:
        path: See `tiling.readers.files.open_scene`.
        types: See `tiling.readers.files.open_scene`.
        lossy: Whether it is a JPEG.

    Raises:
        SceneError: See `tiling.readers.files.open_scene`; it has other bands.
    """
    try:
        return open_scene(path, bands=1, types=types)
    except SceneError:
        try:
            scene = open_scene(path, bands=COLOURS, types=types)
        except SceneError:
            scene = None
        if scene is None:
            raise
    return GreyScene(scene, lossy)
