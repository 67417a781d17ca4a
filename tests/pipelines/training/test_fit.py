"""Training on scenes so easy that a few iterations tell."""

import csv
import logging
import shutil
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from pipelines.config.training import TrainRoads
from pipelines.datasets.massachusetts import RoadPair
from pipelines.errors import DeviceMemoryError, PipelineError, TrainingError
from pipelines.sampling import statistics
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import band_statistics, contents_of
from pipelines.scores.histogram import Histogram, curve_of
from pipelines.training import module as training_module
from pipelines.training.checkpoints import WholeFiles, read_checkpoint
from pipelines.training.fit import train
from pipelines.training.module import SegmentationModule
from pipelines.training.objective import Objective
from tiling.errors import SceneError

SIDE = 64


@pytest.fixture(autouse=True)
def _small_held_out_tiles(monkeypatch):
    """Tiles of the scenes' own size, so that nothing is scored but them."""
    monkeypatch.setattr(statistics, "TILE", SIDE)


@pytest.fixture(scope="module")
def sources(tmp_path_factory, write_raster):
    """Three scenes of bright roads on dark ground; one corner is missing."""
    folder = tmp_path_factory.mktemp("scenes")
    made = []
    for number in range(3):
        random = np.random.default_rng(number)
        road = np.zeros((SIDE, SIDE), bool)
        for start in random.choice(SIDE - 6, 3, replace=False):
            road[start : start + 6] = True
        road = road if number % 2 else road.T
        valid = np.ones((SIDE, SIDE), bool)
        valid[:10, :10] = False
        pixels = random.normal(60 + 120 * road, 12, (3, SIDE, SIDE)).clip(1, 254).astype(np.uint8)
        image, label = folder / f"{number}.tif", folder / f"{number}_label.tif"
        write_raster(image, pixels, nodata_kind="nodata", valid=valid)
        write_raster(label, (road * 255).astype(np.uint8)[None])
        made.append(SceneSource(RoadPair(str(number), image, label).scene_input()))
    return made


def settings(**changed):
    few = {"crop_sizes": [32], "batch_pixels": 2048, "workers": 0, "steps": 2, "scorings": 3}
    return TrainRoads(**{**few, "iterations": 6, **changed})


def trained(sources, folder, *, foreground_weight=1.0, **changed):
    """Trains on the first two scenes, holds out the third."""
    config = settings(**changed)
    arguments = {"in_channels": 3, "classes": 2, "steps": config.steps}
    mean, std = band_statistics([contents_of(source) for source in sources[:2]])
    objective = Objective(arguments, (1.0, foreground_weight), 0.4, mean, std)
    return train(config, objective, sources[:2], [1, 1], labelled_tiles(sources[2:]), folder)


def labelled_tiles(sources):
    return [(source, window) for source in sources for window in contents_of(source).labelled]


def same_weights(one, other):
    a, b = one.network.state_dict(), other.network.state_dict()
    return all(torch.equal(a[key], b[key]) for key in a)


def scalars(folder, tag):
    """What the TensorBoard log says: {iteration: value}."""
    log = EventAccumulator(str(folder / "tensorboard"))
    log.Reload()
    return {event.step + 1: event.value for event in log.Scalars(tag)}


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
    assert result.iteration == max(scored, key=scored.get)
    assert curve_of(result.held_out).break_even().value == pytest.approx(
        scored[result.iteration], abs=1e-6
    )


def test_the_seed_decides(sources, tmp_path):
    few = {"iterations": 2, "scorings": 1}
    one = trained(sources, tmp_path / "1", seed=1, **few)
    again = trained(sources, tmp_path / "2", seed=1, **few)
    other = trained(sources, tmp_path / "3", seed=2, **few)
    assert same_weights(one, again)
    assert not same_weights(one, other)


@pytest.mark.parametrize("seed", [1, 8])  # The best scoring is the last, and an earlier one.
def test_wherever_it_is_killed_it_ends_with_the_same_weights(
    sources, tmp_path, monkeypatch, numbers, seed
):
    """What is on disk changes where a checkpoint is written: kills between are all the same.

    Each goes on in a folder of another name, as where one was moved.
    """
    running, shots = tmp_path / "running", []
    few = {"iterations": 4, "scorings": 2}
    save = lightning.Trainer.save_checkpoint

    def save_and_photograph(self, path, *arguments, **others):
        save(self, path, *arguments, **others)
        shots.append((self.global_step, tmp_path / f"shot{len(shots)}"))
        shutil.copytree(running, shots[-1][1])

    with monkeypatch.context() as patched:
        patched.setattr(lightning.Trainer, "save_checkpoint", save_and_photograph)
        unbroken = trained(sources, running, seed=seed, **few)
    assert numbers == [0, 1, 2, 3]
    assert {step for step, _ in shots} == {1, 2, 3, 4}
    for step, folder in shots:
        numbers.clear()
        resumed = trained(sources, folder, seed=seed, **few)
        # At most the iterations since the checkpoint before are done again.
        assert numbers in (list(range(step, 4)), list(range(step - 1, 4)))
        assert resumed.iteration == unbroken.iteration
        assert same_weights(resumed, unbroken)
        np.testing.assert_array_equal(resumed.held_out, unbroken.held_out)


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


def test_a_checkpoint_appears_whole_or_not_at_all(tmp_path, monkeypatch):
    """Wherever temporary files are: a kill between is a write that does not end."""
    path = tmp_path / "last.ckpt"
    WholeFiles().save_checkpoint({"global_step": 1}, path)

    def broken_off(checkpoint, file):
        Path(file).write_bytes(b"half of it")
        raise RuntimeError("no space")

    with monkeypatch.context() as patched:
        patched.setattr(torch, "save", broken_off)
        with pytest.raises(OSError, match="no space"):
            WholeFiles().save_checkpoint({"global_step": 2}, path)
    assert read_checkpoint(path) == {"global_step": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_checkpoint_is_named(sources, tmp_path, numbers):
    trained(sources, tmp_path, scorings=1)
    numbers.clear()
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:5000])
    with pytest.raises(PipelineError, match=r"last\.ckpt: cannot be read .* --overwrite"):
        trained(sources, tmp_path, scorings=1)
    assert numbers == []


def test_what_crops_cannot_be_cut_from_is_said_in_one_line(sources, tmp_path, write_raster):
    """Also where another process reads it."""
    gone = tmp_path / "gone.tif"
    write_raster(gone, np.full((3, SIDE, SIDE), 90, np.uint8))
    label = write_raster(tmp_path / "label.tif", np.eye(SIDE, dtype=np.uint8)[None])
    source = SceneSource(RoadPair("gone", gone, label).scene_input())
    assert contents_of(source).foreground
    source.close()
    gone.unlink()
    objective = Objective({"in_channels": 3, "classes": 2}, (1.0, 1.0), 0.4, (9.0,) * 3, (9.0,) * 3)
    config = settings(workers=1, steps=None)
    with pytest.raises(SceneError) as caught:
        train(config, objective, [source], [1], labelled_tiles(sources[2:]), tmp_path / "out")
    assert str(caught.value) == f"{gone}: no such file; check the path"


def test_a_training_that_is_done_is_not_done_again(sources, tmp_path, numbers):
    first = trained(sources, tmp_path, scorings=1)
    numbers.clear()
    again = trained(sources, tmp_path, scorings=1)
    assert numbers == []
    assert same_weights(first, again)


def test_held_out_images_without_any_road_do_not_end_it(sources, tmp_path, write_raster):
    write_raster(tmp_path / "none.tif", np.zeros((1, SIDE, SIDE), np.uint8))
    empty = SceneSource(
        RoadPair("empty", Path(sources[2].scene_input.source), tmp_path / "none.tif").scene_input()
    )
    result = trained([*sources[:2], empty], tmp_path / "run", iterations=2, scorings=2)
    assert np.isnan(curve_of(result.held_out).break_even().value)
    assert result.threshold == 0.5


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
    result = train(config, objective, sources[:2], [1, 1], held_out, tmp_path)
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


def test_a_loss_that_is_no_number_ends_it_and_keeps_what_was_good(sources, tmp_path, monkeypatch):
    few = {"iterations": 8, "scorings": 4}
    good = training_module.multi_step_loss
    calls = []

    def bad(*arguments, **named):
        calls.append(1)
        return good(*arguments, **named) * (float("nan") if len(calls) > 5 else 1)

    with monkeypatch.context() as patched:
        patched.setattr(training_module, "multi_step_loss", bad)
        with pytest.raises(TrainingError, match=r"iteration 6: the loss is not a number any more"):
            trained(sources, tmp_path, **few)
    checkpoints = tmp_path / "checkpoints"
    last = torch.load(checkpoints / "last.ckpt", weights_only=False)
    assert last["global_step"] in (4, 5)
    assert all(torch.isfinite(value).all() for value in last["state_dict"].values())
    assert torch.load(checkpoints / "best.ckpt", weights_only=False)["global_step"] in (2, 4)
    # What was bad is gone: it goes on from there.
    result = trained(sources, tmp_path, **few)
    assert torch.load(checkpoints / "last.ckpt", weights_only=False)["global_step"] == 8
    assert result.iteration >= 2


def test_a_batch_that_does_not_fit_into_memory_is_said(sources, tmp_path, monkeypatch):
    monkeypatch.setattr(SegmentationModule, "training_step", lambda *_: torch.empty(1 << 58))
    with pytest.raises(DeviceMemoryError, match=r"does not fit into memory .*--accumulate"):
        trained(sources, tmp_path)


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


def test_time_ends_it_with_what_it_reached(sources, tmp_path, numbers):
    result = trained(sources, tmp_path, iterations=10_000, scorings=1, max_time=0.03)
    assert 0 < len(numbers) < 10_000
    assert result.iteration == len(numbers)
    assert result.held_out.sum() == SIDE**2 - 100
    numbers.clear()
    trained(sources, tmp_path, iterations=10_000, scorings=1, max_time=0.03)
    assert numbers == []
    trained(sources, tmp_path, iterations=10_000, scorings=1, max_time=0.06)
    assert numbers[0] == result.iteration


def test_patience_ends_it_when_nothing_gets_better(sources, tmp_path, numbers):
    stuck = {"iterations": 60, "scorings": 30, "learning_rate": 1e-12, "patience": 2}
    result = trained(sources, tmp_path, **stuck)
    assert len(numbers) < 20
    assert result.iteration == 2
    numbers.clear()
    trained(sources, tmp_path, **stuck)
    assert numbers == []
    # It goes on with more patience, and counts from where it was.
    trained(sources, tmp_path, **stuck | {"patience": 5})
    assert 3 <= len(numbers) / 2 <= 4


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


@pytest.mark.parametrize(
    ("error", "raised"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), PipelineError),
        (EOFError(), PipelineError),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "), PipelineError),
        # All processes of a job were.
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Terminated. "),
            KeyboardInterrupt,
        ),
    ],
    ids=repr,
)
def test_the_death_of_a_process_of_crops_is_told_by_any_of_its_signs(
    sources, tmp_path, monkeypatch, error, raised
):
    def died(*_, **__):
        raise error

    monkeypatch.setattr(lightning.Trainer, "fit", died)
    with pytest.raises(raised) as caught:
        trained(sources, tmp_path)
    if raised is PipelineError:
        assert "a process that makes crops died" in str(caught.value)
