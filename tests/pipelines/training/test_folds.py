"""Cross-validation: every image is held out once, and predicted by weights that never saw it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipelines.config.inference import PredictionSettings
from pipelines.config.training import TrainDrive, TrainRoads
from pipelines.datasets.examples import TrainingData
from pipelines.datasets.synthetic import write_drive_folder, write_roads_folder
from pipelines.errors import DataError, PipelineError
from pipelines.inputs.fundus import subject_of
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling import statistics
from pipelines.training import run as recipes
from pipelines.training.run import train_roads, train_vessels
from pipelines.training.splits import splits_of

FEW = {
    "crop_sizes": [32], "batch_pixels": 2048, "steps": 2, "workers": 0, "scorings": 1,
    "iterations": 2, "folds": 2,
}  # fmt: skip


def names(examples):
    return [one.source.name for one in examples]


def example(name, subject):
    source = SimpleNamespace(name=name, shape=lambda: (10, 10))
    return SimpleNamespace(source=source, subject=subject)


def dealt(*counts, eyes=1, **told):
    """Splits of folders with so many images, so many of them of each subject."""
    folders = [
        [example(f"{folder}{n}", f"{folder}{n // eyes}") for n in range(count)]
        for folder, count in zip("ab", counts, strict=False)
    ]
    data = TrainingData("roads", ("a", "b"), ("background", "road"), folders, "test", [])
    return splits_of(TrainRoads(**told), data)


@pytest.mark.parametrize("folds", [2, 3, 5, 11])
def test_every_image_is_held_out_once_and_trains_all_other_folds(folds):
    splits = dealt(7, 4, folds=folds)
    assert len(splits) == folds
    held_out = [name for split in splits for name in names(split.held_out)]
    assert sorted(held_out) == sorted(set(held_out))
    assert len(held_out) == 11
    for split in splits:
        assert set(names(split.kept)) == set(held_out) - set(names(split.held_out))
        assert len(split.held_out) in (11 // folds, -(-11 // folds))


def test_folds_are_spread_over_the_folders():
    for split in dealt(6, 3, folds=3):
        assert [name[0] for name in names(split.held_out)] == ["a", "a", "b"]


def test_each_fold_has_its_own_folder_name_and_length(tmp_path):
    told = {"epochs": 1024, "crop_sizes": [32], "batch_pixels": 1024}
    splits = dealt(5, folds=2, output=tmp_path, name="mine", **told)
    assert [split.config.output.name for split in splits] == ["fold-1", "fold-2"]
    assert [split.config.name for split in splits] == ["mine-1", "mine-2"]
    # A batch has two crops at least, and so 2048 pixels of 200 and 300.
    assert [split.config.iterations for split in splits] == [100, 150]


def test_more_folds_than_images_are_refused():
    with pytest.raises(
        DataError, match="3 labelled images of 3 subjects cannot be dealt into 5 folds"
    ):
        dealt(3, folds=5)
    with pytest.raises(DataError, match="4 labelled images of 2 subjects cannot be dealt"):
        dealt(4, eyes=2, folds=3)


def test_where_one_image_is_all_there_is_no_fewer_can_be_held_out():
    """`--held-out 0` is refused, so it is no remedy."""
    with pytest.raises(DataError, match="add images or give train-folder images that choose"):
        dealt(1)
    with pytest.raises(DataError, match="add images or hold out fewer with --held-out"):
        dealt(2, held_out=[2])


def test_without_folds_a_few_are_held_out_in_the_folder_itself(tmp_path):
    (split,) = dealt(30, output=tmp_path)
    assert split.config.output == tmp_path
    assert len(split.held_out) == 3
    assert {*names(split.kept), *names(split.held_out)} == {f"a{n}" for n in range(30)}
    assert names(dealt(30, seed=2)[0].held_out) == names(split.held_out)
    # Of a small set, a fifth at most.
    assert len(dealt(10)[0].held_out) == 2
    assert len(dealt(2)[0].held_out) == 1


def test_held_out_images_are_not_every_nth():
    """Of HRF each third image is one with glaucoma."""
    (split,) = dealt(15, held_out=[5])
    assert len({int(name[1:]) % 3 for name in names(split.held_out)}) > 1


@pytest.mark.parametrize("told", [{"held_out": [4]}, {"held_out": [5]}, {"folds": 3}], ids=str)
def test_both_eyes_of_a_subject_are_held_out_together(told):
    for split in dealt(20, eyes=2, **told):
        kept, held_out = (
            {int(name[1:]) // 2 for name in names(part)} for part in (split.kept, split.held_out)
        )
        assert not kept & held_out
        assert len(kept) + len(held_out) == 10
        assert len(split.held_out) == (4 if "held_out" in told else 2 * len(held_out))


def test_what_earlier_weights_have_seen_is_held_out_last_and_told_of(
    tmp_path, fresh_weights, caplog
):
    caplog.set_level("WARNING", "rurnet")
    (first,) = dealt(20, held_out=[5])
    unseen = {"a3", "a8", "a11", "a12", "a19"}
    assert unseen != set(names(first.held_out))
    trained = [f"a{n}" for n in range(20) if f"a{n}" not in unseen]
    # Of weights that began with weights: what either has seen.
    training = {"images": trained[:9], "earlier": {"images": trained[6:]}}
    start = str(fresh_weights(tmp_path / "start.safetensors", training=training))
    assert set(names(dealt(20, held_out=[5], start_from=start)[0].held_out)) == unseen
    assert caplog.messages == []
    (more,) = dealt(20, held_out=[6], start_from=start)
    (seen,) = set(names(more.held_out)) - unseen
    assert caplog.messages == [
        f"{start} was trained on 1 of 6 held-out images ({seen}): their scores are flattered"
    ]
    # An eye of a subject whose other eye was seen is no unseen image.
    start = str(fresh_weights(tmp_path / "eyes.safetensors", training={"images": ["a0", "a2"]}))
    assert set(names(dealt(6, eyes=2, held_out=[2], start_from=start)[0].held_out)) == {"a4", "a5"}


def test_one_of_two_eyes_is_too_few_to_hold_out_alone():
    assert len(dealt(20, eyes=2, held_out=[1])[0].held_out) == 2
    with pytest.raises(DataError, match="of one subject"):
        dealt(2, eyes=2, held_out=[1])


@pytest.mark.parametrize(
    ("name", "subject"),
    [
        ("Image_01L", "Image_01"), ("Image_01R", "Image_01"), ("21_training", "21_training"),
        ("01_dr", "01_dr"), ("7-left", "7"), ("12_OD", "12"), ("im0001", "im0001"),
    ],
)  # fmt: skip
def test_a_name_tells_whose_eye_it_is(name, subject):
    assert subject_of(name) == subject


# On drawn scenes.


@pytest.fixture(scope="module", autouse=True)
def _small_tiles():
    smaller = partial(PredictionSettings, tile=128, overlap=32)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(statistics, "TILE", 96)
        patched.setattr(recipes, "PredictionSettings", smaller)
        yield


@pytest.fixture(scope="module")
def roads(tmp_path_factory):
    return write_roads_folder(tmp_path_factory.mktemp("folds") / "roads", train=3, valid=1, size=96)


def config(roads, output, **changed):
    return TrainRoads(**{**FEW, "data": [roads], "output": output, **changed})


@pytest.fixture(scope="module")
def unbroken(roads):
    """A cross-validation from beginning to end."""
    return train_roads(config(roads, roads.parent / "unbroken"), Silence())


@pytest.fixture
def folder(unbroken):
    """Its folder, to do something to."""
    output = unbroken.folder.parent
    kept = output.with_name("kept")
    shutil.copytree(output, kept)
    yield output
    shutil.rmtree(output)
    kept.rename(output)


def digests(folder):
    paths = sorted(folder.glob("fold-*/*.safetensors"))
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def test_every_fold_leaves_weights_that_say_what_they_have_not_seen(unbroken):
    output = unbroken.folder.parent
    assert [path.relative_to(output).as_posix() for path in unbroken.trained] == [
        "fold-1/roads-1.safetensors", "fold-2/roads-2.safetensors",
    ]  # fmt: skip
    cards = [load(str(path), "roads").card for path in unbroken.trained]
    assert [card.training["held_out"] for card in cards] == [
        ["sample_000", "sample_002"], ["sample_001"],
    ]  # fmt: skip
    assert [card.training["images"] for card in cards] == [
        ["sample_001"], ["sample_000", "sample_002"],
    ]  # fmt: skip
    assert not list(output.glob("*.safetensors"))


def test_every_training_image_is_predicted_by_weights_that_had_not_seen_it(unbroken):
    folder = unbroken.folder.parent / "held-out"
    report = json.loads((folder / "report.json").read_text())
    assert sorted(s["name"] for s in report["scenes"]) == [
        "sample_000", "sample_001", "sample_002",
    ]  # fmt: skip
    assert report["pooled"]["pixels"] == sum(scene["pixels"] for scene in report["scenes"])
    # Each was predicted by one of them: together they took no time.
    assert [step["seconds_per_megapixel"] for step in report["steps"]] == [None, None]
    assert (folder / "report.html").is_file()
    for path in unbroken.trained:
        model = load(str(path))
        for name in model.card.training["held_out"]:
            with rasterio.open(folder / name / "probability.tif") as raster:
                assert raster.tags()["RURNET_MODEL"] == model.name


def test_the_test_split_is_predicted_by_all_of_them_averaged(unbroken):
    assert unbroken.folder.name == "valid"
    assert [scene.name for scene in unbroken.report.scenes] == ["sample_003"]
    with rasterio.open(unbroken.folder / "sample_003" / "probability.tif") as raster:
        assert raster.tags()["RURNET_MODEL"] == "roads-1,roads-2"
    for path in unbroken.trained:
        scores = load(str(path)).card.scores["valid"]
        assert scores["weights"] == ["roads-1", "roads-2"]
        assert scores["foreground"] == vars(unbroken.report.pooled.foreground)


def test_the_same_command_again_trains_nothing_and_ends_the_same(roads, folder, numbers):
    before = digests(folder)
    train_roads(config(roads, folder), Silence())
    assert numbers == []
    assert digests(folder) == before


def test_one_that_was_killed_goes_on_with_the_fold_it_was_at(
    unbroken, roads, tmp_path, monkeypatch, numbers
):
    told = config(roads, tmp_path / "killed")
    train, begun = recipes.train, []

    def killed_in_the_second(*arguments):
        begun.append(arguments)
        if len(begun) == 2:
            raise SystemExit(137)
        return train(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(recipes, "train", killed_in_the_second)
        with pytest.raises(SystemExit):
            train_roads(told, Silence())
    assert numbers == [0, 1]
    assert len(digests(told.output)) == 1
    numbers.clear()
    train_roads(told, Silence())
    assert numbers == [0, 1]
    assert digests(told.output) == digests(unbroken.folder.parent)


@pytest.mark.parametrize("changed", [{"folds": 3}, {"folds": 0, "held_out": [1]}], ids=str)
def test_another_number_of_folds_is_refused_by_name(roads, folder, numbers, changed):
    with pytest.raises(PipelineError, match=r"fold-1: holds a training that differs in folds"):
        train_roads(config(roads, folder, **changed), Silence())
    assert numbers == []


def test_overwriting_leaves_no_fold_of_an_earlier_cross_validation(roads, folder, numbers):
    train_roads(
        config(roads, folder, overwrite=True, folds=0, held_out=[1], iterations=1), Silence()
    )
    assert numbers == [0]
    assert not list(folder.glob("fold-*"))
    assert (folder / "roads.safetensors").is_file()


@pytest.mark.soak
def test_fundi_are_cross_validated_too(tmp_path):
    data = write_drive_folder(tmp_path / "DRIVE", train=2, test=1, labelled_test=False)
    for path in (path for path in data.rglob("*") if path.is_file()):
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB" if path.suffix == ".tif" else "L"))
        Image.fromarray(pixels[::4, ::4]).save(path)
    told = TrainDrive(**{**FEW, "iterations": 1, "data": [data], "output": tmp_path / "out"})
    result = train_vessels(told, Silence())
    assert result.report.pooled is None
    held_out = json.loads((tmp_path / "out" / "held-out" / "report.json").read_text())
    assert [scene["name"] for scene in held_out["scenes"]] == ["21_training", "22_training"]
    assert held_out["scoring"]["counted"] == "pixels inside the field of view"
    assert set(load(str(result.weights)).card.scores) == {"held_out"}


@pytest.mark.soak
def test_two_processes_cross_validate_together(roads, tmp_path):
    told = ("--folds", "2", "--iterations", "2", "--scorings", "1", "--crop-sizes", "32",
            "--batch-pixels", "4096", "--workers", "0", "--steps", "2")  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
         "--standalone", "-m", "flows.train_roads", "--data", str(roads),
         "--output", str(tmp_path), *told],
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(digests(tmp_path)) == 2
    report = json.loads((tmp_path / "held-out" / "report.json").read_text())
    assert len(report["scenes"]) == 3
