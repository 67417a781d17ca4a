"""Commands that messages advise are installed with us, and lead to a file that is read."""

import json
import re
import shlex
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.rio.main import main_group

import pipelines
import tiling
from pipelines.errors import LabelError, PredictionError
from pipelines.inputs.label_checks import check_fits, check_whole
from pipelines.inputs.labels import Labelling, open_label
from pipelines.results.levels import open_levels
from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.scenes.area import read_area
from tiling.window import Window

SIDE = 24
WHOLE = Window(0, 0, SIDE, SIDE)
PIXELS = np.random.default_rng(3).integers(1, 120, (5, SIDE, SIDE)).astype(np.uint8)


def follow(message, program):
    """Runs the command of a program in a message, which ends there or at a comma."""
    command = re.search(rf"{program} .*?(?:NEW\.tif|\"\)'|$)", message)[0]
    called, *arguments = shlex.split(command)
    if called == "rio":
        rio(arguments)
    else:
        subprocess.run([sys.executable, *arguments], check=True)


def rio(arguments):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(SystemExit, match="0"):
            main_group(arguments)


def read(name, **options):
    with open_scene(name, **options) as scene:
        return scene.read(WHOLE)[0]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("crs", ["EPSG:26986", None])
@pytest.mark.parametrize(("wanted", "kept"), [(3, [0, 1, 2]), (1, [0])])
def test_bands_are_kept(write_raster, tmp_path, crs, wanted, kept):
    path = write_raster(tmp_path / "all of 'em.tif", PIXELS, crs=crs)
    with pytest.raises(SceneError) as raised:
        open_scene(path, bands=wanted)
    follow(str(raised.value), "rio")
    np.testing.assert_array_equal(read("NEW.tif", bands=wanted), PIXELS[kept])


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int8", "complex64"])
def test_other_types_become_floats(write_raster, tmp_path, dtype):
    path = write_raster(tmp_path / "a b.tif", PIXELS[:3].astype(dtype))
    with pytest.raises(
        SceneError, match=rf"a b\.tif: pixels are {dtype}.* --value-range"
    ) as raised:
        open_scene(path)
    follow(str(raised.value), "rio")
    np.testing.assert_array_equal(read("NEW.tif"), PIXELS[:3].astype(np.float32))


def test_bands_of_several_types_are_read_under_another_name(write_raster, tmp_path):
    write_raster(tmp_path / "a.tif", PIXELS[:3])
    bands = "".join(
        f'<VRTRasterBand dataType="{dtype}" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">a.tif</SourceFilename><SourceBand>{band}</SourceBand></SimpleSource>'
        "</VRTRasterBand>"
        for band, dtype in ((1, "Byte"), (2, "UInt16"), (3, "UInt16"))
    )
    vrt = tmp_path / "m.vrt"
    vrt.write_text(f'<VRTDataset rasterXSize="{SIDE}" rasterYSize="{SIDE}">{bands}</VRTDataset>')
    with pytest.raises(SceneError, match=r"uint16, uint8; choose .* --bands") as raised:
        open_scene(vrt)
    [name] = shlex.split(re.search(r"the name (\S+),", str(raised.value))[1])
    np.testing.assert_array_equal(read(name), PIXELS[:3].astype(np.float32))


def test_a_label_is_brought_to_another_grid(write_raster, tmp_path):
    place = Affine(1, 0, 200_000, 0, -1, 900_000)
    scene = write_raster(tmp_path / "the scene.tif", PIXELS[:3], transform=place)
    there = rasterio.warp.transform_bounds("EPSG:26986", "EPSG:32619", *(2e5, 9e5, 2e5, 9e5))
    other = Affine(1, 0, there[0] - 50, 0, -1, there[1] + 50)
    drawn = np.pad(np.ones((1, SIDE, SIDE), np.uint8), ((0, 0), (0, 100), (0, 100)))
    label = write_raster(tmp_path / "it's.tif", drawn[:, :SIDE, :SIDE], crs="EPSG:32619",
                         transform=other)  # fmt: skip
    with open_scene(scene) as on, open_label(label, Labelling()) as opened:
        with pytest.raises(LabelError, match="EPSG:32619") as raised:
            check_fits(opened, on)
        follow(str(raised.value), "rio")
        with open_label(tmp_path / "NEW.tif", Labelling()) as warped:
            check_fits(warped, on)


def held_in(path):
    with rasterio.open(path) as file:
        return file.nodata, np.unique(file.read(1)).tolist()


def test_commands_for_labels_work_whatever_the_name(write_raster, tmp_path):
    drawn = np.where(PIXELS[:1] > 60, 255, 0).astype(np.uint8)
    coloured = np.concatenate([drawn, 255 - drawn, drawn])
    path = write_raster(tmp_path / 'it\'s a "b".tif', coloured)
    with (
        open_label(path, Labelling()) as label,
        pytest.raises(SceneError, match="a drawing in colours") as raised,
    ):
        label.read(WHOLE)
    follow(str(raised.value), "rio")
    assert held_in("NEW.tif") == (None, [0, 255])
    path = write_raster(tmp_path / "it's & b.tif", drawn, nodata=255)
    with (
        open_label(path, Labelling()) as label,
        pytest.raises(LabelError, match="declares 255 as nodata") as raised,
    ):
        check_whole(label, ("background", "road"))
    rio(shlex.split(re.search(r"rio ([^;]*)", str(raised.value))[1]))
    assert held_in(path) == (None, [0, 255])


def test_one_class_of_several_is_kept(write_raster, tmp_path):
    path = write_raster(tmp_path / "p q.tif", PIXELS[:2])
    with (
        pytest.raises(PredictionError, match="--classes") as raised,
        open_levels(path, "probability", (0, 255)),
    ):
        pass
    follow(str(raised.value), "rio")
    with open_levels(tmp_path / "NEW.tif", "probability", (0, 255)) as levels:
        assert levels.classes == ("foreground",)


def test_an_area_is_made_of_other_vectors(write_raster, tmp_path):
    pyogrio, shapely = pytest.importorskip("pyogrio"), pytest.importorskip("shapely")
    scene = write_raster(tmp_path / "scene.tif", PIXELS[:3])
    square = np.array([shapely.box(200_000, 899_990, 200_010, 900_001)])
    pyogrio.raw.write(tmp_path / "it's.gpkg", shapely.to_wkb(square), [], [], driver="GPKG",
                      crs="EPSG:26986", geometry_type="Polygon")  # fmt: skip
    with open_scene(scene) as opened:
        with pytest.raises(SceneError, match=r"it's\.gpkg: is no GeoJSON") as raised:
            read_area(tmp_path / "it's.gpkg", opened)
        follow(str(raised.value), "python")
        assert json.loads((tmp_path / "area.geojson").read_text())["features"]
        inside = read_area(tmp_path / "area.geojson", opened).inside(WHOLE)
    assert inside.sum() == 9 * 10  # The corner lies half a pixel inside.


def test_a_scene_is_given_a_crs_for_its_area(write_raster, tmp_path):
    scene = write_raster(tmp_path / "a scene.tif", PIXELS[:3], crs=None)
    with open_scene(scene) as opened, pytest.raises(SceneError, match="--crs EPSG") as raised:
        read_area(tmp_path / "area.geojson", opened)
    told = re.search(r"rio edit-info .*(?=, or)", str(raised.value))[0].replace("...", "26986")
    rio(shlex.split(told)[1:])
    with open_scene(scene) as opened:
        assert opened.crs == "EPSG:26986"


def test_no_message_asks_for_a_program_that_is_not_installed():
    missing = re.compile(r"gdal(_translate|_edit|warp|info|buildvrt)|ogr2ogr|magick|exiftool")
    for package in (pipelines, tiling):
        for path in Path(package.__path__[0]).rglob("*.py"):
            assert not missing.search(path.read_text()), path
