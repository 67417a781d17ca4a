"""Training on scenes so easy that a few iterations tell: what is learned, and what is logged."""

import csv
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from pipelines.datasets.massachusetts import RoadPair
from pipelines.results.progress import Silence
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import band_statistics, contents_of
from pipelines.scores.histogram import Histogram, curve_of
from pipelines.training.fit import train
from pipelines.training.module import SegmentationModule
from pipelines.training.objective import Objective
from rurnet.registry import create
from tests.pipelines.training.easy_fits import (
    SIDE,
    labelled_tiles,
    same_weights,
    scalars,
    settings,
    trained,
)

pytestmark = pytest.mark.usefixtures("_small_held_out_tiles")


def test_it_learns(sources, tmp_path):
    result = trained(sources, tmp_path, iterations=20, scorings=1, learning_rate=2e-2)
    assert curve_of(result.held_out).break_even().value > 0.9
    # Uncertain of two classes at both steps would be 1.4 ln 2 = 0.97.
    assert scalars(tmp_path, "train/loss")[20] < 0.7


def test_the_held_out_counts_are_those_of_the_weights_returned(sources, tmp_path):
    result = trained(sources, tmp_path)
    mean, std = band_statistics([contents_of(source) for source in sources[:2]])
    (tile,) = sources[2].tiles(SIDE)
    image = (tile["image"].astype(np.float32) - np.array(mean)[:, None, None]) / np.array(std)[
        :, None, None
    ]
    image = torch.tensor(image * tile["valid"], dtype=torch.float32)[None]
    with torch.inference_mode():
        probability = result.network(image)[-1].softmax(dim=1)[0, 1].numpy()
    by_hand = Histogram()
    levels = np.round(probability * 254).astype(np.uint8)
    by_hand.add(levels, tile["label"][0] == 1, tile["valid"][0] == 1)
    # A level may be rounded the other way.
    assert np.abs(by_hand.counts - result.held_out).sum() <= 0.01 * SIDE**2
    assert result.held_out.sum() == SIDE**2 - 100
    assert not result.network.training
    best = curve_of(result.held_out).best().threshold
    assert result.threshold == pytest.approx(best, abs=1e-3)


def test_the_weights_are_those_of_the_best_scoring(sources, tmp_path):
    result = trained(sources, tmp_path, iterations=8, scorings=4, learning_rate=3e-2)
    scored = scalars(tmp_path, "held_out/break_even")
    assert sorted(scored) == [2, 4, 6, 8]
    assert result.chosen.iteration == max(scored, key=scored.get)
    assert curve_of(result.held_out).break_even().value == pytest.approx(
        scored[result.chosen.iteration], abs=1e-6
    )


def test_the_seed_decides(sources, tmp_path):
    few = {"iterations": 2, "scorings": 1}
    one = trained(sources, tmp_path / "1", seed=1, **few)
    again = trained(sources, tmp_path / "2", seed=1, **few)
    other = trained(sources, tmp_path / "3", seed=2, **few)
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.parametrize("iterations", [1, 2, 3, 9, 10, 11, 20])
def test_a_schedule_has_any_length(sources, tmp_path, iterations):
    module = SegmentationModule(
        settings(iterations=iterations), Objective({}, (1.0, 1.0), 0.4, (0.0,) * 3, (1.0,) * 3)
    )
    (optimizer,), (schedule,) = module.configure_optimizers()
    rates = []
    for _ in range(iterations):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if len(rates) < iterations:
            schedule.step()
    assert max(rates) <= 4e-3
    assert iterations < 9 or max(rates) > 3.5e-3
    assert iterations == 1 or rates[-1] < 1e-4


def test_held_out_images_without_any_road_do_not_end_it(sources, tmp_path, write_raster):
    write_raster(tmp_path / "none.tif", np.zeros((1, SIDE, SIDE), np.uint8))
    empty = SceneSource(
        RoadPair("empty", Path(sources[2].scene_input.source), tmp_path / "none.tif").scene_input()
    )
    result = trained([*sources[:2], empty], tmp_path / "run", iterations=2, scorings=2)
    assert np.isnan(curve_of(result.held_out).break_even().value)
    assert result.threshold == 0.5


def test_an_encoder_with_weights_is_no_whole_network_to_average_with(sources, tmp_path):
    config = settings(encoder_weights="vgg16.pth", iterations=2, scorings=1, learning_rate=1e-9)
    arguments = {"in_channels": 3, "classes": 2, "steps": 2}
    start = create("dru-4", **arguments).state_dict()
    mean, std = band_statistics([contents_of(source) for source in sources[:2]])
    objective = Objective(arguments, (1.0, 1.0), 0.4, mean, std, start)
    tiles = labelled_tiles(sources[2:])
    result = train(config, objective, sources[:2], [1, 1], tiles, tmp_path, Silence())
    # It learned next to nothing, so that an average would score the same and be kept.
    assert (result.chosen.iteration, result.chosen.share) == (2, 1.0)


def test_a_heavier_foreground_finds_more(sources, tmp_path):
    light, heavy = (
        trained(sources, tmp_path / str(weight), foreground_weight=weight, scorings=1).held_out
        for weight in (0.3, 6.0)
    )
    levels = np.arange(255)
    assert (heavy * levels).sum() > (light * levels).sum()


def test_batch_norm_and_mixed_precision_train_too(sources, tmp_path):
    config = settings(model="unet-bn", steps=None, iterations=2, scorings=1, precision="bf16-mixed")
    mean, std = band_statistics([contents_of(source) for source in sources[:2]])
    objective = Objective({"in_channels": 3, "classes": 2}, (1.0, 1.0), 0.4, mean, std)
    held_out = labelled_tiles(sources[2:])
    result = train(config, objective, sources[:2], [1, 1], held_out, tmp_path, Silence())
    assert all(torch.isfinite(value).all() for value in result.network.state_dict().values())
    assert result.held_out.sum() == SIDE**2 - 100


def test_a_batch_in_parts_trains_the_same_weights(sources, tmp_path):
    # Plain SGD: AdamW makes much of a gradient that is nearly zero.
    sgd = {"protocol": "paper", "learning_rate": 0.1, "damaged_starts": 0.5, "random_steps": True}
    few = {"iterations": 4, "scorings": 1, "batch_pixels": 3 * 32**2, **sgd}
    whole = trained(sources, tmp_path / "whole", **few)
    parts = trained(sources, tmp_path / "parts", accumulate=2, **few)
    for key, value in whole.network.state_dict().items():
        torch.testing.assert_close(parts.network.state_dict()[key], value, atol=1e-5, rtol=0)
    one, other = (scalars(tmp_path / name, "train/loss")[4] for name in ("whole", "parts"))
    assert one == pytest.approx(other, rel=1e-5)


def test_the_average_of_the_weights_is_scored_and_kept(sources, tmp_path):
    few = {"iterations": 6, "scorings": 1, "learning_rate": 3e-2, "seed": 3}
    averaged = trained(sources, tmp_path / "average", ema=0.999, **few)
    plain = trained(sources, tmp_path / "plain", ema=0.0, **few)
    assert not same_weights(averaged, plain)
    last = torch.load(tmp_path / "average" / "checkpoints" / "last.ckpt", weights_only=False)
    # It trains on with the weights themselves, which do not depend on whether they are averaged.
    network = {key.removeprefix("network."): value for key, value in
               last["current_model_state"].items()}  # fmt: skip
    assert all(torch.equal(network[key], value) for key, value in
               plain.network.state_dict().items())  # fmt: skip


def test_steps_are_drawn_anew_in_each_iteration(sources, tmp_path, monkeypatch):
    seen = []
    logits = SegmentationModule._logits

    def noted(self, image, start, before, steps):
        seen.append((before, steps))
        return logits(self, image, start, before, steps)

    monkeypatch.setattr(SegmentationModule, "_logits", noted)
    trained(sources, tmp_path / "a", iterations=30, scorings=1, batch_pixels=1024)
    assert set(seen) == {(0, 1), (0, 2), (1, 2), (2, 2)}
    assert seen.count((0, 2)) > seen.count((0, 1))
    seen.clear()
    trained(sources, tmp_path / "b", iterations=4, scorings=1, random_steps=False)
    assert set(seen) == {(0, 2)}


def test_the_log_is_for_spreadsheets_too(sources, tmp_path):
    trained(sources, tmp_path)
    (file,) = (tmp_path / "csv").glob("version_*/metrics.csv")
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    scored = [float(row["held_out/break_even"]) for row in rows if row["held_out/break_even"]]
    assert scored == pytest.approx(list(scalars(tmp_path, "held_out/break_even").values()))


def test_the_authors_protocol_trains_with_their_optimizer(sources, tmp_path):
    trained(sources, tmp_path, protocol="paper", iterations=4, scorings=1)
    assert scalars(tmp_path, "lr-SGD")


def test_without_a_terminal_every_scoring_is_a_line_in_the_log(sources, tmp_path, caplog):
    with caplog.at_level(logging.INFO, "rurnet"):
        trained(sources, tmp_path)
    lines = [record.getMessage() for record in caplog.records if record.name == "rurnet"]
    assert len(lines) == 3
    for line, iteration in zip(lines, (2, 4, 6), strict=True):
        assert f"iteration {iteration} of 6" in line
        assert "break-even" in line


def test_every_data_set_counts_alike_in_the_choice_of_weights(sources, tmp_path, caplog):
    config = settings(iterations=2, scorings=1)
    arguments = {"in_channels": 3, "classes": 2, "steps": 2}
    objective = Objective(arguments, (1.0, 1.0), 0.4, (100.0,) * 3, (50.0,) * 3)
    ours, others = (labelled_tiles([source]) for source in sources[1:])
    held_out = [*ours * 3, *(tile._replace(data_set=1) for tile in others)]
    with caplog.at_level("INFO", "rurnet"):
        train(config, objective, sources[:1], [1], held_out, tmp_path, Silence())
    each = [scalars(tmp_path, f"held_out/break_even_{number}")[2] for number in (1, 2)]
    assert each[0] != each[1]
    assert scalars(tmp_path, "held_out/break_even")[2] == pytest.approx(np.mean(each), abs=1e-6)
    assert f"(by data set: {each[0]:.3f}, {each[1]:.3f})" in caplog.text
