"""Scenes that were cut out of one give the lines of the whole."""

import json

import numpy as np
import pytest
from affine import Affine

from pipelines.config.lines import LineSettings, Vectorise
from pipelines.lines.joining import join
from pipelines.lines.mosaic import Piece
from pipelines.lines.run import vectorise_rasters
from pipelines.results.levels import open_levels
from pipelines.results.progress import Silence
from tests.pipelines.lines.conftest import NORTH_UP, read_layer, rows_of

SETTINGS = {"least_spur": 8, "least_line": 10, "join": True}

LAST = 160

CUT = 70
"""Row and column in the middle of roads, at which the scene is cut."""


def joined(folder, out, **options):
    config = Vectorise(predictions=[str(folder)], output=out, **(SETTINGS | options))
    return vectorise_rasters(config, Silence())


@pytest.fixture(scope="module")
def write_piece(levels, write_raster):
    """Writes rasters of a window of the scene, as ours are."""

    def write(folder, rows, columns, place=NORTH_UP, **options):
        found = levels[rows, columns]
        transform = place @ Affine.translation(columns.start, rows.start)
        mask = np.where(found == 255, 255, found >= 127).astype(np.uint8)
        probability = np.where(found == 255, np.nan, found / 254).astype(np.float32)
        for name, pixels in (("probability", probability), ("mask", mask)):
            nodata = np.nan if name == "probability" else 255
            write_raster(
                folder / f"{name}.tif", pixels[None], transform=transform, nodata=nodata, **options
            )

    return write


@pytest.fixture(scope="module")
def whole(write_piece, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_piece(folder / "run" / "city", slice(0, LAST), slice(0, LAST))
    return joined(folder / "run", folder / "out")


@pytest.fixture(scope="module")
def quarters(write_piece, tmp_path_factory):
    """A folder of the four pieces that two cuts make."""
    folder = tmp_path_factory.mktemp("quarters")
    sides = {"a": slice(0, CUT), "b": slice(CUT, LAST)}
    for down, rows in sides.items():
        for across, columns in sides.items():
            write_piece(folder / f"{down}{across}", rows, columns)
    return folder


@pytest.fixture(scope="module")
def of_quarters(quarters, tmp_path_factory):
    return joined(quarters, tmp_path_factory.mktemp("out"))


def without_scenes(path):
    """All features, but for the names of the scenes that they are in."""
    found = {}
    for layer in ("lines", "nodes", "polygons"):
        features = read_layer(path, layer)
        columns = {name: of for name, of in features.columns.items() if name != "scene"}
        rows = zip(*columns.values(), strict=True)
        found[layer] = [
            (shape.wkb_hex, *map(str, row))
            for shape, row in zip(features.geometries, rows, strict=True)
        ]
    return found


def test_four_quarters_give_the_lines_of_the_whole(whole, of_quarters):
    expected = without_scenes(whole.folder / "lines.gpkg")
    assert min(map(len, expected.values())) > 3
    assert without_scenes(of_quarters.folder / "lines.gpkg") == expected
    assert of_quarters.report.joined.found == whole.report.joined.found
    # The whole's own lines are the same too; their ids have its name in them.
    own = read_layer(whole.folder / "city" / "lines.gpkg", "lines")
    one = read_layer(whole.folder / "lines.gpkg", "lines")
    assert [shape.wkb for shape in own.geometries] == [shape.wkb for shape in one.geometries]


def test_cut_scenes_have_more_ends_by_themselves(of_quarters):
    alone = sum(scene.lines.ends for scene in of_quarters.report.scenes)
    assert alone > of_quarters.report.joined.found.ends
    names = {scene.name for scene in of_quarters.report.scenes}
    assert names == {"aa", "ab", "ba", "bb"}
    of_lines = read_layer(of_quarters.folder / "lines.gpkg", "lines").columns["scene"]
    assert any(", " in scenes for scenes in of_lines)
    assert {name for scenes in of_lines for name in scenes.split(", ")} == names


def test_where_scenes_overlap_the_first_by_name_counts(whole, write_piece, tmp_path):
    everything = slice(0, LAST)
    write_piece(tmp_path / "run" / "b", everything, slice(0, 100))
    write_piece(tmp_path / "run" / "a", everything, slice(60, LAST))
    result = joined(tmp_path / "run", tmp_path / "out")
    assert without_scenes(result.folder / "lines.gpkg") == without_scenes(
        whole.folder / "lines.gpkg"
    )


def test_scenes_of_another_grid_are_named_and_left_out(quarters, write_piece, tmp_path):
    for name in ("aa", "ab"):
        (tmp_path / "run" / name).mkdir(parents=True)
        for raster in (quarters / name).iterdir():
            (tmp_path / "run" / name / raster.name).write_bytes(raster.read_bytes())
    everything = slice(0, LAST), slice(0, LAST)
    write_piece(tmp_path / "run" / "coarse", *everything, place=NORTH_UP @ Affine.scale(2))
    write_piece(tmp_path / "run" / "elsewhere", *everything, crs="EPSG:32619")
    write_piece(tmp_path / "run" / "nowhere", *everything, place=Affine.identity(), crs=None)
    write_piece(
        tmp_path / "run" / "shifted", *everything, place=NORTH_UP @ Affine.translation(0.5, 0)
    )
    result = joined(tmp_path / "run", tmp_path / "out")
    found = result.report.joined
    assert found.scenes == ["aa", "ab"]
    assert {one.input: one.error.split(",")[0] for one in found.left_out} == {
        "coarse": "has pixels of another size than aa",
        "elsewhere": "has another CRS than aa",
        "nowhere": "has no coordinates",
        "shifted": "has pixels between those of aa",
    }
    assert result.failed == []
    assert len(result.report.scenes) == 6


def test_scenes_far_apart_take_no_time_for_what_is_between(quarters, write_piece, tmp_path):
    far = NORTH_UP @ Affine.translation(1_500_000, 1_500_000)
    write_piece(tmp_path / "run" / "here", slice(0, LAST), slice(0, LAST))
    write_piece(tmp_path / "run" / "there", slice(0, LAST), slice(0, LAST), place=far)
    result = joined(tmp_path / "run", tmp_path / "out")
    one, both = result.report.scenes[0].lines, result.report.joined.found
    assert (both.lines, both.junctions) == (2 * one.lines, 2 * one.junctions)


def test_joined_lines_are_kept_until_a_scene_changes(of_quarters, quarters, write_piece, tmp_path):
    run = tmp_path / "run"
    for raster in quarters.rglob("*.tif"):
        into = run / raster.relative_to(quarters)
        into.parent.mkdir(parents=True, exist_ok=True)
        into.write_bytes(raster.read_bytes())
    first = joined(run, tmp_path / "out")
    path = tmp_path / "out" / "lines.gpkg"
    assert rows_of(path) == rows_of(of_quarters.folder / "lines.gpkg")
    made = path.stat().st_mtime_ns
    assert joined(run, tmp_path / "out").report.joined == first.report.joined
    assert path.stat().st_mtime_ns == made
    write_piece(run / "bb", slice(CUT, 120), slice(CUT, LAST))
    joined(run, tmp_path / "out")
    assert path.stat().st_mtime_ns > made


def test_the_report_tells_of_the_joined_lines(of_quarters):
    report = json.loads((of_quarters.folder / "report.json").read_text())
    assert report["joined"]["scenes"] == ["aa", "ab", "ba", "bb"]
    assert report["joined"]["files"]["lines"].endswith("lines.gpkg")
    assert report["joined"]["left_out"] == []
    assert report["joined"]["found"]["kilometres"] > 0.5


def test_the_page_has_a_row_for_each_scene_and_one_for_all_with_links_to_the_files(of_quarters):
    page = (of_quarters.folder / "report.html").read_text()
    section = page[page.index('<section id="lines">') :]
    section = section[: section.index("</section>")]
    for name in ("aa", "ab", "ba", "bb"):
        assert f'<a href="{name}/lines.gpkg">' in section
        assert (of_quarters.folder / name / "lines.gpkg").is_file()
    assert '<a href="lines.gpkg">' in section
    found = of_quarters.report.joined.found
    assert f">{found.kilometres:.1f}</td>" in section
    assert f">{found.junctions}</td>" in section


def test_windows_of_any_size_give_the_same_joined_lines(of_quarters, quarters, tmp_path):
    pieces = []
    for folder in sorted(quarters.iterdir()):
        files = {raster.stem: raster for raster in folder.iterdir()}
        with open_levels(files["probability"]) as levels:
            place = levels.crs, levels.transform, levels.height, levels.width
        pieces.append(Piece(folder.name, files, open_levels, 127, *place, graded=True))
    settings = LineSettings(least_spur=8, least_line=10)
    made = join(pieces, settings, tmp_path, at_once=37)
    assert rows_of(tmp_path / "lines.gpkg") == rows_of(of_quarters.folder / "lines.gpkg")
    assert made.found == of_quarters.report.joined.found


def test_scenes_without_coordinates_are_not_joined(write_piece, tmp_path):
    for name in ("a", "b"):
        write_piece(
            tmp_path / "run" / name, slice(0, 60), slice(0, 60), place=Affine.identity(), crs=None
        )
    result = joined(tmp_path / "run", tmp_path / "out")
    assert (result.failed, result.report.joined) == ([], None)
    assert len(result.report.scenes) == 2
    assert not (tmp_path / "out" / "lines.gpkg").exists()
