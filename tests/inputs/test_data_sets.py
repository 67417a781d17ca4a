"""Data sets of fundi as they are downloaded, and formats of labels."""

import gzip
import io

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.fundus import fundus_samples
from pipelines.errors import DataError
from pipelines.inputs.discovery import expanded, fundus_inputs, rasters_in
from pipelines.inputs.fundus import images_in
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.naming import SECOND, find_label
from pipelines.results.levels import open_levels
from pipelines.sampling.fundi import load_fundus
from rurnet.loss import IGNORE_INDEX
from tiling.errors import SceneError
from tiling.readers.files import EXTENSIONS, open_scene
from tiling.scenes.names import stem_of
from tiling.window import Window

HEIGHT, WIDTH = 24, 30
WHOLE = Window(0, 0, HEIGHT, WIDTH)
PHOTOGRAPH = np.full((HEIGHT, WIDTH, 3), (150, 80, 40), np.uint8)
FIRST = np.zeros((HEIGHT, WIDTH), np.uint8)
FIRST[10:13] = 255
SECOND_DRAWN = np.zeros((HEIGHT, WIDTH), np.uint8)
SECOND_DRAWN[11:14] = 255

LAYOUTS = {
    "STARE": (
        "im{n:04}.ppm.gz", "im{n:04}.ah.ppm.gz", "im{n:04}.vk.ppm.gz", None, ("train",), False
    ),
    "STARE unpacked": (
        "im{n:04}.ppm", "im{n:04}.ah.ppm", "im{n:04}.vk.ppm", None, ("train",), False
    ),
    "STARE in folders": (
        "stare-images/im{n:04}.ppm.gz", "labels-ah/im{n:04}.ah.ppm.gz",
        "labels-vk/im{n:04}.vk.ppm.gz", None, ("train",), False,
    ),
    "CHASE_DB1": (
        "Image_{n:02}L.JPG", "Image_{n:02}L_1stHO.PNG", "Image_{n:02}L_2ndHO.PNG", None,
        ("train",), False,
    ),
    "HRF": ("images/{n:02}_h.JPG", "manual1/{n:02}_h.tif", None, "mask/{n:02}_h_mask.tif",
            ("train",), False),
    "FIVES": (
        "{s}/Original/{n}_A.png", "{s}/Ground truth/{n}_A.png", None, None, ("train", "test"), True
    ),
    "DR HAGIS": (
        "Fundus_Images/{n}.jpg", "Manual_Segmentations/{n}_manual_orig.png", None,
        "Mask_images/{n}_mask_orig.png", ("train",), False,
    ),
    "mmseg's DRIVE": (
        "images/{m}/{n}_{s}.png", "annotations/{m}/{n}_manual1.png",
        "annotations/{m}/{n}_manual2.png", None, ("train", "test"), False,
    ),
    "mmseg's STARE": (
        "images/{m}/im{n:04}.png", "annotations/{m}/im{n:04}.ah.png", None, None,
        ("train", "test"), False,
    ),
}  # fmt: skip


def save(path, pixels, colours=False):
    """Writes an image in the format that its name says."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    if colours and pixels.ndim == 2:
        image = image.convert("RGB")
    name = path.name.removesuffix(".gz").lower()
    form = {"jpg": "JPEG", "tif": "TIFF"}.get(name.rpartition(".")[2])
    if path.suffix.lower() == ".gz":
        data = io.BytesIO()
        image.save(data, "PPM")
        path.write_bytes(gzip.compress(data.getvalue()))
    else:
        image.save(path, form)


@pytest.fixture
def drawn(tmp_path):
    """Draws a data set of a layout: images 1 and 2 of each split."""

    def draw(layout):
        image, first, second, field, splits, colours = LAYOUTS[layout]
        for split in splits:
            for number in (1, 2):
                values = {"n": number, "s": split, "m": {"train": "training"}.get(
                    split, "validation")}  # fmt: skip
                for name, pixels in (
                    (image, PHOTOGRAPH), (first, FIRST), (second, SECOND_DRAWN),
                    (field, FIRST * 0 + 255),
                ):  # fmt: skip
                    if name is not None:
                        save(tmp_path / "data" / name.format(**values), pixels, colours)
        return tmp_path / "data"

    return draw


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_data_set_is_trained_on_as_it_was_downloaded(drawn, layout):
    folder = drawn(layout)
    _, _, second, field, splits, _ = LAYOUTS[layout]
    for split in ("train", "test"):
        samples = fundus_samples(folder, split)
        assert len(samples) == (2 if split in splits else 0)
        for sample in samples:
            assert (sample.second is not None) == (second is not None)
            assert (sample.field is not None) == (field is not None)
            label = load_fundus(sample)["label"][0]
            inside = label != IGNORE_INDEX
            assert inside.any()
            np.testing.assert_array_equal(label[inside], FIRST[inside] > 0)
            if sample.second is not None:
                with open_label(sample.second, Labelling()) as other:
                    np.testing.assert_array_equal(other.read(WHOLE), SECOND_DRAWN > 0)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_labels_of_a_data_set_are_found_by_inference_and_evaluation(
    drawn, evaluated, tmp_path, layout
):
    folder = drawn(layout)
    sample = fundus_samples(folder, "train")[0]
    [item, *_] = fundus_inputs([str(sample.image.parent)], sample.label.parent)
    with item.open() as opened:
        assert opened.scene.bands == 3
        np.testing.assert_array_equal(opened.label.read(WHOLE), FIRST > 0)
        assert (opened.second is not None) == (LAYOUTS[layout][2] is not None)
    save(tmp_path / "found" / f"{item.name}.png", FIRST)
    second = sample.second and sample.second.parent
    report = evaluated(labels=sample.label.parent, second=second)
    assert report["failed"] == []
    assert report["pooled"]["foreground"]["f1"] == 1
    if second is not None:
        assert report["second_observer"]["pooled"]["foreground"]["f1"] == pytest.approx(2 / 3)


@pytest.mark.parametrize("extension", [".ppm", ".PPM", ".bmp", ".pgm", ".ppm.gz", ".PPM.GZ"])
def test_images_and_labels_share_one_list_of_formats(tmp_path, extension):
    path = tmp_path / f"im.1{extension}"
    save(path, PHOTOGRAPH if "ppm" in extension.lower() else FIRST)
    assert extension.lower() in EXTENSIONS
    assert rasters_in(tmp_path) == [str(path)]
    assert images_in(tmp_path) == [path]
    assert find_label(tmp_path, "im.1") == path
    assert stem_of(str(path)) == "im.1"
    with open_scene(path, bands=None) as scene:
        assert (scene.height, scene.width) == (HEIGHT, WIDTH)
        assert list(scene.files) == [str(path)]


def test_a_gif_is_a_drawing_and_no_image(tmp_path):
    save(tmp_path / "a.gif", FIRST)
    assert find_label(tmp_path, "a") == tmp_path / "a.gif"
    with pytest.raises(DataError, match="a GIF is taken for a drawing, not for an image"):
        expanded([str(tmp_path)], rasters_in)


def test_three_equal_bands_are_one_and_others_are_named(tmp_path):
    save(tmp_path / "a.png", FIRST, colours=True)
    save(tmp_path / "a.jpg", FIRST, colours=True)
    for name in ("a.png", "a.jpg"):
        with open_label(tmp_path / name, Labelling()) as label:
            assert label.values() == {0, 255}
            np.testing.assert_array_equal(label.read(WHOLE), FIRST > 0)
            np.testing.assert_array_equal(label.overview(WIDTH), FIRST > 0)
    red = np.stack([FIRST, FIRST * 0, FIRST * 0], axis=-1)
    save(tmp_path / "b.png", red)
    with open_levels(tmp_path / "a.png") as levels:
        assert not levels.graded
        np.testing.assert_array_equal(levels.read(WHOLE)[0], np.where(FIRST, 254, 0))
    with (
        open_label(tmp_path / "b.png", Labelling()) as label,
        pytest.raises(SceneError, match=r'b\.png: .*bands differ; .*"\(read 1 1\)" .*b\.png NEW'),
    ):
        label.read(WHOLE)


def test_a_second_observer_of_stare_is_another_file(tmp_path):
    for name in ("im0001.ppm.gz", "im0001.ah.ppm.gz", "im0001.vk.ppm.gz"):
        save(tmp_path / name, FIRST)
    assert find_label(tmp_path, "im0001").name == "im0001.ah.ppm.gz"
    assert find_label(tmp_path, "im0001", SECOND).name == "im0001.vk.ppm.gz"
    assert [path.name for path in images_in(tmp_path)] == ["im0001.ppm.gz"]
