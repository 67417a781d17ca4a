"""Values that stand for missing pixels, or cannot be measured, never reach a network's sums."""

import numpy as np
import pytest
import rasterio
import tifffile
import torch

from pipelines.config.inference import PredictionSettings
from pipelines.errors import DataError, WeightsError
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inputs.discovery import aerial_input
from pipelines.inputs.opening import Reading, opened_scene
from pipelines.inputs.pixel_values import GIVE_RANGE, looked_at
from pipelines.models.weights import load
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import band_statistics, contents_of
from tiling.blend import ONE, quantise
from tiling.errors import ProbabilityError
from tiling.readers.files import open_scene
from tiling.window import Window

SIDE = 40
WHOLE = Window(0, 0, SIDE, SIDE)
LEAST = float(np.finfo(np.float32).min)


def drawn(dtype):
    """Pixels [3, h, w] over most of a type's range, none of them 0."""
    top = 1.0 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    values = np.random.default_rng(5).uniform(0.1, 0.9, (3, SIDE, SIDE)) * top
    return values.astype(dtype)


@pytest.mark.parametrize(
    ("dtype", "stored", "declared"),
    [
        ("float32", -9999, -9999),
        ("float32", LEAST, LEAST),
        ("float32", LEAST, -3.40282e38),  # As a text that was rounded.
        ("float64", -9999, -9999),
        ("int16", -32768, -32768),
        ("int16", -9999, -9999),
        ("uint16", 65535, 65535),
    ],
)
@pytest.mark.parametrize("band", [0, 2])
def test_a_nodata_value_in_one_band_makes_the_pixel_missing(
    write_raster, tmp_path, dtype, stored, declared, band
):
    pixels = drawn(dtype)
    pixels[band, 4:9, 7] = stored
    path = write_raster(tmp_path / "a.tif", pixels, nodata=declared)
    with open_scene(path) as scene:
        _, there = scene.read(WHOLE)
    assert np.argwhere(~there).tolist() == [[row, 7] for row in range(4, 9)]


@pytest.mark.parametrize(("dtype", "nodata"), [("uint8", 0), ("uint8", 255), ("uint16", 0)])
def test_black_and_white_are_colours_unless_all_bands_have_them(
    write_raster, tmp_path, dtype, nodata
):
    pixels = drawn(dtype)
    pixels[0, 2, 2] = pixels[:2, 3, 3] = pixels[:, 4, 4] = nodata
    with open_scene(write_raster(tmp_path / "a.tif", pixels, nodata=nodata)) as scene:
        read, there = scene.read(WHOLE)
    assert np.argwhere(~there).tolist() == [[4, 4]]
    assert read[0, 2, 2] == nodata


def test_a_nodata_value_of_one_band_means_nothing_in_another(write_raster, tmp_path):
    pixels = drawn("int16")
    pixels[0, 1, 1] = pixels[1, 2, 2] = -500
    write_raster(tmp_path / "a.tif", pixels)
    bands = "".join(
        f'<VRTRasterBand dataType="Int16" band="{band}">{value}<SimpleSource><SourceFilename '
        f'relativeToVRT="1">a.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, value in enumerate(["", "<NoDataValue>-500</NoDataValue>", ""], 1)
    )
    vrt = tmp_path / "a.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}">{bands}</VRTDataset>')
    with open_scene(vrt) as scene:
        assert np.argwhere(~scene.read(WHOLE)[1]).tolist() == [[2, 2]]


@pytest.mark.parametrize("valid", [True, False])
def test_a_mask_beside_a_nodata_value_hides_neither(write_raster, tmp_path, valid):
    pixels = drawn("float32")
    pixels[:, 3, 3] = -9999
    path = write_raster(tmp_path / "a.tif", pixels, nodata=-9999)
    mask = np.ones((SIDE, SIDE), bool)
    mask[8, 8] = valid
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as raster:
        raster.write_mask(mask)
    with open_scene(path) as scene:
        _, there = scene.read(WHOLE)
    assert np.argwhere(~there).tolist() == ([[3, 3]] if valid else [[3, 3], [8, 8]])


def test_tifffile_heeds_the_nodata_value_too(tmp_path):
    pixels = drawn("float32")
    pixels[1, 5, 6] = -9999
    tag = (42113, 2, 0, "-9999", True)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "CYX"},
                     extratags=[tag])  # fmt: skip
    with open_scene(path) as scene:
        assert type(scene).__name__ == "TiffScene"
        assert np.argwhere(~scene.read(WHOLE)[1]).tolist() == [[5, 6]]


# Values that nothing declares.

UNDECLARED = [
    # Type, range, value, whether it is missing, what it is instead.
    ("float32", None, -9999, True, None),
    ("float32", None, LEAST, True, None),
    ("float32", None, 1e9, False, 1),
    ("float32", None, -0.01, False, 0),
    ("float32", (0.0, 255.0), -9999, True, None),
    ("int16", None, -9999, True, None),
    ("int16", None, -32768, True, None),
    ("int16", None, -40, False, 0),
    ("uint16", (0.0, 2047.0), 65535, False, 2047),
    ("uint16", (100.5, 2047.0), 3, False, 100),
]


@pytest.mark.parametrize(("dtype", "value_range", "value", "gone", "instead"), UNDECLARED)
@pytest.mark.parametrize("gsd", [None, 2.0])
def test_values_stay_in_their_range_or_are_missing(
    write_raster, tmp_path, dtype, value_range, value, gone, instead, gsd
):
    top = value_range[1] if value_range else 1 if dtype == "float32" else 32767
    pixels = np.full((3, SIDE, SIDE), top / 2, dtype)
    pixels[1, 10, 10] = value
    path = write_raster(tmp_path / "a.tif", pixels)
    with opened_scene(str(path), None, Reading(gsd=gsd, value_range=value_range)) as opened:
        read, there = opened.scene.read(WHOLE)
        seen, _ = opened.seen.read(Window(0, 0, opened.seen.height, opened.seen.width))
    assert there[10, 10] != gone
    assert there.sum() == SIDE * SIDE - gone
    if not gone:
        assert read[1, 10, 10] == instead
    assert seen.max() <= top
    assert seen.min() >= 0


@pytest.mark.parametrize(("value", "counted"), [(-9999, 7), (1e9, 7), (0.5, 0)])
def test_values_outside_the_range_are_named_with_their_count(
    write_raster, tmp_path, value, counted
):
    pixels = drawn("float32")
    pixels[2, 10:17, 10] = value
    path = write_raster(tmp_path / "a.tif", pixels)
    with opened_scene(str(path), None, Reading()) as opened:
        look = looked_at(opened, GIVE_RANGE)
    assert look.outside == (counted > 0)
    assert len(look.remarks) == (counted > 0)
    for remark in look.remarks:
        assert f"a.tif: {counted} of 1600 pixels" in remark
        assert f"{value:g}" in remark


def test_a_scene_of_another_range_is_refused_with_the_range_to_give(write_raster, tmp_path):
    path = write_raster(tmp_path / "a.tif", drawn("uint8").astype(np.float32))
    with (
        opened_scene(str(path), None, Reading()) as opened,
        pytest.raises(DataError, match=r"a\.tif: 1600 of 1600 .*--value-range 0,255"),
    ):
        looked_at(opened, GIVE_RANGE)
    with opened_scene(str(path), None, Reading(value_range=(0, 255))) as opened:
        assert looked_at(opened, GIVE_RANGE).remarks == ()


@pytest.mark.parametrize("nodata", [None, -9999])
def test_the_statistics_of_a_training_leave_sentinels_out(write_raster, tmp_path, nodata):
    pixels = drawn("float32")
    label = write_raster(tmp_path / "label.tif", np.ones((1, SIDE, SIDE), np.uint8))

    def statistics(pixels, **profile):
        path = write_raster(tmp_path / "a.tif", pixels, **profile)
        contents = contents_of(SceneSource(aerial_input(str(path), label, Reading())))
        return band_statistics([contents])

    with_some = pixels.copy()
    with_some[0, :5] = -9999
    expected = pixels[:, 5:].astype(np.float64) * 255
    mean, std = statistics(with_some, nodata=nodata)
    assert mean == pytest.approx(expected.mean(axis=(1, 2)), rel=1e-4)
    assert std == pytest.approx(expected.std(axis=(1, 2)), rel=1e-4)


def test_a_row_of_sentinels_changes_nothing_far_away(write_raster, tmp_path, roads_model, predict):
    """Group norm takes sums over a whole tile: one -9999 in them would be everywhere."""
    pixels = np.random.default_rng(5).uniform(0, 1, (3, 64, 64)).astype(np.float32)
    settings = PredictionSettings(tile=64, overlap=16, dtype="float32")

    def predicted(name, pixels):
        path = write_raster(tmp_path / f"{name}.tif", pixels)
        with opened_scene(str(path), None, Reading()) as opened:
            made = predict(opened.scene, [roads_model], settings, tmp_path / name)
        with rasterio.open(made.probability) as raster:
            return raster.read(1)

    gone = pixels.copy()
    gone[:, 5] = np.nan
    sentinels = pixels.copy()
    sentinels[1, 5] = -9999
    np.testing.assert_array_equal(predicted("a", sentinels), predicted("b", gone))


# Probabilities.


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_only_finite_probabilities_become_whole_numbers(bad):
    assert quantise(np.array([0, 1], np.float32)).tolist() == [0, ONE]
    with pytest.raises(ProbabilityError, match="1 of 3 probabilities"):
        quantise(np.array([0.5, bad, 1], np.float32))


def test_weights_that_give_no_numbers_are_named(roads_weights):
    model = load(str(roads_weights))
    with torch.no_grad():
        next(model.network.parameters()).fill_(torch.nan)
    predictor = NetworkPredictor([model], 1, torch.device("cpu"))
    tile = np.zeros((1, 3, 32, 32), np.uint8)
    with pytest.raises(WeightsError, match=r"fresh-roads: .* no finite numbers; the weights"):
        predictor(tile, np.ones((1, 32, 32), bool))
