"""Labels as people draw and name them: which file, which pixels, which classes."""

import numpy as np
import pytest
from affine import Affine
from PIL import Image

from pipelines.errors import LabelError
from pipelines.inputs import labels
from pipelines.inputs.label_checks import check_fits, check_values
from pipelines.inputs.labels import IGNORE_INDEX, Labelling, open_label
from pipelines.inputs.naming import FIELD, SECOND, find_label
from rurnet import loss
from tiling.errors import SceneError
from tiling.readers.raster import RasterScene
from tiling.window import Window

HEIGHT, WIDTH = 8, 10
WHOLE = Window(0, 0, HEIGHT, WIDTH)
PLACE = Affine(1.0, 0, 200_000.5, 0, -1.0, 900_000.25)
TWO = Labelling()
THREE = Labelling(classes=3)


def read(path, labelling=TWO, window=WHOLE):
    with open_label(path, labelling) as label:
        return label.read(window)


@pytest.fixture
def folder(tmp_path):
    """A folder with files of the names that are asked for."""

    def make(*names):
        for name in names:
            (tmp_path / name).touch()
        return tmp_path

    return make


# Names.


@pytest.mark.parametrize(
    ("stem", "file"),
    [
        ("north", "north.tif"),
        ("21_training", "21_manual1.gif"),
        ("01_test", "01_manual1.gif"),
        ("01_dr", "01_dr.tif"),
        ("01_dr", "01_dr_manual1.png"),
        ("Image_01L", "Image_01L_1stHO.png"),
        ("north", "north.PNG"),
        ("north", "north.vrt"),
        ("tile.2.1", "tile.2.1.tif"),
        ("Straße Süd é", "Straße Süd é.tif"),
    ],
)
def test_labels_are_found_by_the_scenes_name_and_by_those_of_the_data_sets(folder, stem, file):
    inside = folder("another.tif", "22_manual1.gif", file)
    assert find_label(inside, stem) == inside / file


@pytest.mark.parametrize(
    ("stem", "photograph", "label"),
    [
        ("21_training", "21_training.tif", "21_manual1.gif"),
        ("Image_01L", "Image_01L.jpg", "Image_01L_1stHO.png"),
        ("01_h", "01_h.jpg", "01_h_manual1.tif"),
    ],
)
def test_a_photograph_beside_its_named_label_is_not_taken_for_one(folder, stem, photograph, label):
    inside = folder(photograph, label)
    assert find_label(inside, stem) == inside / label


def test_the_second_observers_label_is_another_one(folder):
    inside = folder(
        "Image_01L.jpg", "Image_01L_1stHO.png", "Image_01L_2ndHO.png",
        "21_manual1.gif", "21_manual2.gif",
    )  # fmt: skip
    assert find_label(inside, "Image_01L", SECOND) == inside / "Image_01L_2ndHO.png"
    assert find_label(inside, "21_training", SECOND) == inside / "21_manual2.gif"
    assert find_label(inside, "21_training") == inside / "21_manual1.gif"


def test_where_there_is_one_observer_there_is_no_second(folder):
    inside = folder("north.tif")
    first = find_label(inside, "north")
    assert find_label(inside, "north", SECOND, other_than=str(first)) is None


def test_fields_of_view_have_their_names(folder):
    inside = folder("21_training_mask.gif", "05_g_mask.tif", "21_training.tif", "07_mask.png")
    assert find_label(inside, "21_training", FIELD) == inside / "21_training_mask.gif"
    assert find_label(inside, "05_g", FIELD) == inside / "05_g_mask.tif"
    assert find_label(inside, "07_test", FIELD) == inside / "07_mask.png"


@pytest.mark.parametrize(
    "file", ["roads.2.tif", "roads.tif.aux.xml", "roads.tfw", "roads.txt", "roads2.tif", "roads"]
)
def test_files_of_another_name_or_kind_are_no_labels(folder, file):
    assert find_label(folder(file), "roads") is None


def test_a_scene_is_no_label_of_its_own(folder):
    inside = folder("roads.png", "roads.tif")
    assert find_label(inside, "roads", other_than=str(inside / "roads.tif")) == inside / "roads.png"
    through = inside / ".." / inside.name / "roads.png"
    assert find_label(inside, "roads", other_than=str(through)) == inside / "roads.tif"


@pytest.mark.parametrize("stem", ["a[1]", "b*", "c?", "[!x]", "*"])
def test_characters_of_globs_in_names_mean_themselves(folder, stem):
    inside = folder("a1.tif", "bb.tif", "cc.tif", "d.tif")
    assert find_label(inside, stem) is None
    assert find_label(folder(f"{stem}.tif"), stem) == inside / f"{stem}.tif"


def test_braces_in_a_name_mean_themselves(folder):
    inside = folder("{stem}.tif", "{number}_manual1.gif")
    assert find_label(inside, "{stem}") == inside / "{stem}.tif"


# Values.


@pytest.mark.parametrize("value", [1, 2, 255])
def test_of_two_classes_all_but_zero_is_foreground(write_raster, tmp_path, value):
    drawn = np.random.default_rng(1).random((1, HEIGHT, WIDTH)) > 0.5
    path = write_raster(tmp_path / "label.tif", (drawn * value).astype(np.uint8))
    np.testing.assert_array_equal(read(path), drawn[0])
    assert read(path).dtype == np.uint8


@pytest.mark.parametrize("name", ["label.gif", "label.png", "label.bmp"])
def test_drawings_of_programs_that_know_no_coordinates_are_read(tmp_path, name):
    drawn = np.random.default_rng(1).random((HEIGHT, WIDTH)) > 0.5
    Image.fromarray((drawn * 255).astype(np.uint8)).save(tmp_path / name)
    np.testing.assert_array_equal(read(tmp_path / name), drawn)


def numbered():
    """Values 0 to 4 and 255 in columns of their own [1, h, w]."""
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    pixels[0, :, :6] = 0, 1, 2, 3, 4, 255
    return pixels


@pytest.mark.parametrize(
    ("ignore", "expected"),
    [
        ((), [0, 1, 1, 1, 1, 1]),
        ((255,), [0, 1, 1, 1, 1, IGNORE_INDEX]),
        ((2, 255), [0, 1, IGNORE_INDEX, 1, 1, IGNORE_INDEX]),
        ((0,), [IGNORE_INDEX, 1, 1, 1, 1, 1]),
    ],
)
def test_values_to_ignore_are_left_out(write_raster, tmp_path, ignore, expected):
    path = write_raster(tmp_path / "label.tif", numbered())
    assert read(path, Labelling(ignore=ignore))[0, :6].tolist() == expected


def test_a_negative_value_may_be_ignored(write_raster, tmp_path):
    pixels = numbered().astype(np.int16)
    pixels[0, :, 1] = -1
    path = write_raster(tmp_path / "label.tif", pixels)
    assert read(path, Labelling(ignore=(-1,)))[0, :3].tolist() == [0, IGNORE_INDEX, 1]


def test_a_declared_nodata_value_is_left_out_unless_it_is_zero(write_raster, tmp_path):
    """Many a label has 0 for nodata, but means background by it."""
    as_nodata = write_raster(tmp_path / "255.tif", numbered(), nodata=255)
    assert read(as_nodata)[0, :6].tolist() == [0, 1, 1, 1, 1, IGNORE_INDEX]
    as_nodata = write_raster(tmp_path / "0.tif", numbered(), nodata=0)
    assert read(as_nodata)[0, :6].tolist() == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize("kind", ["alpha", "mask"])
def test_what_alpha_or_a_mask_says_is_missing_is_left_out(write_raster, tmp_path, kind):
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[2:5, :3] = False
    path = write_raster(tmp_path / "label.tif", numbered(), nodata_kind=kind, valid=valid)
    classes = read(path)
    np.testing.assert_array_equal(classes == IGNORE_INDEX, ~valid)
    np.testing.assert_array_equal(classes[valid], (numbered()[0] > 0)[valid])


def test_floats_that_are_nan_are_left_out(write_raster, tmp_path):
    pixels = numbered().astype(np.float32)
    pixels[0, :, 5] = np.nan
    path = write_raster(tmp_path / "label.tif", pixels)
    assert read(path)[0, :6].tolist() == [0, 1, 1, 1, 1, IGNORE_INDEX]


def test_of_several_classes_values_are_their_numbers(write_raster, tmp_path):
    pixels = numbered() % 3
    path = write_raster(tmp_path / "label.tif", pixels)
    np.testing.assert_array_equal(read(path, THREE), pixels[0])


@pytest.mark.parametrize(("dtype", "value"), [("uint8", 3), ("uint8", 255), ("int16", -2)])
def test_a_value_that_is_no_class_is_an_error_that_says_how_to_leave_it_out(
    write_raster, tmp_path, dtype, value
):
    pixels = np.zeros((1, HEIGHT, WIDTH), dtype)
    pixels[0, 4, 4] = value
    path = write_raster(tmp_path / "odd.tif", pixels)
    with pytest.raises(LabelError, match=rf"odd\.tif: value {value} .*0 to 2; .*--ignore"):
        read(path, THREE)
    left_out = read(path, Labelling(classes=3, ignore=(value,)))
    assert np.argwhere(left_out == IGNORE_INDEX).tolist() == [[4, 4]]
    missing = write_raster(tmp_path / "missing.tif", pixels, nodata=value)
    np.testing.assert_array_equal(read(missing, THREE), left_out)


def test_a_window_and_an_overview_show_the_same(write_raster, tmp_path):
    small = np.random.default_rng(1).integers(0, 3, (HEIGHT, WIDTH)).astype(np.uint8)
    pixels = np.kron(small, np.ones((5, 5), np.uint8))[None]
    path = write_raster(tmp_path / "label.tif", pixels)
    with open_label(path, Labelling(classes=3, ignore=(1,))) as label:
        expected = np.where(small == 1, IGNORE_INDEX, small)
        np.testing.assert_array_equal(label.overview(WIDTH), expected)
        np.testing.assert_array_equal(
            label.read(Window(5, 10, 5, 5)), np.full((5, 5), expected[1, 2])
        )


def test_no_path_is_no_label():
    with open_label(None, Labelling()) as label:
        assert label is None


def test_a_label_of_several_bands_is_refused(write_raster, tmp_path):
    path = write_raster(tmp_path / "colours.tif", np.zeros((4, HEIGHT, WIDTH), np.uint8))
    with pytest.raises(SceneError, match=r"colours\.tif: 4 bands, but 1 wanted"):
        read(path)


def test_values_are_those_drawn_without_those_left_out(write_raster, tmp_path, monkeypatch):
    monkeypatch.setattr(labels, "AT_ONCE", 3)
    path = write_raster(tmp_path / "label.tif", numbered(), nodata=4)
    with open_label(path, Labelling(classes=3, ignore=(255,))) as label:
        assert label.values() == {0, 1, 2, 3}


def test_what_has_hundreds_of_values_is_not_listed_to_the_end(write_raster, tmp_path):
    pixels = np.linspace(0, 1, 10_000, dtype=np.float32).reshape(1, 100, 100)
    with open_label(write_raster(tmp_path / "label.tif", pixels), TWO) as label:
        assert len(label.values()) == 257


def test_a_drawing_kept_as_jpeg_holds_two_values(tmp_path):
    drawn = np.zeros((HEIGHT, WIDTH), np.uint8)
    drawn[:, 5:] = 255
    Image.fromarray(drawn).save(tmp_path / "label.jpg", quality=40)
    with open_label(tmp_path / "label.jpg", TWO) as label:
        assert label.values() == {0, 255}


@pytest.mark.parametrize("values", [{0}, {0, 1}, {0, 255}, {7}])
def test_two_classes_have_0_and_one_other_value(values):
    check_values("a.tif", values, TWO)


@pytest.mark.parametrize(
    ("values", "held"), [({0, 1, 255}, "0, 1, 255,"), ({0, 1, 2, 3, 9}, "0, 1, 2, 3, ...,")]
)
def test_a_value_too_many_of_two_classes_is_an_error_that_names_them(values, held):
    with pytest.raises(LabelError, match=rf"a\.tif: holds the values {held} but of two"):
        check_values("a.tif", values, TWO)


def test_of_several_classes_a_value_is_a_class_or_left_out():
    check_values("a.tif", {0, 2, 255}, Labelling(3, (255,)))
    with pytest.raises(LabelError, match=r"a\.tif: value 3 is no class of 0 to 2"):
        check_values("a.tif", {0, 3, 255}, Labelling(3, (255,)))


# Place.


@pytest.fixture
def fits(write_raster, tmp_path):
    """Checks a label of a size, CRS and transform against a scene's."""

    def check(size=(HEIGHT, WIDTH), crs="EPSG:26986", transform=PLACE, scene_crs="EPSG:26986"):
        scene = write_raster(
            tmp_path / "scene.tif", np.zeros((1, HEIGHT, WIDTH), np.uint8), crs=scene_crs
        )
        label = write_raster(
            tmp_path / "label.tif", np.zeros((1, *size), np.uint8), crs=crs, transform=transform
        )
        with RasterScene(scene, bands=1) as on, open_label(label, Labelling()) as drawn:
            check_fits(drawn, on)

    return check


def test_a_label_of_the_scenes_size_and_place_fits(fits):
    fits()


@pytest.mark.parametrize("size", [(HEIGHT, WIDTH + 1), (HEIGHT - 1, WIDTH), (WIDTH, HEIGHT)])
def test_a_label_of_another_size_does_not_fit(fits, size):
    with pytest.raises(LabelError) as error:
        fits(size=size)
    said = str(error.value)
    assert "label.tif" in said
    assert f"{size[1]} x {size[0]} pixels" in said
    assert f"scene.tif has {WIDTH} x {HEIGHT}" in said


def test_a_label_in_another_crs_is_not_reprojected(fits):
    with pytest.raises(LabelError, match=r"label\.tif: .*EPSG:32619.*EPSG:26986; .*rio warp"):
        fits(crs="EPSG:32619")


@pytest.mark.parametrize(
    ("crs", "scene_crs"), [(None, "EPSG:26986"), ("EPSG:26986", None), (None,) * 2]
)
def test_what_has_no_crs_is_laid_on_by_pixels(fits, crs, scene_crs):
    fits(crs=crs, scene_crs=scene_crs)


@pytest.mark.parametrize("shift", [(0.4, 0), (0, -0.4), (0.3, 0.3), (-0.4, 0.4)])
def test_a_label_less_than_half_a_pixel_off_fits(fits, shift):
    fits(transform=PLACE @ Affine.translation(*shift))


@pytest.mark.parametrize(
    ("change", "off"),
    [
        (Affine.translation(0.6, 0), "0.6"),
        (Affine.translation(0, -1), "1.0"),
        (Affine.translation(-300, 0), "300.0"),
        (Affine.scale(1.2), "2.0"),
        (Affine.scale(1, -1), "16.0"),
    ],
)
def test_a_label_at_another_place_or_scale_says_how_far_off_it_is(fits, change, off):
    with pytest.raises(LabelError, match=rf"label\.tif: .*up to {off} pixels away .*scene\.tif"):
        fits(transform=PLACE @ change)


def test_pixels_not_metres_say_what_is_far(write_raster, tmp_path):
    """Degrees are small numbers: a shift of a thousandth is many pixels."""
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    fine = Affine(1e-5, 0, -71.0, 0, -1e-5, 42.0)
    paths = [
        write_raster(tmp_path / f"{east}.tif", pixels, crs="EPSG:4326", transform=fine @ moved)
        for east, moved in ((0, Affine.translation(0.4, 0)), (1, Affine.translation(0.6, 0)))
    ]
    scene = write_raster(tmp_path / "scene.tif", pixels, crs="EPSG:4326", transform=fine)
    with RasterScene(scene, bands=1) as on:
        with open_label(paths[0], Labelling()) as label:
            check_fits(label, on)
        with (
            open_label(paths[1], Labelling()) as label,
            pytest.raises(LabelError, match=r"0\.6 pixels"),
        ):
            check_fits(label, on)


def test_what_jpeg_adds_to_a_drawing_is_no_foreground(tmp_path):
    drawn = np.zeros((40, 50), np.uint8)
    drawn[10:14, 5:45] = drawn[5:35, 20:24] = 255
    path = tmp_path / "label.jpg"
    Image.fromarray(drawn).save(path, quality=85)
    with Image.open(path) as image:
        assert ((np.asarray(image) > 0) & (drawn == 0)).any()
    with open_label(path, Labelling()) as label:
        np.testing.assert_array_equal(label.read(Window(0, 0, 40, 50)), drawn > 0)


def test_a_label_without_foreground_may_have_a_white_background(tmp_path):
    path = tmp_path / "empty.png"
    image = Image.fromarray(np.zeros((8, 8), np.uint8), "P")
    image.putpalette([255, 255, 255, 0, 0, 0])
    image.save(path)
    with open_label(path, Labelling()) as label:
        assert label.values() == {0}


def test_the_loss_leaves_out_what_labels_leave_out():
    assert IGNORE_INDEX == loss.IGNORE_INDEX == 255
