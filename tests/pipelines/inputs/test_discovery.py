import os
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder
from pipelines.errors import DataError
from pipelines.inputs import opening
from pipelines.inputs.discovery import fundus_input, fundus_inputs, road_inputs
from pipelines.inputs.field_of_view import field_diameter
from pipelines.inputs.fundus import FundusSample
from pipelines.inputs.opening import Reading
from pipelines.sampling.fundi import FundusSource
from tiling.errors import SceneError
from tiling.window import Window


@pytest.fixture
def scenes(write_raster, tmp_path):
    """A folder with scenes a, b.1, c and d[1], and things that are none."""
    folder = tmp_path / "scenes"
    for name in ("a.tif", "b.1.tiff", "d[1].tif"):
        write_raster(folder / name, np.full((3, 20, 30), 90, np.uint8))
    write_raster(folder / "c.png", np.full((3, 20, 30), 90, np.uint8), crs=None, driver="PNG")
    (folder / "readme.txt").write_text("hello")
    return folder


@pytest.fixture
def labels(write_raster, tmp_path):
    """Makes labels with these names, each with a number of road pixels of its own."""

    def make(*names):
        folder = tmp_path / "labels"
        for number, name in enumerate(names, start=1):
            pixels = np.zeros((1, 20, 30), np.uint8)
            pixels.flat[:number] = 1
            write_raster(folder / name, pixels)
        return folder

    return make


def names(items):
    return [item.name for item in items]


def label_of(item):
    with item.open() as opened:
        return None if opened.label is None else Path(opened.label.name).name


WHOLE = Window(0, 0, 20, 30)


# What is asked for.


def test_a_folder_stands_for_its_images_by_name(scenes):
    assert names(road_inputs([str(scenes)], None)) == ["a", "b.1", "c", "d[1]"]


def test_a_gif_is_a_label_and_no_image(scenes, tmp_path):
    """It has 256 colours at most: what lies in a folder of scenes as such was drawn."""
    for path in (scenes / "e.gif", tmp_path / "labels" / "a.gif"):
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((20, 30), np.uint8)).save(path)
    assert names(road_inputs([str(scenes)], None)) == ["a", "b.1", "c", "d[1]"]
    [item] = road_inputs([str(scenes / "a.tif")], tmp_path / "labels")
    assert label_of(item) == "a.gif"


def test_a_glob_stands_for_what_it_matches(scenes):
    assert names(road_inputs([str(scenes / "*.tif*")], None)) == ["a", "b.1", "d[1]"]


def test_a_name_with_brackets_is_a_file_first(scenes):
    assert names(road_inputs([str(scenes / "d[1].tif")], None)) == ["d[1]"]


def test_what_is_named_twice_runs_once(scenes):
    sources = [str(scenes / "a.tif"), str(scenes), str(scenes / "a*")]
    assert names(road_inputs(sources, None)) == ["a", "b.1", "c", "d[1]"]


def test_a_missing_file_is_an_error_of_its_own_job(scenes):
    missing, there = road_inputs([str(scenes / "none.tif"), str(scenes / "a.tif")], None)
    with pytest.raises(SceneError, match=r"none\.tif"), missing.open():
        pass
    with there.open() as opened:
        assert opened.scene.width == 30


def test_a_scene_inside_an_archive_is_named_like_its_file(scenes, tmp_path):
    with ZipFile(tmp_path / "more.zip", "w") as archive:
        archive.write(scenes / "a.tif", "deep/x.tif")
    [item] = road_inputs([f"/vsizip/{tmp_path}/more.zip/deep/x.tif"], None)
    assert item.name == "x"
    with item.open() as opened:
        assert (opened.scene.height, opened.scene.width) == (20, 30)


@pytest.mark.parametrize("items", [road_inputs, fundus_inputs])
def test_a_folder_without_images_and_a_glob_without_match_are_errors(items, tmp_path):
    (tmp_path / "readme.txt").write_text("hello")
    for source in (tmp_path, tmp_path / "*.tif"):
        with pytest.raises(DataError) as caught:
            items([str(source)], None)
        assert str(caught.value).startswith(f"{source}: ")


@pytest.mark.parametrize("items", [road_inputs, fundus_inputs])
def test_a_missing_folder_of_labels_is_an_error_that_names_the_option(items, scenes, tmp_path):
    with pytest.raises(DataError, match="--labels") as caught:
        items([str(scenes)], tmp_path / "nowhere")
    assert str(tmp_path / "nowhere") in str(caught.value)


def test_white_is_missing_only_where_asked_for(write_raster, tmp_path):
    pixels = np.full((3, 50, 50), 90, np.uint8)
    pixels[:, :40, :40] = 255
    source = str(write_raster(tmp_path / "snow.tif", pixels))
    for wanted in (False, True):
        [item] = road_inputs([source], None, Reading(white_is_nodata=wanted))
        with item.open() as opened:
            _, valid = opened.scene.read(Window(0, 0, 50, 50))
        assert valid[:40, :40].any() != wanted
        assert valid[41:].all()


# Labels of roads.


def test_a_scene_takes_the_label_of_its_own_stem(scenes, labels):
    folder = labels("a.1.tif", "a.tif", "b.tif", "c.tif", "d1.tif", "d[1].tif")
    found = {item.name: label_of(item) for item in road_inputs([str(scenes)], folder)}
    assert found == {"a": "a.tif", "b.1": None, "c": "c.tif", "d[1]": "d[1].tif"}


def test_a_labels_stem_has_no_more_dots_than_its_scenes(scenes, labels):
    folder = labels("a.1.tif", "b.1.png.aux.xml.tif")
    assert {label_of(item) for item in road_inputs([str(scenes)], folder)} == {None}


def test_side_files_are_no_labels(scenes, labels):
    folder = labels("a.tif")
    (folder / "a.aux.xml").write_text("<PAMDataset/>")
    (folder / "c.tfw").write_text("1")
    found = {item.name: label_of(item) for item in road_inputs([str(scenes)], folder)}
    assert found == {"a": "a.tif", "b.1": None, "c": None, "d[1]": None}


def test_a_scene_is_not_its_own_label_however_it_is_spelled(scenes):
    for source in (
        str(scenes / "a.tif"),
        f"{scenes}/../scenes/a.tif",
        os.path.relpath(scenes / "a.tif"),
    ):
        [item] = road_inputs([source], scenes)
        assert label_of(item) is None


def test_any_value_but_0_is_road(write_raster, scenes, tmp_path):
    pixels = np.zeros((1, 20, 30), np.uint8)
    pixels[0, 3, 4:7] = (1, 128, 255)
    write_raster(tmp_path / "labels" / "a.tif", pixels)
    [item] = road_inputs([str(scenes / "a.tif")], tmp_path / "labels")
    with item.open() as opened:
        road = opened.label.read(WHOLE)
        np.testing.assert_array_equal(opened.label.read(Window(3, 5, 2, 9)), road[3:5, 5:14])
    assert sorted(zip(*np.nonzero(road), strict=True)) == [(3, 4), (3, 5), (3, 6)]


# Fundi.


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive_folder(tmp_path_factory.mktemp("drive") / "DRIVE", train=1, test=1)


def opened_fundus(item):
    """Validity, label and second label of a fundus job, all pixels."""
    with item.open() as opened:
        whole = Window(0, 0, opened.scene.height, opened.scene.width)
        _, valid = opened.scene.read(whole)
        labels = [None if label is None else label.read(whole)
                  for label in (opened.label, opened.second)]  # fmt: skip
    return valid, *labels


def test_a_fundus_counts_inside_its_field_of_view(drive):
    image, label, field = draw_fundus(1)
    [item] = fundus_inputs([str(drive / "test" / "images")], drive / "test" / "1st_manual")
    assert item.name == "01_test"
    valid, first, second = opened_fundus(item)
    np.testing.assert_array_equal(valid, field)
    np.testing.assert_array_equal(first, label > 0)
    assert (second != first).any()
    assert image.shape[1:] == valid.shape


def test_without_a_folder_of_labels_nothing_is_scored(drive):
    [item] = fundus_inputs([str(drive / "test" / "images" / "01_test.tif")], None)
    valid, first, second = opened_fundus(item)
    assert first is None
    assert second is None
    np.testing.assert_array_equal(valid, draw_fundus(1)[2])


def test_a_lone_photograph_counts_inside_the_disc_that_is_seen(tmp_path):
    image, _, field = draw_fundus(5)
    Image.fromarray(np.moveaxis(image, 0, -1)).save(tmp_path / "photo.png")
    [item] = fundus_inputs([str(tmp_path / "photo.png")], None)
    valid, _, _ = opened_fundus(item)
    assert (valid & field).sum() / (valid | field).sum() > 0.97


def test_annotations_beside_the_images_are_passed_over(drive, tmp_path):
    for name in ("Image_01L.jpg", "Image_01L_1stHO.png", "Image_01L_2ndHO.png"):
        source = drive / "test" / "images" / "01_test.tif"
        Image.open(source).convert("RGB").save(tmp_path / name)
    assert names(fundus_inputs([str(tmp_path)], None)) == ["Image_01L"]


def test_a_sample_whose_label_is_missing_is_predicted_all_the_same(drive):
    item = fundus_input(FundusSample("21", drive / "training" / "images" / "21_training.tif"))
    assert item.name == "21"
    valid, first, second = opened_fundus(item)
    assert valid.any()
    assert (first, second) == (None, None)


def test_a_field_of_view_of_another_size_is_an_error_that_names_it(drive, tmp_path):
    Image.fromarray(np.full((9, 9), 255, np.uint8)).save(tmp_path / "mask.png")
    image = drive / "test" / "images" / "01_test.tif"
    item = fundus_input(FundusSample("01", image, field=tmp_path / "mask.png"))
    with pytest.raises(DataError, match=r"mask\.png.*9 x 9"), item.open():
        pass


# Fundi of other sizes.


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """One fundus without a mask, by the width that it was photographed at."""
    folder = tmp_path_factory.mktemp("photographs")
    image = Image.fromarray(np.moveaxis(draw_fundus(5)[0], 0, -1))
    for width in (280, 565, 1130):
        size = (width, round(width * 584 / 565))
        image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{width}.png")
    return folder


def seen_in(item):
    """Sizes of a fundus and of what the network sees of it, and the diameter of its field there."""
    with item.open() as opened:
        scene, seen = opened.scene, opened.seen
        _, valid = seen.read(Window(0, 0, seen.height, seen.width))
    return (scene.height, scene.width), (seen.height, seen.width), field_diameter(valid)


@pytest.mark.parametrize("overview", [2048, 200])
@pytest.mark.parametrize(("width", "working"), [(280, 400), (565, 500), (1130, 500)])
def test_a_fundus_is_seen_at_a_diameter_trained_at(
    photographs, monkeypatch, overview, width, working
):
    """However coarse the overview is that its field of view is found in."""
    monkeypatch.setattr(opening, "SEEN_AT", overview)
    reading = Reading(field_diameters=(400, 500))
    [item] = fundus_inputs([str(photographs / f"{width}.png")], None, reading)
    size, seen, diameter = seen_in(item)
    assert size == (round(width * 584 / 565), width)
    assert diameter == pytest.approx(working, rel=0.02)
    assert seen == pytest.approx((584 * working / 540, 565 * working / 540), rel=0.015)


@pytest.mark.parametrize("diameters", [None, (400, 600), (543, 600), (400, 537)])
def test_a_fundus_of_about_a_diameter_trained_at_is_seen_as_it_is(drive, diameters):
    [sample] = fundus_samples(drive, "test")
    with fundus_input(sample, Reading(field_diameters=diameters)).open() as opened:
        assert opened.seen is opened.scene


def test_the_diameter_is_that_of_the_mask_where_there_is_one(drive, tmp_path):
    mask = np.zeros((584, 565), np.uint8)
    mask[200:300, 100:280] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    image = drive / "test" / "images" / "01_test.tif"
    item = fundus_input(
        FundusSample("01", image, field=tmp_path / "mask.png"), Reading(field_diameters=(90, 90))
    )
    assert seen_in(item) == ((584, 565), (292, 282), pytest.approx(90, abs=2))


@pytest.mark.parametrize("diameters", [(200, 300), (700, 800)])
def test_what_is_trained_on_is_what_is_predicted(drive, diameters):
    [sample] = fundus_samples(drive, "test")
    source = FundusSource(sample, diameters)
    with fundus_input(sample, Reading(field_diameters=diameters)).open() as opened:
        pixels, valid = opened.seen.read(Window(0, 0, opened.seen.height, opened.seen.width))
    inside = source.arrays["valid"][0] > 0
    assert valid[inside].all()
    np.testing.assert_array_equal(source.arrays["image"][:, inside], pixels[:, inside])


def test_a_file_in_place_of_the_folder_of_labels_is_named_as_one(tmp_path):
    (tmp_path / "a_1stHO.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a_1stHO\.png: a file; --labels takes the folder"):
        fundus_inputs(["a.png"], tmp_path / "a_1stHO.png")
