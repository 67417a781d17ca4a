import base64
import csv
import io
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image

from pipelines.batch import run_batch
from pipelines.config import InferRoads
from pipelines.errors import PipelineError
from pipelines.inference import infer_roads
from pipelines.jobs import road_jobs
from pipelines.report import COLUMNS, PICTURES, build_report, pooled, row, write_report
from pipelines.samples import draw_road_scene
from pipelines.scores import Histogram
from pipelines.weights import load

HEIGHT, WIDTH = 80, 120
AWKWARD = "a&b <i>, 'c'"
VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """Checks that every element is closed in its turn, and keeps text and images."""

    def __init__(self, text):
        super().__init__()
        self.open, self.words, self.images, self.elements = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == [], "elements that are never closed"

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attributes):
        self.elements.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append(tag)

    def handle_endtag(self, tag):
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script", "svg"} & set(self.open):
            self.words.append(data)


class _Quiet:
    def scene(self, name, tiles):
        pass

    def tiles(self, name, done):
        pass

    def finished(self, outcome):
        pass


@pytest.fixture(scope="module")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="module")
def config(roads_weights, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return InferRoads(
        scenes=[str(folder / "scenes")], labels=folder / "labels", output=folder / "out",
        model=[str(roads_weights)], tile=64, overlap=16, batch=2, steps=1, device="cpu",
    )  # fmt: skip


@pytest.fixture(scope="module")
def outcomes(config, model, write_raster):
    """Two scenes with labels (one has no road in it), one without, and one that fails."""
    folder = config.output.parent
    for seed, name in enumerate((AWKWARD, "empty", "plain")):
        pixels, label, valid = draw_road_scene(HEIGHT, WIDTH, seed)
        write_raster(folder / "scenes" / f"{name}.tif", pixels, nodata_kind="mask", valid=valid)
        if name == "empty":
            label[:] = 0
        if name != "plain":
            write_raster(folder / "labels" / f"{name}.tif", label[None])
    (folder / "scenes" / "bad <b>.tif").write_text("no raster")
    jobs = road_jobs(config.scenes, config.labels)
    return run_batch(jobs, [model], config, config.output, _Quiet())


def written(folder, model, outcomes, config):
    report = build_report([model], outcomes, config.model_dump(mode="json"))
    write_report(folder, report, outcomes)
    return folder


def read_json(folder):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads((folder / "report.json").read_text(), parse_constant=refuse)


def read_csv(folder):
    with (folder / "scores.csv").open(newline="") as file:
        return {line["scene"]: line for line in csv.DictReader(file)}


@pytest.fixture(scope="module")
def folder(config, model, outcomes, tmp_path_factory):
    """The report of all outcomes."""
    return written(tmp_path_factory.mktemp("report"), model, outcomes, config)


@pytest.fixture(scope="module")
def page(folder):
    return Page((folder / "report.html").read_text(encoding="utf-8"))


def outcome_of(outcomes, name):
    return next(outcome for outcome in outcomes if outcome.job.name == name)


# report.json


def test_the_json_has_the_documented_keys(folder):
    report = read_json(folder)
    assert [scene["name"] for scene in report["scenes"]] == [AWKWARD, "empty", "plain"]
    for scores in (report["pooled"], report["scenes"][0]):
        assert set(scores["foreground"]) == {"precision", "recall", "f1", "iou"}
        assert set(scores["break_even"]) == {"value", "threshold"}
        assert set(scores["class_mean"]) == {"iou", "recall", "precision", "f1", "break_even"}
        values = [*scores["foreground"].values(), *scores["break_even"].values(),
                  *scores["class_mean"].values()]  # fmt: skip
        assert all(0 <= value <= 1 for value in values)


def test_a_scene_without_a_label_has_no_scores_and_does_not_count_in_the_pool(folder):
    report = read_json(folder)
    labelled, empty, plain = report["scenes"]
    for key in ("foreground", "break_even", "class_mean", "label", "pixels"):
        assert plain[key] is None
    assert report["pooled"]["pixels"] == labelled["pixels"] + empty["pixels"]


def test_what_is_undefined_is_null(folder):
    empty = read_json(folder)["scenes"][1]
    assert empty["foreground_share"] == 0
    assert empty["foreground"]["recall"] is None
    assert empty["break_even"] == {"value": None, "threshold": None}
    assert empty["foreground"]["precision"] == 0


def test_a_failure_is_named_with_its_reason_and_is_no_scene(folder):
    [failed] = read_json(folder)["failed"]
    assert failed["input"].endswith("bad <b>.tif")
    assert "not a raster" in failed["error"]


def test_files_sizes_and_settings_are_kept(folder, config, model):
    report = read_json(folder)
    assert report["settings"] == config.model_dump(mode="json")
    assert report["model"]["weights_sha256"] == model.digest
    assert (report["model"]["network"], report["model"]["steps"]) == ("dru4", 1)
    assert report["model"]["bands"] == 3
    assert report["model"]["classes"] == ["background", "road"]
    for scene in report["scenes"]:
        assert (scene["height"], scene["width"]) == (HEIGHT, WIDTH)
        assert scene["files"] == {
            "probability": str(config.output / scene["name"] / "probability.tif"),
            "mask": str(config.output / scene["name"] / "mask.tif"),
        }


def test_without_any_label_there_is_no_pool(model, outcomes, config, tmp_path):
    plain = [outcome_of(outcomes, "plain")]
    folder = written(tmp_path, model, plain, config)
    assert read_json(folder)["pooled"] is None
    assert list(read_csv(folder)) == ["plain"]
    html = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert "no score is possible" in html.text
    assert "svg" not in html.elements


def test_the_pool_is_the_sum_of_what_is_there(outcomes):
    labelled, empty = (outcome_of(outcomes, name).histogram for name in (AWKWARD, "empty"))
    total = pooled([labelled, None, empty])
    np.testing.assert_array_equal(total.counts, labelled.counts + empty.counts)
    assert pooled([]) is None
    assert pooled([None, None]) is None


# scores.csv


def test_the_table_agrees_with_the_json(folder):
    report, table = read_json(folder), read_csv(folder)
    assert list(table) == [AWKWARD, "empty", "plain", "pooled"]
    for scores in (*report["scenes"], report["pooled"] | {"name": "pooled"}):
        line = table[scores["name"]]
        assert list(line) == ["scene", *COLUMNS]
        for column in COLUMNS:
            if scores["foreground"] is None:
                assert line[column] == ""
                continue
            group, key = {
                "break_even": ("break_even", "value"),
                "break_even_threshold": ("break_even", "threshold"),
            }.get(column, ("foreground", column))
            if column.startswith("class_mean_"):
                group, key = "class_mean", column.removeprefix("class_mean_")
            value = scores[group][key]
            assert line[column] == ("" if value is None else f"{value:.6f}")


def test_a_row_without_scores_is_empty():
    assert row(None) == dict.fromkeys(COLUMNS)


# report.html


def test_the_page_is_well_formed_and_names_every_scene_and_every_failure(page, outcomes):
    assert "html" in page.elements
    for outcome in outcomes:
        assert (outcome.error or outcome.job.name) in page.text
    assert "i" not in page.elements[page.elements.index("table") : page.elements.index("svg")]


def test_the_page_shows_the_scores_of_the_table(page, folder):
    for line in read_csv(folder).values():
        shown = [f"{float(line[column]):.3f}" if line[column] else "–" for column in COLUMNS]
        assert f"{line['scene']} {' '.join(shown)}" in page.text


def test_the_page_needs_no_other_file(folder, page):
    text = (folder / "report.html").read_text(encoding="utf-8")
    assert re.search(r"""(src|href)=["'](?!data:|#)""", text.replace("xlink:href", "href")) is None
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.images)


def test_pictures_have_the_scenes_size_and_say_what_they_are(page):
    assert len(page.images) == 9
    for image in page.images:
        data = base64.b64decode(image["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as picture:
            assert picture.size == (WIDTH, HEIGHT)
        assert image["alt"]
    alts = [image["alt"] for image in page.images]
    assert alts[:3] == [f"{what} of {AWKWARD}" for what in ("image", "probability", "mask")]


def pictures(folder):
    """The pictures of a report as arrays [h, w, 3]."""
    images = Page((folder / "report.html").read_text(encoding="utf-8")).images
    arrays = []
    for image in images:
        data = base64.b64decode(image["src"].partition(",")[2])
        with Image.open(io.BytesIO(data)) as picture:
            arrays.append(np.asarray(picture))
    return arrays


def infer(scene, weights, output, **changes):
    """Pictures of a run on one scene: image, probability, mask."""
    config = InferRoads(
        scenes=[str(scene)], output=output, model=[str(weights)], steps=1, device="cpu",
        **{"tile": 64, "overlap": 16, **changes},
    )  # fmt: skip
    assert infer_roads(config, _Quiet()).report["failed"] == []
    return pictures(output)


def test_a_picture_shows_the_bands_that_were_chosen(roads_weights, write_raster, tmp_path):
    four = np.random.default_rng(0).integers(0, 256, (4, HEIGHT, WIDTH)).astype(np.uint8)
    path = write_raster(tmp_path / "four.tif", four)
    image, _, _ = infer(path, roads_weights, tmp_path / "out", bands="4,3,2")
    np.testing.assert_array_equal(image, np.moveaxis(four[[3, 2, 1]], 0, -1))


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_other_types_are_stretched_from_the_2nd_to_the_98th_percentile(
    roads_weights, write_raster, tmp_path, dtype
):
    ramp = np.linspace(0, 1, 3 * HEIGHT * WIDTH).reshape(3, HEIGHT, WIDTH)
    values = (ramp if dtype == "float32" else ramp * 900 + 90).astype(dtype)
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:30] = False
    path = write_raster(tmp_path / "s.tif", values, nodata_kind="mask", valid=valid)
    image, probability, _ = infer(path, roads_weights, tmp_path / "out")
    assert (probability[:30] == 60).all()
    seen = np.moveaxis(image, -1, 0)[:, valid]
    assert (seen == 0).mean() == pytest.approx(0.02, abs=0.006)
    assert (seen == 255).mean() == pytest.approx(0.02, abs=0.006)
    straight = np.interp(values[:, valid], np.percentile(values[:, valid], (2, 98)), (0, 255))
    assert np.abs(seen - straight).max() <= 1


@pytest.mark.parametrize("dtype", ["uint16", "float32"])
def test_a_scene_of_one_value_or_without_a_pixel_can_be_shown(
    roads_weights, write_raster, tmp_path, dtype
):
    for name, there in (("even", True), ("gone", False)):
        path = write_raster(
            tmp_path / f"{name}.tif", np.full((3, HEIGHT, WIDTH), 1, dtype), nodata_kind="mask",
            valid=np.full((HEIGHT, WIDTH), there),
        )  # fmt: skip
        assert len(infer(path, roads_weights, tmp_path / name)) == 3


@pytest.mark.parametrize("size", [(80, 120), (1000, 777)])
def test_an_ome_tiff_is_shown_too(roads_weights, tmp_path, size):
    values = np.random.default_rng(0).integers(0, 4000, (4, *size)).astype(np.uint16)
    path = tmp_path / "cells.ome.tif"
    metadata = {"axes": "CYX"}
    tifffile.imwrite(path, values, metadata=metadata, photometric="minisblack", tile=(64, 64))
    image, probability, mask = infer(
        path, roads_weights, tmp_path / "out", bands="4,2,1", value_range="0,4000", tile=256
    )
    assert image.shape == probability.shape == mask.shape
    assert max(image.shape) <= 640
    assert image.std() > 50
    assert len({image[..., band].tobytes() for band in range(3)}) == 3


def test_levels_of_floats_and_of_several_classes_are_shown(fresh_weights, write_raster, tmp_path):
    weights = fresh_weights(tmp_path / "w.safetensors", ("background", "road", "path"), seed=3)
    noise = np.random.default_rng(0).integers(0, 256, (3, HEIGHT, WIDTH)).astype(np.uint8)
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:9] = False
    path = write_raster(tmp_path / "s.tif", noise, nodata_kind="mask", valid=valid)
    _, probability, mask = infer(path, weights, tmp_path / "out")
    with rasterio.open(tmp_path / "out" / "s" / "probability.tif") as raster:
        levels = np.minimum(raster.read().astype(int).sum(axis=0), 254)
    with rasterio.open(tmp_path / "out" / "s" / "mask.tif") as raster:
        classes = raster.read(1)
    grey = np.where(valid, (levels / 254 * 255).astype(np.uint8), 60)
    np.testing.assert_array_equal(probability, grey[..., None].repeat(3, axis=-1))
    found = (mask == (255, 214, 10)).all(axis=-1)
    np.testing.assert_array_equal(found, (classes > 0) & valid)
    assert {1, 2} <= set(np.unique(classes))
    # Floats are rounded for it.
    floats = infer(path, weights, tmp_path / "floats", dtype="float32")
    assert np.abs(floats[1].astype(int) - probability).max() <= 1
    np.testing.assert_array_equal(floats[2], mask)


def test_a_scene_of_one_band_is_shown_grey(fresh_weights, write_raster, tmp_path):
    weights = fresh_weights(tmp_path / "w.safetensors", bands=1)
    grey = np.random.default_rng(0).integers(0, 256, (1, HEIGHT, WIDTH)).astype(np.uint8)
    image, _, _ = infer(write_raster(tmp_path / "s.tif", grey), weights, tmp_path / "out")
    np.testing.assert_array_equal(image, np.moveaxis(grey, 0, -1).repeat(3, axis=-1))


def test_only_the_first_scenes_have_pictures_but_all_are_in_the_table(
    model, outcomes, config, tmp_path
):
    many = [outcome_of(outcomes, AWKWARD)] * (PICTURES + 2)
    written(tmp_path, model, many, config)
    html = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert len(html.images) == 3 * PICTURES
    assert f"The first {PICTURES} scenes." in html.text
    assert html.elements.count("tr") == 1 + len(many) + 1


def test_a_scene_that_is_gone_since_has_scores_but_no_picture(
    model, config, write_raster, tmp_path
):
    pixels, _, _ = draw_road_scene(HEIGHT, WIDTH, 0)
    source = write_raster(tmp_path / "gone.tif", pixels)
    gone = run_batch(road_jobs([str(source)], None), [model], config, tmp_path, _Quiet())
    source.unlink()
    written(tmp_path / "report", model, gone, config)
    html = Page((tmp_path / "report" / "report.html").read_text(encoding="utf-8"))
    assert "gone" in html.text
    assert html.images == []


def test_a_page_of_nothing_says_so(model, config, tmp_path):
    written(tmp_path, model, [], config)
    html = Page((tmp_path / "report.html").read_text(encoding="utf-8"))
    assert "No scene was predicted." in html.text
    assert "table" not in html.elements


def test_the_second_observer_has_a_row_without_break_even(model, outcomes, config, tmp_path):
    outcome = outcome_of(outcomes, AWKWARD)
    drawn = Histogram(np.zeros((2, 255), np.int64))
    drawn.counts[0, [0, 254]] = 50, 10
    drawn.counts[1, [0, 254]] = 5, 20
    twice = type(outcome)(**(vars(outcome) | {"second": drawn}))
    written(tmp_path, model, [twice], config)
    line = read_csv(tmp_path)["second observer"]
    assert float(line["precision"]) == pytest.approx(20 / 30)
    assert float(line["recall"]) == pytest.approx(20 / 25)
    assert float(line["iou"]) == pytest.approx(20 / 35)
    assert [line[key] for key in COLUMNS if "break_even" in key] == ["", "", ""]
    assert "second observer" in Page((tmp_path / "report.html").read_text("utf-8")).text


# Writing.


def test_the_same_report_twice_is_the_same_bytes(outcomes, model, config, tmp_path):
    report = build_report([model], outcomes, config.model_dump(mode="json"))
    for name in ("one", "two"):
        write_report(tmp_path / name, report, outcomes)
    for name in ("report.json", "scores.csv", "report.html"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_three_files_are_left_and_nothing_partial(folder):
    assert sorted(path.name for path in folder.iterdir()) == [
        "report.html", "report.json", "scores.csv",
    ]  # fmt: skip


def test_a_folder_that_cannot_be_made_is_an_error_that_names_it(model, config, tmp_path):
    (tmp_path / "taken").touch()
    with pytest.raises(PipelineError) as caught:
        written(tmp_path / "taken", model, [], config)
    assert str(caught.value).startswith(f"{tmp_path / 'taken'}: ")
    assert "\n" not in str(caught.value)
