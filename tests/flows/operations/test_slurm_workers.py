"""Workers of Dask as jobs of Slurm: the script that dask-jobqueue makes of what was asked for."""

import sys

import pytest

from flows.errors import ClusterError
from flows.operations.slurm_workers import slurm_workers


@pytest.fixture
def script(capsys, tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    monkeypatch.chdir(tmp_path)

    def printed(**asked):
        slurm_workers(print_script=True, **asked)
        return capsys.readouterr().out.splitlines()

    return printed


def test_a_job_has_one_worker_with_its_gpu_in_this_folder(script, tmp_path):
    lines = script(gpus=1, cpus=8, memory="32GB", partition="gpu")
    for wanted in ("-J rurnet", "-p gpu", "--cpus-per-task=8", "--gres=gpu:1", "-t 24:00:00"):
        assert f"#SBATCH {wanted}" in lines
    assert f"cd {tmp_path}" in lines
    [worker] = [line for line in lines if "dask_worker" in line]
    assert worker.startswith(sys.executable)
    assert "--nthreads 1 " in worker
    assert worker.endswith("--memory-limit 0")


def test_without_a_gpu_none_is_asked_for(script):
    assert not any("gres" in line for line in script(gpus=0))


def test_a_machine_that_submits_no_jobs_is_told_of(script, tmp_path, monkeypatch):
    """Dask would fail in the background, after "1 jobs submitted"."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ClusterError, match="no sbatch on the PATH"):
        slurm_workers()
    # The remedy.
    assert any("#SBATCH -J rurnet" in line for line in script())
