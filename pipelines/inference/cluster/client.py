"""The team that the workers of a Dask cluster are, as they say themselves."""

import logging
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.backends.choice import Backend
from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError, shortened
from pipelines.inference.cluster.team import Member, Team, check_member, introduced, team_for
from pipelines.models.weights import ModelFacts

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger("rurnet")

_ANSWER_WITHIN_S = 60

_SILENT_S = 30.0
"""Seconds without a sign of life after which a worker is not waited for; the others give them
every few seconds."""


def team_of(
    client: "Client", models: Sequence[ModelFacts], settings: PredictionSettings, marker: Path
) -> Team:
    """Asks all workers who they are, and checks that they are alike.

    Args:
        client: Of the cluster.
        models: The weights, as they are here.
        settings: What is asked for.
        marker: See `pipelines.inference.cluster.team.marked_output`.

    Raises:
        PipelineError: They differ among each other or from this process, do not share the output
            folder, or do not answer.
    """
    members = _members(client, [model.source for model in models], settings.device, marker)
    kinds = sorted({member.device for member in members.values()})
    if len(kinds) > 1:
        raise PipelineError(
            f"the workers compute on {' and '.join(kinds)}: bytes would depend on which did "
            "what; give --device, or use workers of one kind"
        )
    team = team_for(models, settings, kinds[0], marker, _backend_of(members, settings))
    for worker, member in members.items():
        check_member(worker, member, team)
    return team


def check_team(client: "Client", team: Team) -> None:
    """Checks of all workers that they are as those that a run began with.

    Raises:
        PipelineError: One is not, or none answers.
    """
    names = [source for source, _ in team.models]
    members = _members(client, names, team.settings.device, team.marker)
    for worker, member in members.items():
        check_member(worker, member, team)


def _backend_of(members: Mapping[str, Member], settings: PredictionSettings) -> Backend | None:
    """What the workers can compute with instead of torch, if all of them can.

    Raises:
        PipelineError: OpenVINO is asked for, and one of them has none.
    """
    found = {member.backend for member in members.values()}
    if settings.backend == "openvino":
        if None in found:
            without = next(one for one, member in members.items() if member.backend is None)
            raise PipelineError(
                f"{without}: a worker without OpenVINO, or one that computes on a GPU; "
                "pip install 'rurnet[openvino]' there and give --device cpu, or leave --backend out"
            )
        return members[min(members)].backend  # Others differ: `check_member` names them.
    return found.pop() if settings.backend == "auto" and len(found) == 1 else None


def _members(
    client: "Client", models: Sequence[str], device: str, marker: Path
) -> dict[str, Member]:
    """What each worker says of itself, by its address."""
    seen = {
        address: float(worker["last_seen"])
        for address, worker in client.scheduler_info(n_workers=-1)["workers"].items()
    }
    # By the clock of the scheduler: that of another machine may be another one.
    awake = [one for one, when in seen.items() if max(seen.values()) - when < _SILENT_S]
    if asleep := sorted(seen.keys() - set(awake)):
        _LOG.warning("left out, as they do not answer: workers %s", ", ".join(asleep))
    # In a thread: it waits for a worker that hangs as long as that does.
    pool = ThreadPoolExecutor(1, thread_name_prefix="ask")
    asked = pool.submit(
        client.run, introduced, device, models, Path.cwd(), marker,
        workers=awake, on_error="return",
    )  # fmt: skip
    try:
        found = asked.result(_ANSWER_WITHIN_S)
    except TimeoutError as error:
        raise PipelineError(
            f"a worker among {', '.join(sorted(awake))} does not answer; see to it, or end it"
        ) from error
    finally:
        pool.shutdown(wait=False)
    members: dict[str, Member] = {}
    for worker, member in found.items():
        if isinstance(member, Member):
            members[worker] = member
        elif not isinstance(member, OSError):  # That is a worker that ended just now.
            raise PipelineError(
                f"{worker}: a worker that cannot say what it is ({shortened(member)}); install "
                f"release {version('rurnet')} of rurnet there, as here"
            )
    if not members:
        raise PipelineError(
            f"{', '.join(sorted(seen)) or 'the cluster'}: no worker is left that answers; see why "
            "they ended, and start them again"
        )
    return members
