"""The field of view and the scale that are guessed, how they are told, and how they are set."""

from functools import partial

import numpy as np
import pytest
from PIL import Image

from pipelines.config.inference import InferDrive
from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import DataError
from pipelines.inference.run import infer_drive
from pipelines.inputs.discovery import fundus_inputs
from pipelines.inputs.fundus import FundusSample
from pipelines.inputs.opening import Reading
from pipelines.results.progress import Silence
from pipelines.sampling.fundi import FundusSource
from tiling.window import Window

PHOTOGRAPH, _, DISC = draw_fundus(5)
HEIGHT, WIDTH = DISC.shape
DIAMETERS = (900, 1650)
ALL = slice(None)
PATCH = np.ascontiguousarray(PHOTOGRAPH[:, 200:400, 180:390])
GREY = np.full((3, HEIGHT, 40), 128, np.uint8)


def framed(value, width=30):
    return np.pad(PHOTOGRAPH, ((0, 0), (width, width), (width, width)), constant_values=value)


def on_white():
    return np.where(DISC, PHOTOGRAPH, 255).astype(np.uint8)


def saved(path, image):
    Image.fromarray(np.moveaxis(image, 0, -1)).save(path)
    return path


def opening(path, **reading):
    [item] = fundus_inputs([str(path)], None, Reading(**reading))
    return item.open()


def valid_in(opened):
    return opened.scene.read(Window(0, 0, opened.scene.height, opened.scene.width))[1]


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


@pytest.mark.parametrize(
    ("image", "truth"),
    [
        (framed(255), np.pad(DISC, 30)), (framed(0), np.pad(DISC, 30)), (on_white(), DISC),
        (np.pad(PHOTOGRAPH, ((0, 0), (0, 80), (0, 0)), constant_values=255),
         np.pad(DISC, ((0, 80), (0, 0)))),
    ],
    ids=["white frame", "black frame", "white in place of black", "white caption"],
)  # fmt: skip
@pytest.mark.parametrize("name", ["eye.png", "eye.jpg"])
def test_a_frame_is_no_part_of_the_eye(tmp_path, name, image, truth):
    with opening(saved(tmp_path / name, image), field_diameters=DIAMETERS) as opened:
        assert overlap(valid_in(opened), truth) > 0.97
        assert opened.remarks == ()
        assert opened.field.scale == pytest.approx(900 / 540, rel=0.02)


def test_the_field_is_told_with_its_size_and_scale(tmp_path):
    path = saved(tmp_path / "eye.png", PHOTOGRAPH)
    with opening(path, field_diameters=DIAMETERS) as opened:
        field = opened.field
        assert field.source == "derived"
        assert field.share == pytest.approx(DISC.mean(), abs=0.01)
        assert field.diameter == pytest.approx(540, abs=4)
        assert field.scale == opened.seen.height / HEIGHT == pytest.approx(900 / 540, rel=0.01)
        assert str(field) == (
            f"field of view (derived) {field.share:.0%} of the image, {field.diameter} pixels "
            "across, seen at 1.66 times its size"
        )


def test_where_no_border_is_found_nothing_is_enlarged_and_that_is_told(tmp_path):
    path = saved(tmp_path / "patch.png", PATCH)
    with opening(path, field_diameters=DIAMETERS) as opened:
        assert opened.seen is opened.scene
        assert opened.field.share == 1
        [remark] = opened.remarks
    assert remark.startswith(f"{path}: no dark border is found")
    assert "--scale" in remark


def test_a_part_that_is_larger_than_any_field_is_reduced(tmp_path):
    """The whole field would be larger still."""
    path = saved(tmp_path / "large.png", PATCH.repeat(3, axis=1).repeat(3, axis=2))
    with opening(path, field_diameters=(100, 315)) as opened:
        assert opened.field.scale == pytest.approx(0.5)


def test_training_sees_parts_as_prediction_does(tmp_path):
    path = saved(tmp_path / "patch.png", PATCH)
    source = FundusSource(FundusSample("patch", path), DIAMETERS)
    assert source.whole
    np.testing.assert_array_equal(source.arrays["image"], PATCH)


def test_a_second_photograph_is_told_of(tmp_path):
    two = np.concatenate([PHOTOGRAPH, PHOTOGRAPH], axis=2)
    path = saved(tmp_path / "two.png", two)
    with opening(path) as opened:
        [remark] = opened.remarks
        assert opened.field.share == pytest.approx(DISC.mean() / 2, rel=0.02)
    assert remark.startswith(f"{path}: beside the field of view there is another region, ")
    # What the message says.
    (tmp_path / "drawn").mkdir()
    both = np.concatenate([DISC, DISC], axis=1)
    Image.fromarray(both).save(tmp_path / "drawn" / "two_mask.png")
    with opening(path, field_source=tmp_path / "drawn") as opened:
        np.testing.assert_array_equal(valid_in(opened), both)


@pytest.mark.parametrize("scale", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("image", [PHOTOGRAPH, PATCH], ids=["whole", "part"])
def test_a_scale_that_is_told_counts(tmp_path, image, scale):
    path = saved(tmp_path / "eye.png", image)
    with opening(path, field_diameters=DIAMETERS, scale=scale) as opened:
        assert opened.seen.width == round(opened.scene.width * scale)
        assert opened.field.scale == pytest.approx(scale, rel=0.01)


def test_the_field_comes_from_where_it_is_told_to(tmp_path):
    drive = tmp_path / "drive"
    (drive / "images").mkdir(parents=True)
    (drive / "mask").mkdir()
    path = saved(drive / "images" / "eye.png", PHOTOGRAPH)
    half = DISC.copy()
    half[: HEIGHT // 2] = False
    Image.fromarray(half).save(drive / "mask" / "eye_mask.png")
    with opening(path) as opened:
        np.testing.assert_array_equal(valid_in(opened), half)
        assert opened.field.source == str(drive / "mask" / "eye_mask.png")
        assert len(opened.remarks) == 1
    with opening(path, field_source="derived") as opened:
        assert overlap(valid_in(opened), DISC) > 0.97
    with opening(path, field_source="whole") as opened:
        assert valid_in(opened).all()
        assert (opened.field.source, opened.remarks) == ("whole", ())
    with (
        pytest.raises(
            DataError, match=r"eye\.png: no mask of its name in .*none \(eye_mask, eye\)"
        ),
        opening(path, field_source=tmp_path / "none"),
    ):
        pass


def run(weights, path, output, **told):
    config = InferDrive(
        scenes=[str(path)], output=output, model=[str(weights)], tile=64, overlap=16, device="cpu",
        **told,
    )  # fmt: skip
    return infer_drive(config, Silence())


def test_report_and_log_tell_of_the_field(tmp_path, fresh_weights, caplog):
    caplog.set_level("INFO", "rurnet")
    weights = fresh_weights(
        tmp_path / "w.safetensors", ("background", "vessel"),
        task="vessels", field_diameters=(120, 200), ground_sampling_distance=None,
    )  # fmt: skip
    path = saved(tmp_path / "patch.png", np.ascontiguousarray(PATCH[:, :80, :96]))
    infer = partial(run, weights, path)
    result = infer(tmp_path / "out")
    [scene] = result.report.scenes
    assert (scene.field.source, scene.field.share, scene.field.scale) == ("derived", 1.0, 1.0)
    [remark] = scene.remarks
    assert remark in caplog.messages
    assert f"{path}: {scene.field}" in caplog.messages
    page = (tmp_path / "out" / "report.html").read_text()
    assert "no dark border is found" in page
    assert "Fields of view" in page
    [told] = infer(tmp_path / "told", scale=1.25, field="whole").report.scenes
    assert (told.field.source, told.field.scale, told.remarks) == ("whole", 1.25, ())
    with pytest.raises(DataError, match="no such folder of masks; check --field"):
        infer(tmp_path / "bad", field="wohle")
