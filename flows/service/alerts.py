"""Automations of Prefect's server: who is told of a run that went wrong, and dead runs are ended.

They act as long as the server runs, whether or not `flows.serve` or a worker does.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, cast
from uuid import UUID

from prefect.automations import AutomationCore, EventTrigger, Posture
from prefect.blocks.notifications import SlackWebhook
from prefect.blocks.webhook import Webhook
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.objects import StateType
from prefect.events.actions import ActionTypes, CallWebhook, ChangeFlowRunState, SendNotification

from flows.table import FLOWS

_BEAT_MISSED = timedelta(minutes=10)
"""Runs say every three minutes, by default, that they are there: three times in a row."""

_RUN = "prefect.flow-run"

_ENDED_BADLY = {f"{_RUN}.{state}" for state in ("Failed", "Crashed", "TimedOut")}

_SUBJECT = "{{ flow.name }}: {{ flow_run.state.name }}"

_BODY = (
    "{{ flow_run.name }} ({{ flow.name }}) is {{ flow_run.state.name }}: "
    "{{ flow_run.state.message or 'without a message' }}\n{{ flow_run|ui_url }}"
)

_PAYLOAD = (
    '{"flow": {{ flow.name|tojson }}, "run": {{ flow_run.name|tojson }}, '
    '"id": {{ flow_run.id|string|tojson }}, "state": {{ flow_run.state.name|tojson }}, '
    '"message": {{ flow_run.state.message|tojson }}, "url": {{ flow_run|ui_url|tojson }}}'
)


def failures() -> EventTrigger:
    """Returns what fires once for each run of ours that failed or crashed."""
    return EventTrigger(
        expect=_ENDED_BADLY,
        match=cast(Any, {"prefect.resource.id": f"{_RUN}.*"}),
        match_related=cast(Any, _ours()),
        posture=Posture.Reactive,
        threshold=1,
    )


def missed(within: timedelta) -> EventTrigger:
    """Returns what fires once for each run of ours that is late and has not begun.

    Args:
        within: How long it may be late.
    """
    return _silence({f"{_RUN}.Late"}, within)


def dead_runs() -> EventTrigger:
    """Returns what fires once for each run of ours whose process is heard no more."""
    return _silence({f"{_RUN}.heartbeat"}, _BEAT_MISSED)


def _silence(after: set[str], within: timedelta) -> EventTrigger:
    """Fires for a run of which nothing is heard for so long after one of the events."""
    return EventTrigger(
        after=after,
        expect={f"{_RUN}.*"},
        match=cast(Any, {"prefect.resource.id": f"{_RUN}.*"}),
        match_related=cast(Any, _ours()),
        for_each={"prefect.resource.id"},
        posture=Posture.Proactive,
        threshold=1,
        within=within,
    )


def _ours() -> dict[str, Any]:
    return {"prefect.resource.role": "flow", "prefect.resource.name": list(FLOWS)}


def webhook(url: str, name: str) -> ActionTypes:
    """Returns what sends the run as JSON to an address; the address stays in a block."""
    block = Webhook(url=cast(Any, url), headers=cast(Any, {"content-type": "application/json"}))
    return CallWebhook(block_document_id=_saved(block, name), payload=_PAYLOAD)


def message(url: str, name: str) -> ActionTypes:
    """Returns what sends the run in words, by Slack or e-mail; the address stays in a block.

    Args:
        url: Slack's webhook, or what Apprise takes: `mailtos://USER:PASSWORD@SERVER?to=ADDRESS`.
            Prefect has no block for a mail server, but its Slack block takes both.
        name: Of the block.

    Raises:
        ValueError: It is neither.
    """
    from apprise import Apprise

    if not Apprise().add(url):
        raise ValueError("not an address that Apprise takes")
    block = SlackWebhook(url=cast(Any, url))
    return SendNotification(block_document_id=_saved(block, name), subject=_SUBJECT, body=_BODY)


def end_dead_runs() -> None:
    """Has the server mark runs as crashed whose process is gone, if it does not already."""
    action = ChangeFlowRunState(
        state=StateType.CRASHED,
        name="Crashed",
        force=False,
        message=(
            "The process that ran it has been silent for ten minutes (killed, or the machine "
            "went down). Run it again: it goes on with what is missing."
        ),
    )
    with get_client(sync_client=True) as client:
        if not client.read_automations_by_name(_DEAD):
            _made(client, _DEAD, dead_runs(), [action])


_DEAD = "rurnet: end runs whose process is gone"


def alert(name: str, trigger: EventTrigger, actions: Sequence[ActionTypes]) -> bool:
    """Makes an automation, or changes the one of that name.

    Returns:
        Whether there was one.
    """
    with get_client(sync_client=True) as client:
        found = client.read_automations_by_name(name)
        if not found:
            _made(client, name, trigger, actions)
            return False
        new = AutomationCore(
            name=name, trigger=trigger, actions=list(actions), enabled=found[0].enabled
        )
        client.update_automation(found[0].id, new)
        return True


def _made(
    client: SyncPrefectClient, name: str, trigger: EventTrigger, actions: Sequence[ActionTypes]
) -> None:
    client.create_automation(AutomationCore(name=name, trigger=trigger, actions=list(actions)))


def _saved(block: Webhook | SlackWebhook, name: str) -> UUID:
    save: Callable[..., Any] = block.save
    return cast(UUID, save(name, overwrite=True))
