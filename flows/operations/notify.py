"""`rurnet notify`: who is told when a run fails, or was to begin and did not."""

import sys
from datetime import timedelta
from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from flows.errors import NotifyError
from flows.service.api import find_server


def notify(
    *,
    on: Annotated[
        Literal["failure", "missed"],
        Parameter(help="A run failed or crashed; or it was to begin and did not."),
    ] = "failure",
    webhook: Annotated[
        str | None,
        Parameter(
            help="Gets the run as JSON. - reads the address from standard input.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    slack: Annotated[
        str | None,
        Parameter(
            help="A webhook of Slack, which gets the run in words; or -.", allow_leading_hyphen=True
        ),
    ] = None,
    email: Annotated[
        str | None,
        Parameter(
            help="mailtos://USER:PASSWORD@SERVER?to=ADDRESS, which gets a letter; or -.",
            allow_leading_hyphen=True,
        ),
    ] = None,
    minutes: Annotated[
        int,
        Parameter(
            help="How long a run may be late before it is missed.",
            validator=validators.Number(gte=1),
        ),
    ] = 15,
) -> None:
    """Has Prefect's server tell of runs that went wrong.

    Addresses are kept in blocks of Prefect, encrypted. The same command with another address
    changes it.
    """
    asked = {"webhook": webhook, "slack": slack, "email": email}
    given = {way: url for way, url in asked.items() if url is not None}
    if not given:
        raise NotifyError("nobody to tell: give --webhook, --slack or --email")
    find_server()
    from flows.service import alerts

    for way, url in given.items():
        name = f"rurnet-{on}-{way}"
        address = sys.stdin.readline().strip() if url == "-" else url
        try:
            action = (
                alerts.webhook(address, name) if way == "webhook" else alerts.message(address, name)
            )
        except ValueError as error:
            # Its message would show the address, which is a secret.
            raise NotifyError(
                f"--{way}: not an address that can be used; see rurnet notify --help"
            ) from error
        trigger = (
            alerts.failures() if on == "failure" else alerts.missed(timedelta(minutes=minutes))
        )
        there = alerts.alert(f"rurnet: {on} to {way}", trigger, [action])
        Console().print(
            f"{'changed' if there else 'made'}: automation 'rurnet: {on} to {way}', block {name}",
            markup=False, soft_wrap=True,
        )  # fmt: skip
