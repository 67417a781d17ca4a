"""Lines that were added and removed since an earlier result."""

import warnings

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.errors import NotGeoreferencedWarning

from pipelines.config.lines import LineSettings
from pipelines.lines.changes import CHANGES, changed_lines
from tiling.scenes.ground import PixelSize

PLACE = Affine(2, 0, 500_000, 0, -2, 4_600_000)
PIXEL = PixelSize(2.0, 2.0)
STREET = [(0, 0), (400, 0)]
LANE = [(200, 0), (200, 300)]
PATH = [(0, 100), (150, 100)]


def written(folder, *lines, crs="EPSG:26986"):
    folder.mkdir(parents=True, exist_ok=True)
    placed = [shapely.LineString([(500_000 + x, 4_599_000 - y) for x, y in line]) for line in lines]
    pyogrio.raw.write(
        folder / "lines.gpkg", shapely.to_wkb(np.array(placed, object)), [], [], layer="lines",
        driver="GPKG", geometry_type="LineString", crs=crs,
    )  # fmt: skip
    return folder / "lines.gpkg"


def compared(before, now, folder, place=PLACE, pixel=PIXEL, missing=(), crs="EPSG:26986"):
    """Compares two files of lines on a scene of 1000 x 1000 pixels, some of them missing."""
    change = np.zeros((1, 1000, 1000), np.uint8)
    for part in missing:
        change[0][part] = 255
    profile = {"count": 1, "dtype": "uint8", "nodata": 255, "crs": crs, "transform": place}
    with rasterio.open(folder / "change.tif", "w", width=1000, height=1000, **profile) as file:
        file.write(change)
    return changed_lines(before, now, folder / "change.tif", place, pixel, LineSettings(), folder)


def lengths(path):
    return {
        layer: pyogrio.raw.read(path, layer=layer)[3][0].tolist() for layer in ("added", "removed")
    }


def test_a_new_lane_is_added_and_a_path_that_is_gone_is_removed(tmp_path):
    before = written(tmp_path / "before", STREET, PATH)
    now = written(tmp_path / "now", STREET, LANE)
    path = compared(before, now, tmp_path)
    # The first 10 m of the lane lie beside the street.
    assert lengths(path) == {"added": [290.0], "removed": [150.0]}


def test_lines_that_moved_a_little_have_not_changed(tmp_path):
    before = written(tmp_path / "before", STREET)
    now = written(tmp_path / "now", [(0, 6), (200, 3), (400, 7)])
    path = compared(before, now, tmp_path)
    assert lengths(path) == {"added": [], "removed": []}


def test_short_pieces_are_left_out(tmp_path):
    before = written(tmp_path / "before", STREET)
    now = written(tmp_path / "now", STREET, [(100, 0), (100, 19)], [(300, 0), (300, 21)])
    path = compared(before, now, tmp_path)
    assert lengths(path)["added"] == [11.0]


def test_a_file_from_the_same_lines_is_kept(tmp_path):
    before, now = written(tmp_path / "before", STREET), written(tmp_path / "now", LANE)
    path = compared(before, now, tmp_path)
    made = path.stat().st_mtime_ns
    compared(before, now, tmp_path)
    assert path.stat().st_mtime_ns == made
    written(tmp_path / "now", PATH)
    compared(before, now, tmp_path)
    assert path.stat().st_mtime_ns != made
    assert sorted(one.name for one in tmp_path.iterdir()) == [
        "before",
        "change.tif",
        CHANGES,
        "now",
    ]


def test_where_one_of_the_two_has_no_pixel_nothing_has_changed(tmp_path):
    # Lines lie at row 500 and below; the columns from 150 on, 300 m, are missing at one time.
    before = written(tmp_path / "before", STREET)
    now = written(tmp_path / "now", [(0, 100), (400, 100)])
    path = compared(before, now, tmp_path, missing=[np.s_[:, 150:]])
    assert lengths(path) == {"added": [300.0], "removed": [300.0]}


def test_missing_pixels_that_a_later_run_has_bring_lines_back(tmp_path):
    before, now = written(tmp_path / "before", STREET), written(tmp_path / "now", LANE)
    assert lengths(compared(before, now, tmp_path, missing=[np.s_[:, :]]))["added"] == []
    assert lengths(compared(before, now, tmp_path))["added"] == [290.0]


def test_lengths_in_degrees_are_those_on_the_ground_in_every_direction(tmp_path):
    # At 60 degrees of latitude a degree to the east is half as long as one to the north.
    place, pixel = Affine(1e-5, 0, 10, 0, -1e-5, 60), PixelSize(1.1, 0.55)
    files = []
    for when, lines in {"before": [[(9, 9), (9.001, 9)]], "now": []}.items():
        folder = tmp_path / when
        folder.mkdir()
        lines = lines or [
            [(10.001, 59.995), (10.005, 59.995)], [(10.008, 59.991), (10.008, 59.995)]
        ]  # fmt: skip
        drawn = shapely.to_wkb(np.array([shapely.LineString(one) for one in lines], object))
        pyogrio.raw.write(
            folder / "lines.gpkg", drawn, [], [], layer="lines", driver="GPKG",
            geometry_type="LineString", crs="EPSG:4326",
        )  # fmt: skip
        files.append(folder / "lines.gpkg")
    path = compared(*files, tmp_path, place, pixel, crs="EPSG:4326")
    assert lengths(path)["added"] == [440.0, 220.0]


def test_without_coordinates_rows_go_down(tmp_path):
    files = []
    for when, row in {"before": 100, "now": 800}.items():
        folder = tmp_path / when
        folder.mkdir()
        drawn = shapely.to_wkb(np.array([shapely.LineString([(10, -row), (90, -row)])], object))
        with pytest.warns(UserWarning, match="crs"):
            pyogrio.raw.write(
                folder / "lines.gpkg", drawn, [], [], layer="lines", driver="GPKG",
                geometry_type="LineString",
            )  # fmt: skip
        files.append(folder / "lines.gpkg")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        path = compared(*files, tmp_path, Affine.identity(), None, [np.s_[:200]], None)
    found = {
        layer: pyogrio.raw.read(path, layer=layer)[3][0].tolist() for layer in ("added", "removed")
    }
    assert found == {"added": [80.0], "removed": []}


@pytest.mark.parametrize("layer", ["added", "removed"])
def test_qgis_finds_a_style_for_each_layer(tmp_path, layer):
    before, now = written(tmp_path / "before", STREET), written(tmp_path / "now", LANE)
    path = compared(before, now, tmp_path)
    fields, _, _, columns = pyogrio.raw.read(path, layer="layer_styles", read_geometry=False)
    styles = dict(zip(fields["fields"], columns, strict=True))
    assert layer in styles["f_table_name"].tolist()
