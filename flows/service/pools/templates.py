"""How the workers of a pool start a run: Prefect's own job template, with what our runs need.

Prefect's is taken as it is installed, and changed here, so that a newer one brings what is new in
it. See https://docs.prefect.io/v3/how-to-guides/deployment_infra/manage-work-pools for what a
template is.
"""

import sys
from collections.abc import Callable
from copy import deepcopy
from typing import Any

DATA = "/data"
"""Where a container has inbox and outbox."""

KINDS = ("process", "docker", "kubernetes", "slurm")
"""What runs can be started as; each has a function here."""

_OF_A_RUN = "NVIDIA GPUs of a run. With more than one, give the run --workers."

Template = dict[str, Any]


def worker_type(kind: str) -> str:
    """Returns Prefect's name of the workers: those that submit to Slurm start processes."""
    return "process" if kind == "slurm" else kind


def job_template(kind: str, default: Template, *, image: str, gpus: int, folder: str) -> Template:
    """Returns the job template of a new pool.

    Args:
        kind: One of `KINDS`.
        default: Prefect's template for `worker_type(kind)`.
        image: With this package in it; for containers.
        gpus: For each run. Docker gives a run all GPUs if it wants one: runs share them out.
        folder: Has inbox and outbox, on the machine of the workers.
    """
    template = deepcopy(default)
    _TEMPLATES[kind](template, image, gpus, folder)
    return template


def _process(template: Template, image: str, gpus: int, folder: str) -> None:
    _variable(template, "working_dir")["default"] = folder


def _docker(template: Template, image: str, gpus: int, folder: str) -> None:
    _variable(template, "image")["default"] = image
    _variable(template, "volumes")["default"] = [f"{folder}:{DATA}"]
    # An image that was built on the workers' machine is in no registry.
    _variable(template, "image_pull_policy")["default"] = "IfNotPresent"
    if gpus:
        # A count of 1 would be the same first GPU for every run.
        wanted = {"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}
        template["job_configuration"]["container_create_kwargs"] = {"device_requests": [wanted]}
        template["variables"]["properties"].pop("container_create_kwargs", None)


def _kubernetes(template: Template, image: str, gpus: int, folder: str) -> None:
    _variable(template, "image")["default"] = image
    properties = template["variables"]["properties"]
    properties["gpus"] = {
        "title": "GPUs",
        "description": _OF_A_RUN,
        "type": "integer",
        "minimum": 0,
        "default": gpus,
    }
    properties["data_claim"] = {
        "title": "Claim of the data",
        "description": f"The persistent volume claim with inbox and outbox; mounted at {DATA}.",
        "type": "string",
        "default": "rurnet-data",
    }
    job = template["job_configuration"]["job_manifest"]["spec"]
    pod = job["template"]["spec"]
    # Of a job; Prefect has them in the pod, where Kubernetes knows no such fields.
    for name in ("parallelism", "completions"):
        if name in pod:
            job[name] = pod.pop(name)
    claim = {"claimName": "{{ data_claim }}"}
    pod["volumes"] = [{"name": "data", "persistentVolumeClaim": claim}]
    container = pod["containers"][0]
    container["volumeMounts"] = [{"name": "data", "mountPath": DATA}]
    container["workingDir"] = DATA
    container["resources"]["limits"]["nvidia.com/gpu"] = "{{ gpus }}"


def _slurm(template: Template, image: str, gpus: int, folder: str) -> None:
    _process(template, image, gpus, folder)
    properties = template["variables"]["properties"]
    for name, kind, default, said in (
        ("gpus", "integer", gpus, _OF_A_RUN),
        ("cpus", "integer", 4, "Cores of a run."),
        ("memory", "string", "16G", "Memory of a run."),
        ("time_limit", "string", "24:00:00", "Slurm ends a run that takes longer."),
        ("slurm_options", "string", "", "Other options of srun, such as --partition=gpu."),
        ("python", "string", sys.executable, "On every node, under this path."),
    ):
        title = name.replace("_", " ").capitalize()
        properties[name] = {"title": title, "description": said, "type": kind, "default": default}
    # srun and not sbatch: it lives as long as the job, so that a cancelled run ends its job.
    template["job_configuration"]["command"] = (
        "srun --ntasks=1 --job-name=rurnet --gpus={{ gpus }} --cpus-per-task={{ cpus }} "
        "--mem={{ memory }} --time={{ time_limit }} {{ slurm_options }} "
        "{{ python }} -m prefect.engine"
    )
    del properties["command"]


def _variable(template: Template, name: str) -> dict[str, Any]:
    variable: dict[str, Any] = template["variables"]["properties"][name]
    return variable


_TEMPLATES: dict[str, Callable[[Template, str, int, str], None]] = {
    "process": _process,
    "docker": _docker,
    "kubernetes": _kubernetes,
    "slurm": _slurm,
}
