"""Lines that were added and removed since an earlier result."""

import numpy as np
import pyogrio
import pytest
import shapely
from affine import Affine

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


def lengths(path):
    return {
        layer: pyogrio.raw.read(path, layer=layer)[3][0].tolist() for layer in ("added", "removed")
    }


def test_a_new_lane_is_added_and_a_path_that_is_gone_is_removed(tmp_path):
    before = written(tmp_path / "before", STREET, PATH)
    now = written(tmp_path / "now", STREET, LANE)
    path = changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    # The first 10 m of the lane lie beside the street.
    assert lengths(path) == {"added": [290.0], "removed": [150.0]}


def test_lines_that_moved_a_little_have_not_changed(tmp_path):
    before = written(tmp_path / "before", STREET)
    now = written(tmp_path / "now", [(0, 6), (200, 3), (400, 7)])
    path = changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    assert lengths(path) == {"added": [], "removed": []}


def test_short_pieces_are_left_out(tmp_path):
    before = written(tmp_path / "before", STREET)
    now = written(tmp_path / "now", STREET, [(100, 0), (100, 19)], [(300, 0), (300, 21)])
    path = changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    assert lengths(path)["added"] == [11.0]


def test_a_file_from_the_same_lines_is_kept(tmp_path):
    before, now = written(tmp_path / "before", STREET), written(tmp_path / "now", LANE)
    path = changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    made = path.stat().st_mtime_ns
    changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    assert path.stat().st_mtime_ns == made
    written(tmp_path / "now", PATH)
    changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    assert path.stat().st_mtime_ns != made
    assert sorted(one.name for one in tmp_path.iterdir()) == ["before", CHANGES, "now"]


@pytest.mark.parametrize("layer", ["added", "removed"])
def test_qgis_finds_a_style_for_each_layer(tmp_path, layer):
    before, now = written(tmp_path / "before", STREET), written(tmp_path / "now", LANE)
    path = changed_lines(before, now, PLACE, PIXEL, LineSettings(), tmp_path)
    fields, _, _, columns = pyogrio.raw.read(path, layer="layer_styles", read_geometry=False)
    styles = dict(zip(fields["fields"], columns, strict=True))
    assert layer in styles["f_table_name"].tolist()
