"""One file that is wrong, in whatever way, is one failure: the others are done, and it is told."""

import json
import os
import pickle
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import rasterio.shutil
import tifffile
from PIL import Image
from rasterio.enums import ColorInterp

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.errors import LabelError, UnforeseenError
from pipelines.evaluation.run import evaluate
from pipelines.inference.batch import run_batch
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import load
from pipelines.results import levels
from pipelines.results.failure import LOG
from pipelines.results.progress import Silence
from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.readers.raster import RasterScene
from tiling.window import Window

ROOT = Path(__file__).parents[2]

PIXELS = np.random.default_rng(0).integers(1, 256, (3, 40, 48)).astype(np.uint8)


def geopackage(write_raster, path):
    for table, more in (("north", "NO"), ("south", "YES")):
        options = {"RASTER_TABLE": table, "APPEND_SUBDATASET": more, "TILE_FORMAT": "PNG"}
        write_raster(path, PIXELS, driver="GPKG", **options)


def netcdf(write_raster, path):
    plain = write_raster(path.with_name("plain.tif"), PIXELS)
    rasterio.shutil.copy(plain, path, driver="netCDF")


def alpha(write_raster, path):
    write_raster(path, np.where(PIXELS[:1] > 9, np.uint8(255), np.uint8(0)))
    with rasterio.open(path, "r+") as raster:
        raster.colorinterp = [ColorInterp.alpha]


def no_band(write_raster, path):
    path.write_text('<VRTDataset rasterXSize="40" rasterYSize="40"></VRTDataset>')


BROKEN = {
    "two.gpkg": (geopackage, ("GPKG:", "two.gpkg:north", "two.gpkg:south")),
    "three.nc": (netcdf, ("NETCDF:", "Band1", "Band3", "rio stack")),
    "alpha.tif": (alpha, ("alpha", "--bands")),
    "none.vrt": (no_band, ("not a raster",)),
}


@pytest.fixture
def options(roads_weights, tmp_path):
    return {
        "model": [str(roads_weights)], "output": tmp_path / "out", "tile": 32, "overlap": 8,
        "batch": 2, "device": "cpu", "steps": 1, "topology": False,
    }  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_is_no_one_raster_fails_alone(name, options, write_raster, tmp_path):
    make, told = BROKEN[name]
    make(write_raster, tmp_path / name)
    write_raster(tmp_path / "good.tif", PIXELS)
    scenes = [str(tmp_path / name), str(tmp_path / "good.tif")]
    result = infer_roads(InferRoads(scenes=scenes, **options), Silence())
    assert [scene.name for scene in result.report.scenes] == ["good"]
    [failure] = result.failed
    assert failure.error.startswith(f"{tmp_path / name}: ")
    assert "\n" not in failure.error
    for word in told:
        assert word in failure.error
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert [one["error"] for one in report["failed"]] == [failure.error]
    assert not (tmp_path / "out" / LOG).exists()


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("bands", [None, 1, 3])
def test_it_is_no_label_and_no_training_image_either(name, bands, write_raster, tmp_path):
    make, _ = BROKEN[name]
    make(write_raster, tmp_path / name)
    with pytest.raises(SceneError, match=name):
        RasterScene(tmp_path / name, bands=bands)
    with (
        pytest.raises((SceneError, LabelError), match=name),
        open_label(tmp_path / name, Labelling()),
    ):
        pass


def test_the_names_that_are_told_can_be_given(options, write_raster, tmp_path):
    geopackage(write_raster, tmp_path / "two.gpkg")
    scenes = [f"GPKG:{tmp_path}/two.gpkg:{table}" for table in ("north", "south")]
    result = infer_roads(InferRoads(scenes=scenes, bands="1,2,3", **options), Silence())
    assert [scene.name for scene in result.report.scenes] == ["two_north", "two_south"]


def test_alpha_is_read_where_it_is_asked_for(write_raster, tmp_path):
    alpha(write_raster, tmp_path / "alpha.tif")
    with RasterScene(tmp_path / "alpha.tif", bands=(1, 1, 1)) as scene:
        assert scene.bands == 3


def test_the_first_of_several_pages_is_read_and_the_others_are_named(options, tmp_path):
    pages = [Image.fromarray(np.moveaxis(one, 0, -1)) for one in (PIXELS, PIXELS[:, ::-1])]
    path = tmp_path / "two pages.tif"
    pages[0].save(path, save_all=True, append_images=pages[1:])
    result = infer_roads(InferRoads(scenes=[str(path)], **options), Silence())
    remark = result.report.scenes[0].remarks[0]
    assert remark.startswith(f"{path}: holds 2 pictures, of which the first is read")
    [second] = shlex.split(remark[remark.index("'GTIFF_DIR") :])
    for name, pixels in ((str(path), PIXELS), (second, PIXELS[:, ::-1])):
        with RasterScene(name) as scene:
            assert scene.read(Window(0, 0, 40, 48))[0].tolist() == pixels.tolist()


def test_bands_that_lie_in_pages_are_put_together_as_the_message_says(tmp_path, monkeypatch):
    """As `imwrite` of tifffile leaves [3, h, w] where nobody says what the three are."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "it's.tif"
    tifffile.imwrite(path, PIXELS, photometric="minisblack")
    with pytest.raises(SceneError, match=r"it's\.tif: 1 band and 3 pages, but .*wants 3") as raised:
        open_scene(path)
    _, *arguments = shlex.split(str(raised.value).split("together: ")[1])
    subprocess.run([sys.executable, *arguments], check=True)
    with open_scene("NEW.tif") as scene:
        assert scene.read(Window(0, 0, 40, 48))[0].tolist() == PIXELS.tolist()


def test_images_in_other_formats_are_named_where_a_folder_is_given(
    options, write_raster, tmp_path, caplog
):
    write_raster(tmp_path / "in" / "a.tif", PIXELS)
    for name in ("b.webp", "c.HEIC", "readme.txt", "d.tif.aux.xml"):
        (tmp_path / "in" / name).touch()
    assert len(road_inputs([str(tmp_path / "in")], None)) == 1
    assert f"{tmp_path / 'in'}: 2 files are passed over (b.webp, c.HEIC)" in caplog.text


# What nobody foresaw. The errors are raised for the test: such a file is not known.


class _Bug:
    """Opens like a scene, and has a bug."""

    def __init__(self, error):
        self.error = error

    def __call__(self):
        raise self.error


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (IndexError("tuple index out of range"), "IndexError: tuple index out of range"),
        (MemoryError(), "--part-size"),
        (ValueError("https://u:s3cret@host/x?sig=s3cret"), "https://host/x"),
    ],
)
def test_any_error_of_a_scene_is_its_failure(error, told, options, write_raster, tmp_path):
    write_raster(tmp_path / "good.tif", PIXELS)
    good = road_inputs([str(tmp_path / "good.tif")], None)
    items = [SceneInput("bad.tif", "bad", _Bug(error)), *good]
    model = load(options["model"][0])
    settings = PredictionSettings(
        **{key: options[key] for key in ("tile", "overlap", "batch", "steps", "device")}
    )
    bad, done = run_batch(items, [model], settings, tmp_path / "out", Silence())
    assert done.error is None
    log = tmp_path / "out" / LOG
    assert bad.error.startswith("bad.tif: ")
    assert told in bad.error
    assert str(log) in bad.error
    assert "\n" not in bad.error
    text = log.read_text()
    assert "Traceback" in text
    assert "in __call__" in text
    assert "s3cret" not in bad.error + text


def test_a_stop_is_no_failure_of_a_scene(options, tmp_path):
    items = [SceneInput("bad.tif", "bad", _Bug(KeyboardInterrupt()))]
    with pytest.raises(KeyboardInterrupt):
        run_batch(items, [load(options["model"][0])], PredictionSettings(device="cpu"),
                  tmp_path / "out", Silence())  # fmt: skip


def test_a_worker_sends_its_traceback():
    sent = pickle.loads(pickle.dumps(UnforeseenError("IndexError: x", "Traceback ...")))
    assert (str(sent), sent.trace) == ("IndexError: x", "Traceback ...")


def test_any_error_of_a_raster_that_is_scored_is_its_failure(write_raster, tmp_path, monkeypatch):
    label = np.zeros((1, 40, 48), np.uint8)
    label[:, 5:9] = 1
    for name in ("bad", "good"):
        for inside in ("masks", "labels"):
            write_raster(tmp_path / inside / f"{name}.tif", label)
    read = levels.RasterLevels.read

    def buggy(self, window):
        if "bad" in self.name:
            raise IndexError("list index out of range")
        return read(self, window)

    monkeypatch.setattr(levels.RasterLevels, "read", buggy)
    result = evaluate(
        Evaluate(predictions=[str(tmp_path / "masks")], labels=tmp_path / "labels",
                 output=tmp_path / "out"), Silence(),
    )  # fmt: skip
    assert [scene.name for scene in result.report.scenes] == ["good"]
    [failure] = result.failed
    assert failure.error.startswith(f"{tmp_path / 'masks' / 'bad.tif'}: IndexError")
    assert "Traceback" in (tmp_path / "out" / LOG).read_text()


ON_A_WORKER = """
from pathlib import Path
from pipelines.config.inference import PredictionSettings
from pipelines.inference.batch import run_batch
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.scene_input import SceneInput
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from opening import HereOnly

if __name__ == "__main__":
    settings = PredictionSettings(
        tile=32, overlap=8, batch=2, steps=1, device="cpu", workers=1
    )
    items = [SceneInput("bad.tif", "bad", HereOnly()), *road_inputs(["good.tif"], None)]
    outcomes = run_batch(items, [load(WEIGHTS)], settings, Path("out"), Silence())
    print(*(outcome.error for outcome in outcomes), sep="\\n")
"""

HERE_ONLY = """
from pipelines.inputs.discovery import road_inputs

class HereOnly:
    here = True

    def __getstate__(self):
        return {"here": False}

    def __call__(self):
        if not self.here:
            raise KeyError("on a worker")
        return road_inputs(["good.tif"], None)[0].open()
"""


def test_dask_workers_send_what_nobody_foresaw(options, write_raster, tmp_path):
    """What only a worker meets comes back as its scene's failure."""
    write_raster(tmp_path / "good.tif", PIXELS)
    (tmp_path / "opening.py").write_text(HERE_ONLY)
    script = tmp_path / "script.py"
    script.write_text(ON_A_WORKER.replace("WEIGHTS", repr(options["model"][0])))
    ran = subprocess.run(
        [sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True,
    )  # fmt: skip
    failed, done = ran.stdout.splitlines()
    assert done == "None"
    assert failed.startswith("bad.tif: KeyError: 'on a worker'; its traceback is in out/")
    assert "in __call__" in (tmp_path / "out" / LOG).read_text()
