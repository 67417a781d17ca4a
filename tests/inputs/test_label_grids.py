"""Labels whose CRS or grid is not quite, or not at all, that of their scene."""

import numpy as np
import pytest
from affine import Affine
from rasterio.transform import array_bounds
from rasterio.warp import calculate_default_transform, reproject

from pipelines.config.inference import InferDrive
from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import LabelError
from pipelines.inference.run import infer_drive
from pipelines.inputs.fundus import FundusSample
from pipelines.inputs.label_checks import check_fits
from pipelines.inputs.labels import IGNORE_INDEX, Labelling, open_label
from pipelines.results.progress import Silence
from pipelines.sampling.fundi import load_fundus
from tiling.errors import SceneError
from tiling.readers.raster import RasterScene
from tiling.window import Window, split

SIDE = 64
PLACE = Affine(0.5, 0, 200_000, 0, -0.5, 900_000)
HOME = "EPSG:26986"
DRAWN = np.kron(np.random.default_rng(4).integers(0, 2, (8, 8)), np.ones((8, 8))).astype(np.uint8)


@pytest.mark.parametrize("turned", [False, True])
def test_a_compound_crs_is_compared_by_its_horizontal_part(write_raster, tmp_path, turned):
    systems = ["EPSG:26986+5703", "EPSG:26986"]
    scene, label = (
        write_raster(tmp_path / name, np.zeros((1, 8, 8), np.uint8), crs=crs)
        for name, crs in zip(("s.tif", "l.tif"), systems[:: -1 if turned else 1], strict=True)
    )
    with RasterScene(scene, bands=1) as on, open_label(label, Labelling()) as opened:
        check_fits(opened, on)


def warped(crs, size):
    """The drawing in another CRS, in pixels of another size."""
    bounds = array_bounds(SIDE, SIDE, PLACE)
    place, width, height = calculate_default_transform(
        HOME, crs, SIDE, SIDE, *bounds, resolution=size
    )
    pixels, _ = reproject(
        DRAWN[None], np.zeros((1, height, width), np.uint8), src_transform=PLACE, src_crs=HOME,
        dst_transform=place, dst_crs=crs,
    )  # fmt: skip
    return pixels, place


@pytest.mark.parametrize(("crs", "size"), [(HOME, 0.25), ("EPSG:32619", 0.1), ("EPSG:4326", 1e-6)])
def test_a_label_of_another_grid_is_brought_to_its_scene_when_asked(
    write_raster, tmp_path, crs, size
):
    scene = write_raster(
        tmp_path / "s.tif", np.zeros((3, SIDE, SIDE), np.uint8), crs=HOME, transform=PLACE
    )
    pixels, place = warped(crs, size)
    label = write_raster(tmp_path / "l.tif", pixels, crs=crs, transform=place)
    with RasterScene(scene) as on:
        with (
            open_label(label, Labelling(), on) as as_it_is,
            pytest.raises(LabelError, match=r"l\.tif: .* --align-labels brings it there"),
        ):
            check_fits(as_it_is, on)
        with open_label(label, Labelling(align=True), on) as aligned:
            check_fits(aligned, on)
            whole = aligned.read(Window(0, 0, SIDE, SIDE))
            for side in (7, 30):
                for window in split(SIDE, SIDE, side):
                    np.testing.assert_array_equal(aligned.read(window), whole[window.slices()])
            assert aligned.overview(SIDE).tolist() == whole.tolist()
    # The warping of the test and ours both take nearest pixels: edges may move by a pixel.
    assert (whole != DRAWN).mean() < 0.05


def test_what_a_label_does_not_reach_is_left_out(write_raster, tmp_path):
    scene = write_raster(
        tmp_path / "s.tif", np.zeros((3, SIDE, SIDE), np.uint8), crs=HOME, transform=PLACE
    )
    label = write_raster(tmp_path / "l.tif", DRAWN[None, :, :32], crs=HOME, transform=PLACE)
    with RasterScene(scene) as on, open_label(label, Labelling(align=True), on) as aligned:
        classes = aligned.read(Window(0, 0, SIDE, SIDE))
    np.testing.assert_array_equal(classes[:, :32], DRAWN[:, :32])
    assert (classes[:, 32:] == IGNORE_INDEX).all()


def test_a_vrt_names_the_source_that_is_missing(write_raster, tmp_path):
    for name in "ab":
        write_raster(tmp_path / f"{name}.tif", DRAWN[None])
    source = (
        '<SimpleSource><SourceFilename relativeToVRT="1">{0}.tif</SourceFilename><SourceBand>1'
        "</SourceBand>"
        '<SrcRect xOff="0" yOff="0" xSize="64" ySize="64"/>'
        '<DstRect xOff="{1}" yOff="0" xSize="64" ySize="64"/></SimpleSource>'
    )
    (tmp_path / "m.vrt").write_text(
        '<VRTDataset rasterXSize="128" rasterYSize="64"><VRTRasterBand dataType="Byte" band="1">'
        + source.format("a", 0) + source.format("b", 64) + "</VRTRasterBand></VRTDataset>"
    )  # fmt: skip
    (tmp_path / "b.tif").unlink()
    with (
        pytest.raises(SceneError, match=r"b\.tif: no such file, but .*m\.vrt is made of it"),
        open_label(tmp_path / "m.vrt", Labelling()),
    ):
        pass


def test_a_label_of_a_fundus_is_not_said_to_be_alignable(write_raster, vessels_weights, tmp_path):
    image, vessels, _ = draw_fundus(5)
    height, width = vessels.shape
    sample = FundusSample(
        "e", write_raster(tmp_path / "e.tif", image),
        label=write_raster(tmp_path / "labels" / "e.tif", vessels[None, :-1].astype(np.uint8)),
    )  # fmt: skip
    said = (
        f"{width} x {height - 1} pixels, but {sample.image} has {width} x {height}; give the label "
        "made for it"
    )
    with pytest.raises(LabelError) as raised:
        load_fundus(sample)
    assert str(raised.value) == f"{sample.label}: {said}"
    config = InferDrive(
        scenes=[str(sample.image)], labels=tmp_path / "labels", output=tmp_path / "out",
        model=[str(vessels_weights)], steps=1, scale=1.0,
    )  # fmt: skip
    [failed] = infer_drive(config, Silence()).report.failed
    assert failed.error == f"{sample.label}: {said}"
