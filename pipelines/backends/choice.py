"""Which backend computes a scene: torch itself ("eager"), or OpenVINO.

Imports neither torch nor OpenVINO.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from pipelines.config.inference import ComputeSettings
from pipelines.errors import PipelineError
from pipelines.runtime.processor import instruction_set
from tiling.errors import ManifestError

KEY = "backend"
"""What a fingerprint calls the backend; it is left out where torch computed."""

_FORMS = {"f32": 2, "bf16": 3}
"""How networks are written for OpenVINO, by precision: raised where that changes results."""


@dataclass(frozen=True)
class Backend:
    """OpenVINO on one kind of processor: equal results need all of it equal.

    Attributes:
        release: Of OpenVINO.
        precision: In which it computes; weights and results are float32 in both cases.
        instructions: See `instruction_set`.
    """

    release: str
    precision: Literal["f32", "bf16"]
    instructions: str

    def __str__(self) -> str:
        text = f"openvino {self.release}, {self.precision}, {self.instructions}"
        form = _FORMS[self.precision]
        return text if form == 1 else f"{text}, form {form}"


@dataclass(frozen=True)
class Measured:
    """What "auto" takes on a kind of processor, because it was measured to be faster.

    Attributes:
        precision: See `Backend.precision`.
        networks: For which, by their names in `rurnet.NETWORKS`.
        work: From so much on it pays, even if the networks are to be compiled: pixels of a scene's
            tiles, once for each step.
    """

    precision: Literal["f32", "bf16"]
    networks: frozenset[str]
    work: int


MEASURED = {
    "amx": Measured("bf16", frozenset({"dru-4", "unet-gn"}), 6_000_000),
    "avx512": Measured("f32", frozenset({"dru-4"}), 20_000_000),
}
"""By `instruction_set`; `docs/speed.md` has the figures. Elsewhere "auto" is torch."""


def openvino_here() -> Backend | None:
    """Returns what OpenVINO is in this process; None where it is not installed.

    Its precision is never left to its own default, which differs between processors.
    """
    try:
        release = version("openvino")
    except PackageNotFoundError:
        return None
    instructions = instruction_set()
    row = MEASURED.get(instructions)
    return Backend(release, "f32" if row is None else row.precision, instructions)


def offered(settings: ComputeSettings, device: str) -> Backend | None:
    """Returns what may compute instead of torch in this process; None where torch has to.

    Args:
        settings: Which backend is asked for.
        device: Type of the device: "cpu", "cuda".

    Raises:
        PipelineError: OpenVINO is asked for, but is not installed, or the device is a GPU.
    """
    if settings.backend == "eager":
        return None
    here = openvino_here() if device == "cpu" else None
    if settings.backend == "openvino" and here is None:
        if device != "cpu":
            raise PipelineError(
                f"--backend openvino: computes on the CPU, not on {device}; give --device cpu, or "
                "leave --backend out"
            )
        raise PipelineError(
            "--backend openvino: OpenVINO is not installed; pip install 'rurnet[openvino]', or "
            "leave --backend out"
        )
    return here


def chosen(
    settings: ComputeSettings,
    offer: Backend | None,
    folder: Path,
    kept: Mapping[str, Any] | None,
    networks: Sequence[str],
    work: int,
) -> Backend | None:
    """Returns what computes a scene; None for torch.

    A scene that was begun stays with what began it. For a new one "auto" looks at the processor,
    the networks and the scene alone, so that its bytes do not depend on what else a run does.

    Args:
        settings: Which backend is asked for.
        offer: See `offered`.
        folder: Of the scene's results, for the error.
        kept: The settings in the manifest of what is there; None where nothing is.
        networks: Names of the networks, see `rurnet.registry`.
        work: See `Measured`.

    Raises:
        ManifestError: What is there was computed by something else.
    """
    now: Backend | None
    if settings.backend == "eager":
        now = None
    elif settings.backend == "openvino" or (kept is not None and KEY in kept):
        now = offer
    elif kept is not None:
        return None
    else:
        row = None if offer is None else _measured(offer.instructions, networks)
        return offer if row is not None and work >= row.work else None
    if kept is not None and kept.get(KEY) != told(now).get(KEY):
        raise ManifestError(f"{folder}: {_mixed(kept.get(KEY), now, settings.backend)}")
    return now


def why(settings: ComputeSettings, offer: Backend | None, networks: Sequence[str]) -> str:
    """Returns what computes new scenes on CPUs and why, as a line of a log.

    Args:
        settings: Which backend is asked for.
        offer: See `offered`; or what all workers of a cluster have.
        networks: Names of the networks, see `rurnet.registry`.
    """
    if settings.backend != "auto":
        return f"{offer or 'torch'} computes, as --backend {settings.backend} asks for it"
    if offer is not None:
        row = _measured(offer.instructions, networks)
        if row is None:
            return f"torch computes: on {offer.instructions} nothing was measured to be faster"
        return (
            f"{offer} computes, as was measured to be faster on this kind of processor; torch "
            "computes scenes too small for it"
        )
    if settings.scheduler is not None or settings.workers:
        return "torch computes: the workers do not all have the same OpenVINO and processor"
    if _measured(instruction_set(), networks) is None:
        return f"torch computes: on {instruction_set()} nothing was measured to be faster"
    return (
        "torch computes: OpenVINO, which was measured to be faster on this processor, is not "
        "installed; pip install 'rurnet[openvino]'"
    )


def _measured(instructions: str, networks: Sequence[str]) -> Measured | None:
    """What was measured to be faster for all networks; None where nothing."""
    row = MEASURED.get(instructions)
    return row if row is not None and set(networks) <= row.networks else None


def told(backend: Backend | None) -> dict[str, str]:
    """Returns what a fingerprint says of the backend: nothing of torch, as ever."""
    return {} if backend is None else {KEY: str(backend)}


def _mixed(was: str | None, now: Backend | None, asked: str) -> str:
    """Says that what is there was computed by something else."""
    if was is None:
        how = "leave --backend out to go on with that"
    elif now is None:
        same = "" if asked == "eager" else " on such a machine"
        how = f"give --backend openvino{same} to go on with that"
    else:
        how = "go on where it was begun"
    return (
        f"what is there was computed by {was or 'torch (eager)'}, and now it would be "
        f"{now or 'torch (eager)'}: the two are not mixed; {how}, --overwrite to start afresh, or "
        "choose another --output"
    )
