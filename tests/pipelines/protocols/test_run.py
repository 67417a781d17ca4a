"""A benchmark from the data to its table, on few and small drawn images."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.config.training import TrainDrive
from pipelines.datasets.synthetic import write_drive_folder
from pipelines.errors import PipelineError
from pipelines.models.weights import load, save
from pipelines.protocols.images import protocol_images
from pipelines.protocols.published import PROTOCOLS
from pipelines.protocols.run import plan_benchmark, run_benchmark
from pipelines.protocols.runs import run_of, trained_run
from pipelines.protocols.trainings import Asked, trainings_of
from pipelines.results.progress import Progress, Silence
from pipelines.training import loaders
from tests.pipelines.protocols import layouts
from tests.pipelines.training.small_runs import digest, quartered, small_tiles

SMALL = replace(
    PROTOCOLS["drive"],
    train=("21_training", "22_training", "23_training"),
    test=("01_test", "02_test"),
)
FILES = {"benchmark.json", "benchmark.md", "data.sha256"}


class Watched(Progress):
    """Notes what is trained and predicted."""

    def __init__(self):
        self.seen = []

    def trained(self, end):
        self.seen.append("trained")

    def expect(self, tiles):
        self.seen.append("predicted")


@pytest.fixture(scope="module", autouse=True)
def _small():
    """Small crops, small tiles, and no process of their own for them."""
    with small_tiles(), pytest.MonkeyPatch.context() as patched:
        crops = {"crop_sizes": (32,), "batch_pixels": 2048}
        few = {name: replace(one, **crops) for name, one in TrainDrive.PROTOCOLS.items()}
        patched.setattr(TrainDrive, "PROTOCOLS", few)
        patched.setattr(loaders, "_workers", lambda: 0)
        yield


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("protocols") / "DRIVE"
    return quartered(write_drive_folder(folder, train=3, test=2))


@pytest.fixture(scope="module")
def asked(drive):
    return Asked(
        SMALL, drive, drive.parent / "benchmark", model="unet-gn", training="default",
        iterations=2, seeds=(1,), weights=None,
    )  # fmt: skip


@pytest.fixture(scope="module")
def one_seed(asked):
    return run_benchmark(asked, Silence())


@pytest.fixture(scope="module")
def two_seeds(asked, one_seed):
    """The same with another seed, killed when its report was there; and what was done then."""
    done, second = asked.output / "seed-1", asked.output / "seed-2"
    shutil.copytree(done, second)
    report = json.loads((second / "test" / "report.json").read_text())
    report["pooled"]["foreground"]["f1"] = 0.75
    (second / "test" / "report.json").write_text(json.dumps(report))
    watched = Watched()
    return run_benchmark(replace(asked, seeds=(2,)), watched), watched.seen


def test_a_dry_run_says_what_would_be_done_and_writes_nothing(asked, drive, tmp_path):
    plan = plan_benchmark(replace(asked, output=tmp_path / "new", seeds=(1, 2)))
    assert plan.images.test == ("01_test", "02_test")
    assert len(plan.held_out) == 1
    assert set(plan.held_out) < set(SMALL.train)
    assert (plan.trainings, plan.iterations, plan.seeds, plan.done) == (2, 2, (1, 2), ())
    assert plan.network.parameters == pytest.approx(0.487e6, rel=0.01)
    assert plan.network.operations == pytest.approx(3.06e9, rel=0.01)
    assert list(tmp_path.iterdir()) == []


def test_it_leaves_one_table_with_what_a_reviewer_asks_for(one_seed, asked):
    assert {path.name for path in asked.output.iterdir() if path.is_file()} == FILES
    (run,) = one_seed.runs
    report = json.loads((asked.output / "seed-1" / "test" / "report.json").read_text())
    assert run.scores.pooled["foreground.f1"] == report["pooled"]["foreground"]["f1"]
    assert run.scores.mean["foreground.f1"] == report["mean"]["foreground.f1"]
    low, high = run.scores.intervals["foreground.f1"]
    assert 0 <= low <= high <= 1
    assert run.second.pooled["foreground.f1"] > 0.7
    weights = asked.output / "seed-1" / "vessels.safetensors"
    assert run.weights == {"seed-1/vessels.safetensors": digest(weights)}
    assert one_seed.followed
    assert one_seed.settings["model"] == "unet-gn"
    assert one_seed.settings["iterations"] == 2
    assert one_seed.data.files == 17
    table = (asked.output / "benchmark.md").read_text()
    row = next(line for line in table.splitlines() if "| seed 1 |" in line)
    f1 = run.scores.pooled["foreground.f1"]
    assert row.startswith(f"| unet-gn | 0.487 M | 3.06 G | seed 1 | {f1:.3f} (")
    assert "| second observer |" in table
    assert f"SHA-256 of that list: `{one_seed.data.sha256}`" in table
    assert "| W-Net, 68 k parameters | F1 0.828 |" in table
    assert "- iterations: `2`" in table


def test_the_weights_are_chosen_on_training_images_only(one_seed, asked):
    (run,) = one_seed.runs
    (chosen,) = run.held_out.values()
    card = load(str(asked.output / "seed-1" / "vessels.safetensors")).card
    assert sorted((*chosen, *card.training["images"])) == sorted(SMALL.train)


def test_a_seed_is_added_and_what_was_scored_is_not_done_again(two_seeds):
    both, done = two_seeds
    assert done == []
    assert [run.name for run in both.runs] == ["seed 1", "seed 2"]
    assert both.seeds == (1, 2)
    first, second = (run.scores.pooled["foreground.f1"] for run in both.runs)
    assert second == 0.75
    assert both.mean["foreground.f1"] == pytest.approx((first + 0.75) / 2)
    assert both.sd["foreground.f1"] == pytest.approx(abs(first - 0.75) / 2**0.5)


def test_the_mean_of_the_seeds_is_in_the_table(two_seeds, asked):
    both, _ = two_seeds
    mean, sd = (each["foreground.f1"] for each in (both.mean, both.sd))
    table = (asked.output / "benchmark.md").read_text()
    assert f"| mean ± sd of 2 seeds | {mean:.3f} ± {sd:.3f} |" in table


def test_what_is_done_is_not_scored_again(two_seeds, asked):
    watched = Watched()
    again = run_benchmark(replace(asked, seeds=(1, 2)), watched)
    assert watched.seen == []
    assert [run.scores for run in again.runs] == [run.scores for run in two_seeds[0].runs]


@pytest.mark.parametrize(
    ("changed", "said"),
    [({"iterations": 3}, "settings"), ({"model": "dru-4"}, "network, settings")],
)
def test_runs_of_other_settings_do_not_share_a_table(changed, said, two_seeds, asked):
    with pytest.raises(PipelineError, match=f"holds a benchmark that differs in {said};"):
        run_benchmark(replace(asked, **changed), Silence())


def test_a_dry_run_refuses_what_the_run_would_and_counts_the_seeds_that_it_would_go_on_with(
    two_seeds, asked
):
    with pytest.raises(PipelineError, match="holds a benchmark that differs in settings;"):
        plan_benchmark(replace(asked, iterations=3))
    plan = plan_benchmark(replace(asked, seeds=(3,)))
    assert (plan.trainings, plan.seeds, plan.done) == (3, (1, 2, 3), (1, 2))


def test_runs_on_other_files_do_not_share_a_table(two_seeds, asked, drive, tmp_path):
    other = shutil.copytree(drive, tmp_path / "DRIVE")
    label = other / "test" / "1st_manual" / "01_manual1.gif"
    shutil.copy(label.with_name("02_manual1.gif"), label)
    with pytest.raises(PipelineError, match="differs in files of the data"):
        run_benchmark(replace(asked, data=other), Silence())


def test_weights_that_were_given_are_no_result_of_the_protocol(one_seed, asked, tmp_path):
    trained = load(str(asked.output / "seed-1" / "vessels.safetensors"))
    training = {**trained.card.training, "images": ["02_test", "31_training"]}
    given = tmp_path / "theirs.safetensors"
    save(given, trained.network, replace(trained.card, training=training))
    output = tmp_path / "scored"
    found = run_benchmark(replace(asked, weights=str(given), output=output), Silence())
    assert not found.followed
    assert "The protocol's training was not run" in found.remarks[0]
    assert (
        "1 of the 2 test images have names of images that theirs was trained on"
        in (found.remarks[1])
    )
    (run,) = found.runs
    assert run.name == "theirs"
    assert run.weights == {"theirs": digest(given)}
    assert run.second.pooled["foreground.f1"] > 0.7
    assert f"**{found.remarks[0]}**" in (output / "benchmark.md").read_text()
    watched = Watched()
    run_benchmark(replace(asked, weights=str(given), output=output), watched)
    assert watched.seen == []


def test_each_image_is_tested_by_a_training_on_all_others(asked):
    images = protocol_images(PROTOCOLS["stare"], layouts.stare(asked.data.parent / "STARE"))
    found = trainings_of(replace(asked, protocol=PROTOCOLS["stare"]), images, 3)
    assert [one.test for one in found] == [(name,) for name in images.test]
    for one in found:
        assert {*one.train, *one.test} == set(images.train)
        assert len(one.train) == 19
        assert one.config.output == asked.output / "seed-3" / one.test[0]
        assert one.config.seed == 3


def test_images_that_were_left_out_in_turn_are_scored_as_one_test_set(one_seed, asked, tmp_path):
    names = ("im0001", "im0002")
    whole = json.loads((asked.output / "seed-1" / "test" / "report.json").read_text())
    for name, scene, number in zip(names, whole["scenes"], ("01", "02"), strict=True):
        split = asked.data / "test"
        for old, new in (
            (split / "images" / f"{number}_test.tif", f"STARE/stare-images/{name}.tif"),
            (split / "1st_manual" / f"{number}_manual1.gif", f"STARE/labels-ah/{name}.ah.gif"),
            (split / "2nd_manual" / f"{number}_manual2.gif", f"STARE/labels-vk/{name}.vk.gif"),
            (asked.output / "seed-1" / "vessels.safetensors",
             f"out/seed-1/{name}/vessels.safetensors"),
            (Path(scene["files"]["probability"]),
             f"out/seed-1/{name}/test/{name}/probability.tif"),
        ):  # fmt: skip
            (tmp_path / new).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(old, tmp_path / new)
        own = {**whole, "scenes": [{**scene, "name": name}]}
        (tmp_path / f"out/seed-1/{name}/test/report.json").write_text(json.dumps(own))
    protocol = replace(PROTOCOLS["stare"], train=names, test=names)
    images = protocol_images(protocol, tmp_path / "STARE")
    stare = replace(asked, protocol=protocol, output=tmp_path / "out")
    run = trained_run(stare, images, 1, Silence(), goes_on=True)
    together = one_seed.runs[0]
    for path in ("pixels", "foreground.f1", "break_even.value", "class_mean.iou"):
        assert run.scores.pooled[path] == together.scores.pooled[path]
    assert run.scores.intervals == together.scores.intervals
    assert run.second.pooled["foreground.f1"] == together.second.pooled["foreground.f1"]
    assert set(run.weights) == {f"seed-1/{name}/vessels.safetensors" for name in names}


def test_a_test_image_without_a_score_makes_no_result(one_seed, asked, tmp_path):
    shutil.copytree(asked.output / "seed-1" / "test", tmp_path / "test")
    more = replace(asked, output=tmp_path)
    images = replace(protocol_images(SMALL, asked.data), test=("01_test", "02_test", "03_test"))
    with pytest.raises(PipelineError, match=r"1 of 3 test images have no scores \(03_test\)"):
        run_of(more, images, "seed 1", 1, {}, {}, tmp_path / "test")
