"""Job templates of work pools, against Prefect's own schemas and those of Kubernetes."""

import json
import sys
from pathlib import Path

import prefect.server.api
import pytest
from prefect.server.schemas.actions import DeploymentCreate, WorkPoolCreate
from prefect.utilities.templating import apply_values

from flows.service.pools.templates import KINDS, job_template, worker_type

VIEW = "collections_data/views/aggregate-worker-metadata.json"


@pytest.fixture(scope="module")
def defaults():
    """Prefect's templates by type of worker, as its server has them."""
    view = json.loads((Path(prefect.server.api.__file__).parent / VIEW).read_text())
    workers = [worker for collection in view.values() for worker in collection.values()]
    return {each["type"]: each["default_base_job_configuration"] for each in workers}


@pytest.fixture
def made(defaults):
    def template(kind, gpus):
        default = defaults[worker_type(kind)]
        return job_template(kind, default, image="rurnet:7", gpus=gpus, folder="/srv/jobs")

    return template


def of_a_run(template, **variables):
    """What a worker makes of a template for a run."""
    told = template["variables"]["properties"]
    values = {
        name: each["default"] for name, each in told.items() if each.get("default") is not None
    }
    return apply_values(template["job_configuration"], values | variables)


@pytest.mark.parametrize("gpus", [0, 2])
@pytest.mark.parametrize("kind", KINDS)
def test_prefects_server_takes_the_templates_and_variables_of_their_schema(made, kind, gpus):
    template = made(kind, gpus)
    WorkPoolCreate(name="pool", type=worker_type(kind), base_job_template=template)
    told = template["variables"]["properties"]
    values = {
        name: each["default"] for name, each in told.items() if each.get("default") is not None
    }
    deployment = DeploymentCreate(name="one", flow_id="0" * 32, job_variables=values)
    deployment.check_valid_configuration(template)


def test_a_process_works_in_the_folder(made):
    assert of_a_run(made("process", 0))["working_dir"] == "/srv/jobs"


def test_a_container_of_docker_sees_all_gpus_if_runs_want_one(made):
    run = of_a_run(made("docker", 1))
    assert run["image"] == "rurnet:7"
    assert run["volumes"] == ["/srv/jobs:/data"]
    [wanted] = run["container_create_kwargs"]["device_requests"]
    assert wanted == {"driver": "nvidia", "count": -1, "capabilities": [["gpu"]]}


def test_a_container_of_docker_wants_no_gpu_where_there_may_be_none(made):
    assert "container_create_kwargs" not in of_a_run(made("docker", 0))


def test_a_job_of_kubernetes_asks_for_its_gpus_and_mounts_the_claim(made):
    manifest = of_a_run(made("kubernetes", 2), data_claim="nightly")["job_manifest"]
    pod = manifest["spec"]["template"]["spec"]
    [container] = pod["containers"]
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 2
    assert container["workingDir"] == "/data"
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "nightly"}


@pytest.mark.parametrize("gpus", [0, 2])
def test_kubernetes_knows_every_field_of_a_job(made, gpus):
    validate = pytest.importorskip("kubernetes_validate").validate
    variables = {"name": "one", "env": [{"name": "A", "value": "b"}], "labels": {"a": "b"}}
    manifest = of_a_run(made("kubernetes", gpus), **variables)["job_manifest"]
    manifest["metadata"]["name"] = "one"  # Kubernetes makes it of `generateName`.
    for version in ("1.28", "1.33"):
        validate(manifest, version, strict=True)


def test_a_job_of_slurm_is_the_run_itself_with_its_gpus(made):
    command = of_a_run(made("slurm", 2), slurm_options="--partition=gpu")["command"]
    assert command == (
        "srun --ntasks=1 --job-name=rurnet --gpus=2 --cpus-per-task=4 --mem=16G --time=24:00:00 "
        f"--partition=gpu {sys.executable} -m prefect.engine"
    )


def test_nothing_of_prefects_own_template_is_changed(defaults, made):
    before = json.dumps(defaults)
    for kind in KINDS:
        made(kind, 1)
    assert json.dumps(defaults) == before
