"""What a report shows and writes of measurements, and of errors."""

import csv
import sqlite3
from contextlib import closing
from dataclasses import replace
from xml.etree import ElementTree

import numpy as np
import pyogrio
import pyogrio.raw
import pytest
import shapely
from affine import Affine

from pipelines.config.inference import InferDrive
from pipelines.evaluation.scoring import count
from pipelines.inference.measuring import measured
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.scene_input import FieldUsed
from pipelines.measurements.zones import Disc
from pipelines.report.build import THERE, build_report
from pipelines.report.errors import write_errors
from pipelines.report.page import render_page
from pipelines.report.places import place_pictures
from pipelines.report.write import write_report
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneErrors, SceneOutcome, SceneScores
from tests.pipelines.measurements.drawn import SIDE, bar, ray
from tiling.scenes.ground import PixelSize

CRS = "EPSG:26986"


@pytest.fixture(scope="module")
def outcomes(write_raster, tmp_path_factory):
    """Makes predicted scenes, roads or fundi, without labels."""
    folder = tmp_path_factory.mktemp("predicted")
    masks = {"one": bar(6, 0), "two": ray(9, 180) | ray(5, 45) | ray(5, -45)}

    def make(fundus):
        found = []
        for name, mask in masks.items():
            levels = (mask * 254).astype(np.uint8)
            levels[40:60, 40:60] = 127
            crs = None if fundus else CRS
            place = folder / ("fundi" if fundus else "roads") / name
            files = {
                "probability": write_raster(
                    place / "probability.tif", levels[None], nodata=255, crs=crs
                ),
                "mask": write_raster(
                    place / "mask.tif", mask[None].astype(np.uint8), nodata=255, crs=crs
                ),
            }
            image = write_raster(place / "image.tif", np.stack([levels] * 3), crs=crs)
            field = FieldUsed("whole", 1.0, SIDE, 1.0) if fundus else None
            pixel = None if fundus else PixelSize(0.5, 0.5)
            found.append(
                SceneOutcome(
                    name, str(image), SIDE, SIDE, files=files, image=str(image), pixel=pixel,
                    field=field,
                )
            )  # fmt: skip
        return found

    return make


def report_of(outcomes):
    return build_report(outcomes, InferDrive(), counted=THERE, classes=("line",))


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_roads_have_kilometres_of_each_scene_and_together(outcomes, tmp_path):
    found = measured(outcomes(fundus=False), ("road",), {})
    report = report_of(found)
    write_report(tmp_path, report, found)
    rows = table(tmp_path / "measurements.csv")
    assert [row["scene"] for row in rows] == ["one", "two"]
    total = sum(float(row["length_km"]) for row in rows)
    assert report.measurements.pooled["length_km"] == pytest.approx(total, rel=1e-4)
    assert report.measurements.pooled["area_km2"] == pytest.approx(2 * (SIDE * 0.5 / 1000) ** 2)
    assert report.measurements.kind == "roads"
    page = (tmp_path / "report.html").read_text()
    assert f"{total:.1f} km of road on 2 scenes" in " ".join(page.split())
    assert "Not a diagnosis" not in page
    assert not (tmp_path / "segments.csv").exists()


def test_a_disc_outside_of_its_image_is_remarked_and_all_else_is_measured(outcomes):
    _, two = measured(outcomes(fundus=True), ("vessel",), {"two": Disc(SIDE / 2, SIDE + 5, 20)})
    assert any("lies outside of its" in remark for remark in two.remarks)
    assert two.measures.lines.zones == {}
    assert two.measures.numbers["calibre_px"] > 0


def test_vessels_have_tables_of_segments_nodes_and_zones_and_are_no_diagnosis(outcomes, tmp_path):
    found = measured(outcomes(fundus=True), ("vessel",), {"two": Disc(SIDE / 2, SIDE / 2, 20)})
    report = report_of(found)
    write_report(tmp_path, report, found)
    assert [row["scene"] for row in table(tmp_path / "segments.csv")] == ["one", *["two"] * 3]
    kinds = [row["kind"] for row in table(tmp_path / "nodes.csv") if row["scene"] == "two"]
    assert sorted(kinds) == ["bifurcation", "end", "end", "end"]
    zones = table(tmp_path / "zones.csv")
    assert [(row["scene"], row["zone"]) for row in zones] == [("two", zone) for zone in "ABC"]
    rows = table(tmp_path / "measurements.csv")
    mean = np.mean([float(row["calibre_px"]) for row in rows])
    assert report.measurements.mean["calibre_px"] == pytest.approx(mean, rel=1e-4)
    assert report.measurements.pooled is None
    page = (tmp_path / "report.html").read_text()
    assert page.count("Not a diagnosis: measured on a computed mask") == 2
    assert page.count('class="strip"') > 5


def test_the_least_certain_places_are_shown_and_placed_in_the_scenes_coordinates(
    outcomes, tmp_path
):
    found = measured(outcomes(fundus=False), ("road",), {})
    report = report_of(found)
    first = report.scenes[0].uncertain[0]
    assert (first.row, first.column, first.height, first.width) == (32, 32, 32, 32)
    with open_levels(found[0].files["probability"]) as levels:
        left, top = levels.transform.c, levels.transform.f
        assert (first.x, first.y) == pytest.approx((left + 48, top - 48))
    pictures = place_pictures(report, found)
    assert {picture.scene for picture in pictures} == {"one", "two"}
    assert pictures[0].around.height == pictures[0].around.width == 64
    html = render_page(report, [], pictures)
    assert html.count('class="pair"') == len(pictures)
    write_report(tmp_path, report, found)
    rows = table(tmp_path / "uncertain.csv")
    assert float(rows[0]["entropy"]) == pytest.approx(first.entropy, rel=1e-4)


def test_a_report_without_measurements_leaves_no_tables_of_an_earlier_one(outcomes, tmp_path):
    found = measured(outcomes(fundus=True), ("vessel",), {})
    write_report(tmp_path, report_of(found), found)
    plain = [replace(one, measures=None) for one in found]
    write_report(tmp_path, report_of(plain), plain)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "report.html", "report.json", "scores.csv", "tables.xlsx",
    ]  # fmt: skip
    assert "Not a diagnosis" not in (tmp_path / "report.html").read_text()


def test_a_raster_that_cannot_be_measured_is_a_remark_and_no_failure(outcomes):
    [first, second] = outcomes(fundus=False)
    broken = replace(first, files=first.files | {"mask": "gone.tif"})
    found = measured([broken, second], ("road",), {})
    assert found[0].measures is None
    assert found[0].done
    assert "could not be measured (gone.tif" in found[0].remarks[-1]
    assert found[1].measures is not None


# errors.gpkg


def test_errors_lie_in_the_scenes_coordinates_the_largest_first(outcomes, write_raster, tmp_path):
    scored = []
    for one in outcomes(fundus=False):
        label = write_raster(
            tmp_path / f"{one.name}.tif", bar(6, 90).astype(np.uint8)[None], crs=CRS
        )
        with (
            open_levels(one.files["mask"], "mask") as levels,
            open_label(label, Labelling()) as drawn,
        ):
            scored.append(replace(one, scores=count([levels], drawn, None, InferDrive())))
    write_report(tmp_path / "out", report_of(scored), scored)
    path = tmp_path / "out" / "errors.gpkg"
    assert pyogrio.read_info(path, layer="errors")["crs"] == CRS
    meta, _, shapes, fields = pyogrio.raw.read(path, layer="errors")
    columns = dict(zip(meta["fields"], fields, strict=True))
    assert columns["rank"].tolist() == list(range(1, len(shapes) + 1))
    assert (np.diff(columns["pixels"]) <= 0).all()
    assert set(columns["kind"]) == {"miss", "false alarm"}
    assert set(columns["scene"]) == {"one", "two"}
    outlines = shapely.from_wkb(shapes)
    np.testing.assert_allclose(shapely.area(outlines), columns["area_m2"])
    with open_levels(scored[0].files["mask"], "mask") as levels:
        left, top = levels.transform.c, levels.transform.f
    assert shapely.box(left, top - SIDE, left + SIDE, top).covers(shapely.union_all(outlines))


def test_scenes_of_other_crs_have_a_file_of_their_own(outcomes, tmp_path):
    first, second = outcomes(fundus=False)
    found = [
        replace(one, scores=SceneScores(None, errors=SceneErrors([], crs, Affine.identity(), None)))
        for one, crs in ((first, CRS), (second, "EPSG:32619"))
    ]
    for scenes, files in ((found, ["errors-2.gpkg", "errors.gpkg"]), (found[:1], ["errors.gpkg"])):
        write_errors(tmp_path, scenes)
        assert sorted(path.name for path in tmp_path.glob("*.gpkg")) == files
    assert pyogrio.read_info(tmp_path / "errors.gpkg", layer="errors")["features"] == 0
    with closing(sqlite3.connect(tmp_path / "errors.gpkg")) as database:
        [(layer, qml)] = database.execute("SELECT f_table_name, styleQML FROM layer_styles")
    assert layer == "errors"
    colours = {
        one.get("value")
        for one in ElementTree.fromstring(qml[qml.index("<qgis") :]).iter("category")
    }
    assert colours == {"miss", "false alarm"}
