"""Labels of which much is left out, or in which one class alone is left."""

from shutil import move

import numpy as np
import pytest
from PIL import Image
from rasterio.rio.main import main_group

from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.examples import check_labels
from pipelines.datasets.folder import folder_data
from pipelines.errors import LabelError
from pipelines.inputs.discovery import aerial_input
from pipelines.inputs.opening import Reading
from tiling.readers.raster import without_georeferencing_warning

SIDE = 40
DRAWN = np.zeros((1, SIDE, SIDE), np.uint8)
DRAWN[0, 10:14] = 255
FOUND = np.zeros((1, SIDE, SIDE), np.uint8)
FOUND[0, 10:13] = FOUND[0, 30:32] = 255
PRECISION = 3 / 5


@pytest.fixture
def scored(evaluated, write_raster, tmp_path):
    """Evaluates a prediction against the label that lies in `labels`."""

    (tmp_path / "labels").mkdir()
    write_raster(tmp_path / "found" / "a.tif", FOUND)
    return evaluated


def in_alpha(path):
    """A drawing that is seen only by its transparency, as some programs save them."""
    path.parent.mkdir(exist_ok=True)
    white = Image.fromarray(np.full((SIDE, SIDE), 255, np.uint8))
    Image.merge("LA", [white, Image.fromarray(DRAWN[0])]).save(path)
    return path


def calc(path, band):
    """What the message advises."""
    new = path.parent / "new.tif"
    with without_georeferencing_warning():
        main_group(
            ["calc", "--not-masked", f"(read 1 {band})", str(path), str(new)],
            standalone_mode=False,
        )
    path.unlink()
    move(new, path.with_suffix(".tif"))


@pytest.mark.parametrize("kind", ["alpha", "mask"])
def test_a_label_without_background_is_refused_with_a_remedy_that_works(
    write_raster, scored, tmp_path, kind
):
    if kind == "alpha":
        path, band = in_alpha(tmp_path / "labels" / "a.png"), 2
    else:
        path, band = tmp_path / "labels" / "a.tif", 1
        write_raster(path, DRAWN, nodata_kind="mask", valid=DRAWN[0] > 0)
    [failed] = scored()["failed"]
    said = f"{path}: 90 % of it is left out, and all the rest is foreground: no background is left"
    assert failed["error"].startswith(said)
    assert "\n" not in failed["error"]
    calc(path, band)
    report = scored()
    assert report["pooled"]["foreground"]["precision"] == pytest.approx(PRECISION)
    assert report["scenes"][0]["label_left_out"] == 0


def test_a_label_that_is_left_out_altogether_is_refused(write_raster, scored, tmp_path):
    write_raster(tmp_path / "labels" / "a.tif", DRAWN, nodata_kind="mask", valid=DRAWN[0] > 255)
    [failed] = scored()["failed"]
    assert "a.tif: all of it is left out" in failed["error"]


def test_a_label_without_foreground_is_scored_and_named(write_raster, scored, tmp_path, caplog):
    write_raster(tmp_path / "labels" / "a.tif", DRAWN * 0)
    report = scored()
    assert report["failed"] == []
    assert report["pooled"]["foreground"]["precision"] == 0
    assert "a.tif: no foreground in it" in caplog.text


@pytest.mark.parametrize(("rows", "share", "level"), [(1, 0.025, "INFO"), (24, 0.6, "WARNING")])
def test_the_share_that_is_left_out_is_told(
    write_raster, scored, tmp_path, caplog, rows, share, level
):
    caplog.set_level("INFO", "rurnet")
    valid = np.ones((SIDE, SIDE), bool)
    valid[SIDE - rows :] = False
    write_raster(tmp_path / "labels" / "a.tif", DRAWN, nodata_kind="mask", valid=valid)
    report = scored()
    assert report["scenes"][0]["label_left_out"] == share
    [line] = [one for one in caplog.records if "is left out" in one.message]
    assert f"a.tif: {100 * share:g} % of it is left out" in line.message
    assert line.levelname == level


def test_a_label_that_is_whole_says_nothing(write_raster, scored, tmp_path, caplog):
    caplog.set_level("INFO", "rurnet")
    write_raster(tmp_path / "labels" / "a.tif", DRAWN)
    assert scored()["scenes"][0]["label_left_out"] == 0
    assert caplog.text == ""


def test_a_training_refuses_a_label_without_background(write_raster, tmp_path):
    for name in "ab":
        write_raster(tmp_path / "images" / f"{name}.tif", np.ones((3, SIDE, SIDE), np.uint8))
        write_raster(tmp_path / "labels" / f"{name}.tif", DRAWN)
    (tmp_path / "labels" / "b.tif").unlink()
    path = in_alpha(tmp_path / "labels" / "b.png")
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels")
    with pytest.raises(LabelError, match=r"b\.png: all of it that is not left out is foreground"):
        folder_data(config)
    with pytest.raises(LabelError, match=r"b\.png: .* no background is left"):
        check_labels([aerial_input(str(tmp_path / "images" / "b.tif"), path, Reading())], "road")
    calc(path, 2)
    assert folder_data(config).classes == ("background", "foreground")


def test_a_training_takes_tiles_that_are_all_foreground_or_all_background(write_raster, tmp_path):
    for name, label in (("a", DRAWN), ("b", DRAWN * 0 + 255), ("c", DRAWN * 0)):
        write_raster(tmp_path / "images" / f"{name}.tif", np.ones((3, SIDE, SIDE), np.uint8))
        write_raster(tmp_path / "labels" / f"{name}.tif", label)
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels")
    assert len(folder_data(config).folders[0]) == 3
