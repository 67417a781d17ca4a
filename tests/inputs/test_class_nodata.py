"""Nodata values that are classes: one rule for labels and for predictions."""

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.rio.main import main_group

from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.errors import LabelError
from pipelines.inputs.labels import Labelling, open_label
from pipelines.results.levels import open_levels
from tiling.readers.raster import without_georeferencing_warning
from tiling.window import Window

SIDE = 40
WHOLE = Window(0, 0, SIDE, SIDE)
DRAWN = np.zeros((1, SIDE, SIDE), np.uint8)
DRAWN[0, 10:14] = 1
FOUND = np.zeros((1, SIDE, SIDE), np.uint8)
FOUND[0, 10:13] = FOUND[0, 30:32] = 1
F1 = 2 * 3 / (4 + 5)
"""Of 4 rows 3 are found, of the 5 that are found 2 are wrong."""


def rio(*arguments):
    """What a message advises to type."""
    with without_georeferencing_warning():
        main_group(arguments, standalone_mode=False)


@pytest.mark.parametrize("of_label", [None, 0, 7])
@pytest.mark.parametrize("of_found", [None, 0, 7])
@pytest.mark.parametrize("white", [1, 255])
def test_nodata_0_is_background_in_labels_and_in_masks(
    write_raster, evaluated, tmp_path, of_label, of_found, white
):
    write_raster(tmp_path / "labels" / "a.tif", DRAWN * white, nodata=of_label)
    write_raster(tmp_path / "found" / "a.tif", FOUND * white, nodata=of_found)
    report = evaluated()
    assert report["pooled"]["foreground"]["f1"] == pytest.approx(F1)
    assert report["pooled"]["pixels"] == SIDE * SIDE
    assert report["scenes"][0]["label_left_out"] == 0


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_nodata_0_is_probability_0_and_a_line_says_so(
    write_raster, evaluated, tmp_path, caplog, dtype
):
    probability = FOUND * (200 if dtype == "uint8" else 0.8)
    write_raster(tmp_path / "labels" / "a.tif", DRAWN)
    write_raster(tmp_path / "found" / "a.tif", probability.astype(dtype), nodata=0)
    assert evaluated()["pooled"]["foreground"]["f1"] == pytest.approx(F1)
    assert "a.tif: nodata 0 is probability 0 as well" in caplog.text


def test_nodata_of_the_highest_probability_is_left_out_and_a_line_says_so(
    write_raster, evaluated, tmp_path, caplog
):
    probability = np.where(FOUND, 255, 90).astype(np.uint8)
    probability[0, 13] = 200
    write_raster(tmp_path / "labels" / "a.tif", DRAWN)
    path = write_raster(tmp_path / "found" / "a.tif", probability, nodata=255)
    assert evaluated()["pooled"]["pixels"] == 35 * SIDE
    assert f"if they are foreground: rio edit-info --unset-nodata {path}" in caplog.text
    rio("edit-info", "--unset-nodata", str(path))
    assert evaluated()["pooled"]["pixels"] == SIDE * SIDE


def in_format(write_raster, path, pixels, nodata):
    """Writes a raster; PNGs and GIFs declare nodata by a transparent colour."""
    if path.suffix == ".tif":
        return write_raster(path, pixels, nodata=nodata)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels[0]).save(path, transparency=nodata)
    return path


@pytest.mark.parametrize("suffix", [".tif", ".png", ".gif"])
@pytest.mark.parametrize("which", ["label", "prediction"])
def test_a_nodata_value_of_the_foreground_is_refused_with_a_remedy_that_works(
    write_raster, evaluated, tmp_path, which, suffix
):
    odd, plain = ("labels", "found") if which == "label" else ("found", "labels")
    pixels = {"labels": DRAWN * 255, "found": FOUND * 255}
    path = in_format(write_raster, tmp_path / odd / f"a{suffix}", pixels[odd], 255)
    write_raster(tmp_path / plain / "a.tif", pixels[plain])
    [failed] = evaluated()["failed"]
    white = 1 if suffix == ".gif" else 255  # Its colours are numbered.
    said = f"a{suffix}: holds 0 and {white} alone, but declares {white} as nodata"
    assert said in failed["error"]
    assert f"rio edit-info --unset-nodata {path}" in failed["error"]
    assert "\n" not in failed["error"]
    rio("edit-info", "--unset-nodata", str(path))
    assert evaluated()["pooled"]["foreground"]["f1"] == pytest.approx(F1)


def test_a_mask_without_foreground_that_has_missing_pixels_is_scored_as_the_message_says(
    write_raster, evaluated, tmp_path
):
    found = np.zeros((1, SIDE, SIDE), np.uint8)
    found[0, :5] = 255
    write_raster(tmp_path / "labels" / "a.tif", DRAWN)
    write_raster(tmp_path / "found" / "a.tif", found, nodata=255)
    [failed] = evaluated()["failed"]
    assert failed["error"].endswith("if not, --value-range 0,1")
    report = evaluated(value_range="0,1")
    assert report["pooled"]["pixels"] == 35 * SIDE
    assert report["pooled"]["foreground"]["recall"] == 0


def test_a_label_without_foreground_that_has_missing_pixels_is_scored_as_the_message_says(
    write_raster, evaluated, tmp_path
):
    label = np.zeros((1, SIDE, SIDE), np.uint8)
    label[0, :5] = 255
    write_raster(tmp_path / "labels" / "a.tif", label, nodata=255)
    write_raster(tmp_path / "found" / "a.tif", FOUND)
    [failed] = evaluated()["failed"]
    assert failed["error"].endswith("if not, --ignore 255")
    report = evaluated(ignore="255")
    assert report["pooled"]["pixels"] == 35 * SIDE
    assert report["scenes"][0]["label_left_out"] == 0.125


def test_nodata_255_beside_a_foreground_of_1_is_missing_and_ours_may_be_empty(
    write_raster, evaluated, tmp_path
):
    with_border = FOUND.copy()
    with_border[0, :5] = 255
    write_raster(tmp_path / "labels" / "a.tif", DRAWN)
    path = write_raster(tmp_path / "found" / "a.tif", with_border, nodata=255)
    report = evaluated()
    assert report["pooled"]["pixels"] == 35 * SIDE
    assert report["pooled"]["foreground"]["f1"] == pytest.approx(F1)
    with_border[with_border == 1] = 0
    write_raster(path, with_border, nodata=255)
    with rasterio.open(path, "r+") as raster:
        raster.set_band_description(1, "class")
    assert evaluated()["failed"] == []


@pytest.mark.parametrize("opened", ["label", "levels"])
@pytest.mark.parametrize(("nodata", "named"), [(2, True), (0, False), (9, False)])
def test_of_several_classes_none_may_be_nodata(write_raster, tmp_path, opened, nodata, named):
    pixels = (np.arange(SIDE * SIDE).reshape(1, SIDE, SIDE) % 3).astype(np.uint8)
    path = write_raster(tmp_path / "classes.tif", pixels, nodata=nodata)

    def read():
        if opened == "label":
            with open_label(path, Labelling(3)) as label:
                return label.read(WHOLE)
        with open_levels(path, "mask", classes=("road", "rail")) as levels:
            found = levels.read(WHOLE)
            return (found == 254)[0] + 2 * (found == 254)[1]

    if named:
        with pytest.raises(
            (LabelError, ValueError), match=r"declares 2 as nodata, which is one of the classes"
        ):
            read()
    else:
        np.testing.assert_array_equal(read(), pixels[0])


def test_a_folder_of_labels_whose_foreground_is_nodata_is_not_trained_on(write_raster, tmp_path):
    for name in "ab":
        write_raster(tmp_path / "images" / f"{name}.tif", np.ones((3, SIDE, SIDE), np.uint8))
        write_raster(tmp_path / "labels" / f"{name}.tif", DRAWN * 255)
    last = write_raster(tmp_path / "labels" / "b.tif", DRAWN * 255, nodata=255)
    config = TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels")
    with pytest.raises(LabelError, match=r"b\.tif: holds 0 and 255 alone, but declares 255"):
        folder_data(config)
    rio("edit-info", "--unset-nodata", str(last))
    assert folder_data(config).classes == ("background", "foreground")
