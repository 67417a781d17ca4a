"""Before a training begins, every image and label is read once.

Of each image, 16 rows and a square of 256 pixels in the middle are read besides, which tell copies
of it.
"""

from collections import Counter
from pathlib import Path

import lightning
import numpy as np
import pytest

from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.synthetic import write_drive_folder, write_roads_folder
from pipelines.results.progress import Silence
from pipelines.training.run import train_folder, train_roads, train_vessels
from tiling.readers.raster import RasterScene

FEW = {"workers": 0, "steps": 2, "scorings": 1, "iterations": 2}


def for_copies(height, width):
    """The share of an image that is read to tell its copies."""
    return 16 / height + min(256, height) * min(256, width) / (height * width)


class Begun(Exception):
    """Training would begin now."""


@pytest.fixture
def read(monkeypatch):
    """How often files are read, up to the first iteration: pixels read, over those they have."""
    times = Counter()

    def counted(method, share):
        def reading(self, asked):
            times[Path(self.name)] += share(self, asked)
            return method(self, asked)

        return reading

    def part(scene, window):
        return window.pixels / (scene.height * scene.width)

    def begin(*_, **__):
        raise Begun

    monkeypatch.setattr(RasterScene, "read", counted(RasterScene.read, part))
    monkeypatch.setattr(RasterScene, "overview", counted(RasterScene.overview, lambda *_: 1))
    monkeypatch.setattr(lightning.Trainer, "fit", begin)
    return times


def test_roads(read, tmp_path):
    root = write_roads_folder(tmp_path / "roads", train=3, valid=1, size=64)
    with pytest.raises(Begun):
        train_roads(TrainRoads(data=[root], output=tmp_path / "out", samples=0, **FEW), Silence())
    images = dict.fromkeys(root.glob("train/sat/*"), 1 + for_copies(64, 64))
    images |= dict.fromkeys(root.glob("valid/sat/*"), for_copies(64, 64))
    labels = dict.fromkeys([*root.glob("train/map/*"), *root.glob("valid/map/*")], 1)
    assert dict(read) == images | labels


def test_fundi(read, tmp_path):
    root = write_drive_folder(tmp_path / "DRIVE", train=3, test=1)
    for mask in root.glob("training/mask/2[12]*"):
        mask.unlink()
    with pytest.raises(Begun):
        train_vessels(TrainDrive(data=[root], output=tmp_path / "out", samples=0, **FEW), Silence())
    labels = [*root.glob("training/1st_manual/*"), *root.glob("test/*_manual/*")]
    # The image is looked at as a whole for the field of view, or for whether the mask is one.
    images = dict.fromkeys(root.glob("training/images/*"), 2 + for_copies(584, 565))
    masks = dict.fromkeys(root.glob("*/mask/*"), 1)
    images |= dict.fromkeys(root.glob("test/images/*"), 1 + for_copies(584, 565))
    assert dict(read) == pytest.approx(dict.fromkeys(labels, 1) | images | masks)


@pytest.mark.parametrize(("values", "classes"), [((0, 255), None), ((0, 1, 2), None),
                                                 ((0, 1, 2), "road,river")])  # fmt: skip
def test_images_of_ones_own(read, write_raster, tmp_path, values, classes):
    random = np.random.default_rng(1)
    for kind in ("", "valid-", "test-"):
        for name in "ab":
            pixels = random.integers(1, 250, (3, 600, 530)).astype(np.uint8)
            write_raster(tmp_path / f"{kind}images" / f"{kind}{name}.tif", pixels)
            drawn = random.choice(values, (1, 600, 530)).astype(np.uint8)
            write_raster(tmp_path / f"{kind}labels" / f"{kind}{name}.tif", drawn)
    told = {
        f"{split}{kind}".replace("-", "_"): tmp_path / f"{split}{kind}"
        for split in ("", "valid-", "test-") for kind in ("images", "labels")
    }  # fmt: skip
    with pytest.raises(Begun):
        train_folder(
            TrainFolder(**told, output=tmp_path / "out", classes=classes, **FEW), Silence()
        )
    expected = dict.fromkeys(tmp_path.glob("*labels/*.tif"), 1.0)
    for kind, share in (("", 1), ("valid-", 1), ("test-", 0)):
        expected |= dict.fromkeys(
            tmp_path.glob(f"{kind}images/*.tif"), share + for_copies(600, 530)
        )
    assert len(expected) == 12
    assert dict(read) == pytest.approx(expected)
