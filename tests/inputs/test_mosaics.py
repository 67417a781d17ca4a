"""Mosaics with gaps are named, and the remedy makes the gaps missing pixels."""

import json
import shlex

import numpy as np
import pytest
import rasterio
from affine import Affine
from rasterio.rio.main import main_group

from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading, opened_scene
from tiling.errors import SceneError
from tiling.manifest import fingerprint
from tiling.window import Window

SIDE = 100
PLACES = {"a": (0, 0), "b": (120, 0), "c": (0, 100)}
"""Left and top of each tile; together they leave out 140 rows and columns of 220 x 200."""

SHARE = 1 - 3 * SIDE**2 / (220 * 200)


@pytest.fixture
def tiles(write_raster, tmp_path):
    return {
        name: write_raster(
            tmp_path / "tiles" / f"{name}.tif",
            np.full((3, SIDE, SIDE), 90, np.uint8),
            crs="EPSG:32632",
            transform=Affine(1, 0, 500_000 + left, 0, -1, 5_000_000 - top),
        )
        for name, (left, top) in PLACES.items()
    }


def vrt(path, tiles, places=PLACES, of_band="", kind="SimpleSource"):
    bands = ""
    for band in (1, 2, 3):
        sources = "".join(
            f'<{kind}><SourceFilename relativeToVRT="1">tiles/{tiles[name].name}</SourceFilename>'
            f'<SourceBand>{band}</SourceBand><SrcRect xOff="0" yOff="0" xSize="{SIDE}" '
            f'ySize="{SIDE}"/><DstRect xOff="{left}" yOff="{top}" xSize="{SIDE}" '
            f'ySize="{SIDE}"/></{kind}>'
            for name, (left, top) in places.items()
        )
        bands += f'<VRTRasterBand dataType="Byte" band="{band}">{of_band}{sources}</VRTRasterBand>'
    path.write_text(
        '<VRTDataset rasterXSize="220" rasterYSize="200"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000,1,0,5000000,0,-1</GeoTransform>{bands}</VRTDataset>"
    )
    return path


def index(path, tiles, more=""):
    features = []
    for name, (left, top) in PLACES.items():
        x, y = 500_000 + left, 5_000_000 - top
        ring = [[x, y], [x + SIDE, y], [x + SIDE, y - SIDE], [x, y - SIDE], [x, y]]
        features.append({
            "type": "Feature", "properties": {"location": str(tiles[name])},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        })  # fmt: skip
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    content = {"type": "FeatureCollection", "crs": crs, "features": features}
    path.with_suffix(".geojson").write_text(json.dumps(content))
    path.write_text(
        "<GDALTileIndexDataset><IndexDataset>"
        f"{path.with_suffix('.geojson')}</IndexDataset><LocationField>location</LocationField>"
        f"{more}</GDALTileIndexDataset>"
    )
    return path


def remarks_and_missing(path):
    with opened_scene(str(path), None, Reading()) as opened:
        _, valid = opened.scene.read(Window(0, 0, opened.scene.height, opened.scene.width))
        return opened.remarks, 1 - valid.mean()


@pytest.mark.parametrize("kind", ["SimpleSource", "ComplexSource"])
def test_gaps_of_a_vrt_are_named_and_the_remedy_works(tiles, tmp_path, kind):
    path = vrt(tmp_path / "a mosaic.vrt", tiles, kind=kind)
    [remark], missing = remarks_and_missing(path)
    assert missing == 0
    assert f"{path}: {100 * SHARE:.3g} % of it" in remark
    assert "counts as pixels of 0,0,0" in remark
    program, *arguments = shlex.split(remark.split("that are 0: ")[1])
    assert program == "rio"
    with pytest.raises(SystemExit, match="0"):
        main_group(arguments)
    assert remarks_and_missing(path) == ((), pytest.approx(SHARE))


def test_gaps_of_a_tile_index_are_named_and_the_remedy_works(tiles, tmp_path):
    [remark], missing = remarks_and_missing(index(tmp_path / "i.gti", tiles))
    assert missing == 0
    assert "<NoDataValue>0</NoDataValue>" in remark
    assert float(remark.split(": ")[1].split(" %")[0]) == pytest.approx(100 * SHARE, abs=3)
    remedied = index(tmp_path / "j.gti", tiles, "<NoDataValue>0</NoDataValue>")
    assert remarks_and_missing(remedied) == ((), pytest.approx(SHARE))


EXACT = {(x, y) for x in (0, 100, 120) for y in (0, 100)}

UNEVEN = {(x, y) for x in (-5, 90, 119.5) for y in (0, 99.75)}
"""Beyond the edge, over each other, and covering the last column and row in part."""


@pytest.mark.parametrize("corners", [EXACT, UNEVEN])
def test_a_mosaic_without_a_gap_is_not_remarked_on(tiles, tmp_path, corners):
    places = {str(corner): corner for corner in corners}
    path = vrt(tmp_path / "m.vrt", dict.fromkeys(places, tiles["a"]), places)
    assert remarks_and_missing(path) == ((), 0)


def test_a_seam_of_one_pixel_is_a_gap(tiles, tmp_path):
    places = {f"{x}-{y}": (x, y) for x in (0, 101, 120) for y in (0, 100)}
    [remark], _ = remarks_and_missing(
        vrt(tmp_path / "m.vrt", dict.fromkeys(places, tiles["a"]), places)
    )
    assert f"{100 / 220:.3g} % of it" in remark


def test_a_source_that_is_missing_is_named_before_anything_is_read(tiles, tmp_path):
    path = vrt(tmp_path / "m.vrt", tiles)
    tiles["b"].unlink()
    [item] = road_inputs([str(path)], None)
    with (
        pytest.raises(SceneError, match=r"tiles/b\.tif: no such file.*m\.vrt") as error,
        item.open(),
    ):
        pass
    assert "a.tif" not in str(error.value)


@pytest.mark.parametrize("made", [index, vrt])
def test_the_files_of_a_mosaic_are_in_the_fingerprint(tiles, tmp_path, made):
    path = made(tmp_path / ("i.gti" if made is index else "m.vrt"), tiles)
    with opened_scene(str(path), None, Reading()) as opened:
        assert {str(tile) for tile in tiles.values()} < set(fingerprint(opened.scene)["files"])


def sparse(path, written, **profile):
    """A GeoTIFF of 4 x 3 blocks, of which some are written."""
    with rasterio.open(
        path, "w", driver="GTiff", width=256, height=192, count=3, dtype="uint8", tiled=True,
        blockxsize=64, blockysize=64, crs="EPSG:32632", SPARSE_OK=True,
        transform=Affine(1, 0, 500_000, 0, -1, 5_000_000), **profile,
    ) as raster:  # fmt: skip
        for column, row in written:
            block = np.full((3, 64, 64), 90, np.uint8)
            raster.write(block, window=Window(row * 64, column * 64, 64, 64).as_rasterio())
    return path


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_blocks_that_were_never_written_are_named_and_the_remedy_works(tmp_path, interleave):
    written = [(column, row) for column in range(4) for row in range(3) if column != row]
    path = sparse(tmp_path / "a b.tif", written, interleave=interleave)
    [remark], missing = remarks_and_missing(path)
    assert missing == 0
    assert f"{path}: 25 % of it was never written (a sparse GeoTIFF), but counts as" in remark
    assert "pixels of 0,0,0" in remark
    with pytest.raises(SystemExit, match="0"):
        main_group(shlex.split(remark.split("that are 0: ")[1])[1:])
    assert remarks_and_missing(path) == ((), 0.25)


def test_a_file_that_is_written_whole_is_not_remarked_on(tmp_path):
    written = [(column, row) for column in range(4) for row in range(3)]
    assert remarks_and_missing(sparse(tmp_path / "a.tif", written)) == ((), 0)
