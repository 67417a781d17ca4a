"""Which images a protocol trains on and tests, and what it says of an incomplete copy."""

import subprocess
from dataclasses import replace

import pytest

from pipelines.errors import DataError
from pipelines.protocols.images import digests, protocol_images
from pipelines.protocols.published import PROTOCOLS
from tests.pipelines.protocols import layouts

LAYOUTS = {
    "drive": layouts.drive,
    "chase-8-20": layouts.chase,
    "chase-20-8": layouts.chase,
    "hrf": layouts.hrf,
    "stare": layouts.stare,
}
FEW = replace(PROTOCOLS["massachusetts-1108"], counts={"train": 3, "valid": 2, "test": 1})


def refused(name, folder, protocol=None):
    with pytest.raises(DataError) as caught:
        protocol_images(protocol or PROTOCOLS[name], folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "train", "test", "files"),
    [
        ("drive", 20, 20, 140),
        ("chase-8-20", 8, 20, 84),
        ("chase-20-8", 20, 8, 84),
        ("hrf", 15, 30, 135),
        ("stare", 20, 20, 60),
    ],
)
def test_a_whole_copy_has_the_images_of_the_protocol(name, train, test, files, tmp_path):
    images = protocol_images(PROTOCOLS[name], LAYOUTS[name](tmp_path / "data"))
    assert (len(images.train), len(images.test), len(images.files)) == (train, test, files)
    assert all(path.is_file() for path in images.files)
    if name != "stare":
        assert not set(images.train) & set(images.test)


def test_the_first_images_train_in_chase_and_the_first_of_each_kind_in_hrf():
    assert PROTOCOLS["chase-8-20"].train[-1] == "Image_04R"
    assert PROTOCOLS["chase-20-8"].train[-1] == "Image_10R"
    assert PROTOCOLS["chase-20-8"].test == tuple(
        f"Image_{subject}{eye}" for subject in (11, 12, 13, 14) for eye in "LR"
    )
    assert PROTOCOLS["hrf"].train[:4] == ("01_dr", "01_g", "01_h", "02_dr")
    assert {name[:2] for name in PROTOCOLS["hrf"].train} == {"01", "02", "03", "04", "05"}


def test_names_in_other_letters_are_the_same_images(tmp_path):
    folder = layouts.chase(tmp_path)
    (folder / "Image_05R.jpg").rename(folder / "image_05r.jpg")
    for observer in ("1st", "2nd"):
        old = folder / f"Image_05R_{observer}HO.png"
        old.rename(folder / f"image_05r_{observer}HO.png")
    images = protocol_images(PROTOCOLS["chase-8-20"], folder)
    assert images.samples["Image_05R"].name == "image_05r"


def test_missing_images_are_named_with_where_to_get_them(tmp_path):
    folder = layouts.hrf(tmp_path)
    for name in ("07_g", "15_h"):
        next((folder / "images").glob(f"{name}.*")).unlink()
    assert refused("hrf", folder) == (
        f"{folder}: not the data of hrf: 2 images are missing (07_g, 15_h); unpack all 45 images "
        "with their labels from https://www5.cs.fau.de/research/data/fundus-images/, and nothing "
        "else, or name another folder with --data; on other images train-drive, train-roads and "
        "train-folder train"
    )


def test_images_that_are_none_of_the_protocols_are_named(tmp_path):
    folder = layouts.chase(tmp_path)
    for name in ("Image_15L.jpg", "Image_15L_1stHO.png"):
        layouts.blank(folder / name)
    assert "1 images do not belong to it (Image_15L);" in refused("chase-8-20", folder)


def test_a_download_without_labels_of_the_test_images_cannot_be_scored(tmp_path):
    folder = layouts.drive(tmp_path)
    for path in (folder / "test" / "1st_manual").iterdir():
        path.unlink()
    said = refused("drive", folder)
    assert "20 images lack their first observer's labels (01_test, 02_test, 03_test," in said


def test_masks_of_the_field_are_part_of_the_protocol_where_the_data_set_has_them(tmp_path):
    folder = layouts.drive(tmp_path)
    (folder / "test" / "mask" / "07_test_mask.gif").unlink()
    assert "1 images lack their masks of the field of view (07_test);" in refused("drive", folder)


def test_another_data_set_is_not_taken_for_the_protocols(tmp_path):
    assert "20 images are missing" in refused("stare", layouts.hrf(tmp_path))


def test_scenes_are_counted_as_their_names_tell_no_split(tmp_path):
    folder = layouts.massachusetts(tmp_path, FEW.counts)
    images = protocol_images(FEW, folder)
    assert images.train == ("train_0", "train_1", "train_2")
    assert images.valid == ("valid_0", "valid_1")
    assert images.test == ("test_0",)
    assert len(images.files) == 12
    said = refused("massachusetts-1108", folder)
    assert f"{folder / 'train'} has 3 scenes with labels, not 1108" in said
    assert f"{folder / 'test'} has 1 scenes with labels, not 49" in said


def test_digests_are_what_sha256sum_checks(tmp_path):
    folder = layouts.stare(tmp_path / "STARE")
    images = protocol_images(PROTOCOLS["stare"], folder)
    lines = digests(folder, images.files)
    assert len(lines.splitlines()) == 60
    checked = subprocess.run(
        ["sha256sum", "--check", "--strict"], input=lines, text=True, cwd=folder,
        capture_output=True,
    )  # fmt: skip
    assert checked.returncode == 0
    layouts.blank(folder / "labels-ah" / "im0077.ah.ppm", 255)
    assert digests(folder, images.files) != lines
