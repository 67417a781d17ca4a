"""Inboxes for tests: small scenes, some of them broken, each in its way."""

import os
import shutil
import time
from pathlib import Path

import numpy as np

from pipelines.config.inference import InferRoads
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL


def settled(path: Path) -> Path:
    """A file that has been there for an hour: nobody is still writing it."""
    then = time.time() - 3600
    os.utime(path, (then, then))
    return path


def scene(write_raster, path, seed):
    """A scene of 64 pixels a side."""
    pixels = np.random.default_rng(seed).integers(0, 256, (3, 64, 64), np.uint8)
    return settled(write_raster(path, pixels))


def break_five(write_raster, folder):
    """Adds five scenes that fail, each in another way; returns what the error of each says."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 64))
    write_raster(folder / "deep.tif", pixels.astype(np.uint32))
    write_raster(folder / "grey.tif", pixels[:1].astype(np.uint8))
    cut = write_raster(folder / "cut.tif", pixels.astype(np.uint8), compress="deflate")
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])
    (folder / "empty.tif").touch()
    (folder / "text.tif").write_text("no raster")
    broken = {
        "cut": "cut.tif", "deep": "uint32", "empty": "empty.tif", "grey": "1 band",
        "text": "not a raster",
    }  # fmt: skip
    for name in broken:
        settled(folder / f"{name}.tif")
    return broken


def run_job(folder, weights, progress=None, **changes):
    """Runs the job over `folder/inbox` into `folder/outbox`."""
    values = {
        "scenes": [str(folder / "inbox")], "output": folder / "outbox", "model": [str(weights)],
        "inbox": True, **ROADS_SMALL, **changes,
    }  # fmt: skip
    return infer_roads(InferRoads(**values), progress or Silence())


def copied(inbox: Path, folder: Path) -> Path:
    """A copy of a folder, times too."""
    shutil.copytree(inbox, folder)
    return folder
