"""Photographs in DICOM files: every usual way of writing pixels gives the same picture."""

import threading

import numpy as np
import pytest

pytest.importorskip("pydicom", reason="needs rurnet[dicom]")

from pydicom.dataset import Dataset
from pydicom.uid import JPEGBaseline8Bit

from tests.tiling.dicom.photographs import (
    COMPRESSED,
    SECONDARY,
    TOMOGRAPHY,
    UNCOMPRESSED,
    colours,
    dataset,
    write,
    write_lossless_jpeg,
)
from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.window import Window


def read(path, bands=3):
    with open_scene(path, bands=bands) as scene:
        pixels, valid = scene.read(Window(0, 0, scene.height, scene.width))
        assert valid.all()
        assert pixels.dtype == scene.dtype
        return pixels


@pytest.mark.parametrize("syntax", [*UNCOMPRESSED, *COMPRESSED], ids=lambda one: one.name)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_lossless_file_gives_its_pixels(tmp_path, syntax, dtype):
    path = write(tmp_path / "eye.dcm", dataset(colours(dtype=dtype)), syntax)
    np.testing.assert_array_equal(read(path), np.moveaxis(colours(dtype=dtype), -1, 0))


def test_lossless_jpeg_gives_its_pixels(tmp_path):
    path = write_lossless_jpeg(tmp_path / "eye.dcm", dataset(colours()))
    np.testing.assert_array_equal(read(path), np.moveaxis(colours(), -1, 0))


def test_a_jpeg_with_fewer_colours_than_pixels_is_rgb(tmp_path):
    path = write(tmp_path / "eye.dcm", dataset(colours()), JPEGBaseline8Bit)
    off = np.abs(read(path).astype(int) - np.moveaxis(colours(), -1, 0))
    assert off.mean() < 3
    assert off[:, 4:-4, 4:-4].max() < 16


def test_luminance_and_chrominance_become_rgb(tmp_path):
    red = np.full((4, 6, 3), (76, 85, 255), np.uint8)  # Of pure red, by ITU-R BT.601.
    path = write(tmp_path / "eye.dcm", dataset(red, photometric="YBR_FULL"))
    np.testing.assert_allclose(read(path)[:, 0, 0], (254, 0, 0), atol=1)


def test_a_palette_becomes_its_colours(tmp_path):
    data = dataset(np.array([[0, 1], [2, 1]], np.uint8), photometric="PALETTE COLOR")
    for name, values in (("Red", (0, 255, 9)), ("Green", (1, 128, 8)), ("Blue", (2, 0, 7))):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [3, 0, 8])
        setattr(data, f"{name}PaletteColorLookupTableData", bytes((*values, 0)))
    pixels = read(write(tmp_path / "eye.dcm", data))
    assert pixels[:, 0, 1].tolist() == [255, 128, 0]
    assert pixels[:, 1, 0].tolist() == [9, 8, 7]


def test_a_palette_of_sixteen_bits_keeps_the_type_of_its_pixels(tmp_path):
    data = dataset(np.array([[0, 1]], np.uint8), photometric="PALETTE COLOR")
    for name, values in (("Red", (0, 65535)), ("Green", (256, 32896)), ("Blue", (0, 255))):
        setattr(data, f"{name}PaletteColorLookupTableDescriptor", [2, 0, 16])
        table = np.array(values, "<u2").tobytes()
        setattr(data, f"{name}PaletteColorLookupTableData", table)
    pixels = read(write(tmp_path / "eye.dcm", data))
    assert pixels.dtype == np.uint8
    assert pixels[:, 0].tolist() == [[0, 255], [1, 128], [0, 0]]


def test_twelve_bits_are_stretched_over_sixteen(tmp_path):
    grey = np.array([[0, 2048, 4095, 0]], np.uint16)
    path = write(tmp_path / "eye.dcm", dataset(grey, bits=12))
    assert read(path, bands=1).tolist() == [[[0, 32775, 65535, 0]]]


def test_where_the_least_value_is_white_it_is_turned_round(tmp_path):
    grey = np.array([[0, 200, 255, 255]], np.uint8)
    path = write(tmp_path / "eye.dcm", dataset(grey, photometric="MONOCHROME1"))
    assert read(path, bands=1).tolist() == [[[255, 55, 0, 0]]]


def test_grey_is_taken_for_each_colour_where_asked_for(tmp_path):
    path = write(tmp_path / "eye.dcm", dataset(np.array([[7, 9]], np.uint8)))
    with pytest.raises(SceneError, match=r"grey, but the network wants 3 bands.*--bands 1,1,1"):
        open_scene(path)
    assert read(path, bands=(1, 1, 1)).tolist() == [[[7, 9]]] * 3


def test_a_secondary_capture_is_a_photograph(tmp_path):
    path = write(tmp_path / "eye.dcm", dataset(colours(), sop_class=SECONDARY))
    assert read(path).shape == (3, 48, 40)


def test_several_threads_read_one_file(tmp_path):
    found = []
    with open_scene(write(tmp_path / "eye.dcm", dataset(colours()))) as scene:

        def look(row):
            found.append(scene.read(Window(row, 0, 1, 40))[0])

        threads = [threading.Thread(target=look, args=(row,)) for row in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert scene.overview(20)[0].shape == (3, 16, 14)
    assert len(found) == 8


def test_a_frame_is_an_image_and_a_file_of_frames_is_not(tmp_path):
    frames = np.stack([colours(), 255 - colours()])
    path = write(tmp_path / "eye.dcm", dataset(frames))
    with pytest.raises(SceneError, match=r"dicom-\w{12}: holds 2 frames.*DICOM_FRAME:1:FILE"):
        open_scene(path)
    second = read(f"DICOM_FRAME:2:{path}")
    np.testing.assert_array_equal(second, np.moveaxis(255 - colours(), -1, 0))
    with pytest.raises(SceneError, match="there are only 2 frames"):
        open_scene(f"DICOM_FRAME:3:{path}")


def test_what_the_file_says_of_the_eye_is_kept(tmp_path):
    data = dataset(colours(), PixelSpacing=[0.0065, 0.0065], BurnedInAnnotation="YES")
    with open_scene(write(tmp_path / "eye.dcm", data)) as scene:
        assert scene.eye.laterality == "L"
        assert scene.eye.micrometres == pytest.approx((6.5, 6.5))
        assert scene.eye.burned_in


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (dataset(colours(), sop_class=TOMOGRAPHY), "of the kind Ophthalmic Tomography Image"),
        (dataset(colours(), PixelRepresentation=1), "signed pixels"),
        (dataset(colours(), photometric="CMYK"), "colours of the kind CMYK"),
        (dataset(colours(), BitsAllocated=32), "pixels of 32 bits"),
        (dataset(colours(), Rows=0), "without a picture"),
        (dataset(colours(), PixelData=b"\0" * 10), "damaged or cut off"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, data, said):
    path = write(tmp_path / "MUSTERFRAU_ERIKA.dcm", data)
    with pytest.raises(SceneError, match=said) as refused:
        read(path)
    assert str(refused.value).startswith("dicom-")
    assert "MUSTERFRAU" not in str(refused.value)


def test_a_file_that_only_is_called_so_is_refused(tmp_path):
    (tmp_path / "MUSTERFRAU.dcm").write_bytes(b"no such thing")
    with pytest.raises(SceneError, match="has the name of a DICOM file, but is none"):
        open_scene(tmp_path / "MUSTERFRAU.dcm")


def test_a_cut_off_file_says_nothing_of_the_person(tmp_path):
    path = write(tmp_path / "MUSTERFRAU.dcm", dataset(colours()))
    whole = path.read_bytes()
    for length in (200, 400, 700, len(whole) - 100):
        path.write_bytes(whole[:length])
        with pytest.raises(SceneError) as refused:
            read(path)
        assert "MUSTERFRAU" not in str(refused.value)
        assert refused.value.__cause__ is None


def test_an_empty_data_set_is_refused(tmp_path):
    data = dataset(colours())
    empty = Dataset()
    empty.file_meta, empty.SOPClassUID = data.file_meta, data.SOPClassUID
    empty.SOPInstanceUID = data.SOPInstanceUID
    with pytest.raises(SceneError, match="without a picture"):
        open_scene(write(tmp_path / "eye.dcm", empty))


@pytest.mark.parametrize("spacing", [[0.01], [0, 0.01], [0.01, 0.01, 0.01], None])
def test_a_spacing_that_is_no_size_is_none_and_the_picture_is_read(tmp_path, spacing):
    path = write(tmp_path / "eye.dcm", dataset(colours(), PixelSpacing=spacing))
    with open_scene(path, bands=3) as scene:
        assert scene.eye.micrometres is None
