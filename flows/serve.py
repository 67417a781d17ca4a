"""`python -m flows.serve`: one server, and a runner for the deployments, until interrupted."""

import asyncio
import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

from cyclopts import App, Parameter
from rich.console import Console

from flows.command import prefect_is_configured
from flows.errors import FlowsError, ServerError
from flows.server import DEFAULT_URL, prefect_home, running_server

app = App(name="python -m flows.serve", help=__doc__, version_flags=())


@app.default
def serve(
    *,
    port: Annotated[int, Parameter(help="Port of the server on loopback.")] = 4200,
    limit: Annotated[int, Parameter(help="Runs at a time.")] = 1,
) -> None:
    """Serves infer-roads, infer-drive, train-roads and so on until interrupted.

    Starts a Prefect server on 127.0.0.1, or finds the one that is there; where PREFECT_API_URL
    or a profile names a server, that one is used.
    """
    url = os.environ.get("PREFECT_API_URL") or DEFAULT_URL.replace("4200", str(port))
    if prefect_is_configured() and "PREFECT_API_URL" not in os.environ:
        _serve(limit)  # The profile's server.
        return
    with running_server(url):
        # Before Prefect is imported: it reads this once.
        os.environ["PREFECT_API_URL"] = url
        # A training's lines belong to the log of its run.
        os.environ.setdefault("PREFECT_LOGGING_EXTRA_LOGGERS", "rurnet")
        _serve(limit)


def _serve(limit: int) -> None:
    from prefect.runner import Runner

    from flows.cleanup import crash_abandoned_runs
    from flows.deployments import FLOWS, deployments

    console = Console()
    with _only_one():
        for name in crash_abandoned_runs(list(FLOWS)):
            console.print(f"{name}: its process is gone; marked as crashed")
        # As `prefect.serve` does, but its own message names no address and not the short names.
        runner = Runner(limit=limit, pause_on_shutdown=False)
        for deployment in deployments():
            runner.add_deployment(deployment)
        console.print(
            f"Serving {', '.join(FLOWS)} at {os.environ.get('PREFECT_API_URL', 'the profile')}\n"
            "Run one with: prefect deployment run infer-roads   (Ctrl-C ends)"
        )
        # A service is stopped by SIGTERM; and SIGINT may be ignored, as after a shell's `&`.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler)
        asyncio.run(runner.start())


@contextmanager
def _only_one() -> Iterator[None]:
    """Holds a lock that ends with the process, however it ends.

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
    try:
        app()
    except FlowsError as error:
        Console(stderr=True).print(f"error: {error}", markup=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(0)
