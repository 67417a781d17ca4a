"""Fundus folders as users have them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder
from pipelines.errors import DataError
from pipelines.inputs.field_masks import read_field
from pipelines.inputs.fundus import FundusSample, images_in, sample_of
from pipelines.inputs.labels import Labelling, open_label
from pipelines.sampling.fundi import load_fundus
from rurnet.loss import IGNORE_INDEX
from tiling.errors import SceneError
from tiling.window import Window

DATA = Path(os.environ.get("RURNET_DATA", Path(__file__).parents[3] / ".." / "shared" / "data"))
CHASE, HRF = DATA / "chase_db1", DATA / "hrf"

with_chase = pytest.mark.skipif(not CHASE.is_dir(), reason=f"no CHASE_DB1 at {CHASE}")
with_hrf = pytest.mark.skipif(not HRF.is_dir(), reason=f"no HRF at {HRF}")


def blank(path, size=(20, 16), mode="RGB", value=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def drawn_in(path):
    """Where a label has foreground."""
    with open_label(path, Labelling()) as label:
        return label.read(Window(0, 0, label.height, label.width)) == 1


def arrays(sample):
    """Image, label and field of view, as training reads them."""
    loaded = load_fundus(sample)
    return loaded["image"], loaded["label"][0], loaded["valid"][0]


def refused(*arguments, call=fundus_samples):
    """The message of the refusal, in one line."""
    with pytest.raises(DataError) as caught:
        call(*arguments)
    assert isinstance(caught.value, OSError)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive_folder(tmp_path_factory.mktemp("fundus") / "DRIVE", train=2, test=2)


@pytest.fixture
def chase(tmp_path):
    folder = tmp_path / "CHASEDB1"
    for subject in range(1, 15):
        for eye in "LR":
            blank(folder / f"Image_{subject:02d}{eye}.jpg")
            for observer in ("1st", "2nd"):
                blank(folder / f"Image_{subject:02d}{eye}_{observer}HO.png", mode="1")
    return folder


@pytest.fixture
def hrf(tmp_path):
    folder = tmp_path / "HRF"
    for name in ("01_dr", "01_g", "01_h", "02_h"):
        blank(folder / "images" / f"{name}.JPG")
        blank(folder / "manual1" / f"{name}.tif", mode="L")
        blank(folder / "mask" / f"{name}_mask.tif")
    return folder


def test_drive_as_drawn_has_its_names_formats_sizes_and_values(drive):
    expected = {
        "training/images/21_training.tif": "TIFF",
        "training/images/22_training.tif": "TIFF",
        "training/1st_manual/21_manual1.gif": "GIF",
        "training/1st_manual/22_manual1.gif": "GIF",
        "training/mask/21_training_mask.gif": "GIF",
        "training/mask/22_training_mask.gif": "GIF",
        "test/images/01_test.tif": "TIFF",
        "test/images/02_test.tif": "TIFF",
        "test/1st_manual/01_manual1.gif": "GIF",
        "test/1st_manual/02_manual1.gif": "GIF",
        "test/2nd_manual/01_manual2.gif": "GIF",
        "test/2nd_manual/02_manual2.gif": "GIF",
        "test/mask/01_test_mask.gif": "GIF",
        "test/mask/02_test_mask.gif": "GIF",
    }
    found = {p.relative_to(drive).as_posix() for p in drive.rglob("*") if p.is_file()}
    assert found == set(expected)
    for name, kind in expected.items():
        with Image.open(drive / name) as image:
            assert image.format == kind
            assert image.size == (565, 584)
            if kind == "TIFF":
                assert image.mode == "RGB"
            else:
                assert set(np.unique(np.asarray(image.convert("L")))) == {0, 255}


def test_drive_without_a_test_folder_is_training_data(tmp_path):
    folder = write_drive_folder(tmp_path / "DRIVE", train=1, test=1)
    shutil.rmtree(folder / "test")
    assert [sample.name for sample in fundus_samples(folder, "train")] == ["21_training"]
    assert fundus_samples(folder, "test") == []


@pytest.mark.parametrize("suffix", [".GIF", ".PNG", ".tiff", ".jpg", ".JPEG", ".bmp"])
def test_labels_may_be_of_other_kinds(tmp_path, suffix):
    blank(tmp_path / "images" / "21_training.tif")
    label = tmp_path / "1st_manual" / f"21_manual1{suffix}"
    label.parent.mkdir()
    drawn = np.zeros((16, 20), bool)
    drawn[:8] = True
    Image.fromarray(255 * drawn.astype(np.uint8)).save(label)
    (sample,) = fundus_samples(tmp_path, "train")
    assert sample.label == label
    np.testing.assert_array_equal(drawn_in(label), drawn)


def test_what_jpeg_makes_of_a_drawing_is_still_two_values(tmp_path):
    drawn = np.zeros((40, 40), bool)
    drawn[10:20, 5:30] = True
    path = tmp_path / "label.jpg"
    Image.fromarray(255 * drawn.astype(np.uint8)).save(path, quality=70)
    assert len(np.unique(np.asarray(Image.open(path)))) > 2
    np.testing.assert_array_equal(drawn_in(path), drawn)


def test_drive_is_split_as_its_folders_are(drive):
    train, test = fundus_samples(drive, "train"), fundus_samples(drive, "test")
    assert [s.name for s in train] == ["21_training", "22_training"]
    assert [s.name for s in test] == ["01_test", "02_test"]
    for sample in [*train, *test]:
        number = sample.name[:2]
        assert sample.label.name == f"{number}_manual1.gif"
        assert sample.field.name == f"{sample.name}_mask.gif"
        assert sample.label.parents[1] == sample.image.parents[1] == sample.field.parents[1]
    assert [s.second for s in train] == [None, None]
    assert [s.second.name for s in test] == ["01_manual2.gif", "02_manual2.gif"]


def test_the_second_observer_is_another_hand_and_not_the_first(drive):
    for sample in fundus_samples(drive, "test"):
        first, second = (drawn_in(path) for path in (sample.label, sample.second))
        overlap = (first & second).sum() / (first | second).sum()
        assert 0.6 < overlap < 0.99


def test_a_test_set_shipped_without_labels_has_images_and_fields_only(tmp_path):
    folder = write_drive_folder(tmp_path / "DRIVE", train=0, test=1, labelled_test=False)
    (sample,) = fundus_samples(folder, "test")
    assert sample.label is None
    assert sample.second is None
    assert sample.field.name == "01_test_mask.gif"
    assert not list(folder.rglob("*manual*"))


def test_chase_trains_on_subjects_1_to_10_and_tests_on_11_to_14(chase):
    train, test = fundus_samples(chase, "train"), fundus_samples(chase, "test")
    assert [s.name for s in train] == [f"Image_{n:02d}{e}" for n in range(1, 11) for e in "LR"]
    assert [s.name for s in test] == [f"Image_{n:02d}{e}" for n in range(11, 15) for e in "LR"]
    for sample in [*train, *test]:
        assert sample.label.name == f"{sample.name}_1stHO.png"
        assert sample.second.name == f"{sample.name}_2ndHO.png"
        assert sample.field is None


def test_hrf_is_training_data_with_fields_of_view(hrf):
    samples = fundus_samples(hrf, "train")
    assert [s.name for s in samples] == ["01_dr", "01_g", "01_h", "02_h"]
    for sample in samples:
        assert sample.label == hrf / "manual1" / f"{sample.name}.tif"
        assert sample.field == hrf / "mask" / f"{sample.name}_mask.tif"
        assert sample.second is None
    assert fundus_samples(hrf, "test") == []


def test_annotations_beside_images_are_not_images(chase):
    assert all(path.suffix == ".jpg" for path in images_in(chase))


def test_labels_may_lie_in_a_folder_of_their_own(tmp_path, drive):
    blank(tmp_path / "labels" / "21_manual1.png", mode="L")
    sample = sample_of(drive / "training/images/21_training.tif", tmp_path / "labels")
    assert sample.label == tmp_path / "labels" / "21_manual1.png"
    assert sample.field.name == "21_training_mask.gif"


def test_an_image_is_not_its_own_label(tmp_path):
    blank(tmp_path / "eye.png")
    assert sample_of(tmp_path / "eye.png", tmp_path).label is None


@pytest.mark.parametrize("split", ["train", "test"])
def test_a_missing_folder_is_named_with_how_to_get_drive(tmp_path, split):
    message = refused(tmp_path / "DRIVE", split)
    assert str(tmp_path / "DRIVE") in message
    assert "https://drive.grand-challenge.org/" in message
    assert "training/" in message
    assert "--data" in message


def test_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / "holiday.txt").write_text("sun")
    message = refused(tmp_path, "train")
    assert str(tmp_path) in message
    assert "none of DRIVE, CHASE_DB1, HRF, STARE, FIVES, DR HAGIS" in message


def test_drive_without_training_images_is_refused_where_they_are_asked_for(tmp_path):
    write_drive_folder(tmp_path, train=0, test=1)
    assert len(fundus_samples(tmp_path, "test")) == 1
    assert str(tmp_path / "training" / "images") in refused(tmp_path, "train")


def test_an_empty_folder_of_images_is_refused(tmp_path):
    (tmp_path / "training" / "images").mkdir(parents=True)
    assert str(tmp_path / "training" / "images") in refused(tmp_path, "train")


def test_pixels_are_read_as_they_were_drawn(drive):
    image, label, field = draw_fundus(21)
    sample = fundus_samples(drive, "train")[0]
    seen, vessels, within = arrays(sample)
    np.testing.assert_array_equal(seen, image)
    np.testing.assert_array_equal(vessels, np.where(field, label == 1, IGNORE_INDEX))
    np.testing.assert_array_equal(within, field)


@pytest.mark.parametrize("value", [1, 255])
def test_any_other_value_than_0_is_foreground(tmp_path, value):
    pixels = np.zeros((6, 5), np.uint8)
    pixels[2, 3] = value
    Image.fromarray(pixels).save(tmp_path / "label.png")
    np.testing.assert_array_equal(drawn_in(tmp_path / "label.png"), pixels > 0)


RED_ON_WHITE = [255, 255, 255, 255, 0, 0]


@pytest.mark.parametrize("palette", [RED_ON_WHITE, [0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]])
def test_training_reads_labels_as_scoring_does_whatever_their_palette(tmp_path, palette):
    blank(tmp_path / "image.png", size=(40, 30), value=(90, 60, 30))
    drawn = np.zeros((30, 40), np.uint8)
    drawn[10:13] = 1
    label = Image.fromarray(drawn, mode="P")
    label.putpalette(palette)
    label.save(tmp_path / "label.png")
    sample = FundusSample("a", tmp_path / "image.png", tmp_path / "label.png")
    _, vessels, _ = arrays(sample)
    np.testing.assert_array_equal(vessels, drawn)


def test_what_a_label_leaves_out_is_left_out_of_training(tmp_path, write_raster):
    blank(tmp_path / "image.png", size=(40, 30), value=(90, 60, 30))
    drawn = np.zeros((30, 40), np.uint8)
    drawn[:5], drawn[10:13] = 128, 255
    label = write_raster(tmp_path / "label.tif", drawn[None], nodata=128)
    _, vessels, _ = arrays(FundusSample("a", tmp_path / "image.png", label))
    np.testing.assert_array_equal(vessels, np.choose(drawn // 127, [0, IGNORE_INDEX, 1]))


def test_sixteen_bits_and_alpha_are_read_as_prediction_reads_them(tmp_path, write_raster):
    pixels = np.full((3, 30, 40), 257 * 60, np.uint16)
    sixteen = write_raster(tmp_path / "sixteen.tif", pixels)
    assert (arrays(FundusSample("a", sixteen))[0] == 60).all()
    image = Image.new("RGBA", (40, 30), (90, 60, 30, 255))
    image.paste((0, 0, 0, 0), (0, 0, 40, 10))
    image.save(tmp_path / "alpha.png")
    _, _, within = arrays(FundusSample("b", tmp_path / "alpha.png"))
    assert not within[:10].any()
    assert within[10:].all()


def test_a_field_of_view_that_is_black_all_over_is_refused(tmp_path):
    blank(tmp_path / "mask.png", mode="L")
    assert str(tmp_path / "mask.png") in refused(tmp_path / "mask.png", (16, 20), call=read_field)


def test_a_field_of_another_size_is_refused_naming_both(tmp_path):
    blank(tmp_path / "mask.gif", size=(30, 20), mode="L")
    message = refused(tmp_path / "mask.gif", (584, 565), call=read_field)
    assert str(tmp_path / "mask.gif") in message
    assert "30 x 20" in message
    assert "565 x 584" in message


def test_a_damaged_image_is_refused_by_name(tmp_path, drive):
    whole = (drive / "training/images/21_training.tif").read_bytes()
    (tmp_path / "cut.tif").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tif").write_text("not an image")
    for name in ("cut.tif", "text.tif", "missing.tif"):
        with pytest.raises(SceneError, match=name):
            arrays(FundusSample("a", tmp_path / name))
        if name != "cut.tif":
            continue
        with pytest.raises(DataError, match=name):
            read_field(tmp_path / name, (584, 565))


@with_chase
def test_chase_itself():
    train, test = fundus_samples(CHASE, "train"), fundus_samples(CHASE, "test")
    assert len(train) == 20
    assert len(test) == 8
    assert all(s.label and s.second and s.field is None for s in [*train, *test])
    image, vessels, _ = arrays(test[0])
    assert image.shape == (3, 960, 999)
    assert 0.03 < (vessels == 1).mean() < 0.15


@with_hrf
def test_hrf_itself():
    samples = fundus_samples(HRF, "train")
    assert len(samples) == 15
    assert all(s.label and s.field for s in samples)
    image, _, within = arrays(samples[0])
    assert image.shape == (3, 2336, 3504)
    assert 0.8 < within.mean() < 0.9
