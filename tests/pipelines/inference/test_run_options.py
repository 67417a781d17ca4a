"""What is asked for of a run reaches its scenes, or is refused."""

import json

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image

from pipelines.config.inference import InferRoads
from pipelines.errors import DataError, PipelineError
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
from tests.pipelines.inference.runs import ROADS_SMALL, Run


def infer(scenes, weights, output, **changes):
    return Run(
        infer_roads(
            InferRoads(
                scenes=[str(scene) for scene in scenes], output=output, model=[str(weights)],
                **{**ROADS_SMALL, **changes},
            ),
            Silence(),
        )
    )  # fmt: skip


@pytest.fixture
def four_bands(write_raster, tmp_path):
    """A scene of four bands with a white corner, of half a metre per pixel, and its pixels."""
    pixels = np.random.default_rng(1).integers(0, 235, (4, 100, 120)).astype(np.uint8)
    pixels[:, :40, :40] = 255
    place = Affine(0.5, 0, 200_000, 0, -0.5, 900_000)
    return write_raster(tmp_path / "in" / "four.tif", pixels, transform=place), pixels


def test_options_of_scenes_reach_them(four_bands, roads_weights, tmp_path):
    path, _ = four_bands
    run = infer([path], roads_weights, tmp_path / "out", bands="4,3,2", white_is_nodata=True)
    assert run.report["failed"] == []
    levels = run.read("four", "probability.tif")
    assert (levels[:40, :40] == 255).all()
    assert (levels[41:] != 255).all()
    # The network's metres per pixel are the default of --gsd.
    as_asked = infer([path], roads_weights, tmp_path / "same", bands="4,3,2",
                     white_is_nodata=True, gsd=1.0)  # fmt: skip
    np.testing.assert_array_equal(as_asked.read("four", "probability.tif"), levels)
    finer = infer([path], roads_weights, tmp_path / "finer", bands="4,3,2",
                  white_is_nodata=True, gsd=0.5)  # fmt: skip
    assert finer.report["scenes"][0]["tiles"] > run.report["scenes"][0]["tiles"]
    assert (finer.read("four", "probability.tif") != levels).any()
    assert finer.read("four", "probability.tif").shape == levels.shape


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"bands": "1,2,3"}, "bands 4,3,2 (now 1,2,3)"),
        ({"gsd": 0.5}, "gsd 1.0 (now 0.5)"),
        ({"white_is_nodata": True}, "white_is_nodata False (now True)"),
        ({"aoi": "area.geojson"}, "aoi None (now "),
    ],
)
def test_other_scenes_options_are_refused_by_name(
    four_bands, roads_weights, tmp_path, change, said
):
    path, _ = four_bands
    with rasterio.open(path) as raster:
        corners = [(0, 0), (120, 0), (120, 100), (0, 0)]
        x, y = zip(*(raster.transform @ corner for corner in corners), strict=True)
    crs = {"type": "name", "properties": {"name": "EPSG:26986"}}
    ring = [list(place) for place in zip(x, y, strict=True)]
    (tmp_path / "area.geojson").write_text(
        json.dumps({"type": "Polygon", "crs": crs, "coordinates": [ring]})
    )
    if "aoi" in change:
        change = {"aoi": tmp_path / "area.geojson"}
    usual = {"bands": "4,3,2"}
    infer([path], roads_weights, tmp_path / "out", **usual)
    before = (tmp_path / "out" / "four" / "mask.tif").read_bytes()
    run = infer([path], roads_weights, tmp_path / "out", **{**usual, **change})
    [failed] = run.result.failed
    assert said in failed.error
    assert (tmp_path / "out" / "four" / "mask.tif").read_bytes() == before
    run = infer([path], roads_weights, tmp_path / "out", overwrite=True, **{**usual, **change})
    assert run.report["failed"] == []


def test_a_run_that_can_predict_nothing_leaves_the_report_that_is_there(
    road_folder, roads_weights, tmp_path
):
    told = {"scenes": [str(road_folder / "sat")], "model": [str(roads_weights)], "tile": 256}
    infer_roads(InferRoads(**told, output=tmp_path), Silence())
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    assert tmp_path / "report.html" in before
    again = infer_roads(InferRoads(**told, output=tmp_path, save_steps=True), Silence())
    assert again.report.scenes == []
    assert len(again.failed) > 0
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_a_rerun_says_that_nothing_was_computed(road_folder, roads_weights, tmp_path):
    for computed in (1, 0):
        run = infer([road_folder / "sat" / "north.tif"], roads_weights, tmp_path)
        [scene] = run.report["scenes"]
        assert (scene["parts"], scene["parts_computed"]) == (1, computed)


def test_more_or_fewer_bands_than_the_network_takes_are_refused_before_anything_runs(
    four_bands, roads_weights, tmp_path
):
    with pytest.raises(PipelineError, match=r"--bands 1,2: 2 bands, but .* takes 3"):
        infer([four_bands[0]], roads_weights, tmp_path / "out", bands="1,2")
    assert not (tmp_path / "out").exists()


def test_an_area_that_is_not_there_is_refused_before_anything_runs(
    road_folder, roads_weights, tmp_path
):
    with pytest.raises(DataError, match=r"no\.geojson: no such file; check --aoi"):
        infer([road_folder / "sat"], roads_weights, tmp_path / "out", aoi=tmp_path / "no.geojson")
    assert not (tmp_path / "out").exists()


def test_metres_asked_of_a_scene_without_are_its_error(four_bands, roads_weights, tmp_path):
    _, pixels = four_bands
    photo = tmp_path / "photo.png"
    Image.fromarray(np.moveaxis(pixels[:3], 0, -1)).save(photo)
    run = infer([photo], roads_weights, tmp_path / "out", gsd=1.0)
    [failed] = run.report["failed"]
    assert "photo.png: its pixels have no size in metres" in failed["error"]
    assert infer([photo], roads_weights, tmp_path / "out").result.failed == []


def test_white_of_16_bits_is_an_error_of_the_scene(write_raster, roads_weights, tmp_path):
    path = write_raster(tmp_path / "deep.tif", np.full((3, 80, 80), 900, np.uint16))
    run = infer([path], roads_weights, tmp_path / "out", white_is_nodata=True)
    assert "deep.tif" in run.report["failed"][0]["error"]


def test_a_dry_run_writes_nothing_and_names_what_cannot_be_read(
    road_folder, roads_weights, tmp_path
):
    result = infer_roads(
        InferRoads(
            scenes=[str(road_folder / "sat")], labels=road_folder / "map",
            output=tmp_path / "out", model=[str(roads_weights)], dry_run=True, **ROADS_SMALL,
        ),
        Silence(),
    )  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert [one.name for one in result.estimates] == ["broken", "north", "south"]
    assert result.done == "2 of 3 scenes estimated"
    [failed] = result.failed
    assert "broken.tif" in failed.error
    assert result.built is None
