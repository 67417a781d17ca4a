"""A run that OpenVINO computes imports no torch, whether its network is compiled now or was."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from pipelines.datasets.synthetic import write_road_scene
from pipelines.runtime.caches import torch_hub
from pipelines.runtime.device import may_have_gpu

pytest.importorskip("openvino", reason="needs rurnet[openvino]")

PATHS = os.pathsep.join(str(Path(one).absolute()) for one in sys.path)

PROGRAM = """
import json, logging, sys
from pipelines.config.inference import InferRoads
from pipelines.inference.run import infer_roads
from pipelines.results.progress import Silence
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stderr)
asked = dict(model=["roads-dru4"], backend="openvino", tile=64, overlap=16, device="cpu")
for changes in json.loads(sys.argv[1]):
    failed = infer_roads(InferRoads(**(asked | changes)), Silence()).failed
    assert not failed, failed
print(json.dumps("torch" in sys.modules))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("lean")
    write_road_scene(folder / "scene.tif", folder / "label.tif", size=150, seed=3)
    return folder


def ran(folder, *runs, **environment):
    """Whether torch was imported by a process that did some runs, and its log."""
    done = tried(folder, *runs, **environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1]), done.stderr


def tried(folder, *runs, **environment):
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, json.dumps(runs)], capture_output=True, text=True,
        cwd=folder, check=False,
        env={**os.environ, "PYTHONPATH": PATHS, "TORCH_HOME": str(folder / "home"), **environment},
    )  # fmt: skip


def rasters(output):
    return {path.name: path.read_bytes() for path in sorted((output / "scene").glob("*.tif"))}


@pytest.fixture(scope="module")
def first(folder):
    """What came of a run that compiled its network, its log, and whether it imported torch."""
    torch_came, log = ran(folder, {"scenes": ["scene.tif"], "output": "first"}, OMP_NUM_THREADS="1")
    return rasters(folder / "first"), log, torch_came


def test_a_network_is_compiled_elsewhere_and_loaded_later_with_the_same_bytes(folder, first):
    found, log, torch_came = first
    assert log.count("compiling roads-dru4 for openvino") == 1
    again = {"scenes": ["scene.tif"], "output": "second", "part_size": 64, "batch": 7}
    torch_came_again, log = ran(folder, again, OMP_NUM_THREADS="1")
    assert "compiling" not in log
    assert (torch_came, torch_came_again) == (False, False)
    assert rasters(folder / "second") == found


def test_nor_is_torch_imported_for_scores_steps_of_each_tile_turns_doubt_and_updates(folder, first):
    scene, output = ["scene.tif"], "of"
    runs = [
        {"labels": "label.tif", "save_steps": True, "steps": 2},
        {"steps": "auto", "save_uncertainty": True},
        {"steps": 1, "tta": True, "save_uncertainty": True, "lines": True},
        {"from_run": "first"},
        {"budget": "1h"},
        {"dry_run": True, "measure": True},
    ]
    runs = [{"scenes": scene, "output": f"{output}{at}"} | run for at, run in enumerate(runs)]
    torch_came, log = ran(folder, *runs, OMP_NUM_THREADS="2")
    assert torch_came is False, log


def test_it_is_where_auto_has_torch_compute_a_small_scene(folder, first):
    small = {"scenes": ["scene.tif"], "output": "small", "backend": "auto"}
    assert ran(folder, small)[0] is True


def test_a_device_that_is_not_named_needs_torch_only_where_there_may_be_a_gpu(folder, first):
    auto = {"scenes": ["scene.tif"], "output": "auto", "device": "auto"}
    if may_have_gpu() and torch.cuda.is_available():
        pytest.skip("a GPU is taken here")
    of_gpus = torch.version.cuda or torch.version.hip
    assert ran(folder, auto)[0] is bool(may_have_gpu() and of_gpus)
    assert rasters(folder / "auto") == first[0]


def test_where_the_process_that_compiles_ends_the_error_says_so(folder, tmp_path):
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "if 'pipelines.backends.compiling' in sys.orig_argv: raise SystemExit('out of memory')\n"
    )
    done = tried(
        folder, {"scenes": ["scene.tif"], "output": "broken"},
        PYTHONPATH=f"{tmp_path}{os.pathsep}{PATHS}", TORCH_HOME=str(tmp_path),
    )  # fmt: skip
    said = "roads-dru4: OpenVINO could not compile this network (SystemExit: out of memory); give"
    assert said in done.stderr


def test_compiled_networks_are_kept_where_torch_keeps_files(monkeypatch, tmp_path):
    assert str(torch_hub()) == torch.hub.get_dir()
    for name, value in (("XDG_CACHE_HOME", str(tmp_path)), ("TORCH_HOME", "~/else")):
        monkeypatch.setenv(name, value)
        assert str(torch_hub()) == torch.hub.get_dir()
    assert torch_hub() == Path.home() / "else" / "hub"
