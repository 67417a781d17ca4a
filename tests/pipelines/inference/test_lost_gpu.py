"""A GPU that fails in the middle of a run: its scene fails, the others take another one.

There need be no GPU: the network raises what torch raises for CUDA, the CPU stands for GPUs, and a
stand-in for nvidia-smi lists them. The process that takes over is a real one.
"""

from functools import partial

import pytest
import torch
from distributed import LocalCluster, get_worker

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import DeviceLostError, DeviceMemoryError
from pipelines.inference.batch import run_batch
from pipelines.inference.cluster import dask_workers
from pipelines.inference.cluster.another_gpu import NOT_TRIED, GpuRelay
from pipelines.inputs.discovery import road_inputs
from pipelines.models.weights import load
from pipelines.report.build import failures
from pipelines.results.failure import said_once
from pipelines.results.progress import Silence
from tests.pipelines.inference.commands import rasters

SETTINGS = PredictionSettings(tile=64, overlap=16, part_size=160, steps=1, batch=2)
NAMES = ("a", "b", "c", "d")
SAID = "CUDA error: unspecified launch failure"

pytestmark = pytest.mark.skipif(
    torch.cuda.is_available(), reason="the CPU stands for GPUs that are not there"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lost")
    for seed, name in enumerate(NAMES):
        write_road_scene(folder / f"in/{name}.tif", None, size=200, seed=seed)
    return folder


@pytest.fixture(scope="module")
def expected(folder, roads_weights):
    items = road_inputs([str(folder / "in")], None)
    run_batch(items, [load(str(roads_weights))], SETTINGS, folder / "alone", Silence())
    return {name: rasters(folder / "alone" / name) for name in NAMES}


@pytest.fixture
def gpus(tmp_path, monkeypatch):
    """Lists GPUs of these identifiers."""

    def listed(*identifiers):
        program = tmp_path / "nvidia-smi"
        lines = [f"echo 'GPU {n}: Some GPU (UUID: {each})'" for n, each in enumerate(identifiers)]
        program.write_text("\n".join(["#!/bin/sh", *lines]))
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    return listed


class Now(Silence):
    """Knows which scene is under way."""

    scene_now = ""

    def scene(self, name, tiles):
        self.scene_now = name


def run(folder, weights, output, error, at, monkeypatch):
    """A run whose network raises an error in one scene, and in all that follow here."""
    model, now = load(str(weights)), Now()
    whole, failed = model.network.step, []

    def step(*given):
        if now.scene_now == at or failed:
            failed.append(now.scene_now)
            raise error
        return whole(*given)

    monkeypatch.setattr(model.network, "step", step)
    items = road_inputs([str(folder / "in")], None)
    outcomes = run_batch(items, [model], SETTINGS, output, now)
    return {one.name: one for one in outcomes}, set(failed)


def test_the_scenes_that_follow_are_computed_on_another_gpu(
    folder, roads_weights, expected, gpus, tmp_path, monkeypatch, caplog
):
    gpus("GPU-aa", "GPU-bb")
    lost = torch.AcceleratorError(SAID)
    outcomes, here = run(folder, roads_weights, tmp_path / "out", lost, "b", monkeypatch)
    assert [name for name, one in outcomes.items() if not one.done] == ["b"]
    assert outcomes["b"].error.startswith(f"{folder / 'in/b.tif'}: device cpu: lost ({SAID})")
    assert here == {"b"}
    assert "the scenes that follow are computed on GPU-bb" in caplog.text
    for name in ("a", "c", "d"):
        assert rasters(tmp_path / "out" / name) == expected[name]
    assert not list((tmp_path / "out").glob(".workers*"))


@pytest.mark.parametrize("listed", [("GPU-aa",), ()])
def test_without_another_gpu_the_others_are_not_tried(
    folder, roads_weights, expected, gpus, listed, tmp_path, monkeypatch
):
    gpus(*listed)
    lost = torch.AcceleratorError(SAID)
    outcomes, here = run(folder, roads_weights, tmp_path, lost, "b", monkeypatch)
    assert here == {"b"}
    assert rasters(tmp_path / "a") == expected["a"]
    first, second = said_once(failures([*outcomes.values()]))
    assert "b.tif: device cpu: lost" in first
    paths = ", ".join(str(folder / f"in/{name}.tif") for name in "cd")
    assert second == f"2 ({paths}): {NOT_TRIED}"
    assert not outcomes["c"].of_scene  # An inbox job counts no failure of it.


class Failing:
    """A process that fails, or does not."""

    device, offer, scenes, ended = "Some GPU", None, 1, None

    def __init__(self, *errors):
        self.errors = list(errors)

    def compute(self, *given):
        if self.errors:
            raise self.errors.pop(0)


def test_one_gpu_after_the_other_is_taken_until_none_is_left(gpus):
    gpus("GPU-aa", "GPU-bb", "GPU-cc")
    started = []

    def start(gpu):
        started.append(gpu)
        if gpu == "GPU-bb":
            raise DeviceLostError("GPU-bb: another kind of device")
        return Failing(DeviceLostError(gpu))

    relay = GpuRelay(Failing(DeviceLostError("GPU-aa")), start, "GPU-aa")
    for name in ("GPU-aa", "GPU-cc"):
        assert relay.ended is None
        with pytest.raises(DeviceLostError, match=name):
            relay.compute(*[None] * 6)
    assert started == ["GPU-bb", "GPU-cc"]
    assert relay.ended == NOT_TRIED


def test_a_gpu_out_of_memory_is_left_where_there_is_another_and_kept_where_there_is_none(gpus):
    def taken(started, gpu):
        started.append(gpu)
        return Failing()

    full = DeviceMemoryError("device cuda: out of memory")
    gpus("GPU-aa", "GPU-bb")
    for mine, others in (("GPU-bb", ["GPU-aa"]), (None, [])):
        started = []
        start = partial(taken, started)
        relay = GpuRelay(Failing(full), start, mine)
        with pytest.raises(DeviceMemoryError):
            relay.compute(*[None] * 6)
        relay.compute(*[None] * 6)
        assert (started, relay.ended) == (others, None)


@pytest.mark.parametrize("lost", [{0}, {0, 1}])
def test_workers_of_a_cluster_that_lost_their_gpu_are_let_go(
    folder, roads_weights, expected, lost, tmp_path, monkeypatch, caplog
):
    compute = dask_workers.error_of_part

    def computed(*given):
        if get_worker().name in lost:
            return DeviceLostError(SAID)
        return compute(*given)

    monkeypatch.setattr(dask_workers, "error_of_part", computed)
    items, models = road_inputs([str(folder / "in")], None), [load(str(roads_weights))]
    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None
    ) as cluster:
        settings = SETTINGS.model_copy(update={"scheduler": cluster.scheduler_address})
        outcomes = run_batch(items, models, settings, tmp_path, Silence())
        failed = [one.error for one in outcomes if not one.done]
        assert all(SAID in error or NOT_TRIED in error for error in failed)
        left = 2 - len(lost)
        assert f"lost its GPU and is let go; {left} are left" in caplog.text
        if not left:
            assert len(failed) == len(NAMES)
            return
        again = run_batch(items, models, settings, tmp_path, Silence())
    assert all(one.done for one in again)
    for name in NAMES:
        assert rasters(tmp_path / name) == expected[name]
