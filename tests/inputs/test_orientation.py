"""Pictures that viewers turn are refused by name, in whatever role; what the message says works."""

import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from PIL import Image

from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import DataError
from pipelines.inputs.discovery import fundus_input, road_inputs
from pipelines.inputs.field_masks import read_field
from pipelines.inputs.fundus import FundusSample
from pipelines.results.levels import open_levels
from pipelines.sampling.fundi import load_fundus
from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.window import Window

HEIGHT, WIDTH = 20, 30
UPRIGHT = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
UPRIGHT[:7, :9] = 250
UPRIGHT[12:, 4:6] = 120

STORED_AS = {
    3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90, 8: Image.Transpose.ROTATE_270,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
}  # fmt: skip


def turned(path, orientation, pixels=UPRIGHT):
    """A file whose viewers show `pixels`, but which holds them otherwise."""
    image = Image.fromarray(pixels).transpose(STORED_AS[orientation])
    exif = Image.Exif()
    exif[274] = orientation
    if path.name == "big.tif":
        image.save(path, tiffinfo={274: orientation}, big_tiff=True)
    elif path.suffix == ".tif":
        image.save(path, tiffinfo={274: orientation})
    else:
        image.save(path, exif=exif, quality=95)
    return path


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("name", ["a.jpg", "a b.png", 'it\'s "a".tif', "big.tif"])
def test_a_turned_picture_is_refused_and_the_message_turns_it(tmp_path, name, orientation):
    path = turned(tmp_path / name, orientation)
    with pytest.raises(SceneError, match=rf"EXIF orientation is {orientation}") as raised:
        open_scene(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    command = shlex.split(message[message.index("python -c") :])
    subprocess.run([sys.executable, *command[1:]], check=True)
    upright = path
    if path.suffix == ".jpg":
        assert "then take the JPEG away" in message
        path.unlink()
        upright = path.with_suffix(".png")
        [item] = road_inputs([str(tmp_path)], None)
        assert item.name == path.stem
    with open_scene(upright) as scene:
        pixels, _ = scene.read(Window(0, 0, HEIGHT, WIDTH))
    off = np.abs(np.moveaxis(pixels, 0, -1).astype(int) - UPRIGHT)
    assert off.mean() < (2 if path.suffix == ".jpg" else 0.01)


def test_it_is_refused_inside_an_archive_too(tmp_path):
    path = turned(tmp_path / "a.jpg", 3)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, "a.jpg")
    with pytest.raises(SceneError, match="EXIF orientation is 3"):
        open_scene(f"/vsizip/{tmp_path}/a.zip/a.jpg")


@pytest.mark.parametrize(
    ("name", "orientation"),
    [(name, number) for name in ("a.jpg", "a.png") for number in (None, 0, 1, 9)]
    + [("a.tif", None), ("a.tif", 1)],
)
def test_an_upright_picture_is_read(tmp_path, name, orientation):
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    exif[271] = "a camera"
    Image.fromarray(UPRIGHT).save(tmp_path / name, exif=exif)
    with open_scene(tmp_path / name) as scene:
        assert (scene.height, scene.width) == (HEIGHT, WIDTH)


def test_where_a_place_on_the_ground_is_known_the_note_means_nothing(tmp_path, write_raster):
    path = write_raster(tmp_path / "a.tif", np.moveaxis(UPRIGHT, -1, 0))
    tags = {274: 3, 33550: (1.0, 1.0, 0.0), 33922: (0.0, 0.0, 0.0, 10.0, 20.0, 0.0)}
    Image.fromarray(UPRIGHT).save(path, tiffinfo=tags)
    with open_scene(path) as scene:
        assert scene.transform.c == 10


@pytest.mark.parametrize("content", [b"\xff\xd8", b"\xff\xd8\xff\xe1\0\x10Exif\0\0MM\0*", b"II*\0"])
def test_a_cut_off_file_gets_the_readers_message(tmp_path, content):
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(SceneError, match=r"a\.jpg: (not a|pixels cannot)"):
        open_scene(tmp_path / "a.jpg")


@pytest.fixture(scope="module")
def eye(tmp_path_factory):
    photograph, label, field = draw_fundus(2)
    folder = tmp_path_factory.mktemp("eye")
    for name, pixels in (("eye", np.moveaxis(photograph, 0, -1)), ("label", label),
                         ("field", (field * 255).astype(np.uint8))):  # fmt: skip
        Image.fromarray(pixels).save(folder / f"{name}.png")
        turned(folder / f"{name}-turned.png", 3, pixels)
    return folder


@pytest.mark.parametrize("role", ["eye", "label", "field"])
def test_in_every_role_a_turned_file_is_named(eye, role):
    """As an image, a label or a mask, in inference and in training."""
    files = {one: eye / f"{one}{'-turned' if one == role else ''}.png"
             for one in ("eye", "label", "field")}  # fmt: skip
    sample = FundusSample("eye", files["eye"], files["label"], field=files["field"])
    expected = rf"^{files[role]}: .*EXIF orientation"
    with pytest.raises((SceneError, DataError), match=expected), fundus_input(sample).open():
        pass
    with pytest.raises((SceneError, DataError), match=expected):
        load_fundus(sample)


def test_aerial_scenes_and_what_is_scored_are_named_too(eye, tmp_path):
    [item] = road_inputs([str(turned(tmp_path / "a.jpg", 6))], None)
    with pytest.raises(SceneError, match=r"a\.jpg: .*EXIF orientation is 6"), item.open():
        pass
    path = eye / "label-turned.png"
    with pytest.raises(SceneError, match="EXIF orientation is 3"), open_levels(path):
        pass
    with pytest.raises(DataError, match="EXIF orientation is 3"):
        read_field(eye / "field-turned.png", draw_fundus(2)[2].shape)
