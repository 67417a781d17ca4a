"""A MONAI bundle predicts a folder as we do, without us; a torch program stands alone too."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image

from pipelines.config.inference import InferRoads
from pipelines.datasets.synthetic import draw_road_scene
from pipelines.errors import PipelineError
from pipelines.export import check
from pipelines.export.bundle import export_bundle
from pipelines.export.program_file import export_program
from pipelines.inference.run import infer_roads
from pipelines.models.weights import Model, WeightsCard, save
from pipelines.results.progress import Silence
from rurnet.registry import create
from tiling.readers.raster import without_georeferencing_warning

SMALLEST = {"channels": [4]}
TILE, OVERLAP = 64, 16


def fresh(name="unet-gn", **arguments):
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = create(name, **arguments).eval()
    bands = network.in_channels
    card = WeightsCard(
        "roads", name, arguments, ("background", "road"), (120.0, 118.0, 110.0, 99.0)[:bands],
        (50.0,) * bands, 1.0, 0.5,
    )  # fmt: skip
    return Model(name, network, card, "0123456789abcdef", name)


@pytest.fixture(scope="module")
def model():
    return fresh(**SMALLEST)


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory):
    """A bundle, and two images: one larger than a tile, one lower than one."""
    root = tmp_path_factory.mktemp("bundle")
    difference = export_bundle(model, root / "roads.bundle")
    assert difference < 1e-5
    (root / "images").mkdir()
    for name, size in (("large", (100, 150)), ("low", (20, 90))):
        pixels = np.moveaxis(draw_road_scene(*size, seed=1)[0], 0, -1)
        Image.fromarray(pixels).save(root / "images" / f"{name}.png")
    (root / "images" / "notes.txt").touch()
    return root


@pytest.fixture(scope="module")
def ours(model, folder):
    """What we find in the same images with the same tiles: masks of 0 and 1, by name."""
    weights = folder / "weights.safetensors"
    save(weights, model.network, model.card)
    config = InferRoads(
        scenes=[str(folder / "images/*.png")], model=[str(weights)], output=str(folder / "ours"),
        tile=TILE, overlap=OVERLAP, threshold=0.45, device="cpu",
    )  # fmt: skip
    result = infer_roads(config, Silence())
    found = {}
    for name in ("large", "low"):
        with (
            without_georeferencing_warning(),
            rasterio.open(result.folder / name / "mask.tif") as raster,
        ):
            found[name] = raster.read(1)
    return found


def elsewhere(*words, cwd):
    """Runs Python where this package cannot be imported."""
    blocked = (
        "import sys, runpy\n"
        "for name in ('rurnet', 'pipelines', 'tiling', 'flows'): sys.modules[name] = None\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", blocked + words[0], *words[1:]],
        cwd=cwd, capture_output=True, text=True, env=environment,
    )  # fmt: skip


def test_monai_writes_our_masks(model, folder, ours):
    pytest.importorskip("fire", reason="python -m monai.bundle needs it: pip install fire")
    done = elsewhere(
        "runpy.run_module('monai.bundle', run_name='__main__', alter_sys=True)", "run",
        "--bundle_root", "roads.bundle", "--config_file", "roads.bundle/configs/inference.json",
        "--meta_file", "roads.bundle/configs/metadata.json", "--tile", str(TILE),
        "--overlap", str(OVERLAP), "--threshold", "0.45", cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    written = sorted(path.name for path in (folder / "masks").iterdir())
    assert written == ["large_mask.png", "low_mask.png"]
    for name in ("large", "low"):
        found = np.asarray(Image.open(folder / "masks" / f"{name}_mask.png"))
        expected = ours[name] * 255
        assert found.shape == expected.shape
        assert 0.01 < (found == 255).mean() < 0.99
        assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int32])
def test_images_of_more_than_8_bits_are_refused_by_name(dtype, tmp_path):
    """Cut off at 255 they would get some mask."""
    pytest.importorskip("fire", reason="python -m monai.bundle needs it: pip install fire")
    export_bundle(fresh(**SMALLEST, in_channels=1), tmp_path / "grey.bundle")
    (tmp_path / "images").mkdir()
    drawn = draw_road_scene(40, 50, seed=1)[0][0]
    Image.fromarray(drawn.astype(dtype)).save(tmp_path / "images" / "deep.tif")
    done = elsewhere(
        "runpy.run_module('monai.bundle', run_name='__main__', alter_sys=True)", "run",
        "--bundle_root", "grey.bundle", "--config_file", "grey.bundle/configs/inference.json",
        cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode != 0
    assert "images/deep.tif: has more than 8 bits per band; save it as 8 bits" in done.stderr
    assert not (tmp_path / "masks").exists()


def test_the_metadata_hold_what_monais_schema_requires(model, folder):
    found = json.loads((folder / "roads.bundle/configs/metadata.json").read_text())
    for key in ("schema", "version", "monai_version", "pytorch_version", "numpy_version", "task",
                "description", "authors", "copyright"):  # fmt: skip
        assert isinstance(found[key], str)
        assert found[key]
    assert list(found["required_packages_version"]) == ["pillow"]
    data = found["network_data_format"]
    assert data["inputs"]["image"]["num_channels"] == 3
    assert data["outputs"]["pred"]["channel_def"] == {"0": "road"}
    for tensor in (data["inputs"]["image"], data["outputs"]["pred"]):
        assert {"type", "format", "spatial_shape", "dtype", "value_range"} <= set(tensor)
    assert found["digest"] == model.digest
    assert found["rurnet"]["mean"] == list(model.card.mean)


def test_torch_alone_reads_a_program_and_its_metadata(model, tmp_path):
    path = tmp_path / "new" / "roads.pt2"
    assert export_program(model, path) < 1e-5
    program = (
        "import torch, json\n"
        "extra = {'rurnet': '', 'steps': '', 'digest': ''}\n"
        "network = torch.export.load('roads.pt2', extra_files=extra).module()\n"
        "print(json.dumps([extra['steps'], extra['digest'], json.loads(extra['rurnet'])['classes'],"
        "network(torch.zeros(2, 3, 33, 70)).shape, network(torch.zeros(1, 3, 1, 9)).shape]))"
    )
    done = elsewhere(program, cwd=path.parent)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [
        "1", model.digest, ["background", "road"], [2, 1, 33, 70], [1, 1, 1, 9]
    ]  # fmt: skip
    assert str(Path(__file__).parents[3]).encode() not in path.read_bytes()


@pytest.mark.parametrize(
    ("export", "name"), [(export_program, "a.pt2"), (export_bundle, "a.bundle")]
)
def test_what_differs_from_our_own_output_gets_no_name(export, name, model, tmp_path, monkeypatch):
    monkeypatch.setattr(check, "BOUND", -1.0)
    with pytest.raises(PipelineError, match="not written, because its probabilities differ"):
        export(model, tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_bundle_that_is_there_is_kept(model, folder):
    before = (folder / "roads.bundle/configs/metadata.json").stat().st_mtime_ns
    with pytest.raises(PipelineError, match="is there already; remove it"):
        export_bundle(model, folder / "roads.bundle")
    assert (folder / "roads.bundle/configs/metadata.json").stat().st_mtime_ns == before


def test_a_range_that_monai_would_not_apply_is_refused(model, tmp_path):
    told = replace(model, card=replace(model.card, value_range=(0.0, 2047.0)))
    with pytest.raises(PipelineError, match=r"for unet-gn they are 0 and 2047; export to \.pt2"):
        export_bundle(told, tmp_path / "a.bundle")
    assert list(tmp_path.iterdir()) == []
    bytes_told = replace(model, card=replace(model.card, value_range=(0.0, 255.0)))
    assert export_bundle(bytes_told, tmp_path / "b.bundle") < 1e-5


@pytest.mark.parametrize(
    ("network", "said"),
    [
        (("reseg", {"width": 8, "units": 8}), "reseg contains a GRU"),
        (("unet-gn", {"channels": [4], "in_channels": 4}), "takes 4; export to .pt2"),
    ],
    ids=["gru", "bands"],
)
def test_what_monai_cannot_run_is_refused(network, said, tmp_path):
    with pytest.raises(PipelineError, match=said):
        export_bundle(fresh(network[0], **network[1]), tmp_path / "a.bundle")
    assert list(tmp_path.iterdir()) == []
