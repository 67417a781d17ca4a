"""`rurnet watch FOLDER`: tells Prefect when scenes have arrived, so that their job runs at once.

An event of Prefect is sent for them, and an automation of Prefect that runs the job on it is made
if it is not there yet. Whoever brings the scenes may send the same event instead.
"""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter
from rich.console import Console

from flows.errors import FlowsError
from flows.service.api import find_server

if TYPE_CHECKING:
    from pipelines.inbox.ledger import Look

ARRIVED = "rurnet.scenes.arrived"
"""The event: scenes have been written whole."""


def watch(
    folder: Path,
    *,
    job: Annotated[str, Parameter(help="Deployment that is run.")] = "infer-roads",
    every: Annotated[float, Parameter(help="Seconds between two looks at the folder.")] = 10.0,
) -> None:
    """Watches a folder until interrupted, and has a job with --inbox run when scenes arrive.

    A file has arrived when two looks find it of one size and time.
    """
    # A service that is stopped has not failed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if not folder.is_dir():
        raise FlowsError(f"{folder}: no such folder; make it, or check the path")
    find_server()
    console = Console(soft_wrap=True, highlight=False)
    if _made_automation(folder, job):
        console.print(
            f"Made the automation '{_name(folder, job)}': change or pause it on Prefect's page",
            markup=False,
        )
    console.print(f"Watching {folder.absolute()} for {job}   (Ctrl-C ends)", markup=False)
    told: dict[str, Look] = {}
    for looks in _settled(folder, every):
        arrived = [name for name, look in looks.items() if told.get(name) != look]
        if arrived and _sent(folder, job, arrived, console):
            told = {**told, **{name: looks[name] for name in arrived}}
            console.print(f"{len(arrived)} arrived: {', '.join(arrived)}", markup=False)


def _settled(folder: Path, every: float) -> Iterator[Mapping[str, "Look"]]:
    """The scenes of a folder that two looks have found alike, again and again."""
    from pipelines.inbox.looks import look_at
    from pipelines.inputs.discovery import rasters_in

    before: Mapping[str, Look] = {}
    while True:
        now = look_at({source: source for source in rasters_in(folder)}, {})
        yield {source: look for source, look in now.items() if before.get(source) == look}
        before = now
        time.sleep(every)


def _resource(folder: Path) -> str:
    """What the event is about, as Prefect wants it named."""
    return f"rurnet.inbox.{folder.absolute()}"


def _name(folder: Path, job: str) -> str:
    return f"{job} when scenes arrive in {folder.absolute()}"


def _made_automation(folder: Path, job: str) -> bool:
    """Makes the automation, unless one of its name is there: that one stays as a person set it.

    Raises:
        FlowsError: There is no such deployment.
    """
    from prefect.automations import Automation
    from prefect.client.orchestration import get_client
    from prefect.events.actions import RunDeployment
    from prefect.events.schemas.automations import EventTrigger, Posture
    from prefect.exceptions import ObjectNotFound

    with get_client(sync_client=True) as client:
        if client.read_automations_by_name(_name(folder, job)):
            return False
        try:
            deployment = client.read_deployment_by_name(f"{job}/{job}")
        except ObjectNotFound as error:
            raise FlowsError(
                f"{job}: the server has no such deployment; start rurnet serve, or prefect deploy"
            ) from error
        Automation(
            name=_name(folder, job),
            description="Made by rurnet watch.",
            trigger=EventTrigger(
                expect={ARRIVED},
                match={"prefect.resource.id": _resource(folder)},
                posture=Posture.Reactive,
                threshold=1,
            ),
            actions=[
                RunDeployment(
                    source="selected",
                    deployment_id=deployment.id,
                    parameters={"scenes": [str(folder.absolute())], "inbox": True},
                    job_variables=None,
                )
            ],
        ).create()
    return True


def _sent(folder: Path, job: str, arrived: Sequence[str], console: Console) -> bool:
    """Sends the event; where that fails, says so: it is tried again after the next look."""
    from httpx import HTTPError
    from prefect.client.orchestration import get_client
    from prefect.events import Event
    from prefect.events.schemas.events import Resource

    event = Event(
        event=ARRIVED,
        resource=Resource({"prefect.resource.id": _resource(folder), "job": job}),
        payload={"scenes": list(arrived)},
    )
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/events", json=[event.model_dump(mode="json")])
    except HTTPError as error:
        console.print(f"not told yet, the server does not take it: {error}", markup=False)
        return False
    return True
