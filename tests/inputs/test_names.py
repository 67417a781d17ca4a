"""Names that are no plain files: what GDAL opens runs, is called sensibly, and tells no secret."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from zipfile import ZipFile

import numpy as np
import pytest
import rasterio.shutil

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferRoads
from pipelines.errors import PipelineError
from pipelines.evaluation.run import evaluate
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import check_names, fundus_inputs, road_inputs
from pipelines.results.progress import Silence
from tiling.errors import SceneError
from tiling.readers.raster import RasterScene
from tiling.scenes.names import kind_of, shown, stem_of, without_secrets
from tiling.window import Window

SECRET = "s3cret"

SERVER = """
import http.server, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *words): pass
    def do_GET(self):
        super().do_GET() if "sig=s3cret" in self.path else self.send_error(403)
    do_HEAD = do_GET
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""


@pytest.fixture(scope="module")
def folder(write_raster, tmp_path_factory):
    """One picture as `a.tif`, in a GeoPackage, in a NetCDF, in a zip, and as the second page."""
    made = tmp_path_factory.mktemp("names")
    pixels = np.random.default_rng(0).integers(1, 256, (3, 40, 48)).astype(np.uint8)
    plain = write_raster(made / "a.tif", pixels)
    write_raster(made / "br[1].tif", pixels)
    for table, more in (("north", "NO"), ("south", "YES")):
        options = {"RASTER_TABLE": table, "APPEND_SUBDATASET": more, "TILE_FORMAT": "PNG"}
        write_raster(made / "two.gpkg", pixels, driver="GPKG", **options)
    rasterio.shutil.copy(plain, made / "three.nc", driver="netCDF")
    for more in ("NO", "YES"):
        rasterio.shutil.copy(plain, made / "pages.tif", driver="GTiff", APPEND_SUBDATASET=more)
    with ZipFile(made / "a.zip", "w") as archive:
        archive.write(made / "br[1].tif", "br[1].tif")
    return made


@pytest.fixture(scope="module")
def address(folder):
    """Of a server of that folder, which wants a signature."""
    command = [sys.executable, "-c", SERVER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=folder, text=True) as server:
        yield f"127.0.0.1:{server.stdout.readline().strip()}"
        server.kill()


NAMES = [
    ("{folder}/br[1].tif", 3, "br[1]"),
    ("GPKG:{folder}/two.gpkg:north", 3, "two_north"),
    ('NETCDF:"{folder}/three.nc":Band2', 1, "three_Band2"),
    ("netcdf:{folder}/three.nc:Band3", 1, "three_Band3"),
    ("GTIFF_DIR:2:{folder}/pages.tif", 3, "pages_2"),
    ("vrt://{folder}/a.tif?bands=3,2,1", 3, "a"),
    ("/vsizip/{folder}/a.zip/br[1].tif", 3, "br[1]"),
    ("/vsizip/{{{folder}/a.zip}}/br[1].tif", 3, "br[1]"),
    ("http://{address}/a.tif?sig=s3cret&page=1", 3, "a"),
    ("http://reader:s3cret@{address}/a.tif?sig=s3cret#s3cret", 3, "a"),
    ("/vsicurl/http://{address}/a.tif?sig=s3cret", 3, "a"),
]


@pytest.mark.parametrize(("name", "bands", "stem"), NAMES)
def test_what_gdal_opens_is_a_scene(folder, address, name, bands, stem):
    name = name.format(folder=folder, address=address)
    [item] = road_inputs([name], None)
    assert item.name == stem
    assert SECRET not in item.source
    with RasterScene(name, bands=None) as scene:
        assert (scene.bands, scene.height, scene.width) == (bands, 40, 48)
        assert SECRET not in scene.name
        pixels, _ = scene.read(Window(0, 0, 40, 48))
    with rasterio.open(folder / "a.tif") as plain:
        first = {"Band2": 1, "Band3": 2}.get(stem.rpartition("_")[2], 2 if "3,2,1" in name else 0)
        np.testing.assert_array_equal(pixels[0], plain.read(first + 1))


@pytest.mark.parametrize(
    ("name", "kind", "stem"),
    [
        ("none.tif", "path", "none"),
        ("tiles/*.tif", "glob", "*"),
        ('HDF5:"d/f.h5"://group/value', "gdal", "f_group_value"),
        ("SENTINEL2_L2A:/d/MTD.xml:10m:EPSG_32632", "gdal", "MTD_10m_EPSG_32632"),
        ("https://host:8080/d/my%20scene.tif?sig=s3cret/%2b", "url", "my scene"),
        ("https://host/" + "a" * 300 + ".tif?sig=s3cret", "url", "a" * 200),
        ("https://host/?token=s3cret", "url", "host"),
        ("s3://bucket/d/x.tif", "url", "x"),
        ("zip+file:///d/a.zip!in/b.tif", "url", "b"),
        ("/vsizip/{/vsicurl/https://host/a.zip?sig=s3cret}/b.tif", "gdal", "b"),
        ("/vsicurl?url=https%3A%2F%2Fu%3As3cret%40host%2Fx.tif%3Fsig%3Ds3cret", "gdal", "x"),
        ('NETCDF:"/vsicurl/https://host/f.nc?sig=s3cret":v', "gdal", "f_v"),
        ("https://user:s3cret@s3cret@host/x.tif", "url", "x"),
    ],
)
def test_a_name_is_told_by_its_form(name, kind, stem):
    assert kind_of(name) == kind
    assert stem_of(name) == stem
    assert SECRET not in shown(name)


def test_a_file_that_is_there_is_a_path_whatever_it_is_called(write_raster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("GPKG:x:y.tif", "a[1].tif", "b?sig=1.tif", "token=1.tif"):
        write_raster(tmp_path / name, np.ones((3, 8, 8), np.uint8))
        assert kind_of(name) == "path"
        assert shown(name) == name
        with RasterScene(name) as scene:
            assert scene.width == 8


def test_a_glob_may_begin_like_a_gdal_name(write_raster, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_raster(tmp_path / "UTM33:a.tif", np.ones((3, 8, 8), np.uint8))
    assert [item.name for item in road_inputs(["UTM33:*.tif"], None)] == ["UTM33:a"]


def test_two_layers_of_a_file_are_two_scenes(folder):
    names = [f"GPKG:{folder}/two.gpkg:{table}" for table in ("north", "south")]
    check_names(road_inputs(names, None))


def test_a_fundus_may_lie_in_an_archive(folder):
    [item] = fundus_inputs([f"/vsizip/{folder}/a.zip/br[1].tif"], None)
    with item.open() as opened:
        assert (opened.scene.height, opened.scene.width) == (40, 48)


@pytest.mark.parametrize(
    "text",
    [
        "'/vsicurl/https://h/a.tif?sig=s3cret&x=1' does not exist",
        "https://u:s3cret@h/a.tif: HTTP 403",
        "PG:host=h password='s3cret x' user=u: no connection",
        "AccessToken=s3cret; refused",
    ],
)
def test_a_message_of_gdal_is_quoted_without_secrets(text):
    assert SECRET not in without_secrets(text)


@pytest.fixture
def settings(roads_weights, tmp_path):
    return {
        "model": [str(roads_weights)], "output": tmp_path / "out", "tile": 32, "overlap": 8,
        "batch": 2, "device": "cpu", "steps": 1, "topology": False,
    }  # fmt: skip


def test_no_secret_leaves_a_run(folder, address, settings, tmp_path, caplog):
    """Neither in what it writes, nor in its folders, nor where the address is wrong."""
    scenes = [
        f"http://{address}/a.tif?sig=s3cret",
        f"http://u:s3cret@{address}/none.tif?sig=s3cret",
    ]
    result = infer_roads(InferRoads(scenes=scenes, **settings), Silence())
    assert [scene.name for scene in result.report.scenes] == ["a"]
    [failure] = result.failed
    assert f"http://{address}/none.tif" in failure.error
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {"report.json", "report.html", "manifest.json", "mask.tif"} <= {p.name for p in written}
    for path in written:
        assert SECRET not in str(path)
        assert SECRET.encode() not in path.read_bytes()
    assert SECRET not in failure.error
    assert SECRET not in caplog.text
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["settings"]["scenes"] == [f"http://{address}/{n}.tif" for n in ("a", "none")]


def test_a_predicted_raster_may_have_any_name(write_raster, folder, address, tmp_path):
    mask = np.zeros((1, 40, 48), np.uint8)
    mask[:, 10:20] = 255
    write_raster(folder / "served.tif", mask)
    with ZipFile(tmp_path / "m.zip", "w") as archive:
        archive.write(folder / "served.tif", "m.tif")
    for name in ("served", "m"):
        (tmp_path / "labels").mkdir(exist_ok=True)
        shutil.copy(folder / "served.tif", tmp_path / "labels" / f"{name}.tif")
    names = [f"http://{address}/served.tif?sig=s3cret", f"/vsizip/{tmp_path}/m.zip/m.tif"]
    result = evaluate(
        Evaluate(predictions=names, labels=tmp_path / "labels", output=tmp_path / "out"), Silence()
    )
    assert not result.failed
    assert [scene.scores.foreground.f1 for scene in result.report.scenes] == [1.0, 1.0]
    assert SECRET not in (tmp_path / "out" / "report.json").read_text()


def test_a_name_that_nothing_can_divide_is_an_error_of_its_scene():
    with pytest.raises(SceneError, match=r"br\[1\]"):
        RasterScene("zip://a.zip!br[1].tif")


@pytest.mark.parametrize("name", ["..", ".", "", "../other", "a/b", "a\\b"])
def test_no_name_leads_out_of_the_output(name):
    item = replace(road_inputs(["scene.tif"], None)[0], name=name)
    with pytest.raises(PipelineError, match=r"scene\.tif: the name .* out of the output"):
        check_names([item])


@pytest.mark.parametrize(
    "name",
    [
        "/vsizip/some.zip/..", "/vsizip/some.zip/../../up.tif", "https://host/..",
        "https://host/%2e%2e%2f", "https://host/..%2f..%2fup.tif", "GPKG:some.gpkg:../../up",
        "vrt://some.tif?sd_name=../../up",
        "/vsicurl?url=https://host/../up.tif", "..tif", "folder/..tif",
    ],
)  # fmt: skip
def test_whatever_a_scene_is_called_its_folder_lies_in_the_output(name):
    check_names(road_inputs([name], None))
