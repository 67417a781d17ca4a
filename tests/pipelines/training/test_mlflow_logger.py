"""MLflow, into a database of its own."""

import sqlite3
import sys

import pytest
from mlflow import MlflowClient

from pipelines.config.training import TrainDrive
from pipelines.errors import PipelineError
from pipelines.training.mlflow_logger import RUN, mlflow_logger


def test_a_killed_training_goes_on_in_its_run(tmp_path):
    folder = tmp_path / "vessels"
    folder.mkdir()
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    logger = mlflow_logger(uri, folder, {"seed": 3})
    logger.log_metrics({"train/loss": 0.5}, step=1)
    assert (folder / RUN).read_text().strip() == logger.run_id
    again = mlflow_logger(uri, folder, {"seed": 3})
    again.log_metrics({"train/loss": 0.25}, step=2)
    again.finalize("success")
    run = MlflowClient(uri).get_run(logger.run_id)
    assert run.info.run_name == "vessels"
    assert run.data.params == {"seed": "3"}
    history = MlflowClient(uri).get_metric_history(logger.run_id, "train/loss")
    assert [(entry.step, entry.value) for entry in history] == [(1, 0.5), (2, 0.25)]
    assert run.info.status == "FINISHED"


def test_a_training_goes_on_where_mlflow_goes_away(tmp_path, caplog):
    database = tmp_path / "mlflow.db"
    logger = mlflow_logger(f"sqlite:///{database}", tmp_path, {})
    with sqlite3.connect(database) as store:
        store.execute("DROP TABLE latest_metrics")
    with caplog.at_level("WARNING", "rurnet"):
        for step in (1, 2):
            logger.log_metrics({"train/loss": 0.5}, step=step)
        logger.finalize("success")
    (line,) = [record.getMessage() for record in caplog.records if record.name == "rurnet"]
    assert line.startswith("MLflow does not respond (")
    assert "\n" not in line


def test_what_may_change_in_a_training_is_not_among_its_parameters():
    told = TrainDrive(patience=3, max_time=1, overwrite=True, workers=2, seed=5).compared()
    assert told["seed"] == 5
    assert not {"patience", "max_time", "overwrite", "workers"} & set(told)


def test_an_address_that_mlflow_does_not_take_is_said(tmp_path):
    with pytest.raises(PipelineError, match=r"^--mlflow nowhere://x: .*sqlite:///FILE$"):
        mlflow_logger("nowhere://x", tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_without_mlflow_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow.exceptions", None)
    with pytest.raises(PipelineError, match=r"pip install 'rurnet\[mlflow\]'"):
        mlflow_logger("sqlite:///x.db", tmp_path, {})
