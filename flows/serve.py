"""`python -m flows.serve`: one server, and a runner for the deployments, until interrupted."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, NoReturn
from urllib.parse import urlparse

from cyclopts import Parameter
from rich.console import Console

from flows.errors import ServerError
from flows.operations.tool import run_tool
from flows.service.api import DEFAULT_URL, prefect_home, prefect_is_configured
from flows.service.reports import reports_served
from flows.service.server import running_server
from flows.table import FLOWS


def main(called: str, words: Sequence[str]) -> NoReturn:
    """Runs the command line to its end and exits.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    run_tool(serve, called, words)


def serve(
    *,
    port: Annotated[int, Parameter(help="Port of the server on loopback.")] = 4200,
    limit: Annotated[int, Parameter(help="Runs at a time.")] = 1,
) -> None:
    """Serves every flow as a deployment until interrupted.

    Starts a Prefect server on 127.0.0.1, or finds the one that runs there. If PREFECT_API_URL or
    a profile names a server, that one is used.
    """
    url = os.environ.get("PREFECT_API_URL") or DEFAULT_URL.replace("4200", str(port))
    if prefect_is_configured() and "PREFECT_API_URL" not in os.environ:
        _serve(limit)  # The profile's server.
        return
    with running_server(url), reports_served((urlparse(url).port or 4200) + 1):
        # Before Prefect is imported: it reads this once.
        os.environ["PREFECT_API_URL"] = url
        # A training's lines belong to the log of its run.
        os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "rurnet")
        _serve(limit)


def _serve(limit: int) -> None:
    from prefect.runner import Runner

    from flows.service.alerts import end_dead_runs
    from flows.service.cleanup import crash_abandoned_runs
    from flows.service.deployments import deployments

    console = Console()
    with _only_one():
        for name in crash_abandoned_runs(list(FLOWS)):
            console.print(f"{name}: its process is gone; marked as crashed")
        end_dead_runs()
        # `prefect.serve` would do this too, but its message has no address and no short names.
        runner = Runner(limit=limit, pause_on_shutdown=False)
        for deployment in deployments():
            runner.add_deployment(deployment)
            for remark in deployment.remarks:
                console.print(remark, markup=False, soft_wrap=True)
        console.print(
            f"Serving {', '.join(FLOWS)} at {os.environ.get('PREFECT_API_URL', 'the profile')}\n"
            "Run one with: prefect deployment run infer-roads   (Ctrl-C ends)"
        )
        # SIGTERM stops a service; and after a shell's `&`, SIGINT is ignored.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        asyncio.run(runner.start())


@contextmanager
def _only_one() -> Iterator[None]:
    """Holds a lock that the system releases when the process ends, however it ends.

    Raises:
        ServerError: Another process serves already.
    """
    path = prefect_home() / "rurnet-serve.lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ServerError(
                f"already served by process {lock.read().strip() or 'unknown'}; "
                "stop that one first, or use it"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        yield


if __name__ == "__main__":
    main("python -m flows.serve", sys.argv[1:])
