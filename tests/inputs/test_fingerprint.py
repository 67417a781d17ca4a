"""Everything that changes the pixels of a result, or their place, makes it anew."""

import json
import os
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from affine import Affine
from PIL import Image

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.datasets.synthetic import write_drive_folder
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.results.progress import Silence
from tiling.blend import NODATA
from tiling.readers.raster import without_georeferencing_warning

SIDE = 160
NOT_SAMPLED = (slice(70, 76), slice(70, 76))
"""A place between the windows of a scene of `SIDE` that are hashed."""


@pytest.fixture
def options(tmp_path):
    return {
        "output": tmp_path / "out", "tile": 64, "overlap": 16, "batch": 2, "device": "cpu",
        "steps": 1, "topology": False, "measurements": False,
    }  # fmt: skip


@pytest.fixture
def roads(options, roads_weights):
    """Runs a scene and returns how many of its parts were computed, and its rasters' folder."""

    def run(source):
        settings = InferRoads(scenes=[str(source)], model=[str(roads_weights)], **options)
        [scene] = infer_roads(settings, Silence()).report.scenes
        return scene.parts_computed

    return run


def picture():
    return np.random.default_rng(0).integers(1, 256, (3, SIDE, SIDE)).astype(np.uint8)


def keeping_its_time(path, change):
    """Changes a file as tools do that restore the time: only its contents tell."""
    times = path.stat()
    change(path)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


def test_a_field_mask_counts_whole(options, vessels_weights, tmp_path):
    drive = write_drive_folder(tmp_path / "DRIVE", train=0, test=1)
    for path in (path for path in drive.rglob("*") if path.is_file()):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB" if path.suffix == ".tif" else "L"))
        Image.fromarray(pixels[::4, ::4]).save(path)
    [mask] = (drive / "test" / "mask").iterdir()
    settings = InferDrive(
        scenes=[str(drive / "test" / "images")], model=[str(vessels_weights)], **options
    )

    def run():
        [scene] = infer_drive(settings, Silence()).report.scenes
        with without_georeferencing_warning(), rasterio.open(scene.files["mask"]) as raster:
            return scene.parts_computed, raster.read(1)

    computed, before = run()
    assert computed
    assert run()[0] == 0
    with Image.open(mask) as image:
        inside = np.array(image.convert("L"))
    row, column = np.argwhere(inside)[len(np.argwhere(inside)) // 2]
    inside[row : row + 3, column : column + 3] = 0
    keeping_its_time(mask, lambda path: Image.fromarray(inside).save(path))
    computed, after = run()
    assert computed
    assert (after[row : row + 3, column : column + 3] == NODATA).all()
    assert (before[row : row + 3, column : column + 3] != NODATA).all()
    assert run()[0] == 0


def test_a_world_file_moves_the_result(roads, tmp_path):
    Image.fromarray(np.moveaxis(picture(), 0, -1)).save(tmp_path / "scene.png")
    world = tmp_path / "scene.pgw"
    for east in (5, 7):
        text = f"1.0\n0.0\n0.0\n-1.0\n{east}.5\n99.5\n"
        if world.exists():
            keeping_its_time(world, lambda path, text=text: path.write_text(text))
        else:
            world.write_text(text)
        assert roads(tmp_path / "scene.png")
        for name in ("mask", "probability"):
            with rasterio.open(tmp_path / "out" / "scene" / f"{name}.tif") as raster:
                assert raster.transform == Affine(1, 0, east, 0, -1, 100)
        assert roads(tmp_path / "scene.png") == 0


def test_coordinates_given_later_move_the_result(roads, write_raster, tmp_path):
    """The pixels are those that were there: that alone kept the result where it was."""
    path = write_raster(tmp_path / "scene.tif", picture())
    assert roads(path)
    with rasterio.open(path, "r+") as raster:
        raster.transform = Affine(1, 0, 300_000, 0, -1, 900_000)
    assert roads(path)
    with rasterio.open(tmp_path / "out" / "scene" / "mask.tif") as raster:
        assert raster.transform.c == 300_000


def test_a_side_car_file_counts_whole(roads, write_raster, tmp_path):
    pixels = picture()
    pixels[:, *NOT_SAMPLED] = 77
    path = write_raster(tmp_path / "scene.tif", pixels)
    aux = tmp_path / "scene.tif.aux.xml"
    text = '<PAMDataset><PAMRasterBand band="1"><NoDataValue>{}</NoDataValue></PAMRasterBand>'
    text += '<PAMRasterBand band="2"><NoDataValue>{}</NoDataValue></PAMRasterBand>'
    text += '<PAMRasterBand band="3"><NoDataValue>{}</NoDataValue></PAMRasterBand></PAMDataset>'
    aux.write_text(text.format(10, 10, 10).replace("10", "00"))
    assert roads(path)
    assert roads(path) == 0
    keeping_its_time(aux, lambda path: path.write_text(text.format(77, 77, 77)))
    assert roads(path)


def test_a_picture_in_an_archive_counts(roads, write_raster, tmp_path):
    source = f"/vsizip/{tmp_path}/a.zip/scene.tif"
    pixels = picture()
    for value in (1, 2):
        pixels[:, *NOT_SAMPLED] = value
        with ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(write_raster(tmp_path / "x.tif", pixels), "scene.tif")
        assert roads(source)
        assert roads(source) == 0


def test_a_source_of_a_vrt_in_a_vrt_counts(roads, write_raster, tmp_path):
    pixels = picture()
    write_raster(tmp_path / "tile.tif", pixels)
    for name, of in (("inner.vrt", "tile.tif"), ("outer.vrt", "inner.vrt")):
        rasterio.shutil.copy(tmp_path / of, tmp_path / name, driver="VRT")
    assert roads(tmp_path / "outer.vrt")
    assert roads(tmp_path / "outer.vrt") == 0
    pixels[:, *NOT_SAMPLED] = 9
    write_raster(tmp_path / "tile.tif", pixels)
    assert roads(tmp_path / "outer.vrt")


def test_an_ordinary_scene_has_the_fingerprint_that_it_had(roads, write_raster, tmp_path):
    """Keys of a manifest of version 0.1: with others, earlier results would not go on."""
    path = write_raster(tmp_path / "scene.tif", picture())
    roads(path)
    manifest = json.loads((tmp_path / "out" / "scene" / "manifest.json").read_text())
    assert list(manifest["input"]) == ["height", "width", "bands", "type", "samples", "files"]
    assert list(manifest["input"]["files"]) == [str(path)]


def test_a_result_of_an_earlier_version_goes_on_beside_a_side_car(roads, write_raster, tmp_path):
    path = write_raster(tmp_path / "scene.tif", picture())
    (tmp_path / "scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    assert roads(path)
    noted = tmp_path / "out" / "scene" / "manifest.json"
    manifest = json.loads(noted.read_text())
    assert manifest["input"].pop("beside")
    noted.write_text(json.dumps(manifest))
    assert roads(path) == 0
    assert json.loads(noted.read_text())["input"]["beside"]
