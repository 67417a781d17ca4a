"""A network as an ONNX file gives, in another program, what it gives here, whatever the size."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from pipelines.errors import PipelineError
from pipelines.export.__main__ import main
from pipelines.export.onnx_file import export_onnx
from pipelines.export.program import exported
from pipelines.models.weights import Model, WeightsCard, load
from rurnet.errors import NetworkError
from rurnet.registry import create

ROOT = Path(__file__).parents[3]

NETWORKS = {
    "dru-0": {"channels": [8, 16], "steps": 2},
    "sru-0": {"channels": [8, 16], "steps": 2},
    "unet-gn": {},
    "rec-simple": {"in_channels": 4, "classes": 3, "channels": [8, 16, 32]},
    "icnet": {"width": 4},
    "canvas": {"width": 4, "steps": 2},
    "reseg": {"width": 8, "units": 8},
}
"""What is exported, and with which arguments; where they are smaller than usual, for time."""

LONG = ("rec-simple", "icnet", "canvas")
WHOLE = ("dru-4", "sru-0", "canvas", "reseg")
"""Those that are exported with their usual arguments too."""

SIZES = [(1, 1, 1), (2, 97, 131), (1, 33, 64), (3, 48, 16), (2, 1, 40), (1, 128, 128)]
"""Batch, height and width."""


def fresh(name, **arguments):
    """A model of a network as it is before any training, always the same."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = create(name, **arguments).eval()
    classes = ("background", "road", "path")[: network.classes]
    bands = network.in_channels
    card = WeightsCard(
        "roads", name, arguments, classes, (120.0, 118.0, 110.0, 90.0)[:bands],
        (50.0, 48.0, 52.0, 40.0)[:bands], 1.0, 0.5,
    )  # fmt: skip
    return Model(name, network, card, "0123456789abcdef", name)


def pixels(model, size):
    batch, height, width = size
    generator = np.random.default_rng(height * width)
    shape = (batch, model.network.in_channels, height, width)
    return generator.integers(0, 256, shape).astype(np.float32)


@torch.inference_mode()
def expected(model, image, steps=None):
    """Probabilities of the foreground classes, as the network gives them in 64 bits.

    In 32 bits `canvas` of full size is off by 0.0002 with torch on some processors.
    """
    mean, std = (torch.tensor(each)[:, None, None] for each in (model.card.mean, model.card.std))
    seen = (torch.from_numpy(image) - mean) / std
    logits = deepcopy(model.network).double()(seen.double(), steps)[-1]
    return logits.softmax(dim=1)[:, 1:].numpy()


def run(path, image):
    """What onnxruntime gives."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (result,) = session.run(["probability"], {"image": image})
    return result


def metadata(path):
    return {entry.key: entry.value for entry in onnx.load(path).metadata_props}


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param(name, marks=pytest.mark.soak if name in LONG else ()) for name in NETWORKS),
        *(pytest.param(f"{name} whole", marks=pytest.mark.soak) for name in WHOLE),
    ],
)
def model(request):
    name, _, whole = request.param.partition(" ")
    return fresh(name, **({} if whole else NETWORKS[name]))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("onnx") / "network.onnx"
    export_onnx(model, path)
    return path


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_onnxruntime_gives_what_the_network_gives_at_any_size(model, file, size):
    image = pixels(model, size)
    result = run(file, image)
    assert result.shape == (size[0], model.network.classes - 1, *size[1:])
    np.testing.assert_allclose(result, expected(model, image), atol=1e-4)


def test_the_file_is_valid_and_stands_alone(model, file):
    onnx.checker.check_model(onnx.load(file, load_external_data=False), full_check=True)
    assert [path.name for path in file.parent.iterdir()] == [file.name]
    content = json.loads(metadata(file)["rurnet"])
    assert content == json.loads(json.dumps(asdict(model.card)))
    assert str(ROOT).encode() not in file.read_bytes()


def test_more_steps_than_in_training_are_in_the_file(tmp_path):
    model = fresh("dru-0", channels=[8, 16], steps=1)
    path = tmp_path / "three.onnx"
    export_onnx(model, path, steps=3)
    image = pixels(model, (1, 50, 70))
    np.testing.assert_allclose(run(path, image), expected(model, image, 3), atol=1e-4)
    assert np.abs(run(path, image) - expected(model, image)).max() > 1e-3
    assert metadata(path)["steps"] == "3"


def test_a_network_laid_out_for_speed_is_exported_too_and_stays_as_it_is(tmp_path):
    model = fresh("unet-gn", channels=[8, 16])
    model.network.channels_last()
    before = {key: value.stride() for key, value in model.network.state_dict().items()}
    path = tmp_path / "new" / "network.onnx"
    export_onnx(model, path)
    image = pixels(model, (2, 30, 50))
    np.testing.assert_allclose(run(path, image), expected(model, image), atol=1e-4)
    assert {key: value.stride() for key, value in model.network.state_dict().items()} == before


@pytest.mark.parametrize("kind", [{"num_layers": 2}, {"bias": False}], ids=str)
def test_a_gru_of_another_kind_is_refused(kind):
    model = fresh("unet-gn", channels=[8, 16])
    model.network.body = torch.nn.GRU(3, 4, **kind)
    with pytest.raises(PipelineError, match="GRU of one layer"):
        exported(model)


def command(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "pipelines.export", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip


@pytest.mark.soak
def test_the_command_exports_shipped_weights_quietly(tmp_path):
    path = tmp_path / "roads.onnx"
    path.write_text("an earlier file")
    result = command("roads-unet-gn", path)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    model = load("roads-unet-gn")
    image = pixels(model, (1, 97, 131))
    np.testing.assert_allclose(run(path, image), expected(model, image), atol=1e-4)
    found = metadata(path)
    assert WeightsCard(**_tuples(json.loads(found["rurnet"]))) == model.card
    assert found["digest"] == model.digest
    assert found["steps"] == "1"


def _tuples(card):
    return {k: tuple(v) if k in ("classes", "mean", "std") else v for k, v in card.items()}


@pytest.mark.parametrize(
    ("weights", "name", "said"),
    [
        ("no-such-weights", "a.onnx", "neither a weights file nor one of the shipped"),
        ("roads-dru4", "a.safetensors", "ends in .onnx, .pt2 or .bundle"),
        ("roads-dru4", "folder.onnx", "is a folder"),
    ],
)
def test_what_cannot_be_is_said_in_a_line(weights, name, said, tmp_path, capsys):
    (tmp_path / "folder.onnx").mkdir()
    with pytest.raises(SystemExit) as ended:
        main("python -m pipelines.export", [weights, str(tmp_path / name)])
    assert ended.value.code == 1
    errors = capsys.readouterr().err
    assert errors.count("\n") == 1
    assert errors.startswith("error: ")
    assert said in errors
    assert [path.name for path in tmp_path.iterdir()] == ["folder.onnx"]


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match="cannot be written"):
        export_onnx(fresh("unet-gn", channels=[8]), tmp_path / "file" / "a.onnx")


@pytest.mark.parametrize(("name", "steps"), [("dru-4", 0), ("unet-gn", 2)])
def test_steps_that_a_network_cannot_take_are_refused(name, steps, tmp_path):
    with pytest.raises(NetworkError):
        export_onnx(fresh(name), tmp_path / "a.onnx", steps=steps)
    assert list(tmp_path.iterdir()) == []


def test_without_onnx_it_is_said_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(PipelineError, match=r'pip install "rurnet\[export\]"'):
        export_onnx(fresh("unet-gn"), tmp_path / "a.onnx")


def test_an_export_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "a.onnx"
    path.write_text("an earlier file")

    def save(self, destination, **options):
        Path(destination).write_text("half of i")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch.onnx.ONNXProgram, "save", save)
    with pytest.raises(PipelineError, match="No space left on device"):
        export_onnx(fresh("unet-gn", channels=[8]), path)
    assert path.read_text() == "an earlier file"
    assert list(tmp_path.iterdir()) == [path]


def test_onnx_is_imported_only_when_it_is_needed():
    program = (
        "import pipelines.export.__main__, sys; assert not {'onnx', 'onnxscript'} & {*sys.modules}"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
