"""A training's folder when the command is given again: gone on with, refused, or overwritten."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from pipelines.errors import PipelineError, WeightsError
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.runtime.device import fastest_precision
from pipelines.training import run as recipes
from pipelines.training.run import train_roads
from pipelines.training.run_folder import precision_of
from rurnet import NetworkError
from tests.pipelines.training.small_runs import TILE, digest, roads_config
from tiling.disk import locked
from tiling.errors import SinkError

pytestmark = pytest.mark.usefixtures("_small_tiles")


def test_the_same_command_again_trains_nothing_and_ends_the_same(copied, roads, numbers):
    before = digest(copied / "roads.safetensors")
    result = train_roads(roads_config(roads, copied, workers=1), Silence())
    assert numbers == []
    assert digest(result.weights) == before


def test_other_settings_are_refused_naming_them(copied, roads, numbers):
    before = {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()}
    with pytest.raises(PipelineError) as caught:
        train_roads(roads_config(roads, copied, alpha=1.0, seed=4), Silence())
    message = str(caught.value)
    assert "differs in alpha, seed;" in message
    assert str(copied) in message
    assert "--overwrite" in message
    assert "\n" not in message
    assert numbers == []
    assert {p: p.stat().st_mtime_ns for p in copied.rglob("*") if p.is_file()} == before


def test_settings_that_are_not_given_any_more_are_refused_too(unbroken, roads, tmp_path, numbers):
    given = {
        "teacher": [str(unbroken.weights)],
        "self_teaching": 0.3,
        "pixel_sizes": [1.0],
        "shares": [1.0],
        "align_labels": True,
    }
    few = {"iterations": 1, "scorings": 1}
    train_roads(roads_config(roads, tmp_path, **few, **given), Silence())
    numbers.clear()
    for name in given:
        rest = {key: value for key, value in given.items() if key != name}
        with pytest.raises(PipelineError, match=rf"differs in {name}\b"):
            train_roads(roads_config(roads, tmp_path, **few, **rest), Silence())
    assert numbers == []


def test_a_training_of_before_a_setting_was_known_goes_on(copied, roads, numbers):
    noted = copied / "settings.json"
    told = json.loads(noted.read_text())
    assert told.pop("restyled") == 0
    assert told.pop("zoom") == 1
    noted.write_text(json.dumps(told))
    with pytest.raises(PipelineError, match="differs in restyled;"):
        train_roads(roads_config(roads, copied, restyled=0.5), Silence())
    train_roads(roads_config(roads, copied), Silence())
    assert numbers == []


def test_other_images_are_refused_too(copied, roads, tmp_path, numbers):
    """What was trained on would be held out."""
    more = shutil.copytree(roads, tmp_path / "more" / roads.name)
    for kind in ("sat", "map"):
        (image,) = (more / "train" / kind).glob("sample_000.*")
        shutil.copy(image, image.with_stem("sample_009"))
    noted = copied / "settings.json"
    told = json.loads(noted.read_text())
    assert list(told["held-out images"]) == ["sample_002"]
    noted.write_text(json.dumps(told | {"data": [str(more)]}))
    with pytest.raises(PipelineError, match="differs in training images; resume"):
        train_roads(roads_config(more, copied), Silence())
    assert numbers == []


def test_a_mended_label_is_told_from_the_one_trained_on(copied, roads, tmp_path, numbers):
    mended = shutil.copytree(roads, tmp_path / roads.name)
    noted = copied / "settings.json"
    noted.write_text(json.dumps(json.loads(noted.read_text()) | {"data": [str(mended)]}))
    train_roads(roads_config(mended, copied), Silence())
    (label,) = (mended / "train" / "map").glob("sample_001.*")
    with Image.open(label) as image:
        pixels = np.array(image)
    pixels[:2, :2] = 255 - pixels[:2, :2]
    Image.fromarray(pixels).save(label)
    with pytest.raises(PipelineError, match=r"differs in training images \(sample_001\); resume"):
        train_roads(roads_config(mended, copied), Silence())
    assert numbers == []


def test_what_is_no_trainings_is_not_overwritten(roads, tmp_path):
    for name in ("csv", "checkpoints", "held-out"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.txt").touch()
    config = roads_config(roads, tmp_path, overwrite=True, iterations=1, scorings=1)
    mine = tmp_path / "settings.json"
    for content in ('{"tabs": 4}', ""):
        mine.write_text(content)
        with pytest.raises(PipelineError, match=r"settings\.json: not the settings of a training"):
            train_roads(config, Silence())
        assert mine.read_text() == content
    mine.unlink()
    train_roads(config, Silence())
    assert len(list(tmp_path.glob("*/mine.txt"))) == 3


def test_a_training_that_is_overwritten_leaves_nothing_that_looks_new(copied, roads, monkeypatch):
    def broken_off(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(recipes, "train", broken_off)
    with pytest.raises(PipelineError, match=r"cannot be written \(No space left on device\); free"):
        train_roads(roads_config(roads, copied, overwrite=True, name="other"), Silence())
    assert [path.name for path in copied.iterdir()] == ["settings.json"]


def test_an_overwrite_broken_off_leaves_no_checkpoint_to_go_on_from(
    copied, roads, numbers, monkeypatch
):
    remove = shutil.rmtree

    def broken_off(folder, **told):
        remove(folder, **told)
        raise KeyboardInterrupt

    config = roads_config(roads, copied, overwrite=True, iterations=2, scorings=1, seed=4)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", broken_off)
        with pytest.raises(KeyboardInterrupt):
            train_roads(config, Silence())
    assert (copied / "settings.json").is_file()
    train_roads(config.model_copy(update={"overwrite": False}), Silence())
    assert numbers == [0, 1]


def test_checkpoints_without_their_settings_are_not_gone_on_from(copied, roads, numbers):
    (copied / "settings.json").unlink()
    with pytest.raises(PipelineError, match=r"without their settings \(settings"):
        train_roads(roads_config(roads, copied), Silence())
    assert numbers == []


def test_two_trainings_are_not_in_one_folder(copied, roads, numbers):
    before = digest(copied / "checkpoints" / "last.ckpt")
    with locked(copied), pytest.raises(SinkError, match=f"{copied}: another run is writing there"):
        train_roads(roads_config(roads, copied, overwrite=True), Silence())
    assert digest(copied / "checkpoints" / "last.ckpt") == before
    assert numbers == []


@pytest.mark.parametrize("begun_in", ["32-true", "bf16-mixed"])
def test_a_training_goes_on_in_the_precision_it_was_begun_in(copied, roads, begun_in):
    """On another machine "auto" may be another one; the weights would be of both."""
    noted = copied / "settings.json"
    told = json.loads(noted.read_text())
    told["resolved"]["precision"] = begun_in
    noted.write_text(json.dumps(told))
    config = roads_config(roads, copied)
    assert config.precision == "auto"
    assert precision_of(config, copied) == begun_in
    train_roads(config, Silence())
    assert json.loads(noted.read_text())["resolved"]["precision"] == begun_in
    here = fastest_precision()
    assert precision_of(roads_config(roads, copied, overwrite=True), copied) == here
    (copied / "checkpoints" / "last.ckpt").unlink()
    assert precision_of(config, copied) == here
    assert precision_of(roads_config(roads, copied, precision="32-true"), copied) == "32-true"


@pytest.mark.soak
def test_drawn_images_and_weights_of_an_earlier_name_are_cleared_away_too(
    copied, roads, monkeypatch
):
    monkeypatch.setattr("pipelines.datasets.massachusetts._DRAWN_SIZE", 96)
    config = roads_config(roads, copied, name="other", iterations=12)
    train_roads(config, Silence())
    assert (copied / "roads.safetensors").is_file()
    few = {"iterations": 1, "scorings": 1, "overwrite": True}
    train_roads(roads_config(roads, copied, samples=50, name="third", **few), Silence())
    assert {path.name for path in copied.glob("*.safetensors")} == {"third.safetensors"}
    assert (copied / "samples").is_dir()
    train_roads(roads_config(roads, copied, **few), Silence())
    assert not (copied / "samples").exists()


@pytest.mark.soak
def test_overwrite_starts_afresh_with_other_settings(copied, roads, numbers):
    before = digest(copied / "roads.safetensors")
    config = roads_config(roads, copied, overwrite=True, iterations=2, scorings=1, seed=4)
    mask = copied / "valid" / "sample_003" / "mask.tif"
    with rasterio.open(mask) as raster:
        earlier = raster.tags()["RURNET_WEIGHTS_SHA256"]
    result = train_roads(config, Silence())
    assert numbers == [0, 1]
    assert digest(result.weights) != before
    # The rasters of the test split too: those of other weights are not in the way.
    assert result.failed == []
    with rasterio.open(mask) as raster:
        assert raster.tags()["RURNET_WEIGHTS_SHA256"] != earlier
    assert load(str(result.weights)).card.training["iterations"] == 2
    numbers.clear()
    train_roads(config.model_copy(update={"overwrite": False}), Silence())
    assert numbers == []


def test_a_killed_training_resumes_and_ends_as_if_it_had_not_been(
    unbroken, roads, tmp_path, numbers
):
    config = roads_config(roads, tmp_path / "killed")
    code = (
        "import sys, torch\n"
        "torch.set_num_threads(1)\n"
        "from pipelines.sampling import statistics\n"
        f"statistics.TILE = {TILE}\n"
        "from pipelines.config.training import TrainRoads\n"
        "from pipelines.training.run import train_roads\n"
        "from pipelines.results.progress import Silence\n"
        "train_roads(TrainRoads.model_validate_json(sys.argv[1]), Silence())\n"
    )
    last = config.output / "checkpoints" / "last.ckpt"
    child = subprocess.Popen(
        [sys.executable, "-c", code, config.model_dump_json()],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        deadline = time.monotonic() + 300
        while not last.exists() and child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.002)
    finally:
        child.kill()
    _, errors = child.communicate()
    assert child.returncode == -signal.SIGKILL, errors.decode()
    assert not (config.output / "roads.safetensors").exists()
    reached = torch.load(last, weights_only=False)["global_step"]
    assert 0 < reached < 12

    result = train_roads(config, Silence())
    assert numbers == list(range(reached, 12))
    assert torch.load(last, weights_only=False)["global_step"] == 12
    # Every byte: the tensors, the scores, and what was noted.
    assert digest(result.weights) == digest(unbroken.weights)


def test_what_a_kill_has_left_half_written_goes_with_the_next_start(copied, roads):
    code = (
        "import os, signal, sys\n"
        "from contextlib import ExitStack\n"
        "from pathlib import Path\n"
        "from tiling.disk import appearing\n"
        "with ExitStack() as stack:\n"
        "    for path in map(Path, sys.argv[1:]):\n"
        "        stack.enter_context(appearing(path)).write_bytes(b'half')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    checkpoints = copied / "checkpoints"
    paths = [checkpoints / "last.ckpt", copied / "roads.safetensors", copied / "settings.json"]
    subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=False)
    assert len([*copied.glob(".*"), *checkpoints.glob(".*")]) == 3
    train_roads(roads_config(roads, copied), Silence())
    assert [*copied.glob(".*"), *checkpoints.glob(".*")] == []


def test_mistakes_in_a_first_command_do_not_stand_in_the_way_of_the_next(roads, tmp_path):
    few = {"iterations": 1, "scorings": 1}
    with pytest.raises(NetworkError):
        train_roads(roads_config(roads, tmp_path, **few, model="dru9"), Silence())
    with pytest.raises(WeightsError):
        train_roads(roads_config(roads, tmp_path, **few, start_from="nothing"), Silence())
    assert list(tmp_path.iterdir()) == []
    assert train_roads(roads_config(roads, tmp_path, **few), Silence()).weights.is_file()
