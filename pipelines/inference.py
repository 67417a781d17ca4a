"""Inference over a batch of scenes, from configuration to report."""

from pathlib import Path

from pipelines.batch import Job, Progress, run_batch
from pipelines.config import FUNDUS_INBOX, ROADS_INBOX, InferDrive, InferRoads
from pipelines.jobs import fundus_jobs, road_jobs
from pipelines.report import Result, build_report, write_report
from pipelines.weights import Task, load


def infer_roads(config: InferRoads, progress: Progress) -> Result:
    """Finds the roads in scenes.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no scene, or the labels' folder is missing.
        WeightsError: The weights cannot be used for roads.
        PipelineError: Nothing was run: see `pipelines.batch.run_batch`.
    """
    jobs = (
        []
        if _empty_inbox(config.scenes, ROADS_INBOX)
        else road_jobs(config.scenes, config.labels, white_is_nodata=config.white_is_nodata)
    )
    return _infer(config, "roads", jobs, progress)


def infer_drive(config: InferDrive, progress: Progress) -> Result:
    """Finds the vessels in fundus images.

    An empty inbox (the default of `scenes`) is no error: there is nothing to do.

    Raises:
        DataError: A folder or glob holds no image, or the labels' folder is missing.
        WeightsError: The weights cannot be used for vessels.
        PipelineError: Nothing was run: see `pipelines.batch.run_batch`.
    """
    jobs = (
        []
        if _empty_inbox(config.scenes, FUNDUS_INBOX)
        else fundus_jobs(config.scenes, config.labels)
    )
    return _infer(config, "vessels", jobs, progress)


def _empty_inbox(scenes: list[str], inbox: str) -> bool:
    """Whether only the default inbox was asked for, and is empty; makes it where it is missing."""
    if scenes != [inbox]:
        return False
    folder = Path(inbox)
    folder.mkdir(parents=True, exist_ok=True)
    return not any(path for path in folder.iterdir() if not path.name.startswith("."))


def _infer(
    config: InferRoads | InferDrive, task: Task, jobs: list[Job], progress: Progress
) -> Result:
    model = load(config.model, task)
    outcomes = run_batch(jobs, model, config, config.output, progress)
    report = build_report(model, outcomes, config.model_dump(mode="json"))
    write_report(config.output, report, outcomes)
    return Result(report, config.output)
