"""Inference from a configuration: over a batch of scenes, or a look at what that would take.

What predicts is imported once it is asked for: a dry run takes no second of that.
"""

from glob import glob
from pathlib import Path

from pipelines.config.inference import FUNDUS_INBOX, ROADS_INBOX, InferDrive, InferRoads
from pipelines.errors import DataError
from pipelines.inference.planning.asked import check_asked
from pipelines.inputs.discovery import rasters_in
from pipelines.models.weights import Task
from pipelines.results.progress import Progress
from pipelines.results.result import Result
from pipelines.runtime.memory import give_back_large_blocks
from tiling.dicom.folders import dicom_files
from tiling.scenes.names import kind_of, shown


def infer_roads(config: InferRoads, progress: Progress) -> Result:
    """Finds the roads in scenes.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no scene, or the labels' folder is missing.
        WeightsError: The weights cannot be used for roads.
        PipelineError: Nothing was run: see `pipelines.inference.batch.run_batch`.
    """
    check_asked(config)
    return _infer(config, "roads", ROADS_INBOX, progress)


def infer_drive(config: InferDrive, progress: Progress) -> Result:
    """Finds the vessels in fundus images.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no image, or the labels' folder is missing.
        WeightsError: The weights cannot be used for vessels.
        PipelineError: Nothing was run: see `pipelines.inference.batch.run_batch`.
    """
    check_asked(config)
    source = config.field_source
    if isinstance(source, Path) and not source.is_dir():
        raise DataError(
            f"{source}: no such folder of masks; check --field, or give whole or derived"
        )
    return _infer(config, "vessels", FUNDUS_INBOX, progress)


def _beginning(config: InferRoads | InferDrive) -> list[str]:
    """The scenes that are asked for; of an inbox job without folders and globs that are empty."""

    def is_empty(source: str) -> bool:
        if kind_of(source) == "glob":
            return not glob(source)
        folder = Path(source)
        return folder.is_dir() and not rasters_in(folder) and not dicom_files(folder)

    return [one for one in config.scenes if not (config.inbox and is_empty(one))]


def _nothing_in(scenes: list[str], asked: list[str], inbox: str) -> str | None:
    """Why there is nothing to do: inboxes are empty, or the default one is, or is not there."""
    folder, why = Path(inbox), "which is empty"
    if scenes:
        if scenes != [inbox] or folder.is_file():
            return None
        if not folder.exists():
            why = "which was not there"
        elif any(path for path in folder.glob("*") if not path.name.startswith(".")):
            return None
    said = " and ".join(map(shown, asked))
    return f"Nothing was done: no scenes in {said}, {why}. Put scenes there, or name some."


def _infer(config: InferRoads | InferDrive, task: Task, inbox: str, progress: Progress) -> Result:
    scenes = _beginning(config)
    nothing = _nothing_in(scenes, config.scenes, inbox)
    if config.dry_run:
        from pipelines.inference.planning.dry_run import dry_run

        return dry_run(config, task, scenes, nothing)
    give_back_large_blocks()  # Before torch is imported.
    from pipelines.inference.job import run_job

    if nothing is not None and config.scenes == [inbox]:
        Path(inbox).mkdir(parents=True, exist_ok=True)
    return run_job(config, task, scenes, nothing, progress)
