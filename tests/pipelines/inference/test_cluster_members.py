"""What the workers of a cluster must have in common, and those that hold nothing up.

Real processes and real signals.
"""

import os
import shutil
import signal
from collections import Counter
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path

import pytest
import rasterio
from distributed import Client
from distributed.core import Status

from pipelines.config.inference import PredictionSettings
from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import PipelineError
from pipelines.inference.batch import run_batch
from pipelines.inference.cluster import dask_workers
from pipelines.inference.cluster.client import team_of
from pipelines.inference.cluster.team import Member, Team, check_member, marked_output
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading, opened_scene
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import load
from pipelines.results.progress import Progress, Silence
from tests.pipelines.inference.clusters import wait_for
from tests.pipelines.inference.commands import (
    GUARD_S,
    rasters,
)


def opened_and_noted(log: Path, scene: str) -> AbstractContextManager[OpenedScene]:
    """Opens a scene, and notes which process did."""
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{os.getpid()} {scene}\n")
    return opened_scene(scene, None, Reading())


def test_a_worker_opens_a_scene_once_for_all_its_parts_and_anew_for_the_next_run(
    cluster, roads_weights, tmp_path
):
    log, path = tmp_path / "log", tmp_path / "scene.tif"
    item = SceneInput(str(path), "scene", partial(opened_and_noted, log, str(path)))
    models = [load(str(roads_weights))]
    settings = PredictionSettings(tile=64, overlap=16, steps=1, part_size=64, device="cpu")
    spread = settings.model_copy(update={"scheduler": cluster.address})

    def rasters_of(settings, name):
        [outcome] = run_batch([item], models, settings, tmp_path / name, Silence())
        assert outcome.error is None
        return rasters(tmp_path / name / "scene")

    write_road_scene(path, None, size=250, seed=3)
    before = rasters_of(spread, "before")
    openings = Counter(log.read_text().splitlines())
    assert (
        openings.pop(f"{os.getpid()} {path}") == 2
    )  # Its tiles are counted before the batch begins.
    assert len(openings) in (1, 2)
    assert set(openings.values()) == {1}
    # Written over in place: a file that is open still would show some of the old pixels.
    with rasterio.open(path, "r+") as raster:
        raster.write(raster.read()[:, ::-1])
    after = rasters_of(spread, "after")
    assert after == rasters_of(settings, "alone")
    assert after["probability.tif"] != before["probability.tif"]


def test_a_worker_with_other_weights_under_the_name_is_refused(
    cluster, roads_weights, vessels_weights, tmp_path
):
    path = tmp_path / "weights.safetensors"
    shutil.copy(roads_weights, path)
    models = [load(str(path))]
    shutil.copy(vessels_weights, path)
    settings = PredictionSettings(tile=64, overlap=16, steps=1, scheduler=cluster.address)
    items = road_inputs([str(tmp_path / "scene.tif")], None)
    with pytest.raises(PipelineError) as caught:
        run_batch(items, models, settings, tmp_path / "out", Silence())
    assert str(caught.value).startswith(f"{path}: worker tcp://127.0.0.1:")
    assert "has other weights under this name" in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_workers_that_do_not_share_the_output_are_refused(cluster, roads_weights, tmp_path):
    """As where another machine has no such folder."""
    models = [load(str(roads_weights))]
    with Client(cluster.address) as client:
        client.wait_for_workers(1, timeout=GUARD_S)
        with pytest.raises(
            PipelineError, match=r"^tcp://127\.0\.0\.1:\d+: a worker that does not see"
        ):
            team_of(client, models, PredictionSettings(device="cpu"), tmp_path / "gone" / "marker")
        with marked_output(tmp_path / "new" / "out") as marker:
            team = team_of(client, models, PredictionSettings(device="cpu"), marker)
            assert (team.marker, team.release) == (marker, version("rurnet"))
    assert not (tmp_path / "new").exists()


def test_a_worker_of_another_release_is_refused(tmp_path):
    team = Team((("a", "1"),), PredictionSettings(), "cpu", "2.0", tmp_path / "marker")
    member = Member("cpu", "2.0", ("1",), shares=True)
    check_member("tcp://host:1", member, team)
    with pytest.raises(
        PipelineError, match=r"tcp://host:1: a worker of release 1\.9 .* this is 2\.0"
    ):
        check_member("tcp://host:1", replace(member, release="1.9"), team)
    with pytest.raises(PipelineError, match="computes on cuda, the others on cpu"):
        check_member("tcp://host:1", replace(member, device="cuda"), team)


def test_each_worker_opens_each_scene_once(cluster, roads_weights, tmp_path):
    log, items = tmp_path / "log", []
    for seed, name in enumerate("abc"):
        write_road_scene(tmp_path / f"{name}.tif", None, size=250, seed=seed)
        opening = partial(opened_and_noted, log, str(tmp_path / f"{name}.tif"))
        items.append(SceneInput(str(tmp_path / f"{name}.tif"), name, opening))
    settings = PredictionSettings(
        tile=64, overlap=16, steps=1, part_size=64, device="cpu", scheduler=cluster.address
    )
    outcomes = run_batch(items, [load(str(roads_weights))], settings, tmp_path / "out", Silence())
    assert [one.error for one in outcomes] == [None, None, None]
    openings = Counter(line for line in log.read_text().splitlines())
    own = {
        line: times for line, times in openings.items() if not line.startswith(f"{os.getpid()} ")
    }
    assert {line.split()[1] for line in own} == {item.source for item in items}
    assert set(own.values()) == {1}


def paused(dask_worker):
    """What Dask does where a worker's memory is full."""
    dask_worker.status = Status.paused


@pytest.mark.parametrize("how", ["hangs", pytest.param("is paused", marks=pytest.mark.soak)])
def test_parts_of_a_worker_that_hangs_are_done_by_another(
    cluster, roads_weights, tmp_path, monkeypatch, how
):
    """Neither dead, nor at work: its connection is open."""
    monkeypatch.setattr(dask_workers, "_STUCK_S", 2.0)
    monkeypatch.setattr(dask_workers, "_LOOK_EVERY_S", 0.5)
    write_road_scene(tmp_path / "scene.tif", None, size=560, seed=3)
    items = road_inputs([str(tmp_path / "scene.tif")], None)
    models = [load(str(roads_weights))]
    settings = PredictionSettings(tile=64, overlap=16, steps=1, part_size=128, device="cpu")
    run_batch(items, models, settings, tmp_path / "alone", Silence())
    frozen = cluster.add(how)
    with Client(cluster.address) as client:

        def address() -> str | None:
            found = client.scheduler_info(n_workers=-1)["workers"].items()
            return next((one for one, worker in found if worker["name"] == how), None)

        wait_for(lambda: address() is not None, "no worker")
        doomed = address()
        stopped = []

        class Stopping(Progress):
            def tiles(self, name: str, done: int) -> None:
                if stopped or not client.processing().get(doomed):
                    return
                stopped.append(name)
                if how == "hangs":
                    frozen.send_signal(signal.SIGSTOP)
                else:
                    client.run(paused, workers=[doomed])

        settings = settings.model_copy(update={"scheduler": cluster.address})
        [outcome] = run_batch(items, models, settings, tmp_path / "out", Stopping())
    frozen.kill()
    assert stopped
    assert outcome.error is None
    assert rasters(tmp_path / "out/scene") == rasters(tmp_path / "alone/scene")
