"""Where tiles are: in the page while they are few, else in a folder beside it."""

import base64
import shutil
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.report.zoom.pyramid import Pyramid

FOLDER = "report-tiles"
"""Beside the page."""


@dataclass(frozen=True)
class Placed:
    """What the page knows of the tiles of its scenes.

    Attributes:
        scenes: For each viewer of the page, what its script is given; None where there are none.
        beside: Whether they are files in a folder beside the page.
    """

    scenes: Sequence[dict[str, Any] | None]
    beside: bool = False


def placed(folder: Path, found: Sequence[Pyramid | None], room: int) -> Placed:
    """Puts tiles where the page finds them.

    Args:
        folder: Of the page. An earlier report's tiles in it are removed.
        found: Of each viewer.
        room: Bytes that there is room for in the page.

    Raises:
        OSError: The disk refuses.
    """
    old = folder / FOLDER
    if sum(one.size for one in found if one is not None) <= room:
        shutil.rmtree(old, ignore_errors=True)
        return Placed([None if one is None else _inside(one) for one in found])
    new = folder / f".{FOLDER}.{uuid.uuid4().hex}"
    try:
        for number, one in enumerate(found, start=1):
            if one is not None:
                _write(one, new / str(number))
        shutil.rmtree(old, ignore_errors=True)
        new.replace(old)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    scenes = [
        None if one is None else {**_about(one), "folder": f"{FOLDER}/{number}/"}
        for number, one in enumerate(found, start=1)
    ]
    return Placed(scenes, beside=True)


def _about(of: Pyramid) -> dict[str, Any]:
    return {"width": of.width, "height": of.height, "levels": of.levels}


def _inside(of: Pyramid) -> dict[str, Any]:
    tiles = {
        tile.name: {
            what: f"data:image/{_type(what)};base64," + base64.b64encode(data).decode("ascii")
            for what, data in tile.pictures.items()
        }
        for tile in of.tiles
    }
    return {**_about(of), "tiles": tiles}


def _write(of: Pyramid, folder: Path) -> None:
    folder.mkdir(parents=True)
    for tile in of.tiles:
        for what, data in tile.pictures.items():
            (folder / f"{tile.name}-{what}.{_type(what)}").write_bytes(data)


def _type(what: str) -> str:
    return "jpeg" if what == "image" else "webp"
