"""`--save-uncertainty`: how sure each pixel is, beside what is predicted anyway."""

import json

import numpy as np
import pytest
import rasterio
import torch

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_road_scene, write_road_scene
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inference.run import infer_roads
from pipelines.models.weights import load
from pipelines.results.progress import Silence

ONE = 65_535


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    folder = tmp_path_factory.mktemp("unsure")
    write_road_scene(folder / "scene.tif", None, size=200, seed=3)
    return folder


@pytest.fixture(scope="module")
def infer(scene, roads_weights):
    def run(output, model=(str(roads_weights),), **options):
        config = InferRoads(
            scenes=[str(scene / "scene.tif")], model=list(model), output=scene / output, tile=64,
            overlap=16, device="cpu", measurements=False, **options,
        )  # fmt: skip
        result = infer_roads(config, Silence())
        assert not result.failed
        return scene / output / "scene"

    return run


@pytest.fixture(scope="module")
def made(infer):
    return infer("with", save_uncertainty=True, save_steps=True)


def read(path):
    with rasterio.open(path) as file:
        return file.read().astype(float), file.descriptions, file.scales


def test_the_first_band_is_the_entropy_of_the_probability(made):
    (entropy, change), names, scales = read(made / "uncertainty.tif")
    assert names == ("entropy in bits", "change")
    assert scales == pytest.approx((1 / 254, 1 / 254))
    (levels,), _, _ = read(made / "probability.tif")
    np.testing.assert_array_equal(entropy == 255, levels == 255)
    there = levels != 255
    p = np.clip(levels[there] / 254, 1e-12, 1 - 1e-12)
    bits = -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    np.testing.assert_allclose(entropy[there] / 254, bits, atol=0.5 / 254 + 1e-9)
    assert (change[there] <= 254).all()


def test_the_change_is_that_of_the_last_step(made):
    (_, change), _, _ = read(made / "uncertainty.tif")
    after, before = (read(made / f"probability-step{step}.tif")[0][0] for step in (3, 2))
    there = after != 255
    # Tiles are blended after their changes are taken: they may differ in sign.
    assert (change[there] >= np.abs(after - before)[there] - 1).all()
    assert np.abs(change - np.abs(after - before))[there].mean() < 2


def test_what_is_predicted_has_the_same_bytes_with_it_and_without(infer, made):
    without = infer("without", save_steps=True)
    for name in ("probability.tif", "mask.tif", "probability-step1.tif"):
        assert (without / name).read_bytes() == (made / name).read_bytes()
    assert not (without / "uncertainty.tif").exists()
    # As those of versions that did not know it: a rerun takes them.
    settings = json.loads((without / "manifest.json").read_text())["settings"]
    assert "save_uncertainty" not in settings


def test_one_step_has_no_change(infer):
    _, names, _ = read(infer("one", save_uncertainty=True, steps=1) / "uncertainty.tif")
    assert names == ("entropy in bits",)


def test_several_networks_and_views_disagree_by_their_standard_deviation(
    roads_weights, fresh_weights, tmp_path
):
    models = [
        load(str(roads_weights)), load(str(fresh_weights(tmp_path / "w.safetensors", seed=11)))
    ]  # fmt: skip
    pixels, _, valid = draw_road_scene(64, 64, seed=4)
    tile = pixels[None], valid[None]
    alone = [NetworkPredictor([one], 1, torch.device("cpu"))(*tile)[:, 0] for one in models]
    found = NetworkPredictor(models, 1, torch.device("cpu"), save_uncertainty=True)(*tile)
    assert found.shape[1] == 2
    np.testing.assert_allclose(found[:, 1] / ONE, np.std(np.array(alone) / ONE, axis=0), atol=1e-3)
    turned = NetworkPredictor(models[:1], 1, torch.device("cpu"), save_uncertainty=True, tta=True)
    assert turned.layout.others == ("disagreement",)
    assert 0 < turned(*tile)[:, 1].max() < ONE / 2


def test_with_steps_auto_a_tile_of_one_step_has_changed_by_nothing(infer):
    folder = infer("auto", model=("roads-dru4",), save_uncertainty=True, steps="auto")
    (_, change), _, _ = read(folder / "uncertainty.tif")
    (steps,), _, scales = read(folder / "steps.tif")
    there = steps != 255
    still = np.abs(steps * scales[0] - 1) < 0.01
    assert (change[there & still] == 0).all()
    assert (change[there & ~still] > 0).any() or not (there & ~still).any()
