import numpy as np
import pytest
import rasterio
import torch

from pipelines.errors import PipelineError
from pipelines.inference.batch import run_batch
from pipelines.inference.planning.estimate import estimate_batch
from pipelines.inputs.discovery import road_inputs
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from tests.pipelines.inference.batches import SETTINGS
from tiling.blend import NODATA

BAD = ("cut", "deep", "grey", "mislabelled", "missing", "text")


@pytest.fixture(scope="module")
def run(inputs, model, tmp_path_factory):
    """Outcomes by name, and the folder of the results."""
    output = tmp_path_factory.mktemp("output")
    names = ("a", *BAD, "z")
    items = road_inputs(
        [str(inputs / "scenes" / f"{name}.tif") for name in names], inputs / "labels"
    )
    outcomes = run_batch(items, [model], SETTINGS, output, Silence())
    assert [outcome.name for outcome in outcomes] == list(names)
    return {outcome.name: outcome for outcome in outcomes}, output


def test_good_scenes_finish_whatever_the_others_do(run, inputs):
    outcomes, output = run
    for name in ("a", "z"):
        assert outcomes[name].error is None
        with (
            rasterio.open(output / name / "probability.tif") as probability,
            rasterio.open(output / name / "mask.tif") as mask,
            rasterio.open(inputs / "scenes" / f"{name}.tif") as scene,
        ):
            assert probability.shape == mask.shape == scene.shape
            there = scene.dataset_mask() > 0
            np.testing.assert_array_equal(probability.read(1) != NODATA, there)
            np.testing.assert_array_equal(mask.read(1) != NODATA, there)


@pytest.mark.parametrize("name", BAD)
def test_a_bad_scene_ends_with_a_line_that_names_its_file(run, name):
    outcome = run[0][name]
    assert f"{name}.tif" in outcome.error
    assert "\n" not in outcome.error
    assert outcome.prediction is None
    assert outcome.scores is None
    assert outcome.files == {}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_scene_leaves_no_file(run, name):
    assert not (run[1] / name).exists()


def test_nothing_lies_beside_the_results(run):
    assert sorted(path.name for path in run[1].rglob("*")) == [
        "a", "manifest.json", "manifest.json", "mask.qml", "mask.qml", "mask.tif", "mask.tif",
        "probability.qml", "probability.qml", "probability.tif", "probability.tif", "z",
    ]  # fmt: skip


def test_a_label_of_another_size_is_told_with_both_sizes(run):
    assert "99 x 90" in run[0]["mislabelled"].error
    assert "100 x 90" in run[0]["mislabelled"].error


def test_scenes_with_a_label_are_scored_and_those_without_are_not(run):
    outcomes, _ = run
    assert outcomes["a"].label.endswith("labels/a.tif")
    assert outcomes["a"].scores.counts.strict[0].sum() > 0
    assert outcomes["z"].label is None
    assert outcomes["z"].scores is None


def test_scores_count_the_written_levels_where_the_scene_is(run, inputs):
    outcomes, output = run
    with (
        rasterio.open(output / "a" / "probability.tif") as probability,
        rasterio.open(inputs / "labels" / "a.tif") as label,
    ):
        levels, road = probability.read(1), label.read(1) > 0
    assert (levels == NODATA).any()
    for label, counts in ((False, outcomes["a"].scores.counts.strict[0][0]),
                          (True, outcomes["a"].scores.counts.strict[0][1])):  # fmt: skip
        expected = [((levels == level) & (road == label)).sum() for level in range(255)]
        np.testing.assert_array_equal(counts, expected)


def test_progress_hears_of_every_scene_and_of_all_tiles(inputs, model, tmp_path, told):
    items = road_inputs([str(inputs / "scenes")], None)
    outcomes = run_batch(items, [model], SETTINGS, tmp_path, told)
    assert told.outcomes == outcomes
    assert {"a", "z"} <= set(told.scenes)
    # The scene that is cut off ends somewhere inside.
    whole = sum(tiles for name, tiles in told.scenes.items() if name != "cut")
    assert whole <= told.done < whole + told.scenes.get("cut", 1)


def test_a_second_run_gives_the_same_bytes(run, inputs, model, tmp_path):
    items = road_inputs([str(inputs / "scenes" / "a.tif")], None)
    run_batch(items, [model], SETTINGS, tmp_path, Silence())
    for name in ("probability.tif", "mask.tif"):
        assert (tmp_path / "a" / name).read_bytes() == (run[1] / "a" / name).read_bytes()


def test_an_output_that_cannot_be_written_ends_the_scene_with_its_name(inputs, model, tmp_path):
    (tmp_path / "a").write_text("in the way")
    items = road_inputs([str(inputs / "scenes" / f"{name}.tif") for name in "az"], None)
    first, second = run_batch(items, [model], SETTINGS, tmp_path, Silence())
    assert first.error.startswith(f"{tmp_path / 'a'}: ")
    assert second.error is None


# Again.


def contents(folder):
    """Bytes and time of every file."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


def test_a_rerun_computes_nothing_leaves_the_files_and_scores_the_same(both, model, tmp_path, told):
    first = run_batch(both, [model], SETTINGS, tmp_path, Silence())
    assert [outcome.prediction.computed for outcome in first] == [4, 4]
    before = contents(tmp_path)
    again = run_batch(both, [model], SETTINGS, tmp_path, told)
    assert [outcome.prediction.computed for outcome in again] == [0, 0]
    assert [outcome.files for outcome in again] == [outcome.files for outcome in first]
    assert contents(tmp_path) == before
    assert told.done == 0
    np.testing.assert_array_equal(
        again[0].scores.counts.strict[0], first[0].scores.counts.strict[0]
    )


def test_how_the_work_is_done_may_change_in_a_rerun(both, model, tmp_path):
    run_batch(both, [model], SETTINGS, tmp_path, Silence())
    before = contents(tmp_path)
    other = SETTINGS.model_copy(update={"part_size": 4096, "batch": 7})
    again = run_batch(both, [model], other, tmp_path, Silence())
    assert [outcome.prediction.computed for outcome in again] == [0, 0]
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tile": 96}, "tile 64 (now 96)"),
        ({"overlap": 32}, "overlap 16 (now 32)"),
        ({"steps": 2}, "steps 1 (now 2)"),
        ({"threshold": 0.4}, "threshold 0.5 (now 0.4)"),
        ({"min_size": "9"}, "min_size 0 (now 9)"),
        ({"tta": True}, "tta False (now True)"),
        ({"dtype": "float32"}, "dtype uint8 (now float32)"),
        ({"value_range": "0,200"}, "value_range None (now 0,200)"),
        ({"save_steps": True}, "save_steps False (now True)"),
    ],
)
def test_other_settings_are_refused_by_name_and_the_other_scenes_go_on(
    both, model, tmp_path, change, said
):
    run_batch(both[:1], [model], SETTINGS, tmp_path, Silence())
    before = contents(tmp_path / "a")
    other = SETTINGS.model_copy(update=change)
    refused, done = run_batch(both, [model], other, tmp_path, Silence())
    assert refused.error.startswith(f"{tmp_path / 'a'}: ")
    assert f"was made with {said}; give --overwrite" in refused.error
    assert refused.prediction is None
    assert done.error is None
    assert done.prediction.computed == done.prediction.parts
    assert contents(tmp_path / "a") == before


def test_other_weights_are_refused_by_name(both, model, fresh_weights, tmp_path):
    run_batch(both[:1], [model], SETTINGS, tmp_path / "out", Silence())
    other = load(str(fresh_weights(tmp_path / "other.safetensors", seed=9)))
    [refused] = run_batch(both[:1], [other], SETTINGS, tmp_path / "out", Silence())
    assert model.name in refused.error
    assert f"other {other.digest}" in refused.error


@pytest.mark.parametrize("name", ["mask.tif", "probability.tif"])
def test_a_raster_of_somebody_else_is_not_replaced(both, model, tmp_path, name):
    theirs = tmp_path / "a" / name
    theirs.parent.mkdir()
    theirs.write_bytes(b"drawn by hand")
    other = tmp_path / both[1].name
    other.mkdir()
    (other / "notes.txt").write_text("of the scene")
    refused, done = run_batch(both, [model], SETTINGS, tmp_path, Silence())
    assert refused.error == (
        f"{theirs}: is there already, but no manifest.json beside it says what it was made from; "
        "give another --output, or --overwrite to replace it"
    )
    assert done.error is None
    assert list((tmp_path / "a").iterdir()) == [theirs]
    assert theirs.read_bytes() == b"drawn by hand"
    [told, _] = estimate_batch(both, [model], SETTINGS, tmp_path)
    assert told.error == refused.error
    again = SETTINGS.model_copy(update={"overwrite": True})
    assert run_batch(both[:1], [model], again, tmp_path, Silence())[0].error is None
    assert theirs.read_bytes() != b"drawn by hand"


def test_overwrite_starts_afresh(both, model, tmp_path):
    run_batch(both, [model], SETTINGS, tmp_path / "out", Silence())
    other = SETTINGS.model_copy(update={"overlap": 32, "overwrite": True})
    again = run_batch(both, [model], other, tmp_path / "out", Silence())
    assert [outcome.error for outcome in again] == [None, None]
    fresh = SETTINGS.model_copy(update={"overlap": 32})
    run_batch(both, [model], fresh, tmp_path / "fresh", Silence())
    for name, (pixels, _) in contents(tmp_path / "fresh").items():
        assert (tmp_path / "out" / name).read_bytes() == pixels


class _Interrupted(Silence):
    """Someone presses Ctrl-C when a scene has ended."""

    def finished(self, outcome):
        raise KeyboardInterrupt


def test_an_interrupted_batch_goes_on_with_the_next_scene(both, model, run, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run_batch(both, [model], SETTINGS, tmp_path, _Interrupted())
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    before = contents(tmp_path)
    first, second = run_batch(both, [model], SETTINGS, tmp_path, Silence())
    assert (first.prediction.computed, second.prediction.computed) == (0, 4)
    assert {**contents(tmp_path), **before} == contents(tmp_path)
    for name in ("probability.tif", "mask.tif"):
        assert (tmp_path / "z" / name).read_bytes() == (run[1] / "z" / name).read_bytes()


# Memory.


def test_a_scene_that_finds_no_memory_fails_and_the_others_go_on(
    roads_weights, write_raster, run, inputs, tmp_path
):
    model = load(str(roads_weights))

    step = model.network.step

    def refuse(image, state):
        if float(image.mean()) > 2.0:  # The white scene's tiles.
            raise torch.OutOfMemoryError("out of memory")
        return step(image, state)

    model.network.step = refuse
    write_raster(tmp_path / "white.tif", np.full((3, 90, 100), 255, np.uint8))
    items = road_inputs([str(tmp_path / "white.tif"), str(inputs / "scenes" / "a.tif")], None)
    failed, done = run_batch(items, [model], SETTINGS, tmp_path / "out", Silence())
    assert "out of memory" in failed.error
    assert "--tile" in failed.error
    assert not (tmp_path / "out" / "white").exists()
    for name in ("probability.tif", "mask.tif"):
        expected = (run[1] / "a" / name).read_bytes()
        assert done.files[name.removesuffix(".tif")].read_bytes() == expected


def test_tiles_of_all_scenes_are_counted_before_the_first_one(both, model, tmp_path, told):
    run_batch(both, [model], SETTINGS, tmp_path / "out", told)
    assert told.expected == told.scenes
    assert sum(told.expected.values()) == told.done
    again = type(told)()
    run_batch(both, [model], SETTINGS, tmp_path / "out", again)
    assert set(again.expected.values()) == {0}


def test_a_label_that_cannot_be_scored_against_is_told_before_anything_is_predicted(
    inputs, model, tmp_path, told, write_raster
):
    (tmp_path / "labels").mkdir()
    write_raster(tmp_path / "labels/a.tif", np.full((1, 90, 100), 255, np.uint8))
    items = road_inputs([str(inputs / "scenes/a.tif")], tmp_path / "labels")
    [outcome] = run_batch(items, [model], SETTINGS, tmp_path / "out", told)
    assert "no background is left" in outcome.error
    assert told.scenes == {}


def test_an_output_that_is_a_file_is_told_before_anything_is_read(both, model, tmp_path, told):
    (tmp_path / "file").write_text("")
    with pytest.raises(PipelineError, match="file: is a file, not a folder"):
        run_batch(both, [model], SETTINGS, tmp_path / "file" / "out", told)
    assert told.expected == {}
