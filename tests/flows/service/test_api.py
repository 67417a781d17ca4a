"""Which Prefect API is used."""

import subprocess
import sys

import pytest

from flows.errors import ServerError
from flows.service.api import prefect_is_configured
from flows.service.server import running_server
from pipelines.config.inference import InferRoads
from pipelines.config.training import TrainRoads
from tests.flows.service.serving import PREFECT, ROOT, clean_environment, free_port


def test_prefect_counts_as_configured_by_environment_or_profile(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    monkeypatch.delenv("PREFECT_PROFILE", raising=False)
    assert not prefect_is_configured()
    (tmp_path / "profiles.toml").write_text(
        'active = "local"\n[profiles.ephemeral]\n'
        '[profiles.local]\nPREFECT_API_URL = "http://127.0.0.1:4200/api"\n'
    )
    assert prefect_is_configured()
    monkeypatch.setenv("PREFECT_PROFILE", "ephemeral")
    assert not prefect_is_configured()
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:1/api")
    assert prefect_is_configured()


def test_a_server_is_started_on_loopback_only(tmp_path, monkeypatch):
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    with pytest.raises(ServerError) as caught, running_server("http://me:s3cret@0.0.0.0:1/api"):
        pass
    assert str(caught.value).startswith("http://0.0.0.0:1/api: no Prefect server answers there")
    assert "prefect server start --host" in str(caught.value)


def test_parameters_that_hold_a_secret_are_named():
    """Prefect keeps and shows them: a run's log warns."""
    from flows.service.deployments import secret_parameters

    signed = "https://host/a.tif?X-Amz-Signature=abc"
    assert secret_parameters(InferRoads(scenes=["a.tif", signed])) == ["scenes"]
    assert secret_parameters(InferRoads(scenes=["a.tif", "/vsis3/bucket/a.tif"])) == []
    assert secret_parameters(TrainRoads(mlflow="http://u:p@host:5000")) == ["mlflow"]


def test_without_a_server_the_short_name_says_how_to_start_one(tmp_path):
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    # Not the default address: another project's server may be there.
    (tmp_path / "home").mkdir()
    (tmp_path / "home/rurnet-server.url").write_text(f"http://127.0.0.1:{free_port()}/api")
    done = subprocess.run(
        [PREFECT, "deployment", "run", "infer-roads"], cwd=tmp_path,
        env=clean_environment(tmp_path / "home"), capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "python -m flows.serve" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "words", [["deploy"], ["notify", "--on", "failure", "--webhook", "http://127.0.0.1:1/"]]
)
def test_an_address_where_no_server_answers_is_named_in_one_line(words, tmp_path):
    url = f"http://me:s3cret@127.0.0.1:{free_port()}/api"
    done = subprocess.run(
        [sys.executable, "-m", "flows", *words], cwd=ROOT,
        env={**clean_environment(tmp_path), "PREFECT_API_URL": url},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 1
    assert "no Prefect server answers at this PREFECT_API_URL" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert "s3cret" not in done.stderr
