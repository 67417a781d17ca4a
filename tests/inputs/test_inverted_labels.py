"""Labels drawn the other way round: what is to be found is 0, and the rest is not."""

import json
import shlex
import warnings
from shutil import move

import numpy as np
import pytest
from PIL import Image
from rasterio.rio.main import main_group

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.config.training_folder import TrainFolder
from pipelines.datasets.folder import folder_data
from pipelines.datasets.fundus import vessel_data
from pipelines.datasets.massachusetts import road_data
from pipelines.datasets.synthetic import draw_fundus
from pipelines.errors import LabelError
from pipelines.evaluation.run import evaluate
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.results.progress import Silence

SIDE = 64
ROAD = np.zeros((SIDE, SIDE), np.uint8)
ROAD[20:30] = 255
FOUND = np.zeros((SIDE, SIDE), np.uint8)
FOUND[25:30] = 1
RECALL = 1 / 2
INVERTED = 255 - ROAD
SHARE = (SIDE - 10) / SIDE
WIDE = np.zeros((SIDE, SIDE), np.uint8)
WIDE[:40] = 255
"""A label of which 62.5 % is foreground, as a crop of a crossing may have."""

REMARK = "62.5 % of it is foreground, so it may be drawn the other way round"


@pytest.fixture
def scored(write_raster, tmp_path):
    """Evaluates a mask of roads against a label."""
    write_raster(tmp_path / "found" / "a.tif", FOUND[None])

    def run(label=None, classes="road"):
        if label is not None:
            write_raster(tmp_path / "labels" / "a.tif", label[None])
        config = Evaluate(
            predictions=[str(tmp_path / "found")], labels=tmp_path / "labels", classes=classes,
            output=tmp_path / "out", topology=False,
        )  # fmt: skip
        result = evaluate(config, Silence())
        assert ("other way round" in (tmp_path / "out" / "report.html").read_text()) == any(
            "other way round" in str(one) for one in (result.report.scenes, result.report.failed)
        )
        return json.loads((tmp_path / "out" / "report.json").read_text())

    return run


def follow(message, path):
    """Makes the label anew by the command in a message."""
    command = shlex.split(message[message.index("rio ") : message.index("NEW.tif")])
    new = path.with_name("new.tif")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        main_group([*command[1:], str(new)], standalone_mode=False)
    move(new, path)


def test_a_label_of_roads_is_refused_and_the_remedy_scores_it(scored, tmp_path):
    [failed] = scored(INVERTED)["failed"]
    path = tmp_path / "labels" / "a.tif"
    assert failed["error"].startswith(f"{path}: {100 * SHARE:.3g} % of it is road, so it is drawn")
    follow(failed["error"], path)
    assert scored()["pooled"]["foreground"]["recall"] == RECALL


def test_other_classes_and_crops_of_wide_roads_are_scored_with_a_remark(scored):
    for label, classes, share in ((INVERTED, "foreground", SHARE), (WIDE, "road", 0.625)):
        [scene] = scored(label, classes)["scenes"]
        [remark] = scene["remarks"]
        assert f"a.tif: {100 * share:.3g} % of it is foreground, so it may be" in remark
    assert scored(ROAD)["scenes"][0]["remarks"] == []


def test_the_remark_says_what_f1_would_be_and_its_remedy_makes_it_so(scored, tmp_path):
    [remark] = scored(INVERTED, "foreground")["scenes"][0]["remarks"]
    assert "F1 is 0.00, and 0.67 once it is turned" in remark
    follow(remark, tmp_path / "labels" / "a.tif")
    report = scored(classes="foreground")
    assert report["pooled"]["foreground"]["f1"] == pytest.approx(2 / 3)
    assert report["scenes"][0]["remarks"] == []


def test_a_label_that_is_mostly_foreground_and_right_is_not_said_to_be_wrong(scored):
    [remark] = scored(WIDE, "foreground")["scenes"][0]["remarks"]
    assert "once it is turned" not in remark


def test_a_mask_that_is_the_other_way_round_is_remarked(scored, write_raster, tmp_path):
    found = scored(ROAD, "foreground")["pooled"]["foreground"]["f1"]
    path = write_raster(tmp_path / "found" / "a.tif", 1 - FOUND[None])
    report = scored(classes="foreground")
    [remark] = report["scenes"][0]["remarks"]
    assert remark.startswith(f"{path}: F1 is 0.14, and 0.67 once the mask is turned")
    follow(remark, path)
    again = scored(classes="foreground")
    assert again["scenes"][0]["remarks"] == []
    assert again["pooled"]["foreground"]["f1"] == found


def test_roads_are_not_predicted_for_such_a_label(write_raster, roads_weights, tmp_path):
    for name, label in (("a", INVERTED), ("b", WIDE)):
        write_raster(tmp_path / "images" / f"{name}.tif", np.ones((3, SIDE, SIDE), np.uint8))
        write_raster(tmp_path / "labels" / f"{name}.tif", label[None])
    config = InferRoads(
        scenes=[str(tmp_path / "images")], labels=tmp_path / "labels", output=tmp_path / "out",
        model=[str(roads_weights)], steps=1, topology=False,
    )  # fmt: skip
    report = infer_roads(config, Silence()).report
    [failed] = report.failed
    assert "a.tif: 84.4 % of it is road" in failed.error
    assert not (tmp_path / "out" / "a" / "probability.tif").exists()
    assert any(REMARK in one for one in report.scenes[0].remarks)


@pytest.fixture
def fundi(tmp_path):
    """A folder like DRIVE's whose photographs have the vessels of `draw_fundus`, inverted."""
    image, vessels, _ = draw_fundus(5)
    drawn = Image.fromarray(np.where(vessels, 0, 255).astype(np.uint8))
    for split, number in (("training", 21), ("training", 22), ("test", 1)):
        folder = tmp_path / "drive" / split
        for inside in ("images", "1st_manual"):
            (folder / inside).mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.moveaxis(image, 0, -1)).save(folder / f"images/{number:02}_{split}.tif")
        drawn.save(folder / f"1st_manual/{number:02}_manual1.gif")
    return tmp_path / "drive"


def test_vessels_are_neither_learned_nor_scored(fundi, vessels_weights, tmp_path):
    with pytest.raises(LabelError, match=r"_manual1\.gif: \d\d\.?\d? % of it is vessel"):
        vessel_data(TrainDrive(data=[fundi]))
    config = InferDrive(
        scenes=[str(fundi / "test/images")], labels=fundi / "test/1st_manual",
        output=tmp_path / "out", model=[str(vessels_weights)], steps=1, scale=1.0, topology=False,
    )  # fmt: skip
    [failed] = infer_drive(config, Silence()).report.failed
    assert "01_manual1.gif: " in failed.error
    assert "% of it is vessel, so it is drawn the other way round" in failed.error


@pytest.mark.parametrize("split", ["train", "valid"])
def test_roads_are_not_learned_from_such_a_label(write_raster, tmp_path, split):
    for part in ("train", "valid"):
        label = INVERTED if part == split else ROAD
        write_raster(tmp_path / part / "sat" / "a.tif", np.ones((3, SIDE, SIDE), np.uint8))
        write_raster(tmp_path / part / "map" / "a.tif", label[None])
    with pytest.raises(LabelError, match=rf"{split}/map/a\.tif: 84\.4 % of it is road"):
        road_data(TrainRoads(data=[tmp_path])).folders[0][0].contents()


def test_a_folder_of_anything_is_learned_from_with_a_remark(write_raster, tmp_path, caplog):
    write_raster(tmp_path / "images" / "a.tif", np.ones((3, SIDE, SIDE), np.uint8))
    write_raster(tmp_path / "labels" / "a.tif", WIDE[None])
    folder_data(TrainFolder(images=tmp_path / "images", labels=tmp_path / "labels"))
    assert REMARK in caplog.text
