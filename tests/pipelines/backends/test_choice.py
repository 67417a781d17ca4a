"""Which backend computes a scene: torch, or OpenVINO."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.backends.choice import MEASURED, Backend, chosen, offered, told, why
from pipelines.config.inference import InferDrive, InferRoads, PredictionSettings
from pipelines.errors import PipelineError
from tiling.errors import ManifestError

OURS = Backend("2026.4.1", "bf16", "amx")
FOLDER = Path("out/scene")
MUCH = MEASURED["amx"].work


def asked(backend="auto", *, offer=OURS, kept=None, networks=("dru-4",), work=MUCH):
    settings = PredictionSettings(backend=backend)
    return chosen(settings, offer, FOLDER, kept, networks, work)


def test_auto_takes_what_was_measured_to_be_faster():
    assert asked() == OURS
    assert asked(work=MUCH - 1) is None
    assert asked(networks=("dru-4", "reseg")) is None
    assert asked(offer=None) is None
    for other in ("aarch64", "avx2"):
        assert asked(offer=replace(OURS, instructions=other), work=10 * MUCH) is None


def test_on_avx512_it_takes_more_to_pay_and_one_network_only():
    offer = Backend("2026.4.1", "f32", "avx512")
    assert asked(offer=offer, work=4 * MUCH) == offer
    assert asked(offer=offer) is None
    assert asked(offer=offer, networks=("unet-gn",), work=4 * MUCH) is None


@pytest.mark.parametrize("config", [InferRoads, InferDrive])
def test_auto_is_what_nobody_has_to_ask_for(config):
    assert config().backend == "auto"


@pytest.mark.parametrize(
    ("instructions", "offer", "options", "said"),
    [
        ("amx", OURS, {}, r"^openvino 2026\.4\.1, bf16, amx, form 3 computes, as was measured"),
        ("amx", OURS, {"backend": "openvino"}, "^openvino .* as --backend openvino asks for it"),
        ("amx", None, {"backend": "eager"}, "^torch computes, as --backend eager asks for it"),
        ("amx", None, {}, r"^torch computes: .* not installed; pip install 'rurnet\[openvino\]'"),
        ("amx", None, {"workers": 2}, "^torch computes: the workers do not all have the same"),
        ("avx2", None, {}, "^torch computes: on avx2 nothing was measured to be faster"),
        ("avx2", replace(OURS, instructions="avx2"), {}, "^torch computes: on avx2 nothing"),
    ],
)
def test_the_log_says_what_computes_and_why(monkeypatch, instructions, offer, options, said):
    monkeypatch.setattr("pipelines.backends.choice.instruction_set", lambda: instructions)
    assert re.search(said, why(PredictionSettings(**options), offer, ["dru-4"]))


def test_openvino_and_eager_are_taken_where_they_are_asked_for():
    assert asked("openvino", work=1, networks=("reseg",)) == OURS
    assert asked("eager", offer=None) is None


def test_a_scene_stays_with_what_began_it():
    assert asked(kept=told(OURS), work=1) == OURS
    assert asked(kept=told(None), work=10 * MUCH) is None


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


@pytest.mark.parametrize(
    ("precision", "said"), [("f32", "f32, amx, form 2"), ("bf16", "bf16, amx, form 3")]
)
def test_a_fingerprint_tells_how_the_network_is_written_and_nothing_of_torch(precision, said):
    assert told(None) == {}
    assert told(replace(OURS, precision=precision)) == {"backend": f"openvino 2026.4.1, {said}"}


@pytest.mark.parametrize("backend", ["auto", "openvino"])
def test_a_scene_that_another_form_of_the_network_began_is_not_gone_on_with(backend):
    before = {"backend": "openvino 2026.4.1, bf16, amx"}
    with pytest.raises(ManifestError, match=r"bf16, amx, and now .* form 3: .*--overwrite"):
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
