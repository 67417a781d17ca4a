"""What a benchmark has to tell: the contents of `benchmark.json`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from pipelines.protocols.published import PublishedScore
from pipelines.results.report import MadeWith, Report, Summary
from pipelines.scores.scores import by_path

SCHEMA = 1
"""Raised when a field of `benchmark.json` changes its meaning or goes."""


@dataclass(frozen=True)
class Network:
    """The network, and what it costs.

    Attributes:
        name: In the registry.
        steps: Recurrent steps.
        parameters: How many.
        operations: Multiply-adds of all steps for an image of `pixels` a side.
        pixels: That side.
    """

    name: str
    steps: int
    parameters: int
    operations: int
    pixels: int


@dataclass(frozen=True)
class Data:
    """The user's copy of the data.

    Attributes:
        folder: Its name.
        train: Names of the training images.
        chose: Names of those that choose the weights, where the protocol has such a split.
        test: Names of the test images.
        files: Number of images, labels and masks.
        sha256: Of the lines of `data.sha256`, which has the SHA-256 of each file.
    """

    folder: str
    train: Sequence[str]
    chose: Sequence[str]
    test: Sequence[str]
    files: int
    sha256: str


@dataclass(frozen=True)
class TestScores:
    """Scores of the test images by the paths of `pipelines.scores.scores.PATHS`.

    Attributes:
        pooled: Of all pixels together.
        mean: Mean of the images' own scores.
        intervals: 95 % bootstrap intervals of `pooled`, over images.
    """

    pooled: Mapping[str, float]
    mean: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True)
class Run:
    """One seed, or weights that were given.

    Attributes:
        name: As the table has it.
        seed: None of weights that were given.
        weights: SHA-256 of each weights file.
        held_out: Images that chose the weights, by weights file.
        report: Of the test images; relative to `benchmark.json`.
        scores: Of the test images.
        second: Of the second observer, where there is one.
    """

    name: str
    seed: int | None
    weights: Mapping[str, str]
    held_out: Mapping[str, Sequence[str]]
    report: str
    scores: TestScores
    second: TestScores | None


@dataclass(frozen=True)
class Benchmark:
    """A benchmark, done or under way.

    Attributes:
        schema: `SCHEMA`.
        protocol: Its name.
        title: In words.
        source: Of the protocol.
        counted: Which pixels are scored.
        threshold: Of all scores at a threshold.
        followed: Whether the training was the protocol's: on its training images only.
        remarks: What a reader must know, line by line.
        data: What it was run on.
        network: What was run.
        settings: Of the training; empty where weights were given.
        seeds: Those that were asked for; empty where weights were given.
        runs: Those that are done.
        mean: Of the seeds' pooled scores, once all are done.
        sd: Their standard deviation, with n - 1; empty of one seed.
        published: Scores of others on the same test images.
        version: Of RurNet.
        made_with: Command, versions, machine.
    """

    schema: int
    protocol: str
    title: str
    source: str
    counted: str
    threshold: float
    followed: bool
    remarks: Sequence[str]
    data: Data
    network: Network
    settings: Mapping[str, Any]
    seeds: Sequence[int]
    runs: Sequence[Run]
    mean: Mapping[str, float]
    sd: Mapping[str, float]
    published: Sequence[PublishedScore]
    version: str
    made_with: MadeWith


def test_scores(report: Report) -> TestScores:
    """The scores of a report of scored scenes."""
    return _of(report)


def second_scores(report: Report) -> TestScores | None:
    """Those of its second observer; None where there is none."""
    return None if report.second_observer is None else _of(report.second_observer)


def _of(summary: Report | Summary) -> TestScores:
    ends = (summary.intervals or {}).items()
    return TestScores(
        _defined(by_path(summary.pooled)),
        _defined(summary.mean or {}),
        {path: (each[0], each[1]) for path, each in ends if each is not None},
    )


def over_seeds(runs: Sequence[Run]) -> tuple[dict[str, float], dict[str, float]]:
    """Mean and standard deviation of the runs' pooled scores, where all of them have one."""
    paths = [path for path in runs[0].scores.pooled if all(path in r.scores.pooled for r in runs)]
    values = {path: [run.scores.pooled[path] for run in runs] for path in paths}
    mean = {path: fmean(each) for path, each in values.items()}
    return mean, {path: stdev(each) for path, each in values.items()} if len(runs) > 1 else {}


def _defined(scores: Mapping[str, float | None]) -> dict[str, float]:
    return {path: value for path, value in scores.items() if value is not None}
