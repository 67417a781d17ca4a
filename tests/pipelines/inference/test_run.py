import csv
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import rasterio
from affine import Affine
from PIL import Image
from pydantic import ValidationError
from rio_cogeo.cogeo import cog_validate

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.datasets.synthetic import draw_fundus, write_drive_folder, write_road_scene
from pipelines.errors import DataError, PipelineError, WeightsError
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models import weights
from pipelines.results.progress import Silence
from pipelines.results.report import as_json
from pipelines.results.result import Result
from tiling.scenes.raster import without_georeferencing_warning

ROADS_SMALL = {"tile": 64, "overlap": 16, "batch": 4, "steps": 1, "device": "cpu"}
FUNDUS_SMALL = {"tile": 256, "overlap": 32, "batch": 2, "steps": 1, "device": "cpu"}


@dataclass
class Run:
    """A finished run, and what is on disk of it."""

    result: Result

    @property
    def folder(self):
        return self.result.folder

    @property
    def report(self):
        return json.loads((self.folder / "report.json").read_text())

    def read(self, scene, name):
        with without_georeferencing_warning(), rasterio.open(self.folder / scene / name) as raster:
            return raster.read(1)

    def table(self):
        with (self.folder / "scores.csv").open(newline="") as file:
            return {(line["by"], line["of"], line["scene"]): line for line in csv.DictReader(file)}


@pytest.fixture(scope="module")
def road_folder(tmp_path_factory):
    """Two drawn scenes with labels, and a file that is no scene."""
    folder = tmp_path_factory.mktemp("roads")
    for seed, name in ((1, "north"), (2, "south")):
        write_road_scene(folder / "sat" / f"{name}.tif", folder / "map" / f"{name}.tif", 150, seed)
    (folder / "sat" / "broken.tif").write_text("no raster")
    return folder


@pytest.fixture(scope="module")
def roads(road_folder, roads_weights):
    """A run over a folder of road scenes with labels."""
    config = InferRoads(
        scenes=[str(road_folder / "sat")], labels=road_folder / "map",
        output=road_folder / "out", model=[str(roads_weights)], **ROADS_SMALL,
    )  # fmt: skip
    return Run(infer_roads(config, Silence()))


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return write_drive_folder(tmp_path_factory.mktemp("fundus") / "DRIVE", train=0, test=1)


@pytest.fixture(scope="module")
def vessels(drive, vessels_weights):
    """A run over DRIVE's test images, as the folder comes."""
    config = InferDrive(
        scenes=[str(drive / "test" / "images")], labels=drive / "test" / "1st_manual",
        output=drive.parent / "out", model=[str(vessels_weights)], **FUNDUS_SMALL,
    )  # fmt: skip
    return Run(infer_drive(config, Silence()))


def by_hand(levels, label):
    """All scores of levels (255 is left out) against a label, straight from their definitions."""
    levels, label = levels[levels != 255].astype(int), label[levels != 255]
    predicted = levels >= 127

    def of(predicted, label):
        hit = (predicted & label).sum()
        precision, recall = hit / predicted.sum(), hit / label.sum()
        return {
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
            "iou": hit / (predicted | label).sum(),
        }

    foreground, background = of(predicted, label), of(~predicted, ~label)
    # As many predicted as labelled: there precision equals recall. Between thresholds, a line.
    thresholds = np.arange(256)
    amount = np.array([(levels >= threshold).sum() for threshold in thresholds])
    hits = np.array([(label & (levels >= threshold)).sum() for threshold in thresholds])
    amount, first = np.unique(amount, return_index=True)
    found = np.interp(label.sum(), amount, hits[first])
    missed = label.sum() - found
    mean = {key: (foreground[key] + background[key]) / 2 for key in foreground}
    return {
        "foreground": foreground,
        "break_even": found / label.sum(),
        "class_mean": mean
        | {"break_even": (found / label.sum() + 1 - missed / (~label).sum()) / 2},
        "pixels": label.size,
    }


def assert_scores(scores, expected):
    for key, value in expected["foreground"].items():
        assert scores["foreground"][key] == pytest.approx(value)
    assert scores["break_even"]["value"] == pytest.approx(expected["break_even"])
    assert scores["class_mean"] == pytest.approx(expected["class_mean"])
    assert scores["pixels"] == expected["pixels"]


def read_label(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("L")) > 127


# Roads.


def test_every_scene_and_the_pool_score_what_is_computed_by_hand_from_the_files(roads, road_folder):
    levels, labels = [], []
    for scene in roads.report["scenes"]:
        levels.append(roads.read(scene["name"], "probability.tif"))
        with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as label:
            labels.append(label.read(1) > 0)
        assert_scores(scene, by_hand(levels[-1], labels[-1]))
        assert scene["label"] == str(road_folder / "map" / f"{scene['name']}.tif")
    assert [scene["name"] for scene in roads.report["scenes"]] == ["north", "south"]
    assert_scores(roads.report["pooled"], by_hand(np.concatenate(levels), np.concatenate(labels)))


def test_at_the_break_even_threshold_precision_is_recall(roads, road_folder):
    scene = roads.report["scenes"][0]
    levels = roads.read(scene["name"], "probability.tif")
    with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as raster:
        label = raster.read(1) > 0
    there = levels != 255
    point = scene["break_even"]["threshold"] * 254
    differences = []
    for level in (np.floor(point), np.ceil(point + 1e-9)):
        predicted = (levels >= level) & there
        hit = (predicted & label).sum()
        precision, recall = hit / predicted.sum(), hit / (label & there).sum()
        differences.append(precision - recall)
        assert abs(scene["break_even"]["value"] - precision) < 0.05
    assert differences[0] <= 0 <= differences[1]


def test_the_mask_on_disk_has_the_scores_at_half(roads, road_folder):
    for scene in roads.report["scenes"]:
        mask = roads.read(scene["name"], "mask.tif")
        with rasterio.open(road_folder / "map" / f"{scene['name']}.tif") as raster:
            label = raster.read(1) > 0
        hit = ((mask == 1) & label).sum()
        assert hit / (mask == 1).sum() == pytest.approx(scene["foreground"]["precision"])
        assert hit / (label & (mask != 255)).sum() == pytest.approx(scene["foreground"]["recall"])


def test_one_bad_file_is_reported_and_the_others_are_done(roads):
    [failed] = roads.report["failed"]
    assert failed["input"].endswith("broken.tif")
    assert "broken.tif" in failed["error"]
    assert not (roads.folder / "broken").exists()
    assert (roads.folder / "report.html").read_text(encoding="utf-8").count("broken.tif") >= 1


def test_the_table_has_every_scene_and_the_pool(roads):
    table = roads.table()
    assert list(table) == [
        ("prediction", of, scene)
        for of, scene in (
            ("scene", "north"), ("scene", "south"), ("mean", ""), ("sd", ""), ("pooled", ""),
            ("low", ""), ("high", ""),
        )
    ]  # fmt: skip
    for scene in roads.report["scenes"]:
        line = table["prediction", "scene", scene["name"]]
        assert float(line["foreground.f1"]) == pytest.approx(scene["foreground"]["f1"], abs=1e-6)


def test_the_result_is_what_the_report_file_holds(roads):
    assert json.loads(json.dumps(as_json(roads.result.report))) == roads.report


def test_without_labels_there_is_no_score(road_folder, roads_weights, tmp_path):
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], output=tmp_path,
        model=[str(roads_weights)], **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    assert run.report["pooled"] is None
    assert [scene["foreground"] for scene in run.report["scenes"]] == [None]
    assert (run.folder / "north" / "mask.tif").is_file()


def test_the_threshold_moves_the_mask_and_leaves_the_scores_at_half(
    roads, road_folder, roads_weights, tmp_path
):
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], labels=road_folder / "map",
        output=tmp_path, model=[str(roads_weights)], threshold=0.53, **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    assert run.report["scenes"][0]["foreground"] == roads.report["scenes"][0]["foreground"]
    levels, mask = run.read("north", "probability.tif"), run.read("north", "mask.tif")
    np.testing.assert_array_equal(mask == 1, (levels >= 0.53 * 254) & (levels != 255))


def test_the_threshold_that_the_weights_note_can_be_taken(road_folder, roads_weights, tmp_path):
    noted = []
    for number, threshold in enumerate((0.5, 0.56)):
        model = weights.load(str(roads_weights))
        noted.append(tmp_path / f"{number}.safetensors")
        weights.save(noted[-1], model.network, replace(model.card, threshold=threshold))
    config = InferRoads(
        scenes=[str(road_folder / "sat" / "north.tif")], output=tmp_path / "out",
        model=[str(path) for path in noted], noted_threshold=True, **ROADS_SMALL,
    )  # fmt: skip
    run = Run(infer_roads(config, Silence()))
    levels, mask = run.read("north", "probability.tif"), run.read("north", "mask.tif")
    np.testing.assert_array_equal(mask == 1, (levels >= 0.53 * 254) & (levels != 255))
    assert 0 < (mask == 1).sum() < ((levels >= 127) & (levels != 255)).sum()


def test_one_threshold_is_asked_for_not_two():
    with pytest.raises(ValidationError, match="give one of them"):
        InferRoads(threshold=0.6, noted_threshold=True)


# Fundi.


def test_a_fundus_gives_rasters_and_a_png_of_its_size(vessels):
    [scene] = vessels.report["scenes"]
    assert set(scene["files"]) == {"probability", "mask", "png"}
    with Image.open(scene["files"]["png"]) as png:
        assert png.size == (565, 584)
        assert set(np.unique(np.asarray(png))) == {0, 255}
    for kind in ("probability", "mask"):
        with without_georeferencing_warning():
            assert cog_validate(scene["files"][kind], strict=True)[0]


@pytest.fixture(scope="module")
def photographed(drive, fresh_weights):
    """Makes a run over one fundus photographed at two sizes, with weights of field diameters."""
    folder = drive.parent / "photographs"
    folder.mkdir()
    with Image.open(drive / "test" / "images" / "01_test.tif") as image:
        for name, width in (("fine", 565), ("coarse", 283)):
            size = (width, round(width * 584 / 565))
            image.resize(size, Image.Resampling.LANCZOS).save(folder / f"{name}.png")

    def run(diameters):
        name = f"trained-at-{diameters}"
        path = fresh_weights(
            folder.parent / f"{name}.safetensors", ("background", "vessel"), task="vessels",
            ground_sampling_distance=None, field_diameters=diameters,
        )  # fmt: skip
        config = InferDrive(
            scenes=[str(folder)], output=folder.parent / name, model=[str(path)], **FUNDUS_SMALL
        )
        return Run(infer_drive(config, Silence()))

    return run


def test_a_fundus_photographed_at_two_sizes_is_seen_alike_and_answered_at_its_own(photographed):
    def apart(run):
        fine, coarse = (run.read(name, "probability.tif") for name in ("fine", "coarse"))
        with Image.open(run.folder / "coarse" / "mask.png") as png:
            assert png.size == coarse.shape[::-1] == (283, 293)
        assert fine.shape == (584, 565)
        shrunk = np.asarray(Image.fromarray(fine).resize(coarse.shape[::-1], Image.Resampling.BOX))
        # Well inside the field, where no pixel was averaged with nodata.
        middle = np.s_[60:-60, 60:-60]
        return np.abs(shrunk[middle].astype(int) - coarse[middle]).mean()

    assert apart(photographed((200, 240))) < 0.2 * apart(photographed(None))


def test_nothing_is_found_outside_the_field_of_view(vessels):
    _, _, field = draw_fundus(1)
    with Image.open(vessels.folder / "01_test" / "mask.png") as png:
        pixels = np.asarray(png)
    assert (pixels[~field] == 0).all()
    mask = vessels.read("01_test", "mask.tif")
    np.testing.assert_array_equal(mask == 255, ~field)
    np.testing.assert_array_equal(vessels.read("01_test", "probability.tif") == 255, ~field)
    np.testing.assert_array_equal(pixels == 255, mask == 1)


def test_a_fundus_is_scored_inside_the_field_of_view_only(vessels, drive):
    _, _, field = draw_fundus(1)
    levels = vessels.read("01_test", "probability.tif")
    label = read_label(drive / "test" / "1st_manual" / "01_manual1.gif")
    [scene] = vessels.report["scenes"]
    assert scene["pixels"] == field.sum()
    assert_scores(scene, by_hand(levels, label))
    assert vessels.report["pooled"]["foreground"] == scene["foreground"]
    assert "inside the field of view" in vessels.report["scoring"]["counted"]


def test_the_second_observer_is_scored_where_the_first_is(vessels, drive):
    _, _, field = draw_fundus(1)
    first = read_label(drive / "test" / "1st_manual" / "01_manual1.gif")[field]
    second = read_label(drive / "test" / "2nd_manual" / "01_manual2.gif")[field]
    hit = (first & second).sum()
    scores = vessels.report["second_observer"]["pooled"]["foreground"]
    assert scores["precision"] == pytest.approx(hit / second.sum())
    assert scores["recall"] == pytest.approx(hit / first.sum())
    line = vessels.table()["second observer", "pooled", ""]
    assert float(line["foreground.recall"]) == pytest.approx(hit / first.sum(), abs=1e-6)


# Before anything runs.


@pytest.mark.parametrize(
    ("infer", "config", "inbox", "outbox", "fixture"),
    [
        (infer_roads, InferRoads, "inbox/roads", "outbox/roads", "roads_weights"),
        (infer_drive, InferDrive, "inbox/fundus", "outbox/fundus", "vessels_weights"),
    ],
)
def test_an_empty_default_inbox_is_made_and_reported_as_nothing_to_do(
    monkeypatch, request, tmp_path, infer, config, inbox, outbox, fixture
):
    weights = request.getfixturevalue(fixture)
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        run = Run(infer(config(model=[str(weights)], device="cpu"), Silence()))
        assert (tmp_path / inbox).is_dir()
        assert run.report["scenes"] == run.report["failed"] == []
        assert run.report["pooled"] is None
        assert (tmp_path / outbox / "report.html").is_file()
        (tmp_path / inbox / ".gitkeep").touch()


def test_a_dry_run_of_an_inbox_that_is_not_there_makes_none(monkeypatch, roads_weights, tmp_path):
    monkeypatch.chdir(tmp_path)
    config = InferRoads(model=[str(roads_weights)], device="cpu", dry_run=True)
    assert infer_roads(config, Silence()).estimates == []
    assert list(tmp_path.iterdir()) == []


def test_an_inbox_with_nothing_but_other_files_is_an_error(monkeypatch, roads_weights, tmp_path):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "inbox" / "roads").mkdir(parents=True)
    (tmp_path / "inbox" / "roads" / "readme.txt").touch()
    with pytest.raises(DataError, match="inbox/roads"):
        infer_roads(InferRoads(model=[str(roads_weights)], device="cpu"), Silence())


def test_weights_of_the_other_task_are_refused_before_anything_runs(
    road_folder, vessels_weights, tmp_path
):
    config = InferRoads(
        scenes=[str(road_folder / "sat")], output=tmp_path / "out",
        model=[str(vessels_weights)], **ROADS_SMALL,
    )  # fmt: skip
    with pytest.raises(WeightsError, match="vessels, not roads"):
        infer_roads(config, Silence())
    assert not (tmp_path / "out").exists()


# What is asked for.


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
    assert len(before) == 3
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
    [failed] = result.failed
    assert "broken.tif" in failed.error
    assert result.report.scenes == []
