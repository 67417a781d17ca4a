"""Before a training begins, every image and label is read once."""

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
    assert read == dict.fromkeys([*root.glob("train/*/*"), *root.glob("valid/map/*")], 1)


def test_fundi(read, tmp_path):
    root = write_drive_folder(tmp_path / "DRIVE", train=3, test=1)
    for mask in root.glob("training/mask/2[12]*"):
        mask.unlink()
    with pytest.raises(Begun):
        train_vessels(TrainDrive(data=[root], output=tmp_path / "out", samples=0, **FEW), Silence())
    images = [*root.glob("training/images/*"), *root.glob("training/1st_manual/*")]
    expected = dict.fromkeys([*images, *root.glob("test/*_manual/*")], 1)
    # Where the field of view is derived, the image is looked at as a whole for that.
    derived = dict.fromkeys(root.glob("training/images/2[12]*"), 2)
    assert read == expected | derived


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
    read_once = [path for path in tmp_path.glob("*/*.tif") if path.parent.name != "test-images"]
    assert len(read_once) == 10
    assert dict(read) == pytest.approx(dict.fromkeys(read_once, 1))
