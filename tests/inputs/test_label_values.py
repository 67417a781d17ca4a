"""Labels whose values mean something else than 0 for background and one value for foreground."""

import shlex
import shutil
import warnings

import numpy as np
import pytest
from PIL import Image
from rasterio.rio.main import main_group

from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.errors import LabelError
from pipelines.inputs.labels import Labelling, open_label

HEIGHT, WIDTH = 40, 50
ROAD = np.zeros((HEIGHT, WIDTH), np.uint8)
ROAD[10:14] = 1
FOUND = np.zeros((1, HEIGHT, WIDTH), np.uint8)
FOUND[0, 12:14] = 1
RECALL = 1 / 2


@pytest.fixture
def scored(evaluated, write_raster, tmp_path):
    """Evaluates a prediction against the label that lies in `labels`."""
    (tmp_path / "labels").mkdir()
    write_raster(tmp_path / "found" / "a.tif", FOUND)

    return evaluated


def follow(message, path):
    """Makes the label anew by the commands in a message."""
    for command in message[message.index("rio ") :].split(", then "):
        arguments = shlex.split(command.split("NEW.tif")[0])[1:]
        new = [str(path.with_name("new.tif"))] if "NEW.tif" in command else []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            main_group([*arguments, *new], standalone_mode=False)
    path.unlink()
    shutil.move(path.with_name("new.tif"), path.with_suffix(".tif"))


def assert_right(report):
    [scene] = report["scenes"]
    assert scene["foreground"]["recall"] == RECALL
    assert scene["foreground"]["precision"] == 1
    assert scene["label_left_out"] == 0


AS_PEOPLE_DRAW = {
    "1 bit": (ROAD, {"nbits": 1}),
    "0 and 65535": (ROAD.astype(np.uint16) * 65535, {}),
    "int32": (ROAD.astype(np.int32), {}),
    "floats": (ROAD.astype(np.float32), {}),
}


@pytest.mark.parametrize("kind", AS_PEOPLE_DRAW)
def test_zero_and_another_value_are_right_in_any_type(kind, write_raster, scored, tmp_path, caplog):
    pixels, options = AS_PEOPLE_DRAW[kind]
    write_raster(tmp_path / "labels" / "a.tif", pixels[None], **options)
    assert_right(scored())
    assert caplog.text == ""


@pytest.mark.parametrize("bands", ["1", "LA", "RGBA"])
def test_a_png_is_right_in_one_bit_and_with_alpha(bands, scored, tmp_path):
    Image.fromarray(ROAD * 255).convert(bands).save(tmp_path / "labels" / "a.PNG")
    assert_right(scored())


WITHOUT_0 = {
    "1 and 2": (ROAD + 1, None),
    "128 and 255": (np.where(ROAD, 255, 128).astype(np.uint8), None),
    "-1 and 1": (np.where(ROAD, 1, -1).astype(np.int16), None),
    "nan and 1": (np.where(ROAD, 1, np.nan).astype(np.float32), None),
    "-9999 and 1": (np.where(ROAD, 1, -9999).astype(np.float32), None),
    "-9999, declared, and 1": (np.where(ROAD, 1, -9999).astype(np.float32), -9999),
}


@pytest.mark.parametrize("kind", WITHOUT_0)
def test_a_background_that_is_not_0_is_refused_and_the_message_mends_it(
    kind, write_raster, scored, tmp_path
):
    pixels, nodata = WITHOUT_0[kind]
    path = write_raster(tmp_path / "labels" / "a.tif", pixels[None], nodata=nodata)
    [failed] = scored()["failed"]
    assert failed["error"].startswith(f"{path}: ")
    assert "is foreground: no background is left" in failed["error"]
    follow(failed["error"], path)
    assert_right(scored())


def test_255_beside_1_is_refused_unless_it_is_said_what_it_is(write_raster, scored, tmp_path):
    pixels = ROAD.copy()
    pixels[30:] = 255
    path = write_raster(tmp_path / "labels" / "a.tif", pixels[None])
    [failed] = scored()["failed"]
    assert failed["error"].startswith(f"{path}: holds 0, 1 and 255")
    [scene] = scored(ignore="255")["scenes"]
    assert (scene["foreground"]["recall"], scene["label_left_out"]) == (RECALL, 0.25)
    follow(failed["error"], path)
    [scene] = scored()["scenes"]
    assert scene["foreground"]["recall"] == pytest.approx(2 / 14, abs=1e-6)


def test_several_values_of_a_foreground_are_named(write_raster, scored, tmp_path, caplog):
    pixels = np.where(ROAD, np.arange(WIDTH, dtype=np.uint8) % 3 + 1, 0).astype(np.uint8)
    path = write_raster(tmp_path / "labels" / "a.tif", pixels[None])
    assert_right(scored())
    assert f"{path}: several values (1, 2, 3, ...) count as foreground" in caplog.text


def test_soft_edges_of_a_drawing_are_named_with_what_makes_them_hard(
    write_raster, scored, tmp_path, caplog
):
    pixels = np.where(ROAD, 255, np.arange(WIDTH, dtype=np.uint8) % 100).astype(np.uint8)
    path = write_raster(tmp_path / "labels" / "a.tif", pixels[None])
    assert scored()["scenes"][0]["foreground"]["recall"] < RECALL
    [remark] = [line for line in caplog.messages if "soft edges" in line]
    assert remark.startswith(f"{path}: several values (1, 2, 3, 255, ...) count as foreground")
    follow(remark, path)
    assert_right(scored())


@pytest.mark.parametrize("palette", [False, True])
def test_a_label_drawn_the_other_way_round_is_named_with_what_turns_it(
    palette, write_raster, scored, tmp_path, caplog
):
    path = tmp_path / "labels" / "a.png"
    if palette:
        image = Image.fromarray(1 - ROAD, "P")
        image.putpalette([255, 0, 0, 0, 0, 0])
        image.save(path)
    else:
        Image.fromarray((1 - ROAD) * 255).save(path)
    assert scored()["scenes"][0]["foreground"]["recall"] < 0.1
    [line] = caplog.messages
    assert line.startswith(f"{path}: 90 % of it is foreground")
    follow(line, path)
    assert_right(scored())


def test_training_names_it_too(write_raster, tmp_path, caplog):
    for name in "ab":
        write_raster(tmp_path / "images" / f"{name}.tif", np.ones((3, HEIGHT, WIDTH), np.uint8))
        write_raster(tmp_path / "labels" / f"{name}.tif", 1 - ROAD[None])
    folder_data(TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels"))
    assert f"{tmp_path / 'labels' / 'b.tif'}: 90 % of it is foreground" in caplog.text


def test_a_palette_whose_0_has_a_colour_and_whose_rest_is_black_is_no_training_label(tmp_path):
    image = Image.fromarray(1 - ROAD, "P")
    image.putpalette([255, 0, 0, 0, 0, 0])
    image.save(tmp_path / "a.png")
    with (
        open_label(tmp_path / "a.png", Labelling()) as label,
        pytest.raises(LabelError, match="shows 0 in a colour and the rest in black"),
    ):
        label.values()


def test_an_empty_file_is_called_empty(scored, tmp_path):
    (tmp_path / "labels" / "a.png").touch()
    [failed] = scored()["failed"]
    assert failed["error"] == f"{tmp_path / 'labels' / 'a.png'}: is empty (0 bytes); copy it again"
