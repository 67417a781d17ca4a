"""`rurnet deploy`: every flow as a deployment of a work pool."""

from typing import Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from flows.service.api import find_server


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
