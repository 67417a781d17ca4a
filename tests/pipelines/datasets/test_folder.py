"""Folders of a user's own: what is found out about their labels and images."""

import logging

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from pipelines.datasets.folder import folder_data
from pipelines.errors import PipelineError
from pipelines.results.progress import Silence
from pipelines.sampling.statistics import contents_of
from pipelines.training.objective import objective_of
from pipelines.training.run import train_folder
from rurnet.loss import IGNORE_INDEX
from tests.pipelines.datasets.own_folders import PLACE, config

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


@pytest.mark.parametrize(
    ("learned", "judged", "said"),
    [
        ((0, 1), (0, 1, 2), "river: only held-out images have it (held), so it cannot be learned"),
        ((0, 1, 2), (0, 1), "river: no held-out image has it, so the weights are chosen, and"),
        ((0, 1, 2), (0, 1, 2), None),
    ],
)
def test_a_class_that_is_not_learned_or_not_judged_is_told_of(
    folder, caplog, learned, judged, said
):
    folder("a", learned)
    root = folder("held", judged, split="valid-")
    (root / "file").touch()
    with pytest.raises(PipelineError, match="cannot be written"):  # Checked before the training.
        train_folder(
            config(
                root, valid_images=root / "valid-images", valid_labels=root / "valid-labels",
                classes="road,river", output=root / "file" / "out",
            ),
            Silence(),
        )  # fmt: skip
    told = [one.message for one in caplog.records if one.levelno == logging.WARNING]
    assert [one for one in told if "river" in one] == [one for one in told if said and said in one]
    assert bool(said) == any("river" in one for one in told)


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


def test_photographs_have_no_ground_sampling_distance_and_nobody_is_warned(folder, caplog):
    root = folder("a", crs=None)
    with caplog.at_level(logging.INFO, "rurnet"):
        assert folder_data(config(root)).ground_sampling_distance is None
    assert "1 images of 3 bands, classes: background, foreground" in caplog.text
    assert [one.levelname for one in caplog.records] == ["INFO"] * len(caplog.records)


@pytest.mark.parametrize("bands", [1, 2, 3, 5])
def test_the_network_takes_as_many_bands_as_the_images_have(folder, bands):
    told = config(folder("a", bands=bands))
    images = [contents_of(one.source) for one in folder_data(told).folders[0]]
    objective = objective_of(told, "other", 2, images)
    assert objective.arguments["in_channels"] == len(objective.mean) == bands


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
