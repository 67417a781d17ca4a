"""MLflow, where it is wanted: one run for a training, however often it is killed."""

from pathlib import Path

from lightning.pytorch.loggers import MLFlowLogger

from pipelines import distributed
from pipelines.errors import PipelineError

RUN = "mlflow-run"
"""File beside the checkpoints: the run that a resumed training goes on with."""


def mlflow_logger(uri: str, folder: Path) -> MLFlowLogger:
    """A logger of the training in a folder.

    Args:
        uri: Where MLflow keeps its runs: http://host:5000, sqlite:///FILE, or a folder.
        folder: Of the training; its name is the run's.

    Raises:
        PipelineError: MLflow is not installed.
    """
    noted = folder / RUN
    known = noted.read_text(encoding="utf-8").strip() if noted.is_file() else None
    try:
        logger = MLFlowLogger(
            "rurnet", run_name=folder.name, tracking_uri=uri, run_id=known, synchronous=True
        )
    except ModuleNotFoundError as error:
        raise PipelineError(
            "--mlflow needs the package mlflow: pip install 'rurnet[mlflow]'"
        ) from error
    if distributed.process() == 0:
        noted.write_text(f"{logger.run_id}\n", encoding="utf-8")
    return logger
