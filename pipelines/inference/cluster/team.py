"""What the workers of a run have in common, and the check that each has it."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from uuid import uuid4

from pipelines.backends.choice import Backend, openvino_here
from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.models.outline import known
from pipelines.models.weights import ModelFacts
from pipelines.results.failure import OWN_ERRORS
from pipelines.runtime.device import device_kind, device_type
from pipelines.runtime.memory import give_back_large_blocks


@dataclass(frozen=True)
class Team:
    """What all workers of a run have in common.

    Attributes:
        models: Name and digest of each of the weights.
        settings: What predictions depend on.
        device: See `pipelines.runtime.device.device_kind`.
        release: Of this package.
        marker: A file in the output folder, which every worker must see.
        backend: What all of them can compute with instead of torch; None where that is not to be.
    """

    models: tuple[tuple[str, str], ...]
    settings: PredictionSettings
    device: str
    release: str
    marker: Path
    backend: Backend | None = None


def team_for(
    models: Sequence[ModelFacts],
    settings: PredictionSettings,
    device: str,
    marker: Path,
    backend: Backend | None,
) -> Team:
    """Returns the team of a run; see `Team`."""
    return Team(
        tuple((model.source, model.digest) for model in models),
        # Of the settings only what all flows have: it is part of a key.
        PredictionSettings.model_validate(
            settings.model_dump(include=set(PredictionSettings.model_fields))
        ),
        device,
        version("rurnet"),
        marker,
        backend,
    )


@dataclass(frozen=True)
class Member:
    """What a worker says of itself.

    Attributes:
        device: See `Team.device`.
        release: See `Team.release`.
        digests: Of the weights under the names that are asked for; what is wrong with them where
            they cannot be read.
        shares: Whether it sees the marker, and may write beside it.
        backend: What it can compute with instead of torch; None where nothing.
    """

    device: str
    release: str
    digests: tuple[str, ...]
    shares: bool
    backend: Backend | None = None


def introduced(device: str, models: Sequence[str], folder: Path, marker: Path) -> Member:
    """Tells what a worker is; runs on it.

    Args:
        device: As `--device` takes it.
        models: Names of the weights.
        folder: Where the process works that asks: names of weights start from there.
        marker: See `Team.marker`.
    """
    _move_to(folder)
    give_back_large_blocks()
    shares = marker.exists() and os.access(marker.parent, os.W_OK | os.X_OK)
    digests = []
    for source in models:
        try:
            digests.append(known(source).digest)
        except OWN_ERRORS as error:
            digests.append(str(error))
    backend = openvino_here() if device_type(device) == "cpu" else None
    return Member(device_kind(device), version("rurnet"), tuple(digests), shares, backend)


def check_member(worker: str, member: Member, team: Team) -> None:
    """Checks that a worker has what all must have in common.

    Raises:
        PipelineError: It has not.
    """
    if member.release != team.release:
        raise PipelineError(
            f"{worker}: a worker of release {member.release} of rurnet, while this is "
            f"{team.release}; install the same one there and start it again"
        )
    if not member.shares:
        raise PipelineError(
            f"{worker}: a worker that does not see {team.marker.parent}, or may not write there: "
            "parts would be lost; mount the folder under this path on its machine, or choose an "
            "--output that all share"
        )
    if member.device != team.device:
        raise PipelineError(
            f"{worker}: a worker that computes on {member.device}, the others on {team.device}: "
            "bytes would depend on which did what; give --device, or use workers of one kind"
        )
    if team.backend is not None and member.backend != team.backend:
        raise PipelineError(
            f"{worker}: a worker with {member.backend or 'no OpenVINO'}, while others have "
            f"{team.backend}: bytes would depend on which did what; install the same release "
            "there, on the same kind of processor, or give --backend eager"
        )
    for (source, digest), there in zip(team.models, member.digests, strict=True):
        if there != digest:
            raise PipelineError(
                f"{source}: worker {worker} has other weights under this name, or none; copy the "
                "same file there"
            )


@contextmanager
def marked_output(output: Path) -> Iterator[Path]:
    """Puts a file into the output folder, by which workers are found that do not share it.

    Raises:
        PipelineError: The folder cannot be written.
    """
    folder = output.absolute()
    made = [one for one in (folder, *folder.parents) if not one.exists()]
    marker = folder / f".workers-{uuid4().hex}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        marker.touch()
    except OSError as error:
        raise PipelineError(f"{output}: cannot be written ({error}); choose another") from error
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)
        with suppress(OSError):  # There are results in it.
            for one in made:
                one.rmdir()


@lru_cache(maxsize=2)
def predictor_of(team: Team, folder: Path, backend: Backend | None) -> NetworkPredictor:
    """The networks, kept on a worker from one part to the next; one that joined late is checked.

    Raises:
        PipelineError: See `check_member`.
    """
    from distributed import get_worker

    device = _own_device(team.settings.device)
    names = [source for source, _ in team.models]
    check_member(get_worker().address, introduced(device, names, folder, team.marker), team)
    return predictor_on(device, team, backend)


def predictor_on(device: str, team: Team, backend: Backend | None) -> NetworkPredictor:
    """The networks of a team, on a device of this process."""
    settings = team.settings.model_copy(update={"device": device})
    return predictor_for([known(source) for source, _ in team.models], settings, backend)


def _move_to(folder: Path) -> None:
    if Path.cwd() != folder and folder.is_dir():
        os.chdir(folder)  # Paths are those of the process that asks.


def _own_device(name: str) -> str:
    """For "auto" on a machine with several GPUs: one for each local worker, in turn."""
    if device_type(name) == "cpu":
        return name
    import torch
    from distributed import get_worker

    worker = str(get_worker().name)
    count = torch.cuda.device_count()
    if name == "auto" and count > 1 and worker.isdecimal():
        return f"cuda:{int(worker) % count}"
    return name
