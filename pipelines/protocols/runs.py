"""One run of a benchmark: the trainings of a seed, or weights that were given, and their scores."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from pipelines.config.evaluation import Evaluate
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import DataError, PipelineError, first_few
from pipelines.evaluation.run import evaluate
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.names import find
from pipelines.models.weights import Model, card_of
from pipelines.protocols.images import ProtocolImages
from pipelines.protocols.result import Run, second_scores, test_scores
from pipelines.protocols.trainings import Asked, ProtocolTraining, folder_of, trainings_of
from pipelines.results.progress import Progress
from pipelines.results.reading import read_report
from pipelines.results.report import Report
from pipelines.training.run import run_training

_TEST = "test"
"""Folder of the predicted test images and their report."""


def trained_run(
    asked: Asked, images: ProtocolImages, seed: int, progress: Progress, *, goes_on: bool
) -> Run:
    """Does the trainings of a seed, and scores what they predict of the test images.

    Args:
        asked: What is asked for.
        images: Of the protocol.
        seed: Of the trainings.
        progress: Is told how far they are.
        goes_on: Whether trainings that are done are known to be of this benchmark.

    Raises:
        PipelineError: A test image could not be scored; or see `run_training`.
    """
    trainings = trainings_of(asked, images, seed)
    for training in trainings:
        if not (goes_on and _tested(training)):
            run_training(training.config, training.data(), progress)
    folder = folder_of(asked, seed)
    if asked.protocol.leave_one_out:
        _score_together(folder / _TEST, trainings, images, progress)
    weights = [one.config.output / f"{one.config.name}.safetensors" for one in trainings]
    chosen = {
        path.relative_to(asked.output).as_posix(): card_of(str(path)).training["held_out"]
        for path in weights
    }
    digests = {name: _sha256(asked.output / name) for name in chosen}
    return run_of(asked, images, f"seed {seed}", seed, digests, chosen, folder / _TEST)


def given_run(asked: Asked, images: ProtocolImages, model: Model, progress: Progress) -> Run:
    """Scores weights that were given on the test images.

    Raises:
        PipelineError: A test image could not be scored; or see `infer_roads`, `infer_drive`.
    """
    folder = asked.output / _TEST
    if asked.protocol.task == "roads":
        test = asked.data / "test"
        infer_roads(
            InferRoads(
                scenes=[str(test / "sat")], labels=test / "map", model=[model.source],
                output=folder, white_is_nodata=True,
            ),
            progress,
        )  # fmt: skip
    else:
        samples = images.of(images.test)
        infer_drive(
            InferDrive(
                scenes=[str(one.image) for one in samples], labels=_home(samples[0].label),
                model=[model.source], output=folder,
            ),
            progress,
        )  # fmt: skip
    digests = {model.name: _sha256(find(model.source))}
    return run_of(asked, images, model.name, None, digests, {}, folder)


def _tested(training: ProtocolTraining) -> bool:
    """Whether all test images of a training have been scored."""
    try:
        return not _lacking(read_report(training.config.output / _TEST), training.test)
    except DataError:
        return False


def _lacking(report: Report, names: Sequence[str]) -> list[str]:
    """The images that a report has no scores of."""
    scored = {scene.name.lower() for scene in report.scenes if scene.scores is not None}
    return [name for name in names if name.lower() not in scored]


def _score_together(
    folder: Path, trainings: Sequence[ProtocolTraining], images: ProtocolImages, progress: Progress
) -> None:
    """Scores what several trainings predicted, each another image, as one test set."""
    samples = images.of([name for one in trainings for name in one.test])
    rasters = [
        one.config.output / _TEST / sample.name / "probability.tif"
        for one, sample in zip(trainings, samples, strict=True)
    ]
    second = samples[0].second
    evaluate(
        Evaluate(
            predictions=list(map(str, rasters)),
            labels=_home(samples[0].label),
            second=None if second is None else second.parent,
            output=folder,
        ),
        progress,
    )


def _home(label: Path | None) -> Path:
    """The folder of the labels of a protocol, whose images all have one."""
    assert label is not None
    return label.parent


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def run_of(
    asked: Asked,
    images: ProtocolImages,
    name: str,
    seed: int | None,
    weights: Mapping[str, str],
    held_out: Mapping[str, Sequence[str]],
    folder: Path,
) -> Run:
    """What came of a run.

    Args:
        asked: What was asked for.
        images: Of the protocol.
        name: Of the run.
        seed: See `Run`.
        weights: See `Run`.
        held_out: See `Run`.
        folder: Where the report on the test images lies.

    Raises:
        PipelineError: It lacks a test image.
    """
    report = read_report(folder)
    if lacking := _lacking(report, images.test):
        why = f": {report.failed[0].error}" if report.failed else ""
        raise PipelineError(
            f"{folder}: {len(lacking)} of {len(images.test)} test images have no scores "
            f"({first_few(lacking)}){why}; the mean of the others would not be the protocol's "
            "result: mend them and run the same command again"
        )
    path = (folder / "report.html").relative_to(asked.output).as_posix()
    return Run(name, seed, weights, held_out, path, test_scores(report), second_scores(report))
