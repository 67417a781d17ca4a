"""Optional logging to MLflow: one run per training, even if it is killed and resumed."""

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import MLFlowLogger

from pipelines.errors import PipelineError, shortened
from pipelines.runtime import processes as distributed
from tiling.disk import appearing
from tiling.scenes.names import shown

_LOG = logging.getLogger("rurnet")


RUN = "mlflow-run"
"""Name of the file with the id of the run, which a resumed training continues."""


NOT_INSTALLED = "--mlflow needs MLflow: pip install 'rurnet[mlflow]'"


_TIMEOUT, _RETRIES = "MLFLOW_HTTP_REQUEST_TIMEOUT", "MLFLOW_HTTP_REQUEST_MAX_RETRIES"


_ANSWERS_WITHIN_S = 10


class _Lenient(MLFlowLogger):
    """Warns once if MLflow fails, and lets the training continue without it."""

    gone = False

    def log_metrics(self, metrics: Any, step: int | None = None) -> None:
        """See `MLFlowLogger.log_metrics`."""
        self._told(lambda: super(_Lenient, self).log_metrics(metrics, step))

    def finalize(self, status: str = "success") -> None:
        """See `MLFlowLogger.finalize`."""
        self._told(lambda: super(_Lenient, self).finalize(status))

    def _told(self, tell: Callable[[], None]) -> None:
        from mlflow.exceptions import MlflowException

        if self.gone:
            return
        try:
            tell()
        except MlflowException as error:
            self.gone = True
            _LOG.warning(
                "MLflow does not respond (%s); the training continues, its log is in csv/ and "
                "tensorboard/", shortened(error),
            )  # fmt: skip


def check_mlflow(uri: str | None) -> None:
    """Checks that MLflow answers, before minutes of other work; None asks nobody.

    Args:
        uri: As `mlflow_logger` takes it.

    Raises:
        PipelineError: MLflow is not installed, does not answer, or does not accept the address.
    """
    if uri is None or distributed.process() > 0:
        return
    try:
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise PipelineError(NOT_INSTALLED) from error
    # MLflow's own values make it try for minutes.
    quick = {_TIMEOUT: str(_ANSWERS_WITHIN_S), _RETRIES: "0"}
    before = {name: os.environ.get(name) for name in quick}
    os.environ.update(quick)
    try:
        MlflowClient(uri).search_experiments(max_results=1)
    except MlflowException as error:
        raise PipelineError(
            f"--mlflow {shown(uri)}: {shortened(error)}; start the server, check the address, or "
            "give sqlite:///FILE to log to a file"
        ) from error
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def mlflow_logger(uri: str, folder: Path, settings: dict[str, Any]) -> MLFlowLogger:
    """Returns a logger that starts or continues the MLflow run of a training.

    Args:
        uri: Address of MLflow: http://host:5000 or sqlite:///FILE.
        folder: Folder of the training; the run has its name.
        settings: Parameters of the run.

    Raises:
        PipelineError: MLflow is not installed or does not accept the address.
    """
    try:
        from mlflow.exceptions import MlflowException
    except ModuleNotFoundError as error:
        raise PipelineError(NOT_INSTALLED) from error
    noted = folder / RUN
    known = noted.read_text(encoding="utf-8").strip() if noted.is_file() else None
    try:
        logger = _Lenient(
            "rurnet", run_name=folder.name, tracking_uri=uri, run_id=known, synchronous=True
        )
        if distributed.process() == 0:
            logger.log_hyperparams(settings)
            with appearing(noted) as partial:
                partial.write_text(f"{logger.run_id}\n", encoding="utf-8")
    except MlflowException as error:
        mend = "give the address of a server, or sqlite:///FILE"
        if known is not None:
            mend = f"give the address of its run, or remove {noted} to start a new run"
        raise PipelineError(f"--mlflow {shown(uri)}: {shortened(error)}; {mend}") from error
    return logger
