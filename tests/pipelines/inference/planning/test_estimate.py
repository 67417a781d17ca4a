"""What a run would take, said before it is run."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import rasterio

from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError
from pipelines.inference.batch import run_batch
from pipelines.inference.fingerprint import grid_of
from pipelines.inference.planning.estimate import estimate_batch
from pipelines.inputs.discovery import road_inputs
from pipelines.inputs.opening import Reading
from pipelines.models.outline import outlined
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.runtime.device import is_a_cpu

SMALL = PredictionSettings(tile=64, overlap=16, part_size=160, batch=2, device="cpu", steps=1)


@pytest.fixture(scope="module")
def model(roads_weights):
    return load(str(roads_weights))


@pytest.fixture(scope="module")
def scene(write_raster, tmp_path_factory):
    """A scene of noise, which nothing compresses."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 400, 500)).astype(np.uint8)
    return write_raster(tmp_path_factory.mktemp("scenes") / "noise.tif", pixels)


def estimate(scenes, model, reading=None, output=Path("nowhere"), **changes):
    items = road_inputs([str(scene) for scene in scenes], None, reading)
    return estimate_batch(items, [model], SMALL.model_copy(update=changes), output)


def test_an_estimate_says_what_the_run_then_has(scene, model, tmp_path, told):
    [estimated] = estimate([scene], model)
    [outcome] = run_batch(road_inputs([str(scene)], None), [model], SMALL, tmp_path, told)
    assert (estimated.name, estimated.width, estimated.height) == ("noise", 500, 400)
    assert estimated.tiles == outcome.prediction.tiles == told.done
    assert estimated.parts == outcome.prediction.parts == 12
    assert estimated.redundant == told.done / estimated.tiles - 1 == 0
    assert estimated.error is None


@pytest.mark.parametrize(
    "changes", [{}, {"dtype": "float32"}, {"save_steps": True, "steps": 3}, {"overlap": 48}]
)
def test_the_disk_is_enough_for_all_that_is_there_at_once(scene, model, tmp_path, told, changes):
    [estimated] = estimate([scene], model, **changes)
    settings = SMALL.model_copy(update=changes)
    largest, ended = 0, Event()

    def watch():
        nonlocal largest
        while not ended.is_set():
            used = {}
            # Gone meanwhile, or renamed: by its number it is still one file.
            with suppress(FileNotFoundError):
                for path in tmp_path.rglob("*"):
                    stat = path.stat()
                    used[stat.st_ino] = stat.st_size if path.is_file() else 0
            largest = max(largest, sum(used.values()))

    watching = Thread(target=watch)
    watching.start()
    try:
        [outcome] = run_batch(road_inputs([str(scene)], None), [model], settings, tmp_path, told)
    finally:
        ended.set()
        watching.join()
    assert outcome.error is None
    # A few kilobytes of headers per part are not counted.
    assert 0 < largest <= estimated.disk + 4096 * estimated.parts
    [twice] = estimate([scene], model, dtype="float32", save_steps=True, steps=3)
    assert estimated.disk <= twice.disk


def test_more_to_hold_is_more_memory(scene, model):
    [small], [large] = estimate([scene], model), estimate([scene], model, part_size=4096)
    assert large.parts == 1
    assert large.memory > small.memory
    [steps] = estimate([scene], model, part_size=4096, steps=3, save_steps=True)
    # Two bands more, each with two sums of 4 bytes and a level per pixel.
    assert steps.memory - large.memory >= 400 * 500 * 2 * (2 * 4 + 1)


def test_a_resampled_scene_is_estimated_at_the_size_that_the_network_sees(scene, model):
    [own], [coarse] = estimate([scene], model), estimate([scene], model, Reading(gsd=2.0))
    assert coarse.tiles < own.tiles / 2
    assert (coarse.height, coarse.width) == (own.height, own.width)


def test_time_is_that_of_all_tiles_at_the_measured_pace(scene, model):
    [estimated] = estimate([scene], model, measure=True)
    assert 0 < estimated.measured <= estimated.tiles
    assert estimated.seconds > 0
    [unmeasured] = estimate([scene], model)
    assert (unmeasured.measured, unmeasured.seconds) == (0, None)


class Killed(Silence):
    """Stops a run after some of its tiles."""

    def tiles(self, name, done):
        raise KeyboardInterrupt


def test_what_an_earlier_run_has_done_is_not_left(scene, model, tmp_path):
    items = road_inputs([str(scene)], None)
    with pytest.raises(KeyboardInterrupt):
        run_batch(items, [model], SMALL, tmp_path, Killed())
    [begun] = estimate([scene], model, output=tmp_path)
    parts = len(list(tmp_path.rglob("*.npz")))
    assert (parts > 0) == (begun.left < begun.tiles)
    run_batch(items, [model], SMALL, tmp_path, Silence())
    [done] = estimate([scene], model, output=tmp_path)
    assert (done.left, done.tiles) == (0, begun.tiles)
    [afresh] = estimate([scene], model, output=tmp_path, overwrite=True)
    assert afresh.left == afresh.tiles
    [other] = estimate([scene], model, output=tmp_path, threshold=0.4)
    assert "threshold 0.5 (now 0.4)" in other.error


@pytest.mark.parametrize("gsd", [None, 0.5, 2.0])
def test_tiles_outside_the_area_of_interest_are_not_counted(scene, model, tmp_path, told, gsd):
    with rasterio.open(scene) as raster:
        # A triangle in the upper left, and a lake in it.
        corners = [raster.transform * xy for xy in ((0, 0), (260, 0), (0, 200), (0, 0))]
        lake = [raster.transform * xy for xy in ((8, 8), (60, 8), (8, 60), (8, 8))]
        name = raster.crs.to_string()
    area = tmp_path / "area.geojson"
    area.write_text(json.dumps({
        "type": "Polygon", "coordinates": [corners, lake],
        "crs": {"type": "name", "properties": {"name": name}},
    }))  # fmt: skip
    reading = Reading(area=area, gsd=gsd)
    [estimated] = estimate([scene], model, reading)
    [item] = road_inputs([str(scene)], None, reading)
    with item.open() as opened:
        grid = grid_of(opened.seen, SMALL)
        there = sum(bool(opened.seen.read(tile)[1].any()) for tile in grid.tiles())
    assert abs(estimated.tiles - there) <= (0 if gsd is None else 2)
    assert 0 < estimated.left == estimated.tiles < grid.tile_count


@pytest.mark.parametrize("size", [(20, 30), (64, 64), (65, 400)])
def test_small_scenes_can_be_estimated(write_raster, model, tmp_path, size):
    path = write_raster(tmp_path / "s.tif", np.full((3, *size), 90, np.uint8))
    [estimated] = estimate([path], model)
    assert estimated.error is None
    assert estimated.measured <= estimated.tiles


def test_nothing_is_written(scene, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = sorted(path.name for path in scene.parent.iterdir())
    estimate([scene], model)
    assert list(tmp_path.iterdir()) == []
    assert sorted(path.name for path in scene.parent.iterdir()) == before


def test_a_scene_that_cannot_be_read_is_named_and_the_others_are_estimated(scene, model, tmp_path):
    (tmp_path / "text.tif").write_text("no raster")
    cut = tmp_path / "cut.tif"
    cut.write_bytes(scene.read_bytes()[: scene.stat().st_size // 2])
    text, half, estimated = estimate([tmp_path / "text.tif", cut, scene], model)
    assert "text.tif" in text.error
    assert "cut.tif" in half.error
    assert estimated.error is None
    with rasterio.open(scene) as raster:
        assert (estimated.height, estimated.width) == raster.shape


def test_what_would_be_refused_is_refused(scene, model, tmp_path, write_raster):
    other = write_raster(tmp_path / "noise.tif", np.full((3, 20, 20), 9, np.uint8))
    with pytest.raises(PipelineError, match="both be written"):
        estimate([scene, other], model)
    with pytest.raises(PipelineError, match="cuda:99"):
        estimate([scene], model, device="cuda:99")


def test_without_its_network_the_same_is_told(scene):
    built, told = load("roads-dru4"), outlined("roads-dru4")
    for changes in ({"steps": None}, {"steps": "auto"}, {"steps": 5, "save_steps": True}):
        [full], [light] = estimate([scene], built, **changes), estimate([scene], told, **changes)
        assert replace(light, memory=full.memory) == full
        assert light.memory == pytest.approx(full.memory, rel=0.1)


def test_loading_what_predicts_takes_no_more_memory_than_is_told():
    program = (
        "from pipelines.inference import job\n"
        "from pipelines.inference.planning import estimate\n"
        "from pipelines.runtime.device import is_a_cpu\n"
        "from pipelines.runtime.memory import peak_memory\n"
        "models, settings = [job.known('roads-dru4')], job.PredictionSettings(device='cpu')\n"
        "job.predictor_for(models, settings)\n"
        "print(peak_memory(), estimate._loaded(models, settings, None), is_a_cpu('cpu'))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    took, told, for_cpus = found.stdout.split()
    if for_cpus == "False":
        pytest.skip("this build of torch may use a GPU: what it takes is measured")
    assert 0.6 * int(told) < int(took) <= int(told)


@pytest.mark.parametrize("backend", ["eager", "openvino"])
def test_a_run_takes_no_more_memory_than_is_told(backend, write_raster, tmp_path):
    if backend == "openvino":
        pytest.importorskip("openvino")
    pixels = np.random.default_rng(0).integers(0, 256, (3, 600, 1400)).astype(np.uint8)
    path = write_raster(tmp_path / "large.tif", pixels)
    program = (
        "from flows.table import FLOWS\n"
        "from pipelines.results.progress import Silence\n"
        "from pipelines.runtime.memory import peak_memory\n"
        "flow = FLOWS['infer-roads']\n"
        f"asked = dict(scenes=[{str(path)!r}], backend={backend!r}, device='cpu', steps=1)\n"
        "[told] = flow.run(flow.config()(dry_run=True, **asked), Silence()).estimates\n"
        "flow.run(flow.config()(**asked), Silence())\n"
        "print(peak_memory(), told.memory)"
    )
    environment = os.environ | {"TORCH_HOME": str(tmp_path), "OMP_NUM_THREADS": "2"}
    found = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path,
        env=environment, check=True,
    )  # fmt: skip
    took, told = map(int, found.stdout.split())
    assert 0.6 * told < took <= told


def test_a_dry_run_imports_neither_torch_nor_what_predicts(scene, tmp_path):
    program = (
        "import sys\n"
        "from flows.table import FLOWS\n"
        "from flows.cli.estimated import print_dry_run\n"
        "from pipelines.results.progress import Silence\n"
        f"config = FLOWS['infer-roads'].config()(scenes=[{str(scene)!r}], dry_run=True)\n"
        "print_dry_run(FLOWS['infer-roads'].run(config, Silence()))\n"
        "heavy = {'torch', 'scipy.ndimage', 'scipy.sparse', 'pipelines.inference.batch'}\n"
        "print(heavy & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path
    )
    assert "noise" in done.stdout, done.stderr
    device = "set()" if is_a_cpu("auto") else "{'torch'}"
    assert done.stdout.splitlines()[-1] == device
