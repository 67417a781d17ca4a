"""Files of a result that are no rasters: another entry of the table is all it takes."""

import csv
from pathlib import Path

import numpy as np
import pytest
import rasterio

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.inference.products import PRODUCTS, OfMask
from tiling.errors import SinkError
from tiling.readers.raster import RasterScene

SMALL = PredictionSettings(tile=64, overlap=16, part_size=100, device="cpu", steps=1, min_size="20")


class Areas:
    """Pixels of each value of a mask, as a table."""

    def __init__(self, path: Path, folder: Path) -> None:
        self.path = path
        self.pixels = np.zeros(256, int)
        self.windows = []
        self._built = folder / f"{path.name}.built"

    def write(self, window, pixels):
        self.windows.append(window)
        self.pixels += np.bincount(pixels.ravel(), minlength=256)

    def close(self):
        rows = [f"{value},{count}\n" for value, count in enumerate(self.pixels) if count]
        self._built.write_text("".join(["value,pixels\n", *rows]))

    def publish(self):
        return self._built.replace(self.path)


@pytest.fixture
def scene(write_raster, tmp_path):
    pixels, _, valid = draw_road_scene(130, 150, seed=4)
    return write_raster(tmp_path / "in" / "s.tif", pixels, nodata_kind="mask", valid=valid)


def test_a_table_gets_every_window_of_the_final_mask(
    scene, predict, roads_model, monkeypatch, tmp_path
):
    made = []

    def areas(request):
        made.append(Areas(request.folder / "areas.csv", request.unfinished))
        return [OfMask(made[-1], lambda mask: mask[None])]

    monkeypatch.setitem(PRODUCTS, "areas", areas)
    monkeypatch.setattr("pipelines.inference.rasters._AT_ONCE", 64)
    with RasterScene(scene) as opened:
        done = predict(opened, [roads_model], SMALL, tmp_path / "out")
    with rasterio.open(done.mask) as raster:
        values, counts = np.unique(raster.read(), return_counts=True)
    with done.files["csv"].open() as file:
        rows = [(int(row["value"]), int(row["pixels"])) for row in csv.DictReader(file)]
    assert rows == list(zip(values.tolist(), counts.tolist(), strict=True))
    assert len(rows) == 3
    assert made[0].windows == sorted(made[0].windows)
    assert len(made[0].windows) == 9
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "areas.csv", "manifest.json", "mask.qml", "mask.tif", "probability.qml", "probability.tif",
    ]  # fmt: skip


def test_where_one_file_cannot_be_made_none_appears(
    scene, predict, roads_model, monkeypatch, tmp_path
):
    class Refused(Areas):
        def close(self):
            raise SinkError(f"{self.path}: cannot be written")

    def areas(request):
        return [OfMask(Refused(request.folder / "areas.csv", request.unfinished), lambda m: m)]

    monkeypatch.setitem(PRODUCTS, "areas", areas)
    with RasterScene(scene) as opened, pytest.raises(SinkError, match=r"areas\.csv"):
        predict(opened, [roads_model], SMALL, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".parts"]
    monkeypatch.delitem(PRODUCTS, "areas")
    with RasterScene(scene) as opened:
        assert predict(opened, [roads_model], SMALL, tmp_path / "out").computed == 0
