"""Map units that are no metres on the ground: what the network sees, and what square metres are."""

import json
import logging

import numpy as np
import pytest
import rasterio
from affine import Affine
from pyproj import Transformer

from pipelines.config.inference import InferRoads, PredictionSettings
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.errors import DataError
from pipelines.evaluation.scoring import count
from pipelines.inference.run import infer_roads
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.labels import Labelling, open_label
from pipelines.inputs.opening import Reading
from pipelines.results.levels import open_levels
from pipelines.results.progress import Silence
from pipelines.scores.scores import scores_of

HEIGHT, WIDTH = 120, 160
MERCATOR, DEGREES, UTM, FEET = "EPSG:3857", "EPSG:4326", "EPSG:32632", "EPSG:2249"

CASES = {
    "metres of UTM": (UTM, 9, 50, 1, 1, (120, 160)),
    "half metres of UTM": (UTM, 9, 50, 0.5, 0.5, (60, 80)),
    "mercator at 45 degrees": (MERCATOR, 9, 45, 1, 1, (85, 113)),
    "mercator at 60 degrees": (MERCATOR, 9, 60, 1, 1, (60, 80)),
    "mercator at 65 degrees": (MERCATOR, 9, 65, 1, 1, (51, 68)),
    "mercator, a metre on the ground": (MERCATOR, 9, 60, 1.9945, 1.9945, (120, 160)),
    "degrees at the equator": (DEGREES, 9, 0, 1e-5, 1e-5, (133, 178)),
    "degrees, oblong on the ground": (DEGREES, 9, 60, 1e-5, 1e-5, (134, 89)),
    "feet": (FEET, -71, 42, 1, 1, (37, 49)),
    "half as wide": (UTM, 9, 50, 0.5, 1, (120, 80)),
    "half as high": (UTM, 9, 50, 1, 0.5, (60, 160)),
    "2 m wide, as high as the network's": (UTM, 9, 50, 2, 1, (120, 320)),
}
"""CRS, place, pixel across and down in map units, and the rows and columns at a metre each."""


@pytest.fixture(scope="module")
def drawn():
    pixels, label, _ = draw_road_scene(HEIGHT, WIDTH, seed=4)
    return pixels, label


def written(write_raster, path, pixels, crs, longitude, latitude, across, down, **options):
    x, y = Transformer.from_crs(4326, crs, always_xy=True).transform(longitude, latitude)
    x, y = x - WIDTH / 2 * across, y + HEIGHT / 2 * down
    place = Affine(across, 0, x, 0, -down, y)
    return write_raster(path, pixels, crs=crs, transform=place, **options)


def pixels_of(path):
    with rasterio.open(path) as raster:
        return raster.read()


def seen(path, **reading):
    [item] = road_inputs([str(path)], None, Reading(**{"gsd": 1.0, **reading}))
    with item.open() as opened:
        return (opened.seen.height, opened.seen.width), opened.remarks


@pytest.mark.parametrize("case", CASES)
def test_the_network_sees_a_metre_of_ground_in_each_pixel(write_raster, tmp_path, drawn, case):
    *place, size = CASES[case]
    path = written(write_raster, tmp_path / "s.tif", drawn[0], *place)
    found, remarks = seen(path)
    assert np.abs(np.subtract(found, size)).max() <= 1
    assert remarks == ()


def test_a_scene_without_coordinates_is_told_its_pixel(write_raster, tmp_path, drawn):
    path = write_raster(tmp_path / "s.tif", drawn[0], crs=None)
    size, [remark] = seen(path)
    assert size == (HEIGHT, WIDTH)
    assert str(path) in remark
    assert "--pixel-size" in remark
    assert seen(path, pixel_told=0.3) == ((36, 48), ())
    assert seen(path, gsd=None) == ((HEIGHT, WIDTH), ())
    assert seen(path, gsd_wanted=True, pixel_told=0.5) == ((60, 80), ())
    with pytest.raises(DataError, match=r"s\.tif.*no size in metres.*--pixel-size"):
        seen(path, gsd_wanted=True)


@pytest.mark.parametrize(("told", "size"), [(0.5, (60, 80)), (1.0, (120, 160))])
def test_what_is_told_counts_and_says_so_where_the_file_differs(
    write_raster, tmp_path, drawn, told, size
):
    path = written(write_raster, tmp_path / "s.tif", drawn[0], UTM, 9, 50, 0.5, 0.5)
    found, remarks = seen(path, pixel_told=told)
    assert found == size
    assert len(remarks) == (told != 0.5)
    assert all("0.5 m" in remark and "--pixel-size" in remark for remark in remarks)


def test_a_report_says_how_large_pixels_are_and_what_the_network_saw(
    write_raster, tmp_path, drawn, roads_weights, caplog
):
    mercator = written(write_raster, tmp_path / "m.tif", drawn[0], MERCATOR, 9, 60, 1, 1)
    nowhere = write_raster(tmp_path / "n.tif", drawn[0], crs=None)
    settings = InferRoads(
        scenes=[str(mercator), str(nowhere)], model=[str(roads_weights)], tile=64, overlap=16,
        batch=2, steps=1, device="cpu", output=tmp_path / "out",
    )  # fmt: skip
    with caplog.at_level(logging.WARNING, "rurnet"):
        infer_roads(settings, Silence())
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    one, other = report["scenes"]
    assert one["pixel_size"] == pytest.approx([0.501, 0.501], abs=1e-3)
    assert (one["seen"], one["remarks"]) == ([60, 80], [])
    assert (other["pixel_size"], other["seen"]) == (None, [HEIGHT, WIDTH])
    assert other["remarks"] == [record.getMessage() for record in caplog.records]
    assert other["remarks"][0] in (tmp_path / "out" / "report.html").read_text()
    fingerprint = json.loads((tmp_path / "out" / "m" / "manifest.json").read_text())["settings"]
    assert fingerprint["pixel_size"] is None
    assert "any_scale" not in fingerprint


def test_square_metres_are_those_on_the_ground(write_raster, tmp_path, drawn, roads_model, predict):
    path = written(write_raster, tmp_path / "s.tif", drawn[0], MERCATOR, 9, 60, 1, 1)
    settings = PredictionSettings(tile=64, overlap=16, batch=2, steps=1, device="cpu")
    [item] = road_inputs([str(path)], None)
    with item.open() as opened:
        # A pixel has a quarter of a square metre.
        masks = [
            predict(
                opened.scene, [roads_model], settings.model_copy(update={"min_size": size}),
                tmp_path / size,
            ).mask
            for size in ("0", "30", "7.5m2")
        ]  # fmt: skip
    plain, of_pixels, of_metres = map(pixels_of, masks)
    np.testing.assert_array_equal(of_metres, of_pixels)
    assert (of_pixels != plain).any()


def test_paths_are_as_long_as_on_the_ground(write_raster, tmp_path):
    """A road is found 14 pixels beside its label: within 4 m where a pixel has 0.21 m."""
    mask, label = np.zeros((2, HEIGHT, WIDTH), np.uint8)
    mask[50:53], label[64:67] = 1, 1
    apls = {}
    for name, latitude, told in (("at 78", 78, None), ("at 0", 0, None), ("told", 0, 0.21)):
        place = MERCATOR, 9, latitude, 1, 1
        predicted, drawn = (
            written(write_raster, tmp_path / name / f"{kind}.tif", values[None], *place)
            for kind, values in (("mask", mask), ("label", label))
        )
        with open_levels(predicted) as levels, open_label(drawn, Labelling()) as drawn_label:
            found = count([levels], drawn_label, None, PredictionSettings(), pixel_told=told)
        scores = scores_of(found.counts, 127)
        assert scores.topology is not None
        apls[name] = float(scores.topology.apls)
    close = pytest.approx(1, abs=0.01)
    assert apls == {"at 78": close, "at 0": 0, "told": close}


@pytest.mark.parametrize(
    ("crs", "place", "told", "gsd"),
    [
        (UTM, (9, 50, 0.5, 0.5), None, 0.5),
        (MERCATOR, (9, 60, 1, 1), None, 0.501),
        (DEGREES, (9, 0, 1e-5, 1e-5), None, 1.11),
        (UTM, (9, 50, 0.5, 1), None, None),
        (UTM, (9, 50, 0.5, 0.5), 0.3, 0.3),
        (None, (), None, None),
        (None, (), 0.3, 0.3),
    ],
)
def test_weights_note_the_ground_that_they_were_trained_at(
    write_raster, tmp_path, drawn, crs, place, told, gsd
):
    for folder, values in (("images", drawn[0]), ("labels", drawn[1][None])):
        path = tmp_path / folder / "a.tif"
        if crs is None:
            write_raster(path, values, crs=None)
        else:
            written(write_raster, path, values, crs, *place)
    config = TrainFolder(
        images=tmp_path / "images", labels=tmp_path / "labels", pixel_size=told, output=tmp_path
    )
    found = folder_data(config).ground_sampling_distance
    assert found == (gsd and pytest.approx(gsd, rel=5e-3))


@pytest.mark.parametrize(("known", "told", "named"), [("", None, "a.tif, b.tif"),
                                                      ("b", None, "a.tif"), ("", 0.3, None),
                                                      ("ab", None, None)])  # fmt: skip
def test_images_of_unknown_size_are_named_in_training(
    write_raster, tmp_path, caplog, known, told, named
):
    label = np.zeros((1, 16, 16), np.uint8)
    label[0, :4] = 1
    for name in "ab":
        crs = "EPSG:32632" if name in known else None
        write_raster(tmp_path / f"images/{name}.tif", np.ones((3, 16, 16), np.uint8), crs=crs)
        write_raster(tmp_path / f"labels/{name}.tif", label, crs=crs)
    with caplog.at_level("INFO", "rurnet"):
        folder_data(
            TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels", pixel_size=told)
        )
    said = [one.message for one in caplog.records if "have no size in metres" in one.message]
    assert [one.split(": pixels")[0].replace(f"{tmp_path}/images/", "") for one in said] == (
        [named] if named else []
    )
