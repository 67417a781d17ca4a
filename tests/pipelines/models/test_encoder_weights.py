"""Encoders' tensors from files, and refusals in a sentence."""

from io import BytesIO
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pipelines.models.encoder_weights import read_encoder_weights
from rurnet.encoders.pretrained import load_encoder
from rurnet.encoders.vgg import VGG16
from rurnet.network import SegmentationNetwork
from tests.pipelines.models.encoder_files import Payload, digest, refused, same, saved, tensors


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "of before torch 1.6"])
@pytest.mark.parametrize("name", ["vgg16.pth", "vgg16.pt"])
def test_a_file_of_torchs_gives_every_tensor(tmp_path, name, zipped):
    path = saved(tmp_path / name, _use_new_zipfile_serialization=zipped)
    assert same(read_encoder_weights(str(path)), tensors())


def test_a_safetensors_file_gives_every_tensor(tmp_path):
    save_file(tensors(), tmp_path / "vgg16.safetensors")
    assert same(read_encoder_weights(str(tmp_path / "vgg16.safetensors")), tensors())


def test_an_encoder_takes_what_a_file_gives(tmp_path):
    network = SegmentationNetwork(3, 2, 1)
    network.encoder = VGG16(width=2)
    load_encoder(network, read_encoder_weights(str(saved(tmp_path / "vgg16.pth"))))
    expected = {key: value for key, value in tensors().items() if key.startswith("features")}
    assert same(network.encoder.state_dict(), expected)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda state: {"state_dict": state, "epoch": 3, "optimizer": {"lr": 0.1}},
        lambda state: {"model": state, "args": None},
        lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
        lambda state: {f"module.{key}": value for key, value in state.items()},
        lambda state: {key: torch.nn.Parameter(value) for key, value in state.items()},
        lambda state: {**state, "epoch": 90},
    ],
    ids=["state_dict", "model", "state_dict of module", "module", "parameters", "number beside"],
)
def test_what_training_programs_wrap_them_in_is_taken_off(tmp_path, wrap):
    path = saved(tmp_path / "checkpoint.pth", wrap(tensors()))
    assert same(read_encoder_weights(str(path)), tensors())


def test_a_module_among_others_keeps_its_name(tmp_path):
    content = {"module.weight": torch.ones(2), "classifier.weight": torch.zeros(2)}
    path = saved(tmp_path / "odd.pth", content)
    assert same(read_encoder_weights(str(path)), content)


@pytest.mark.parametrize("change", [str.lower, str.upper])
def test_a_file_with_its_own_sha256_is_read(tmp_path, change):
    path = saved(tmp_path / "vgg16.pth")
    assert same(read_encoder_weights(str(path), change(digest(path))), tensors())


def test_a_file_with_another_sha256_is_refused_naming_both(tmp_path):
    path = saved(tmp_path / "vgg16.pth")
    message = refused(path, "AB" * 32)
    assert f"SHA-256 is {digest(path)}, not {'ab' * 32}" in message
    assert path.exists()


def test_the_name_of_a_file_of_ones_own_promises_nothing(tmp_path):
    path = saved(tmp_path / "vgg16-00000000.pth")
    assert same(read_encoder_weights(str(path)), tensors())


@pytest.mark.parametrize("source", ["no/such.pth", "ftp://localhost/vgg16.pth", "vgg16", ""])
def test_what_is_no_file_is_refused(source):
    assert "no such file; give a .pth" in refused(source)


def test_a_file_that_the_disk_refuses_is_named_with_the_reason(tmp_path, monkeypatch):
    path = saved(tmp_path / "vgg16.pth")

    def denied(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", denied)
    assert "cannot be read ([Errno 13] Permission denied); give another" in refused(path)


def test_a_folder_is_no_file(tmp_path):
    assert "no such file" in refused(tmp_path)


@pytest.mark.parametrize("kept", [0, 3, 100, 0.5, 0.99, -1])
@pytest.mark.parametrize("kind", ["zip", "old", "safetensors"])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, kind, kept):
    path = tmp_path / ("whole.safetensors" if kind == "safetensors" else "whole.pth")
    if kind == "safetensors":
        save_file(tensors(), path)
    else:
        saved(path, _use_new_zipfile_serialization=kind == "zip")
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept) if isinstance(kept, float) else kept])
    assert "not a file of tensors, or a damaged one; give another" in refused(path)


@pytest.mark.parametrize("name", ["page.pth", "page.safetensors"])
@pytest.mark.parametrize("content", [b"<html>Not here</html>\n" * 9, bytes(300), b"PK\x03\x04junk"])
def test_something_else_under_the_name_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    assert "not a file of tensors" in refused(tmp_path / name)


@pytest.mark.parametrize("content", [[1, 2], {"epoch": 3}, torch.ones(3), {"state_dict": {}}])
def test_a_file_without_tensors_by_name_is_refused(tmp_path, content):
    assert "no tensors by name" in refused(saved(tmp_path / "other.pth", content))


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.safetensors", "evil"])
def test_a_pickle_that_runs_code_is_refused_and_not_run(tmp_path, name, zipped):
    ran = tmp_path / "ran"
    path = saved(tmp_path / name, {"weight": Payload(ran)}, _use_new_zipfile_serialization=zipped)
    refused(path)
    assert not ran.exists()
    torch.load(BytesIO(path.read_bytes()), weights_only=False)
    assert ran.exists(), "nothing to refuse"


def test_a_whole_model_is_refused_with_the_way_to_save_its_tensors(tmp_path):
    message = refused(saved(tmp_path / "model.pth", VGG16(width=1)))
    assert "would run code (rurnet.encoders.vgg.VGG16)" in message
    assert "torch.save(model.state_dict()" in message
    assert "weights_only" not in message
