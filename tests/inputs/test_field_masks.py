"""Masks of the field of view, however they are stored, and those that cannot be one."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import DataError
from pipelines.evaluation.annotations import field_of
from pipelines.inputs.discovery import fundus_input
from pipelines.inputs.field_masks import check_field, read_field
from pipelines.inputs.field_of_view import field_of_view, seen_whole
from pipelines.inputs.fundus import FundusSample
from tiling.readers.files import open_scene
from tiling.window import Window

PHOTOGRAPH, VESSELS, DISC = draw_fundus(1)
SHAPE = DISC.shape
WHITE = (DISC * 255).astype(np.uint8)


def palette(numbers, *colours):
    image = Image.fromarray(numbers.astype(np.uint8), mode="P")
    image.putpalette([value for colour in colours for value in colour])
    return image


BLACK_OF_1 = palette(~DISC, (255, 255, 255), (0, 0, 0))
GREEN_ON_BLACK = palette(DISC * 7, *[(0, 0, 0)] * 7, (0, 200, 0))
ALPHA = Image.fromarray(np.stack([np.full_like(WHITE, 255)] * 3 + [WHITE], axis=-1))


def tagged(write_raster, path, **profile):
    return write_raster(path, WHITE[None], crs=None, **profile)


STORED = {
    "grey.png": lambda path, _: Image.fromarray(WHITE).save(path),
    "ones.png": lambda path, _: Image.fromarray(DISC.astype(np.uint8)).save(path),
    "bits.png": lambda path, _: Image.fromarray(DISC).save(path),
    "bits.tif": lambda path, _: Image.fromarray(DISC).save(path),
    "grey.gif": lambda path, _: Image.fromarray(WHITE).save(path),
    "grey.bmp": lambda path, _: Image.fromarray(WHITE).save(path),
    "lossy.jpg": lambda path, _: Image.fromarray(WHITE).save(path, quality=75),
    "colours.jpg": lambda path, _: Image.fromarray(WHITE).convert("RGB").save(path, quality=75),
    "colours.png": lambda path, _: Image.fromarray(WHITE).convert("RGB").save(path),
    "alpha.png": lambda path, _: ALPHA.save(path),
    "palette.png": lambda path, _: BLACK_OF_1.save(path),
    "palette.gif": lambda path, _: BLACK_OF_1.save(path),
    "palette.tif": lambda path, _: BLACK_OF_1.save(path),
    "green.png": lambda path, _: GREEN_ON_BLACK.save(path),
    "white1.tif": lambda path, _: tifffile.imwrite(path, ~DISC, photometric="miniswhite"),
    "white8.tif": lambda path, _: tifffile.imwrite(path, 255 - WHITE, photometric="miniswhite"),
    "white16.tif": lambda path, _: tifffile.imwrite(
        path, (~DISC).astype(np.uint16) * 65535, photometric="miniswhite"
    ),
    "deep.tif": lambda path, _: tifffile.imwrite(path, DISC.astype(np.uint16) * 65535),
    "wide.tif": lambda path, _: tifffile.imwrite(path, DISC.astype(np.int32)),
    "floats.tif": lambda path, _: tifffile.imwrite(path, DISC.astype(np.float32)),
    "nodata0.tif": lambda path, write: tagged(write, path, nodata=0),
    "nodata255.tif": lambda path, write: tagged(write, path, nodata=255),
}


@pytest.mark.parametrize("name", STORED)
def test_a_mask_is_read_alike_however_it_is_stored(tmp_path, write_raster, name):
    """In inference, in training and by `evaluate`, which have this reader in common."""
    STORED[name](tmp_path / name, write_raster)
    field = read_field(tmp_path / name, SHAPE).mask
    wrong = (field != DISC).sum()
    assert wrong <= (40 if name.endswith(".jpg") else 0)
    assert check_field(tmp_path / name, field, None) == ()
    np.testing.assert_array_equal(field_of(tmp_path / name, SHAPE)[0], field)


@pytest.fixture(scope="module")
def photograph(tmp_path_factory):
    path = tmp_path_factory.mktemp("photograph") / "eye.png"
    Image.fromarray(np.moveaxis(PHOTOGRAPH, 0, -1)).save(path)
    return path


def saved(folder, mask):
    path = folder / "eye_mask.png"
    Image.fromarray((mask * 255).astype(np.uint8)).save(path)
    return path


def opened(photograph, mask):
    """The photograph as it is opened for inference and for training."""
    return fundus_input(FundusSample("eye", photograph, field=mask)).open()


BESIDE = np.zeros_like(DISC)
BESIDE[:90, :90] = True

IMPOSSIBLE = {
    "inverted": (~DISC, "seems inverted"),
    "inverted vessels": (VESSELS == 0, "a label of vessels"),
    "vessels": (VESSELS > 0, "a label of vessels"),
    "black": (DISC & False, "black all over"),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_what_cannot_be_a_field_of_view_is_refused_by_name(photograph, tmp_path, what):
    mask, cause = IMPOSSIBLE[what]
    path = saved(tmp_path, mask)
    message = rf"^{path}: .*{cause}.*take"
    with pytest.raises(DataError, match=message):  # As `evaluate` reads it.
        field_of(path, SHAPE)
    with pytest.raises(DataError, match=message), opened(photograph, path):
        pass


def test_a_mask_beside_the_eye_is_refused(photograph, tmp_path):
    path = saved(tmp_path, BESIDE)
    with pytest.raises(DataError, match="beside the eye"), opened(photograph, path):
        pass
    with pytest.raises(DataError, match="beside the eye"):  # As `evaluate --images` reads it.
        field_of(path, SHAPE, photograph)
    small = tmp_path / "small.png"
    with Image.open(photograph) as image:
        image.resize((40, 30)).save(small)
    for other in (None, small, tmp_path / "none.png"):
        field, remarks = field_of(path, SHAPE, other)
        assert (field == BESIDE).all()
        assert not [one for one in remarks if "in height and in width" not in one]


def test_without_the_mask_the_field_is_found_as_the_message_says(photograph):
    with opened(photograph, None) as views:
        _, valid = views.scene.read(Window(0, 0, *SHAPE))
    assert (valid & DISC).sum() / (valid | DISC).sum() > 0.97


HALF = DISC.copy()
HALF[:, : SHAPE[1] // 2] = False


@pytest.mark.parametrize(
    ("mask", "remarks"), [(DISC, 0), (HALF, 1), (DISC | True, 1)], ids=["disc", "half", "all"]
)
def test_an_unusual_mask_is_used_and_told_of(photograph, tmp_path, mask, remarks):
    path = saved(tmp_path, mask)
    with open_scene(photograph) as scene:
        told = check_field(path, read_field(path, SHAPE).mask, scene)
    assert len(told) == remarks
    assert all(str(path) in line and "overlap by" in line for line in told)


@pytest.mark.parametrize("name", ["eye.png", "eye.jpg"])
def test_a_photograph_in_place_of_a_mask_shows_its_field(photograph, tmp_path, name):
    with Image.open(photograph) as image:
        image.save(tmp_path / name)
    field = read_field(tmp_path / name, SHAPE).mask
    assert (field & DISC).sum() / (field | DISC).sum() > 0.97


def test_the_field_is_the_same_in_any_container(tmp_path):
    """GDAL has overviews of a JPEG by itself, of a PNG none."""
    side = 2500
    rows, columns = np.mgrid[:side, :side]
    inside = np.hypot(rows - side / 2, columns - side / 2) < 1100
    noise = np.random.default_rng(3).integers(0, 40, (side, side))
    pixels = np.stack([np.where(inside, 150 + noise, noise // 8)] * 3, axis=-1).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "eye.jpg", quality=90)
    with Image.open(tmp_path / "eye.jpg") as decoded:
        decoded.save(tmp_path / "eye.bmp")
    found = []
    for name in ("eye.jpg", "eye.bmp"):
        with open_scene(tmp_path / name) as scene:
            seen = seen_whole(scene, 2048)
            assert seen.shape == (3, 2048, 2048)
            found.append(field_of_view(seen).mask)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize(("height", "width"), [(700, 533), (533, 700), (40, 60), (1, 9)])
def test_each_pixel_of_a_small_picture_is_the_nearest_of_the_large_one(
    write_raster, tmp_path, height, width
):
    """As GDAL gives it of a file without overviews: what was predicted before still holds."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, height, width)).astype(np.uint8)
    with open_scene(write_raster(tmp_path / "a.tif", pixels)) as scene:
        for longest in (33, 64, 100, 2048):
            np.testing.assert_array_equal(
                seen_whole(scene, longest), scene.overview(longest)[0], strict=True
            )
