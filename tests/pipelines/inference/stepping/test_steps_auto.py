"""`--steps auto`: each tile with as many steps as it needs, and the same bits as with that many."""

from dataclasses import replace

import numpy as np
import pytest
import rasterio
import torch

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_road_scene, write_road_scene
from pipelines.errors import PipelineError, WeightsError
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inference.run import infer_roads
from pipelines.models.names import shipped
from pipelines.models.stopping import StopRule
from pipelines.models.weights import load, save
from pipelines.results.progress import Silence
from tests.pipelines.inference.commands import run as run_command
from tests.pipelines.inference.commands import run_killed
from tests.pipelines.inference.runs import Run

RULE = StopRule(unsure=30_000, changing=500)
ALWAYS, NEVER = StopRule(0, 0), StopRule(1_000_001, 0)
NAMES = ("probability.tif", "mask.tif", "steps.tif")


@pytest.fixture(scope="module")
def model():
    return load("roads-dru4")


@pytest.fixture(scope="module")
def tiles():
    pixels, _, valid = draw_road_scene(192, 192, seed=4)
    cuts = [(slice(row, row + 64), slice(column, column + 64))
            for row in (0, 64, 128) for column in (0, 64, 128)]  # fmt: skip
    return np.stack([pixels[:, *cut] for cut in cuts]), np.stack([valid[cut] for cut in cuts])


def with_rule(model, rule):
    """The weights as a user's own, whose rule is in their card."""
    return replace(model, card=replace(model.card, stopping=rule), digest="own")


def predictor(model, rule, steps="auto", **options):
    return NetworkPredictor([with_rule(model, rule)], steps, torch.device("cpu"), **options)


@pytest.fixture(scope="module")
def every(model, tiles):
    """Probabilities of each of three steps."""
    return predictor(model, RULE, 3, save_steps=True)(*tiles)


def test_where_all_go_on_the_bits_are_those_of_all_steps(model, tiles, every):
    found = predictor(model, ALWAYS, save_steps=True)(*tiles)
    np.testing.assert_array_equal(found[:, :3], every)
    assert (found[:, 3] == 65_535).all()


def test_where_none_goes_on_they_are_those_of_the_first(model, tiles, every):
    found = predictor(model, NEVER)(*tiles)
    np.testing.assert_array_equal(found[:, 0], every[:, 0])
    assert (found[:, 1] == 65_535 // 3).all()


def test_each_tile_has_the_bits_of_its_own_last_step(model, tiles, every):
    found = predictor(model, RULE)(*tiles)
    steps = np.rint(found[:, 1, 0, 0] / 65_535 * 3).astype(int)
    assert {1, 2} <= {*steps}
    for of_tile, probabilities, taken in zip(found, every, steps, strict=True):
        np.testing.assert_array_equal(of_tile[0], probabilities[taken - 1])


@pytest.mark.parametrize("together", [1, 2, 3, 5])
def test_who_travels_with_a_tile_does_not_matter(model, tiles, together):
    pixels, valid = tiles
    predict = predictor(model, RULE)
    expected = predict(pixels, valid)
    some = range(0, len(pixels), together)
    found = [predict(pixels[i : i + together], valid[i : i + together]) for i in some]
    np.testing.assert_array_equal(np.concatenate(found), expected)
    backwards = predictor(model, RULE, batch=12)(pixels[::-1].copy(), valid[::-1].copy())
    np.testing.assert_array_equal(backwards[::-1], expected)


@pytest.mark.parametrize("network", ["canvas", "rec-simple", "rec-middle", "rec-last", "sru-2"])
def test_every_recurrent_network_can_be_packed_anew(fresh_weights, tiles, tmp_path, network):
    fresh = load(str(fresh_weights(tmp_path / "w.safetensors", network=network)))
    small = tiles[0][:3, :, :32, :32], tiles[1][:3, :32, :32]
    expected = predictor(fresh, ALWAYS, 3)(*small)
    np.testing.assert_array_equal(predictor(fresh, ALWAYS)(*small)[:, :1], expected)


def test_networks_and_views_that_are_averaged_stop_each_by_itself(model, tiles):
    small = tiles[0][:2], tiles[1][:2]
    both = [with_rule(model, rule) for rule in (ALWAYS, NEVER)]
    found = NetworkPredictor(both, "auto", torch.device("cpu"))(*small)
    assert (found[:, 1] == round(65_535 * 2 / 3)).all()
    turned = predictor(model, NEVER, tta=True)(*small)
    np.testing.assert_array_equal(turned[:, :1], predictor(model, NEVER, 1, tta=True)(*small))


# Scenes.


@pytest.fixture(scope="module")
def words(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("auto")
    ruled = replace(model.card, stopping=RULE)
    save(folder / "ruled.safetensors", model.network, ruled)
    write_road_scene(folder / "scene.tif", folder / "labels" / "scene.tif", size=300, seed=3)
    return {
        "scenes": [str(folder / "scene.tif")], "model": [str(folder / "ruled.safetensors")],
        "labels": folder / "labels", "output": folder / "out", "tile": 64, "overlap": 16,
        "steps": "auto", "device": "cpu", "topology": False,
    }  # fmt: skip


@pytest.fixture(scope="module")
def run(words):
    return Run(infer_roads(InferRoads(**words), Silence()))


def test_a_raster_shows_the_steps_and_the_report_their_mean(run):
    with rasterio.open(run.folder / "scene" / "steps.tif") as file:
        levels, scale = file.read(1), file.scales[0]
        assert file.descriptions == ("recurrent steps",)
        assert file.tags()["RURNET_STEPS"] == "auto"
    steps = levels[levels != 255] * scale
    assert steps.min() == pytest.approx(1, abs=0.01)
    assert 1.5 < steps.max() <= 3
    (scene,) = run.report["scenes"]
    assert scene["mean_steps"] == pytest.approx(steps.mean(), abs=1e-4)
    assert set(scene["files"]) >= {"probability", "mask", "steps"}


def test_a_rerun_takes_what_is_there(run, words):
    again = infer_roads(InferRoads(**words), Silence()).report.scenes[0]
    assert again.parts_computed == 0
    assert again.mean_steps == run.report["scenes"][0]["mean_steps"]


@pytest.mark.parametrize("cut", [{"part_size": 128}, {"batch": 6}], ids=["parts", "batch"])
def test_however_the_work_is_cut_the_bytes_are_the_same(run, words, tmp_path, cut):
    infer_roads(InferRoads(**{**words, "output": tmp_path, **cut}), Silence())
    for name in NAMES:
        ours = (run.folder / "scene" / name).read_bytes()
        assert (tmp_path / "scene" / name).read_bytes() == ours


def typed(words):
    """The command of the run, in small parts."""
    return (
        words["scenes"][0], "--model", words["model"][0], "--tile", 64, "--overlap", 16,
        "--steps", "auto", "--device", "cpu", "--part-size", 128, "--output", "out",
    )  # fmt: skip


@pytest.mark.soak
@pytest.mark.parametrize("workers", [1, 3])
def test_workers_make_the_same_bytes(run, words, tmp_path, workers):
    run_command(tmp_path, *typed(words), "--workers", workers, afresh=True)
    for name in NAMES:
        ours = (run.folder / "scene" / name).read_bytes()
        assert (tmp_path / "out/scene" / name).read_bytes() == ours


@pytest.mark.soak
def test_two_kills_change_no_byte(run, words, tmp_path):
    run_killed(tmp_path, tmp_path / "out/scene", (2, 5), *typed(words))
    for name in NAMES:
        ours = (run.folder / "scene" / name).read_bytes()
        assert (tmp_path / "out/scene" / name).read_bytes() == ours


def test_results_of_another_rule_are_not_taken_for_these(run, words, model, tmp_path):
    other = tmp_path / "ruled.safetensors"
    save(other, model.network, replace(model.card, stopping=StopRule(1, 2)))
    failed = infer_roads(InferRoads(**{**words, "model": [str(other)]}), Silence()).failed
    assert "steps" in failed[0].error
    assert "--overwrite" in failed[0].error


# Weights that cannot.


def test_shipped_recurrent_weights_know_when_to_stop():
    for name in shipped():
        if name == "roads-unet-gn":
            continue
        NetworkPredictor([load(name)], "auto", torch.device("cpu"))


def test_weights_without_a_rule_name_the_remedy(roads_weights, words, tmp_path):
    with pytest.raises(WeightsError, match="run rurnet fit-steps"):
        infer_roads(
            InferRoads(**{**words, "model": [str(roads_weights)], "output": tmp_path}), Silence()
        )


def test_a_network_of_one_step_has_none_to_leave_out(words, tmp_path):
    with pytest.raises(PipelineError, match="a one-shot network has one step, not auto"):
        infer_roads(InferRoads(**{**words, "model": ["roads-unet-gn"], "output": tmp_path}),
                    Silence())  # fmt: skip
