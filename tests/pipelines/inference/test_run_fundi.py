"""Runs over fundi, from photographs to scores inside the field of view."""

import numpy as np
import pytest
from PIL import Image
from rio_cogeo.cogeo import cog_validate

from pipelines.config.inference import InferDrive
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder
from pipelines.inference.run import infer_drive
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import FUNDUS_SMALL, Run, assert_scores, by_hand, read_label
from tiling.readers.raster import without_georeferencing_warning


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive_folder(tmp_path_factory.mktemp("fundus") / "DRIVE", train=0, test=1)


@pytest.fixture(scope="module")
def vessels(drive, vessels_weights):
    """A run over DRIVE's test images, as the folder comes."""
    config = InferDrive(
        scenes=[str(drive / "test" / "images")], labels=drive / "test" / "1st_manual",
        output=drive.parent / "out", model=[str(vessels_weights)], **FUNDUS_SMALL,
    )  # fmt: skip
    return Run(infer_drive(config, Silence()))


def test_a_fundus_gives_rasters_and_a_png_of_its_size(vessels):
    [scene] = vessels.report["scenes"]
    assert set(scene["files"]) == {"probability", "mask", "png"}
    with Image.open(scene["files"]["png"]) as png:
        assert png.size == (565, 584)
        assert set(np.unique(np.asarray(png))) == {0, 255}
    for kind in ("probability", "mask"):
        with without_georeferencing_warning():
            assert cog_validate(scene["files"][kind], strict=True)[0]


@pytest.fixture(scope="module")
def photographed(drive, fresh_weights):
    """Makes a run over one fundus photographed at two sizes, with weights of field diameters."""
    folder = drive.parent / "photographs"
    folder.mkdir()
    with Image.open(drive / "test" / "images" / "01_test.tif") as image:
        for name, width in (("fine", 565), ("coarse", 283)):
            size = (width, round(width * 584 / 565))
            image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{name}.png")

    def run(diameters):
        name = f"trained-at-{diameters}"
        path = fresh_weights(
            folder.parent / f"{name}.safetensors", ("background", "vessel"), task="vessels",
            ground_sampling_distance=None, field_diameters=diameters,
        )  # fmt: skip
        config = InferDrive(
            scenes=[str(folder)], output=folder.parent / name, model=[str(path)], **FUNDUS_SMALL
        )
        return Run(infer_drive(config, Silence()))

    return run


def test_a_fundus_photographed_at_two_sizes_is_seen_alike_and_answered_at_its_own(photographed):
    def apart(run):
        fine, coarse = (run.read(name, "probability.tif") for name in ("fine", "coarse"))
        with Image.open(run.folder / "coarse" / "mask.png") as png:
            assert png.size == coarse.shape[::-1] == (283, 293)
        assert fine.shape == (584, 565)
        shrunk = np.asarray(Image.fromarray(fine).resize(coarse.shape[::-1], Image.Resampling.BOX))
        # Well inside the field, where no pixel was averaged with nodata.
        middle = np.s_[60:-60, 60:-60]
        return np.abs(shrunk[middle].astype(int) - coarse[middle]).mean()

    assert apart(photographed((200, 240))) < 0.2 * apart(photographed(None))


def test_nothing_is_found_outside_the_field_of_view(vessels):
    _, _, field = draw_fundus(1)
    with Image.open(vessels.folder / "01_test" / "mask.png") as png:
        pixels = np.asarray(png)
    assert (pixels[~field] == 0).all()
    mask = vessels.read("01_test", "mask.tif")
    np.testing.assert_array_equal(mask == 255, ~field)
    np.testing.assert_array_equal(vessels.read("01_test", "probability.tif") == 255, ~field)
    np.testing.assert_array_equal(pixels == 255, mask == 1)


def test_a_fundus_is_scored_inside_the_field_of_view_only(vessels, drive):
    _, _, field = draw_fundus(1)
    levels = vessels.read("01_test", "probability.tif")
    label = read_label(drive / "test" / "1st_manual" / "01_manual1.gif")
    [scene] = vessels.report["scenes"]
    assert scene["pixels"] == field.sum()
    assert_scores(scene, by_hand(levels, label))
    assert vessels.report["pooled"]["foreground"] == scene["foreground"]
    assert "inside the field of view" in vessels.report["scoring"]["counted"]


def test_the_second_observer_is_scored_where_the_first_is(vessels, drive):
    _, _, field = draw_fundus(1)
    first = read_label(drive / "test" / "1st_manual" / "01_manual1.gif")[field]
    second = read_label(drive / "test" / "2nd_manual" / "01_manual2.gif")[field]
    hit = (first & second).sum()
    scores = vessels.report["second_observer"]["pooled"]["foreground"]
    assert scores["precision"] == pytest.approx(hit / second.sum())
    assert scores["recall"] == pytest.approx(hit / first.sum())
    line = vessels.table()["second observer", "pooled", ""]
    assert float(line["foreground.recall"]) == pytest.approx(hit / first.sum(), abs=1e-6)
