"""Folders of a user's own that no training can use: refused in one line that names the file."""

import numpy as np
import pytest
from PIL import Image

from tests.pipelines.datasets.own_folders import refused

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


def test_images_on_other_scales_are_refused(folder, write_raster):
    folder("a")
    root = folder("b")
    write_raster(root / "images" / "b.tif", np.full((3, 16, 16), 900, np.uint16))
    message = refused(root)
    assert "b.tif: pixels are uint16, but" in message
    assert "a.tif has uint8" in message


# What becomes of them.


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
