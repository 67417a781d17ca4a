"""Which backend computes a scene: torch, or OpenVINO."""

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.backends.choice import MEASURED, Backend, chosen, offered, told
from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError
from tiling.errors import ManifestError

OURS = Backend("2026.4.1", "bf16", "amx")
FOLDER = Path("out/scene")
MANY = MEASURED["amx"].tiles


def asked(backend="auto", *, offer=OURS, kept=None, networks=("dru-4",), tiles=MANY):
    settings = PredictionSettings(backend=backend)
    return chosen(settings, offer, FOLDER, kept, networks, tiles)


def test_auto_takes_what_was_measured_to_be_faster():
    assert asked() == OURS
    assert asked(tiles=MANY - 1) is None
    assert asked(networks=("dru-4", "reseg")) is None
    assert asked(offer=None) is None
    assert asked(offer=replace(OURS, instructions="aarch64")) is None


def test_openvino_and_eager_are_taken_where_they_are_asked_for():
    assert asked("openvino", tiles=1, networks=("reseg",)) == OURS
    assert asked("eager", offer=None) is None


def test_a_scene_stays_with_what_began_it():
    assert asked(kept=told(OURS), tiles=1) == OURS
    assert asked(kept=told(None), tiles=10 * MANY) is None


@pytest.mark.parametrize(
    ("backend", "offer", "kept", "said"),
    [
        ("eager", None, OURS, r"by openvino 2026\.4\.1, bf16, amx.*--backend openvino to go on"),
        ("openvino", OURS, None, r"by torch \(eager\), and now .*leave --backend out to go on"),
        ("auto", None, OURS, "--backend openvino on such a machine to go on"),
        ("auto", replace(OURS, precision="f32"), OURS, "bf16.*f32.*go on where it was begun"),
        ("openvino", replace(OURS, release="2027.0"), OURS, "2026.*2027.*--overwrite"),
    ],
)
def test_backends_are_not_mixed_in_a_scene(backend, offer, kept, said):
    with pytest.raises(ManifestError, match=f"^out/scene: .*{said}"):
        asked(backend, offer=offer, kept=told(kept))


def test_what_torch_computes_has_the_fingerprint_that_it_always_had():
    assert told(None) == {}
    assert told(replace(OURS, precision="f32")) == {"backend": "openvino 2026.4.1, f32, amx"}
    assert told(OURS) == {"backend": "openvino 2026.4.1, bf16, amx, form 2"}


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_scene_that_another_form_of_the_network_began_is_not_gone_on_with(backend):
    before = {"backend": "openvino 2026.4.1, bf16, amx"}
    with pytest.raises(ManifestError, match=r"bf16, amx, and now .* form 2: .*--overwrite"):
        asked(backend, kept=before)


def test_a_gpu_computes_with_torch():
    assert offered(PredictionSettings(backend="auto"), "cuda") is None
    with pytest.raises(PipelineError, match="give --device cpu"):
        offered(PredictionSettings(backend="openvino"), "cuda")


def test_openvino_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setattr("pipelines.backends.choice.openvino_here", lambda: None)
    assert offered(PredictionSettings(backend="auto"), "cpu") is None
    with pytest.raises(PipelineError, match=r"pip install 'rurnet\[openvino\]'"):
        offered(PredictionSettings(backend="openvino"), "cpu")
