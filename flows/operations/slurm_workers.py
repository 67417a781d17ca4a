"""`rurnet slurm-workers`: a Dask cluster whose workers are jobs of Slurm, until interrupted."""

import shutil
import signal
import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter, validators
from rich.console import Console

from flows.errors import ClusterError

if TYPE_CHECKING:
    from dask_jobqueue import SLURMCluster


def slurm_workers(
    *,
    jobs: Annotated[
        int, Parameter(help="Jobs, each with one worker.", validator=validators.Number(gte=1))
    ] = 1,
    gpus: Annotated[Literal[0, 1], Parameter(help="GPUs of a job; a worker computes on one.")] = 0,
    cpus: Annotated[int, Parameter(help="Cores of a job.", validator=validators.Number(gte=1))] = 4,
    memory: Annotated[str, Parameter(help="Memory of a job.")] = "16GB",
    time_limit: Annotated[str, Parameter(help="Slurm ends a job that takes longer.")] = "24:00:00",
    partition: Annotated[str | None, Parameter(help="By default that of the cluster.")] = None,
    print_script: Annotated[bool, Parameter(help="Submit nothing, print a job.")] = False,
) -> None:
    """Starts a Dask scheduler here, and its workers as jobs of Slurm.

    Give its address to runs: --scheduler. The folder in which this is typed must be there under the
    same path on all nodes.
    """
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError as error:
        raise ClusterError(
            "jobs of Slurm need dask-jobqueue: pip install 'rurnet[slurm]'"
        ) from error
    # Dask submits in the background, where its failure would end nothing.
    if not print_script and shutil.which("sbatch") is None:
        raise ClusterError(
            "no sbatch on the PATH, by which jobs are submitted to Slurm; type this on a node of "
            "the cluster that submits jobs, or see a job with --print-script"
        )
    with SLURMCluster(
        queue=partition,
        # A worker does one part at a time; its threads are those of torch.
        cores=1,
        processes=1,
        job_cpu=cpus,
        memory=memory,
        walltime=time_limit,
        python=sys.executable,
        job_name="rurnet",
        job_extra_directives=[f"--gres=gpu:{gpus}"] if gpus else [],
        job_script_prologue=[f"export OMP_NUM_THREADS={cpus}", f"cd {quote(str(Path.cwd()))}"],
        # Parts bound the memory; Dask's own limit would end what is about to finish.
        worker_extra_args=["--memory-limit", "0"],
        scheduler_options={"dashboard": False},
    ) as cluster:
        if print_script:
            print(cluster.job_script())
            return
        _run(cluster, jobs)


def _run(cluster: "SLURMCluster", jobs: int) -> None:
    cluster.scale(jobs=jobs)
    Console().print(
        f"{jobs} jobs submitted; give runs --scheduler {cluster.scheduler_address}   (Ctrl-C ends)",
        markup=False, soft_wrap=True,
    )  # fmt: skip
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    signal.pause()
