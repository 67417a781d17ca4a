"""`evaluate` on files of lines: networks against labels of lines and of pixels."""

import csv
import json

import numpy as np
import pyogrio
import pytest
import shapely

from pipelines.config.evaluation import Evaluate
from pipelines.evaluation.networks import line_files
from pipelines.evaluation.run import evaluate
from pipelines.results.progress import Silence
from tests.pipelines.lines.conftest import NORTH_UP
from tests.tiling.lines.drawings import cross

CROSS = [
    [[27.0, -121.0], [141.0, -121.0]], [[141.0, -121.0], [253.0, -121.0]],
    [[141.0, -27.0], [141.0, -121.0]], [[141.0, -121.0], [141.0, -213.0]],
]  # fmt: skip
"""The lines of the drawn cross, in metres from its upper left corner."""


def write_lines(path, lines, crs="EPSG:26986", origin=(200_000.0, 900_000.0), **columns):
    path.parent.mkdir(parents=True, exist_ok=True)
    shapes = [shapely.linestrings(np.array(line) + origin) for line in lines]
    pyogrio.raw.write(
        path, shapely.to_wkb(np.array(shapes, object)),
        [np.array(of, object) for of in columns.values()], list(columns),
        geometry_type="LineString", crs=crs, layer="lines",
    )  # fmt: skip
    return path


def scored(predictions, labels, out, **options):
    config = Evaluate(predictions=[str(predictions)], labels=labels, output=out, **options)
    return evaluate(config, Silence())


def test_lines_against_themselves_and_without_a_road(page, tmp_path):
    write_lines(tmp_path / "labels" / "town.gpkg", CROSS)
    write_lines(tmp_path / "found" / "town" / "lines.gpkg", CROSS)
    result = scored(tmp_path / "found", tmp_path / "labels", tmp_path / "out")
    scores = result.report.scored_lines.scenes["town"]
    assert scores.length == pytest.approx(412, rel=1e-3)
    assert (scores.topo_f1, scores.apls, scores.precision, scores.recall) == (1, 1, 1, 1)
    write_lines(tmp_path / "found" / "town" / "lines.gpkg", CROSS[:3])
    result = scored(tmp_path / "found", tmp_path / "labels", tmp_path / "out")
    scores = result.report.scored_lines.scenes["town"]
    assert scores.recall == pytest.approx(1 - 89 / 412, abs=0.01)
    assert scores.precision == scores.topo_precision == 1
    assert scores.topo_recall < 0.85
    assert f"TOPO F1 <b>{scores.topo_f1:.3f}</b>" in page("out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["scored_lines"]["pooled"]["apls"] == scores.apls


@pytest.mark.filterwarnings("ignore:.crs. was not provided")
@pytest.mark.parametrize("crs", ["EPSG:26986", None])
def test_a_label_raster_is_taken_by_its_middle_lines(crs, write_raster, tmp_path):
    mask = np.where(cross(), 255, 0).astype(np.uint8)
    place = {"transform": NORTH_UP, "crs": crs} if crs else {"crs": None}
    write_raster(tmp_path / "labels" / "town.tif", mask[None], **place)
    if crs:
        write_lines(tmp_path / "town.gpkg", CROSS)
    else:  # Columns, and rows below the axis.
        write_lines(tmp_path / "town.gpkg", np.array(CROSS) / 2, None, (0, 0))
    result = scored(tmp_path / "town.gpkg", tmp_path / "labels", tmp_path / "out", pixel_size=2.0)
    scores = result.report.scored_lines.pooled
    assert scores.label_length == pytest.approx(412, abs=1)
    assert min(scores.topo_f1, scores.apls, scores.precision, scores.recall) > 0.98


def test_degrees_are_metres_and_rivers_and_paths_are_no_roads(tmp_path):
    write_lines(tmp_path / "town.gpkg", CROSS)
    shapes = [shapely.linestrings(np.array(line) + (200_000.0, 900_000.0)) for line in CROSS]
    more = [[[20.0, -20.0], [260.0, -30.0]], [[20.0, -60.0], [260.0, -70.0]]]
    shapes += [shapely.linestrings(np.array(line) + (200_000.0, 900_000.0)) for line in more]
    from rasterio.warp import transform

    def degrees(points):
        return np.column_stack(transform("EPSG:26986", "EPSG:4326", *points.T))

    osm = shapely.transform(np.array(shapes, object), degrees)
    kinds = np.array(["residential"] * 4 + [None, "footway"], object)
    pyogrio.raw.write(
        tmp_path / "osm.geojson", shapely.to_wkb(osm), [kinds], ["highway"],
        geometry_type="LineString", crs="EPSG:4326",
    )  # fmt: skip
    result = scored(tmp_path / "town.gpkg", tmp_path / "osm.geojson", tmp_path / "out")
    scores = result.report.scored_lines.pooled
    assert scores.label_length == pytest.approx(412, rel=1e-3)
    assert scores.apls == pytest.approx(1, abs=1e-3)
    assert scores.topo_f1 == pytest.approx(1, abs=0.01)


def test_scenes_of_lines_have_rows_means_and_intervals_as_rasters_have(page, tmp_path):
    found = {"town": CROSS, "village": CROSS[:3], "farm": CROSS[:2]}
    for name, lines in found.items():
        write_lines(tmp_path / "labels" / f"{name}.gpkg", CROSS)
        write_lines(tmp_path / "found" / name / "lines.gpkg", lines)
    scored(tmp_path / "found", tmp_path / "labels", tmp_path / "out")
    with (tmp_path / "out" / "scores.csv").open(newline="") as file:
        rows = {(row["of"], row["scene"]): row for row in csv.DictReader(file)}
    recall = {key: float(row["recall"]) for key, row in rows.items()}
    assert list(rows) == [
        ("scene", "farm"), ("scene", "town"), ("scene", "village"),
        ("mean", ""), ("sd", ""), ("pooled", ""), ("low", ""), ("high", ""),
    ]  # fmt: skip
    scenes = [recall["scene", name] for name in found]
    assert recall["mean", ""] == pytest.approx(np.mean(scenes), abs=1e-5)
    assert recall["sd", ""] == pytest.approx(np.std(scenes, ddof=1), abs=1e-5)
    # Labels of one length: the pool is the mean.
    assert recall["pooled", ""] == pytest.approx(np.mean(scenes), abs=1e-5)
    # Most draws have three times the same scene, or nearly so: the ends are those of the scenes.
    assert recall["low", ""] == pytest.approx(min(scenes), abs=1e-5)
    assert recall["high", ""] == pytest.approx(1, abs=1e-5)
    assert float(rows["low", ""]["topo_precision"]) == 1
    text = page("out")
    assert "95 % interval" in text
    assert "standard deviation" in text


def test_one_scene_of_lines_has_no_interval(page, tmp_path):
    write_lines(tmp_path / "labels" / "town.gpkg", CROSS)
    write_lines(tmp_path / "town.gpkg", CROSS)
    result = scored(tmp_path / "town.gpkg", tmp_path / "labels", tmp_path / "out")
    assert result.report.scored_lines.intervals is None
    assert result.report.scored_lines.sd["apls"] is None
    lines = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert [line.split(",")[1] for line in lines[1:]] == ["scene", "mean", "sd", "pooled"]
    assert "95 % interval" not in page("out")


def test_a_scene_without_a_label_fails_alone(tmp_path):
    write_lines(tmp_path / "labels" / "town.gpkg", CROSS)
    for name in ("town", "village"):
        write_lines(tmp_path / "found" / name / "lines.gpkg", CROSS)
    result = scored(tmp_path / "found", tmp_path / "labels", tmp_path / "out")
    assert list(result.report.scored_lines.scenes) == ["town"]
    [failure] = result.failed
    assert "no label of this name" in failure.error


def test_folders_with_rasters_are_scored_by_their_rasters(write_raster, tmp_path):
    write_lines(tmp_path / "run" / "town" / "lines.gpkg", CROSS)
    assert line_files([str(tmp_path / "run")]) == {"town": tmp_path / "run/town/lines.gpkg"}
    # The joined lines of all scenes are not one more scene.
    write_lines(tmp_path / "run" / "lines.gpkg", CROSS)
    assert list(line_files([str(tmp_path / "run")])) == ["town"]
    write_raster(tmp_path / "run" / "town" / "mask.tif", np.zeros((1, 50, 60), np.uint8))
    assert line_files([str(tmp_path / "run")]) == {}
    assert list(line_files([str(tmp_path / "run" / "town" / "lines.gpkg")])) == ["town"]
