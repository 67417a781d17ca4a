"""`rurnet deploy`: every flow as a deployment of a work pool."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated, Literal, NoReturn

from cyclopts import App, Parameter, validators
from rich.console import Console

from flows.errors import FlowsError, ServerError
from flows.service.api import answers, prefect_is_configured, server_url


def main(called: str, words: Sequence[str]) -> NoReturn:
    """Runs the command line to its end and exits.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    app = App(name=called, help=__doc__, version_flags=(), help_format="plaintext")
    app.default(deploy)
    try:
        app(words)
    except FlowsError as error:
        Console(stderr=True).print(f"error: {error}", markup=False, soft_wrap=True)
        sys.exit(1)
    sys.exit(0)


def deploy(
    *,
    pool: Annotated[str, Parameter(help="The work pool; made if it is missing.")] = "rurnet",
    type: Annotated[
        Literal["process", "docker", "kubernetes", "slurm"] | None,
        Parameter(help="What a run is, where the pool is made. By default a process."),
    ] = None,
    image: Annotated[
        str | None, Parameter(help="Image of containers. By default the pool's: rurnet:latest.")
    ] = None,
    gpus: Annotated[
        int,
        Parameter(
            help="GPUs of each run, where the pool is made.", validator=validators.Number(gte=0)
        ),
    ] = 0,
) -> None:
    """Has every flow run by the workers of a pool.

    What a person set for a deployment stays: schedules, pauses, parameters, tags, limits, job
    variables. Runs work in the folder in which this is typed; those in containers see it as /data.
    """
    find_server()
    from flows.service.pools.pool import deploy_to_pool

    console = Console()
    deploy_to_pool(
        pool, type, image, gpus, lambda line: console.print(line, markup=False, soft_wrap=True)
    )
    console.print(f"Run them with: prefect worker start --pool {pool}", soft_wrap=True)


def find_server() -> None:
    """Points Prefect, which must not be imported yet, to the server of `rurnet serve` or a profile.

    Raises:
        ServerError: There is none.
    """
    if prefect_is_configured():
        return
    url = server_url()
    if not answers(url):
        raise ServerError(
            f"no Prefect server answers at {url}; start `rurnet serve` or `prefect server start` "
            "in another terminal, or set PREFECT_API_URL, then run this again"
        )
    os.environ["PREFECT_API_URL"] = url
