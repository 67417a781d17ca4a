"""What files of strangers must not do: read other files, fetch, run code, claim absurd sizes."""

import gzip
import os
import subprocess
import sys
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
import rasterio

from tiling.errors import SceneError
from tiling.readers.files import open_scene
from tiling.readers.raster import without_georeferencing_warning
from tiling.window import Window

RAW = (
    '<VRTDataset rasterXSize="4" rasterYSize="4">'
    '<VRTRasterBand dataType="Byte" band="1" subClass="VRTRawRasterBand">'
    '<SourceFilename relativeToVRT="{beside}">{file}</SourceFilename>'
    "<ImageOffset>0</ImageOffset><PixelOffset>1</PixelOffset><LineOffset>4</LineOffset>"
    "</VRTRasterBand></VRTDataset>"
)
SIMPLE = (
    '<VRTDataset rasterXSize="4" rasterYSize="4"><VRTRasterBand dataType="Byte" band="1">'
    "<SimpleSource><SourceFilename>{file}</SourceFilename><SourceBand>1</SourceBand>"
    "</SimpleSource></VRTRasterBand></VRTDataset>"
)


@pytest.fixture
def secret(tmp_path):
    path = tmp_path / "elsewhere" / "key.txt"
    path.parent.mkdir()
    path.write_bytes(b"0123456789abcdef")
    return path


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


@pytest.fixture
def raster(tmp_path, write_raster):
    return write_raster(tmp_path / "elsewhere.tif", np.arange(16, dtype=np.uint8).reshape(1, 4, 4))


def pixels(path):
    scene = open_scene(path, bands=1)
    return scene.read(Window(0, 0, 4, 4))[0].ravel().tolist()


def test_the_bytes_of_another_file_are_not_shown_as_pixels(inbox, secret):
    """GDAL 3.10 does that, whatever the name of the VRT is."""
    scene = inbox / "scene.tif"
    scene.write_text(RAW.format(beside=0, file=secret))
    with pytest.raises(SceneError, match=r"scene\.tif: a band of it is the bytes of .*key\.txt"):
        open_scene(scene, bands=1)
    scene.write_text(RAW.format(beside=1, file="../elsewhere/key.txt"))
    with pytest.raises(SceneError, match="does not lie in its folder"):
        open_scene(scene, bands=1)


@pytest.mark.parametrize(
    ("written", "instead"),
    [
        ("VRTRasterBand", "vrtrasterband"),
        ("SourceFilename", "sourcefilename"),
        ("VRTRawRasterBand", "vrtrawrasterband"),
        ("<ImageOffset>", "<Note>a & b</Note><ImageOffset>"),
        ("<VRTDataset", "<!-- a -->\n\n<VRTDataset"),
    ],
)
def test_however_gdal_lets_it_be_written(inbox, secret, written, instead):
    """It takes names in any case, and XML that is not sound."""
    scene = inbox / "scene.tif"
    scene.write_text(RAW.format(beside=0, file=secret).replace(written, instead))
    with pytest.raises(SceneError, match=r"is the bytes of|not a raster GDAL can read"):
        open_scene(scene, bands=1)


def test_nor_through_a_vrt_in_a_vrt_or_in_an_archive(inbox, secret):
    inner = inbox / "inner.tif"
    inner.write_text(RAW.format(beside=0, file=secret))
    outer = inbox / "outer.vrt"
    outer.write_text(SIMPLE.format(file=inner))
    with zipfile.ZipFile(inbox / "some.zip", "w") as archive:
        archive.write(inner, "inner.vrt")
    (inbox / "packed.ppm.gz").write_bytes(gzip.compress(inner.read_bytes()))
    inline = RAW.format(beside=0, file=secret)
    for name in (
        outer, f"/vsizip/{inbox}/some.zip/inner.vrt", f"vrt://{inner}?bands=1", inline,
        inbox / "packed.ppm.gz",
    ):  # fmt: skip
        with pytest.raises(SceneError, match="is the bytes of"):
            open_scene(name, bands=1)


def test_raw_bytes_beside_their_vrt_are_read(inbox):
    """The remedy of the message."""
    (inbox / "raw.bin").write_bytes(bytes(range(16)))
    vrt = inbox / "raw.vrt"
    vrt.write_text(RAW.format(beside=1, file="raw.bin"))
    assert pixels(vrt) == list(range(16))


def test_a_vrt_of_rasters_elsewhere_is_read_unless_roots_are_told(inbox, raster, monkeypatch):
    vrt = inbox / "scene.vrt"
    vrt.write_text(SIMPLE.format(file=raster))
    assert pixels(vrt) == list(range(16))
    monkeypatch.setenv("RURNET_ROOTS", f"/nowhere:{inbox}")
    with pytest.raises(SceneError, match=r"elsewhere\.tif: lies outside .*scene\.vrt is made of"):
        open_scene(vrt, bands=1)
    monkeypatch.setenv("RURNET_ROOTS", f"{inbox}:{raster.parent}")
    assert pixels(vrt) == list(range(16))


def test_nothing_outside_of_the_roots_is_read(inbox, raster, monkeypatch):
    monkeypatch.setenv("RURNET_ROOTS", f"{inbox}:https://tiles.example/of-ours/")
    link = inbox / "link.tif"
    link.symlink_to(raster)
    archive = raster.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as packed:
        packed.write(raster, "a.tif")
    for name in (
        raster, link, inbox / ".." / raster.name, f"/vsizip/{archive}/a.tif",
        f"GTIFF_DIR:1:{raster}",
        "/vsicurl/http://169.254.169.254/latest", "https://tiles.example/others/a.tif",
    ):  # fmt: skip
        with pytest.raises(SceneError, match="lies outside of what may be read"):
            open_scene(name, bands=1)


@pytest.fixture
def asked():
    """A server on loopback, and the paths that were asked for."""
    paths = []

    class Noting(BaseHTTPRequestHandler):
        def do_GET(self):
            paths.append(self.path)
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Noting)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", paths
    server.shutdown()
    server.server_close()


SERVICE = (
    '<GDAL_WMS><Service name="TMS"><ServerUrl>{url}/${{z}}/${{x}}/${{y}}.png</ServerUrl></Service>'
    "<DataWindow><UpperLeftX>0</UpperLeftX><UpperLeftY>1</UpperLeftY><LowerRightX>1</LowerRightX>"
    "<LowerRightY>0</LowerRightY><TileLevel>1</TileLevel><TileCountX>1</TileCountX>"
    "<TileCountY>1</TileCountY></DataWindow><BandsCount>1</BandsCount></GDAL_WMS>"
)
READ = "import sys; from tiling.readers.files import open_scene; from tiling.window import Window; \
open_scene(sys.argv[1], bands=1).read(Window(0, 0, 4, 4))"


def test_a_file_that_describes_a_web_service_asks_nobody(inbox, asked):
    url, paths = asked
    scene = inbox / "scene.tif"
    scene.write_text(SERVICE.format(url=url))
    with pytest.raises(SceneError, match=r"scene\.tif: not a raster GDAL can read"):
        open_scene(scene, bands=1)
    assert paths == []
    # It is the user's to ask for: GDAL_SKIP is read once, when a process starts.
    subprocess.run(
        [sys.executable, "-c", READ, str(scene)],
        env={**os.environ, "GDAL_SKIP": ""}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip
    assert paths
    assert all(path.endswith(".png") for path in paths)


def test_no_pixel_function_of_a_vrt_runs(inbox, raster, tmp_path):
    made = tmp_path / "made"
    vrt = inbox / "scene.vrt"
    vrt.write_text(
        '<VRTDataset rasterXSize="4" rasterYSize="4">'
        '<VRTRasterBand dataType="Byte" band="1" subClass="VRTDerivedRasterBand">'
        "<PixelFunctionType>run</PixelFunctionType>"
        "<PixelFunctionLanguage>Python</PixelFunctionLanguage>"
        f"<PixelFunctionCode><![CDATA[open({str(made)!r}, 'w')\ndef run(*_): pass\n]]>"
        f"</PixelFunctionCode><SimpleSource><SourceFilename>{raster}</SourceFilename>"
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(SceneError):
        pixels(vrt)
    assert not made.exists()
    assert os.environ["GDAL_VRT_ENABLE_PYTHON"] == "NO"


def test_an_absurd_size_is_refused_and_the_limit_can_be_raised(inbox, monkeypatch):
    bomb = inbox / "bomb.tif"
    with without_georeferencing_warning(), rasterio.open(
        bomb, "w", driver="GTiff", width=2_000_000, height=2_000_000, count=1, dtype="uint8",
        tiled=True, blockxsize=65536, blockysize=65536, SPARSE_OK=True, compress="deflate",
    ):  # fmt: skip
        pass
    with pytest.raises(SceneError, match=r"2000000 x 2000000 pixels .* RURNET_MAX_PIXELS=4000000"):
        open_scene(bomb, bands=1)
    monkeypatch.setenv("RURNET_MAX_PIXELS", "4000000000000")
    assert open_scene(bomb, bands=1).width == 2_000_000
