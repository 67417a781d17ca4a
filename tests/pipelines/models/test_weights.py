"""Weights files: what is written is read, and anything else is refused in a line."""

import hashlib
import json
import re
import struct
from dataclasses import replace
from importlib.resources import files

import pytest
import torch
from safetensors.torch import load_file, save_file

from pipelines.errors import WeightsError
from pipelines.models import weights
from pipelines.models.weights import WeightsCard, load, save
from rurnet.registry import create

CARD = WeightsCard(
    task="roads",
    network="sru-3",
    arguments={"in_channels": 4, "classes": 3, "steps": 2, "channels": [8, 8, 16, 16]},
    classes=("background", "road", "path"),
    mean=(101.5, 99.0, 80.25, 17.0),
    std=(50.0, 48.125, 40.0, 3.0),
    ground_sampling_distance=0.5,
    threshold=0.42,
    field_diameters=(900, 1650),
    training={"images": ["a", "b"], "seed": 3, "nested": {"alpha": 0.4}},
    scores={"held_out": {"f1": 0.7, "recall": None}},
    version="0.1.0",
)


def refused(path, **arguments):
    """The message of the refusal: one line that names the file."""
    with pytest.raises(WeightsError) as caught:
        load(str(path), **arguments)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def metadata_of(path):
    """Header of a safetensors file, read without the library, and where its data begin."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    return json.loads(content[8 : 8 + length]), 8 + length


def rewrite(source, target, *, card=None, state=None):
    """A copy with other metadata (text or a card's dictionary) or other tensors."""
    header, _ = metadata_of(source)
    kept = header["__metadata__"]["rurnet"]
    text = kept if card is None else card if isinstance(card, str) else json.dumps(card)
    save_file(load_file(source) if state is None else state, target, metadata={"rurnet": text})
    return target


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    torch.manual_seed(8)
    network = create(CARD.network, **CARD.arguments)
    path = tmp_path_factory.mktemp("weights") / "new" / "mine.safetensors"
    save(path, network, CARD)
    return path, network


def test_every_tensor_and_the_card_come_back(written):
    path, network = written
    model = load(str(path))
    assert model.card == CARD
    assert model.name == "mine"
    assert not model.network.training
    expected = network.state_dict()
    found = model.network.state_dict()
    assert set(found) == set(expected)
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    image = torch.randn(1, 4, 20, 20)
    with torch.inference_mode():
        assert torch.equal(model.network(image)[-1], network.eval()(image)[-1])


def test_the_card_alone_is_the_same(written):
    assert weights.card_of(str(written[0])) == CARD


def test_weights_that_predate_field_diameters_have_none(written, tmp_path):
    older = {key: value for key, value in CARD.__dict__.items() if key != "field_diameters"}
    path = rewrite(written[0], tmp_path / "older.safetensors", card=older)
    assert weights.card_of(str(path)) == replace(CARD, field_diameters=None)


def test_batch_norm_keeps_its_running_statistics(tmp_path):
    network = create("unet-bn").train()
    network(torch.randn(2, 3, 32, 32) * 5 + 3)
    card = replace(CARD, network="unet-bn", arguments={"in_channels": 3, "classes": 2})
    save(tmp_path / "b.safetensors", network, card)
    found = load(str(tmp_path / "b.safetensors")).network.state_dict()
    assert all(torch.equal(found[key], value) for key, value in network.state_dict().items())
    assert any(key.endswith("running_var") for key in found)


def test_nothing_but_the_file_is_left_in_its_folder(written, tmp_path):
    path, network = written
    assert [p.name for p in path.parent.iterdir()] == ["mine.safetensors"]
    save(tmp_path / "again.safetensors", network, CARD)
    save(tmp_path / "again.safetensors", network, replace(CARD, threshold=0.5))
    assert [p.name for p in tmp_path.iterdir()] == ["again.safetensors"]
    assert weights.card_of(str(tmp_path / "again.safetensors")).threshold == 0.5


def test_the_file_is_a_json_header_and_raw_numbers_without_pickle(written):
    path, network = written
    header, start = metadata_of(path)
    size = path.stat().st_size - start
    tensors = {key: value for key, value in header.items() if key != "__metadata__"}
    assert set(tensors) == set(network.state_dict())
    assert max(entry["data_offsets"][1] for entry in tensors.values()) == size
    assert sum(b - a for a, b in (entry["data_offsets"] for entry in tensors.values())) == size
    assert set(json.loads(header["__metadata__"]["rurnet"])) == set(CARD.__dataclass_fields__)


def test_the_digest_is_of_the_files_bytes(written, tmp_path):
    path, network = written
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    assert load(str(path)).digest == sha256[:16]
    other = tmp_path / "other.safetensors"
    save(other, network, replace(CARD, threshold=0.43))
    assert load(str(other)).digest != sha256[:16]


@pytest.mark.parametrize("kept", [0, 4, 8, 200, 0.5, -1])
def test_a_file_cut_off_anywhere_is_refused(written, tmp_path, kept):
    content = written[0].read_bytes()
    end = int(len(content) * kept) if isinstance(kept, float) else kept
    path = tmp_path / "cut.safetensors"
    path.write_bytes(content[:end])
    assert "not a safetensors file" in refused(path)


def test_a_text_file_is_refused(tmp_path):
    path = tmp_path / "notes.safetensors"
    path.write_text("these are not weights\n" * 50)
    assert "not a safetensors file" in refused(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    path = tmp_path / "old.pt"
    ran = tmp_path / "ran"

    class Payload:
        def __reduce__(self):
            return (type(ran).touch, (ran,))

    torch.save({"state": Payload()}, path)
    assert "not a safetensors file" in refused(path)
    assert not ran.exists()


def test_weights_of_another_program_are_refused(written, tmp_path):
    path = tmp_path / "foreign.safetensors"
    save_file(load_file(written[0]), path)
    assert "no rurnet metadata" in refused(path)


@pytest.mark.parametrize(
    "card",
    [
        "not json",
        "[1, 2]",
        json.dumps({"task": "roads"}),
        json.dumps({**CARD.__dict__, "mean": 3}),
        json.dumps({**CARD.__dict__, "field_diameters": 3}),
        json.dumps({**CARD.__dict__, "of_a_later_version": 1}),
    ],
)
def test_metadata_that_cannot_be_understood_are_refused(written, tmp_path, card):
    path = rewrite(written[0], tmp_path / "odd.safetensors", card=card)
    assert "metadata cannot be understood" in refused(path)


@pytest.mark.parametrize(
    "changed",
    [
        {"network": "dru-3"},
        {"network": "sru-2"},
        {"network": "no-such-network"},
        {"arguments": {"in_channels": 3, "classes": 3}},
        {"arguments": {"colour": "blue"}},
        {"arguments": "none"},
        {"network": ["sru-3"]},
    ],
    ids=str,
)
def test_tensors_of_another_network_are_refused(written, tmp_path, changed):
    card = {**CARD.__dict__, **changed}
    path = rewrite(written[0], tmp_path / "mixed.safetensors", card=card)
    assert "damaged or of another version" in refused(path)


def test_a_missing_tensor_is_refused(written, tmp_path):
    state = load_file(written[0])
    del state["classify.bias"]
    path = rewrite(written[0], tmp_path / "less.safetensors", state=state)
    assert "classify.bias" in refused(path)


def test_weights_for_another_task_are_refused_naming_both(written):
    message = refused(written[0], task="vessels")
    assert "roads" in message
    assert "vessels" in message
    assert "--model" in message
    assert load(str(written[0]), task="roads").card == CARD


@pytest.mark.parametrize("task", ["roads", "vessels", "other", None])
def test_weights_of_a_users_own_pass_for_any_task_and_any_start_a_users_own(
    written, tmp_path, task
):
    own = {**CARD.__dict__, "task": "other"}
    path = rewrite(written[0], tmp_path / "own.safetensors", card=own)
    assert load(str(path), task=task).card.task == "other"
    assert load(str(written[0]), task="other").card.task == "roads"


def test_a_name_that_is_nothing_is_refused():
    assert "neither a weights file nor" in refused("no-such-weights")


def test_a_folder_is_not_a_weights_file(tmp_path):
    refused(tmp_path)


@pytest.mark.parametrize("name", weights.shipped())
def test_shipped_weights_load_by_name_for_the_task_they_are_named_after(name):
    task = name.split("-")[0]
    model = load(name, task=task)
    assert model.card.task == task
    if name.endswith("-tiny"):
        assert sum(one.numel() for one in model.network.parameters()) < 70_000
    else:
        # What follows tells weights of one network apart: roads-dru4-world.
        assert name.replace("-", "").startswith(f"{task}{model.card.network}".replace("-", ""))
    with torch.inference_mode():
        logits = model.network(torch.zeros(1, 3, 32, 32))[-1]
    assert torch.isfinite(logits).all()


@pytest.mark.parametrize("name", weights.shipped())
def test_shipped_weights_have_not_seen_the_images_they_are_reported_on(name):
    training = weights.card_of(name).training
    seen = set()
    while training:
        assert training["images"]
        assert training["held_out"]
        assert not set(training["images"]) & set(training["held_out"])
        seen |= {*training["images"], *training["held_out"]}
        assert "/" not in str(training["start_from"]), "a path of the machine it was trained on"
        training = training.get("earlier")
    tested = [n for n in seen if re.fullmatch(r"Image_1[1-4][LR]", n) or n.startswith("valid_")]
    assert tested == []


@pytest.mark.parametrize("name", weights.shipped())
def test_shipped_weights_are_small(name):
    assert (files("pipelines.models") / "shipped" / f"{name}.safetensors").stat().st_size < 3e6
