"""What goes wrong with one scene, and before anything is scored."""

import re
import shutil

import numpy as np
import pytest
from affine import Affine

from pipelines.config.evaluation import Evaluate
from pipelines.errors import DataError, PipelineError
from pipelines.evaluation.run import evaluate
from pipelines.results.progress import Silence
from tests.pipelines.evaluation.reported import (
    HEIGHT,
    WIDTH,
    names,
    probability,
    scene,
    scored,
    ungraded,
)

# What goes wrong with one scene.


def gone(tmp_path, write_raster):
    (tmp_path / "labels" / "b.tif").unlink()
    return r"b: no label of this name in .*labels"


def labels_of_a_run(tmp_path, write_raster):
    (tmp_path / "labels" / "b.tif").unlink()
    write_raster(tmp_path / "labels" / "b" / "mask.tif", np.zeros((1, HEIGHT, WIDTH), np.uint8))
    return r"b: no label in .*labels, which holds the results of a run.*evaluate A B --labels DRAWN"


def other_size(tmp_path, write_raster):
    write_raster(tmp_path / "labels" / "b.tif", np.zeros((1, HEIGHT, WIDTH - 1), np.uint8))
    return r"labels/b\.tif: 79 x 60 pixels, but .*tool/b\.tif has 80 x 60"


def other_crs(tmp_path, write_raster):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    write_raster(tmp_path / "labels" / "b.tif", pixels, crs="EPSG:32619")
    return r"labels/b\.tif: .*EPSG:32619.*EPSG:26986; .*rio warp"


def elsewhere(tmp_path, write_raster):
    pixels = np.zeros((1, HEIGHT, WIDTH), np.uint8)
    place = Affine(1.0, 0, 200_002.5, 0, -1.0, 900_000.25)
    write_raster(tmp_path / "labels" / "b.tif", pixels, transform=place)
    return r"labels/b\.tif: .*2\.0 pixels away"


def damaged(tmp_path, write_raster):
    path = tmp_path / "tool" / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"tool/b\.tif: .*"


def damaged_label(tmp_path, write_raster):
    path = tmp_path / "labels" / "b.tif"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"labels/b\.tif: .*"


def no_raster(tmp_path, write_raster):
    (tmp_path / "tool" / "b.tif").write_text("no raster")
    return r"tool/b\.tif: not a raster"


def no_probability(tmp_path, write_raster):
    write_raster(tmp_path / "tool" / "b.tif", np.full((1, HEIGHT, WIDTH), 7, np.float32))
    return r"tool/b\.tif: value 7 is no probability.*--value-range"


def more_bands(tmp_path, write_raster):
    write_raster(tmp_path / "tool" / "b.tif", np.zeros((2, HEIGHT, WIDTH), np.float32))
    return r"tool/b\.tif: 2 bands"


@pytest.mark.parametrize(
    "spoil",
    [gone, labels_of_a_run, other_size, other_crs, elsewhere, damaged, damaged_label, no_raster,
     no_probability, more_bands],
)  # fmt: skip
def test_what_is_wrong_with_one_scene_ends_that_one_alone(
    tool, write_raster, tmp_path, spoil, told
):
    whole = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "whole", topology=False)
    said = spoil(tmp_path, write_raster)
    report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "out", told, topology=False)
    [failed] = report["failed"]
    assert failed["input"] == str(tmp_path / "tool" / "b.tif")
    assert re.match(rf"({tmp_path}/)?{said}", failed["error"])
    assert "\n" not in failed["error"]
    assert names(report) == ["a", "c"]
    for name in "ac":
        assert scene(report, name) == scene(whole, name)
    assert [outcome.error is None for outcome in told.outcomes] == [True, False, True]


@pytest.mark.parametrize("missing", ["toool/b.tif", "toool"])
def test_a_mistyped_prediction_is_named_before_anything_is_written(tool, tmp_path, missing):
    chosen = [tmp_path / "tool" / "a.tif", tmp_path / missing]
    with pytest.raises(DataError, match=rf"{missing}: no such file or folder; check the path"):
        scored(chosen, tmp_path / "labels", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_one_scene_looks_like_does_not_decide_for_the_others(tool, write_raster, tmp_path):
    for name in tool:
        grey = np.rint(probability(tmp_path, name) * 255).astype(np.uint8)
        # Hardly anything in it: by itself it would be a mask.
        grey = (grey > 200).astype(np.uint8) if name == "c" else grey
        write_raster(tmp_path / "grey" / f"{name}.tif", grey[None])
    report = scored(tmp_path / "grey", tmp_path / "labels", tmp_path / "out")
    assert not any(ungraded(scene(report, name)) for name in tool)
    assert scene(report, "c")["foreground"]["recall"] == 0
    assert report["pooled"]["average_precision"] is not None


def test_runs_that_count_other_pixels_are_told(tool, write_raster, tmp_path):
    for name in tool:
        pixels = probability(tmp_path, name).astype(np.float32)
        if name == "b":
            pixels[:7] = np.nan
        write_raster(tmp_path / "holes" / f"{name}.tif", pixels[None])
    both = [tmp_path / "tool", tmp_path / "holes"]
    report = scored(both, tmp_path / "labels", tmp_path / "out")
    assert report["comparison"]["unlike"] == ["b"]


def test_figures_of_an_earlier_run_are_no_predictions(tool, tmp_path):
    for _ in range(2):
        report = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "tool", figures=True)
        assert report["failed"] == []
        assert len(report["scenes"]) == len(tool)


# What goes wrong before anything is scored.


def error_of(tmp_path, predictions, **options):
    given = {"labels": tmp_path / "labels", "output": tmp_path / "out", **options}
    config = Evaluate(predictions=[str(tmp_path / one) for one in predictions], **given)
    with pytest.raises(PipelineError) as error:
        evaluate(config, Silence())
    assert isinstance(error.value, DataError)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "out").exists()
    return str(error.value).replace(f"{tmp_path}/", "")


@pytest.mark.parametrize("option", ["labels", "fov", "second", "images"])
def test_a_folder_that_is_not_there_is_named_with_its_option(tool, tmp_path, option):
    said = error_of(tmp_path, ["tool"], **{option: tmp_path / "nowhere"})
    assert said == f"nowhere: no such folder; check --{option}"


def test_a_folder_without_rasters_is_named(tool, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").touch()
    assert error_of(tmp_path, ["empty"]).startswith("empty: no predicted rasters in it")
    assert error_of(tmp_path, ["tool", "empty"]).startswith("empty: no predicted rasters in it")
    assert "empty/*.tif: no images" in error_of(tmp_path, ["empty/*.tif"])


def test_two_rasters_of_one_scene_among_several_are_named(tool, tmp_path):
    shutil.copy(tmp_path / "tool" / "a.tif", tmp_path / "tool" / "a.tiff")
    said = error_of(tmp_path, ["tool"])
    assert said == "tool/a.tif and tool/a.tiff are both of scene a; leave one out"
    assert "both of scene b" in error_of(tmp_path, ["tool/b.tif", "other/b.tif", "other/c.tif"])


def test_folders_and_rasters_are_not_mixed_and_no_more_than_two_are_compared(tool, tmp_path):
    assert "give one folder, two" in error_of(tmp_path, ["tool", "other/b.tif"])
    assert "give one folder, two" in error_of(tmp_path, ["tool", "other", "labels"])


def test_a_report_that_cannot_be_written_is_an_error(tool, tmp_path):
    (tmp_path / "file").touch()
    config = Evaluate(
        predictions=[str(tmp_path / "tool")], labels=tmp_path / "labels",
        output=tmp_path / "file" / "out", topology=False,
    )  # fmt: skip
    with pytest.raises(PipelineError, match=r"cannot be written .* --output"):
        evaluate(config, Silence())
