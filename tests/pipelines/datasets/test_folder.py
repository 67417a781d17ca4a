"""Folders of a user's own: what is found out about them, what is refused, what becomes of it."""

import json
import logging
from functools import partial

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.config.training import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.errors import PipelineError
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling import statistics
from pipelines.sampling.statistics import contents_of
from pipelines.training import run as recipes
from pipelines.training.objective import objective_of
from pipelines.training.run import train_folder
from rurnet.loss import IGNORE_INDEX
from tiling.errors import TilingError

SIDE = 64
PLACE = Affine(0.5, 0, 200_000, 0, -0.5, 900_000)
FEW = {
    "crop_sizes": [32], "batch_pixels": 2048, "steps": 2, "workers": 0, "scorings": 1,
    "iterations": 2,
}  # fmt: skip


@pytest.fixture
def folder(tmp_path, write_raster):
    """Writes an image and its label of these values, row by row, into a folder's `images`."""

    def write(name="a", values=(0, 1), *, bands=3, split="", label=True, nodata=None, **profile):
        random = np.random.default_rng(len(name))
        rows = np.array(values)[np.arange(16) * len(values) // 16]
        drawn = np.repeat(rows[:, None], 16, axis=1)[None]
        pixels = random.integers(1, 250, (bands, 16, 16)).astype(np.uint8)
        write_raster(tmp_path / f"{split}images" / f"{name}.tif", pixels, **profile)
        if label:
            kind = np.uint8 if np.array_equal(drawn, drawn.astype(np.uint8)) else np.float32
            path = tmp_path / f"{split}labels" / f"{name}.tif"
            write_raster(path, drawn.astype(kind), nodata=nodata, **profile)
        return tmp_path

    return write


def config(root, **changed):
    told = {"images": root / "images", "labels": root / "labels", "output": root / "out"}
    return TrainFolder(**{**FEW, **told, **changed})


def refused(root, **changed):
    """The one line that a training is refused with, which leaves nothing behind."""
    before = sorted(root.rglob("*"))
    with pytest.raises((PipelineError, TilingError)) as caught:
        train_folder(config(root, **changed), Silence())
    assert sorted(root.rglob("*")) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


# What labels mean.


@pytest.mark.parametrize("values", [(0, 1), (0, 255), (7, 0)])
def test_two_values_are_background_and_foreground(folder, values):
    folder("a", values)
    data = folder_data(config(folder("b", (0,))))
    assert data.classes == ("background", "foreground")
    (tile,) = data.folders[0][0].source.tiles(16)
    expected = np.array(values)[np.arange(16) * 2 // 16] != 0
    np.testing.assert_array_equal(tile["label"][0], np.repeat(expected[:, None], 16, axis=1))
    assert data.ignore is None


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 2, 1, 255), (3, 2, 1, 0)])
def test_several_values_are_the_classes_numbers_and_255_is_left_out(folder, values):
    data = folder_data(config(folder("a", values)))
    count = max(set(values) - {255}) + 1
    assert data.classes == ("background", *(f"class {n}" for n in range(1, count)))
    (tile,) = data.folders[0][0].source.tiles(16)
    assert tile["label"][0, :, 0].tolist() == [values[row * len(values) // 16] for row in range(16)]
    assert data.ignore == "255"


def test_classes_that_only_some_labels_hold_are_told_apart(folder):
    """Two classes by each label alone, but they are three."""
    folder("a", (0, 1))
    assert len(folder_data(config(folder("b", (0, 2)))).classes) == 3


def test_a_labels_own_nodata_is_left_out_and_no_value(folder):
    data = folder_data(config(folder("a", (0, 1, 9), nodata=9)))
    assert data.classes == ("background", "foreground")
    (tile,) = data.folders[0][0].source.tiles(16)
    assert set(np.unique(tile["label"])) == {0, 1, IGNORE_INDEX}


def test_classes_are_named_as_in_an_evaluation(folder, caplog):
    root = folder("a", (0, 2))
    with caplog.at_level(logging.INFO, "rurnet"):
        data = folder_data(config(root, classes="road,river"))
    assert data.classes == ("background", "road", "river")
    assert "no label holds class 1 (road)" in caplog.text
    assert folder_data(config(root, classes="road")).classes == ("background", "road")


def test_a_drawing_kept_as_jpeg_has_two_classes(folder, tmp_path):
    root = folder("a", label=False)
    drawn = np.zeros((16, 16), np.uint8)
    drawn[:, 8:] = 255
    (root / "labels").mkdir()
    Image.fromarray(drawn).save(root / "labels" / "a.jpg", quality=60)
    (tile,) = folder_data(config(root)).folders[0][0].source.tiles(16)
    np.testing.assert_array_equal(tile["label"][0], drawn > 0)


# What is wrong.


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ({"label": False}, ("images/b.tif", "no label", "labels")),
        ({"values": (0, 1, 7)}, ("labels/b.tif", "values 0, 1, 7", "0 and one other")),
        ({"values": (0, 1, 255)}, ("labels/b.tif", "values 0, 1, 255", "0 and one other")),
        ({"values": (0, 255)}, ("labels/b.tif", "value 255", "in all labels")),
        ({"values": (0, 1, 2, 4)}, ("labels/b.tif", "value 4", "numbered")),
        ({"values": (0, 0.5, 1)}, ("labels/b.tif", "values 0, 0.5, 1")),
        ({"values": (0, -1)}, ("labels/b.tif", "value -1")),
        ({"bands": 4}, ("images/b.tif", "bands are 4", "images/a.tif has 3")),
    ],
    ids=str,
)
def test_a_bad_image_or_label_among_others_is_named(folder, bad, said):
    folder("a")
    folder("c")
    message = refused(folder("b", **bad))
    assert all(part in message for part in said)


@pytest.mark.parametrize(
    ("classes", "values", "said"),
    [
        ("road", (0, 1, 7), "holds the values 0, 1, 7, but of two classes"),
        ("road,river", (0, 2, 3), "value 3 is no class of 0 to 2"),
    ],
)
def test_a_value_that_is_none_of_the_named_classes_is_named(folder, classes, values, said):
    folder("a", (0, 1, 2) if "," in classes else (0, 1))
    message = refused(folder("b", values), classes=classes)
    assert "labels/b.tif" in message
    assert said in message


@pytest.mark.parametrize("values", [(0,), (1,), (255,), (1, 2)])
def test_labels_without_background_or_without_anything_else_teach_nothing(folder, values):
    root = folder("a", values)
    held = ", ".join(map(str, values))
    for classes in (None, "road"):
        message = refused(root, classes=classes)
        assert f"labels/a.tif: this label and the others hold {held} alone" in message


def test_what_is_left_out_teaches_nothing(folder):
    assert "hold 0, 255 alone" in refused(folder("a", (0, 255)), classes="road,river")


def test_a_label_of_another_size_or_place_is_named(folder, write_raster):
    root = folder("a")
    blank = np.zeros((1, 16, 16), np.uint8)
    write_raster(root / "labels" / "a.tif", blank[:, 1:])
    assert "labels/a.tif: 16 x 15 pixels, but" in refused(root)
    write_raster(root / "labels" / "a.tif", blank, crs="EPSG:32619")
    assert "labels/a.tif: its CRS is EPSG:32619" in refused(root)


def test_empty_and_missing_folders_are_named(folder, tmp_path):
    root = folder("a")
    (root / "empty").mkdir()
    assert f"{root / 'empty'}: no images in it" in refused(root, images=root / "empty")
    assert f"{root / 'no'}: no such folder; check --images" in refused(root, images=root / "no")
    assert "check --labels" in refused(root, labels=root / "no")
    assert "check --test-images" in refused(root, test_images=root / "no")
    message = refused(root, valid_images=root / "empty", valid_labels=root / "no")
    assert "check --valid-labels" in message


def test_labels_of_the_validation_and_test_images_are_checked_too(folder):
    folder("a")
    root = folder("z", (0, 1, 7), split="more")
    more = {"images": root / "moreimages", "labels": root / "morelabels"}
    for split in ("valid", "test"):
        told = {f"{split}_{kind}": path for kind, path in more.items()}
        assert "morelabels/z.tif: holds the values 0, 1, 7" in refused(root, **told)


def test_two_images_of_one_name_are_refused(folder):
    root = folder("a")
    Image.new("RGB", (16, 16)).save(root / "images" / "a.png")
    message = refused(root)
    assert "a.png" in message
    assert "a.tif" in message


# What images are.


def test_one_ground_sampling_distance_is_that_of_the_weights(folder):
    finer = Affine(0.502, 0, 200_000, 0, -0.502, 900_000)
    folder("a", transform=PLACE)
    assert folder_data(config(folder("b", transform=finer))).ground_sampling_distance == 0.501


@pytest.mark.parametrize(
    "other", [{"transform": Affine(1, 0, 200_000, 0, -1, 900_000)}, {"crs": None}], ids=str
)
def test_several_ground_sampling_distances_are_said_and_none_is_noted(folder, other, caplog):
    folder("a", transform=PLACE)
    root = folder("b", **other)
    with caplog.at_level(logging.INFO, "rurnet"):
        assert folder_data(config(root)).ground_sampling_distance is None
    assert "no ground sampling distance" in caplog.text


def test_photographs_have_no_ground_sampling_distance_and_nothing_is_said(folder, caplog):
    root = folder("a", crs=None)
    with caplog.at_level(logging.INFO, "rurnet"):
        assert folder_data(config(root)).ground_sampling_distance is None
    assert "1 images of 3 bands, classes: background, foreground" in caplog.text
    assert "ground sampling distance" not in caplog.text


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_the_network_takes_as_many_bands_as_the_images_have(folder, bands):
    told = config(folder("a", bands=bands))
    images = [contents_of(one.source) for one in folder_data(told).folders[0]]
    objective = objective_of(told, "other", 2, images)
    assert objective.arguments["in_channels"] == len(objective.mean) == bands


def test_images_on_other_scales_are_refused(folder, write_raster):
    folder("a")
    root = folder("b")
    write_raster(root / "images" / "b.tif", np.full((3, 16, 16), 900, np.uint16))
    message = refused(root)
    assert "b.tif: pixels are uint16, but" in message
    assert "a.tif has uint8" in message


def test_numbers_of_a_palette_are_the_colours_they_stand_for(folder):
    root = folder("a", bands=1)
    image = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16), "P")
    image.putpalette([value for grey in range(256) for value in (grey, 0, 255 - grey)])
    (root / "images" / "a.tif").unlink()
    image.save(root / "images" / "a.png")
    ((example,),) = folder_data(config(root)).folders
    told = contents_of(example.source)
    assert (told.sums / told.pixels).tolist() == [127.5, 0, 127.5]


def test_both_eyes_of_a_person_are_one_subject_here_too(folder):
    for name in ("Image_01L", "Image_01R", "field_7"):
        root = folder(name)
    found = [one.subject for one in folder_data(config(root)).folders[0]]
    assert sorted(found) == ["Image_01", "Image_01", "field_7"]


@pytest.mark.parametrize("kind", ["nodata", "alpha", "mask"])
def test_pixels_that_are_missing_are_left_out_and_white_ones_are_there(folder, write_raster, kind):
    root = folder("a")
    valid = np.ones((16, 16), bool)
    valid[:4] = False
    white = np.full((3, 16, 16), 255, np.uint8)
    write_raster(root / "images" / "a.tif", white, nodata_kind=kind, valid=valid)
    (tile,) = folder_data(config(root)).folders[0][0].source.tiles(16)
    np.testing.assert_array_equal(tile["valid"][0], valid)
    np.testing.assert_array_equal(tile["label"][0] == IGNORE_INDEX, ~valid)


# What becomes of them.


@pytest.fixture(scope="module")
def scenes(tmp_path_factory, write_raster):
    """Six scenes of four bands of 16 bits with two kinds of bars; the labels leave a corner out."""
    root = tmp_path_factory.mktemp("own")
    for number in range(6):
        random = np.random.default_rng(number)
        label = np.zeros((1, SIDE, SIDE), np.uint8)
        label[0, (at := random.integers(8, SIDE - 12)) : at + 10] = 1
        label[0, :, (at := random.integers(8, SIDE - 12)) : at + 10] = 2
        shift = label * np.array([400, -300, 200, 0])[:, None, None]
        pixels = random.normal(800 + shift, 60).clip(1, 2047).astype(np.uint16)
        label[0, :4, :4] = 255
        split = ("images", "labels") if number < 4 else ("valid", "valid-labels")
        split = ("test", "test-labels") if number == 5 else split
        for kind, raster in zip(split, (pixels, label), strict=True):
            write_raster(root / kind / f"{number}.tif", raster, transform=PLACE)
    return root


@pytest.fixture(scope="module", autouse=True)
def _small_tiles():
    """Tiles of the scenes' own size: the rest would be padding."""
    smaller = partial(PredictionSettings, tile=SIDE, overlap=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "TILE", SIDE)
        patched.setattr(recipes, "PredictionSettings", smaller)
        yield


@pytest.fixture(scope="module")
def trained(scenes):
    """A training with images of its own for validation and test."""
    told = config(
        scenes, valid_images=scenes / "valid", valid_labels=scenes / "valid-labels",
        test_images=scenes / "test", test_labels=scenes / "test-labels", classes="road,river",
        name="mine", iterations=30, learning_rate=2e-2, ema=0.0, damaged_starts=0.0,
        random_steps=False,
    )  # fmt: skip
    return train_folder(told, Silence())


def test_weights_note_what_the_images_are(trained):
    card = load(str(trained.weights)).card
    assert trained.weights.name == "mine.safetensors"
    assert card.task == "other"
    assert card.classes == ("background", "road", "river")
    assert card.arguments == {"in_channels": 4, "classes": 3, "steps": 2}
    assert card.ground_sampling_distance == 0.5
    # On the scale of 8 bits, as prediction brings them there.
    assert all(2 < mean < 5 for mean in card.mean)
    assert 0 < card.threshold < 1
    assert card.training["images"] == ["0", "1", "2", "3"]
    assert card.training["held_out"] == ["4"]
    assert set(card.scores) == {"held_out", "test"}


def test_held_out_and_test_images_are_reported(trained, scenes):
    assert trained.folder == scenes / "out" / "test"
    for split, name in (("held-out", "4"), ("test", "5")):
        report = json.loads((scenes / "out" / split / "report.json").read_text())
        assert [scene["name"] for scene in report["scenes"]] == [name]
        assert report["pooled"]["pixels"] == SIDE**2 - 16
        assert set(report["pooled"]["classes"]) == {"road", "river"}
        assert report["pooled"]["foreground"]["f1"] > 0.6
        assert (scenes / "out" / split / "report.html").is_file()


def test_the_weights_find_their_classes_in_scenes(trained, scenes, tmp_path):
    told = InferRoads(
        scenes=[str(scenes / "test")], labels=scenes / "test-labels", ignore="255",
        output=tmp_path, model=[str(trained.weights)], tile=SIDE, overlap=32,
    )  # fmt: skip
    result = infer_roads(told, Silence())
    assert result.failed == []
    assert result.report.pooled.foreground == trained.report.pooled.foreground
    with (
        rasterio.open(tmp_path / "5" / "mask.tif") as mask,
        rasterio.open(scenes / "test-labels" / "5.tif") as label,
    ):
        found, drawn = mask.read(1), label.read(1)
        assert mask.crs == label.crs
        assert mask.transform == label.transform
    assert set(np.unique(found)) == {0, 1, 2}
    assert (found == drawn)[drawn != 255].mean() > 0.8
    with rasterio.open(tmp_path / "5" / "probability.tif") as raster:
        assert raster.count == 2
        assert "river" in raster.descriptions[1]


def test_the_weights_pass_for_fundi_too(trained, tmp_path, write_raster):
    write_raster(tmp_path / "eye.tif", np.full((4, 40, 40), 90, np.uint8), crs=None)
    told = InferDrive(
        scenes=[str(tmp_path / "eye.tif")], output=tmp_path / "out", model=[str(trained.weights)],
        tile=64, overlap=32,
    )  # fmt: skip
    report = infer_drive(told, Silence()).report
    assert report.failed == []
    assert report.scoring.counted == "pixels inside the field of view"


def test_without_test_images_the_result_is_of_those_held_out(scenes, tmp_path):
    result = train_folder(config(scenes, output=tmp_path, held_out=[1]), Silence())
    assert result.folder == tmp_path / "held-out"
    assert [scene.name for scene in result.report.scenes] == ["2"]
    assert load(str(result.weights)).card.training["held_out"] == ["2"]
    assert not (tmp_path / "test").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_reports_are_not_written_among_what_is_read(folder, overwrite):
    """They would be cleared away with the images by `--overwrite`."""
    for name in ("a", "b"):
        folder(name)
    folder("c", split="test/")
    root = folder("c", split="other/")
    for told in (
        {"test_images": root / "test/images"},
        {"test_images": root / "other/images", "test_labels": root / "test/labels"},
    ):
        said = refused(root, output=root, overwrite=overwrite, **told)
        assert f"lies in {root / 'test'}, where this training's report would be" in said


def test_test_images_without_labels_are_predicted(scenes, tmp_path):
    told = config(scenes, output=tmp_path, held_out=[1], test_images=scenes / "test")
    result = train_folder(told, Silence())
    assert result.folder == tmp_path / "test"
    assert result.report.pooled is None
    assert (tmp_path / "test" / "5" / "mask.tif").is_file()
    assert set(load(str(result.weights)).card.scores) == {"held_out"}
