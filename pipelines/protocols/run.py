"""Runs a benchmark: trains and scores by a protocol, and leaves one table of it."""

import hashlib
import json
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter, ValidationError

from pipelines.errors import PipelineError, first_few
from pipelines.models.weights import Model, load
from pipelines.protocols.images import ProtocolImages, digests, protocol_images
from pipelines.protocols.result import (
    SCHEMA,
    Benchmark,
    Data,
    Network,
    over_seeds,
)
from pipelines.protocols.runs import given_run, trained_run
from pipelines.protocols.table import as_markdown
from pipelines.protocols.trainings import Asked, settings_of, trainings_of
from pipelines.report.made_with import made_with
from pipelines.results.progress import Progress
from pipelines.runtime import processes as distributed
from pipelines.runtime.disk import refusals_named
from pipelines.training.splits import splits_of
from rurnet.cost import cost
from rurnet.network import SegmentationNetwork, parameter_count
from rurnet.registry import create
from tiling.disk import appearing

RESULT = "benchmark.json"
TABLE = "benchmark.md"
DIGESTS = "data.sha256"

_THRESHOLD = 0.5

_SIDE = 512
"""Side of the image, in pixels, whose multiply-adds are counted: that of `python -m rurnet`."""

_SAME = ("schema", "protocol", "network", "settings", "version")
"""Fields that must be the same for a benchmark to go on, besides the files of the data."""


@dataclass(frozen=True)
class Plan:
    """What a benchmark would do.

    Attributes:
        images: Of the protocol; all are there.
        network: What would be run.
        held_out: Images that would choose the weights, of the first training.
        trainings: How many there would be.
        iterations: Of each.
        seeds: Of all trainings: those asked for, and those that an earlier command was asked for.
        done: Seeds that are done already.
    """

    images: ProtocolImages
    network: Network
    held_out: tuple[str, ...]
    trainings: int
    iterations: int
    seeds: tuple[int, ...]
    done: tuple[int, ...]


def plan_benchmark(asked: Asked) -> Plan:
    """Checks the data and says what a benchmark would do; writes nothing.

    Raises:
        DataError: See `protocol_images`; also where images or labels are not as they should be.
        LabelError: A label does not fit its image.
        SceneError: An image cannot be read.
        NetworkError: There is no such network.
        WeightsError: The weights cannot be used.
        PipelineError: The folder holds a benchmark that differs in more than the files' contents,
            which are not read.
    """
    images = protocol_images(asked.protocol, asked.data)
    model = None if asked.weights is None else load(asked.weights, asked.protocol.task)
    network = _network(model.card.network, model.network) if model else _to_train(asked)
    earlier = _earlier(asked.output)
    if earlier is not None:
        begun = _begun(asked, images, network, "", model)
        _check_same(asked.output, earlier, replace(begun, data=earlier.data))
    done = (
        () if earlier is None else tuple(run.seed for run in earlier.runs if run.seed is not None)
    )
    if model is not None:
        return Plan(images, network, (), 0, 0, (), ())
    seeds = tuple(sorted({*asked.seeds, *(() if earlier is None else earlier.seeds)}))
    every = [trainings_of(asked, images, seed) for seed in seeds]
    first = every[0][0]
    (split,) = splits_of(first.config, first.data())
    return Plan(
        images,
        network,
        tuple(one.source.name for one in split.held_out),
        sum(map(len, every)),
        first.config.how.iterations,
        seeds,
        done,
    )


def run_benchmark(asked: Asked, progress: Progress) -> Benchmark:
    """Trains with each seed and scores the test images, once; a repeated call goes on.

    The table is written after each seed.

    Raises:
        PipelineError: The folder holds a benchmark that differs, or cannot be written; a test
            image could not be scored; there are several processes; or see `run_training`.
        DataError: See `plan_benchmark`.
        TilingError: See `plan_benchmark`.
        RurnetError: See `plan_benchmark`.
    """
    if distributed.processes() > 1:
        raise PipelineError(
            "a benchmark runs in one process: type it without torchrun, and give each machine "
            "other --seeds and another --output"
        )
    images = protocol_images(asked.protocol, asked.data)
    model = None if asked.weights is None else load(asked.weights, asked.protocol.task)
    network = _network(model.card.network, model.network) if model else _to_train(asked)
    progress.doing(f"hashing {len(images.files)} files of {asked.data}")
    lines = digests(asked.data, images.files)
    begun = _begun(asked, images, network, lines, model)
    earlier = _earlier(asked.output)
    if earlier is not None:
        _check_same(asked.output, earlier, begun)
        seeds = {*begun.seeds, *earlier.seeds}
        begun = replace(begun, runs=earlier.runs, seeds=tuple(sorted(seeds)))
    benchmark = _written(asked.output, begun, lines)
    if model is not None:
        if not benchmark.runs:
            run = given_run(asked, images, model, progress)
            benchmark = _written(asked.output, replace(benchmark, runs=(run,)), lines)
        return benchmark
    for seed in benchmark.seeds:
        if seed not in [run.seed for run in benchmark.runs]:
            run = trained_run(asked, images, seed, progress, goes_on=earlier is not None)
            benchmark = _written(
                asked.output, replace(benchmark, runs=(*benchmark.runs, run)), lines
            )
    return benchmark


def _to_train(asked: Asked) -> Network:
    with torch.device("meta"):
        return _network(asked.model, create(asked.model))


def _network(name: str, network: SegmentationNetwork) -> Network:
    once, step = cost(network, _SIDE)
    operations = round(once + network.steps * step)
    return Network(name, network.steps, parameter_count(network), operations, _SIDE)


def _begun(
    asked: Asked, images: ProtocolImages, network: Network, lines: str, model: Model | None
) -> Benchmark:
    """A benchmark of which nothing is done."""
    protocol = asked.protocol
    settings: dict[str, Any] = {}
    if model is None:
        first = trainings_of(asked, images, asked.seeds[0])[0]
        # With lists in place of tuples, as they will be read back.
        settings = json.loads(json.dumps(settings_of(first)))
    return Benchmark(
        SCHEMA, protocol.name, protocol.title, protocol.source, protocol.counted, _THRESHOLD,
        followed=model is None,
        remarks=() if model is None else tuple(_not_trained(model, images)),
        data=Data(
            asked.data.resolve().name, images.train, images.valid, images.test,
            len(images.files), hashlib.sha256(lines.encode()).hexdigest(),
        ),
        network=network,
        settings=settings if model is None else {"weights": f"{model.name} {model.digest}"},
        seeds=asked.seeds if model is None else (),
        runs=(), mean={}, sd={},
        published=protocol.published,
        version=version("rurnet"),
        made_with=made_with(None, ()),
    )  # fmt: skip


def _not_trained(model: Model, images: ProtocolImages) -> list[str]:
    """What there is to say of scores of weights that were made elsewhere."""
    card = model.card
    said = [
        f"The protocol's training was not run: {model.name} was trained elsewhere. This is a score "
        "on the protocol's test images, and not the protocol's result."
    ]
    chosen = {*card.trained_on, *card.training.get("held_out", ())}
    if again := [name for name in images.test if name in chosen]:
        said.append(
            f"{len(again)} of the {len(images.test)} test images have names of images that "
            f"{model.name} was trained on or chosen by ({first_few(again)}): if they are the same, "
            "the scores are flattered."
        )
    return said


def _earlier(output: Path) -> Benchmark | None:
    """The benchmark that a folder holds; None where it holds none.

    Raises:
        PipelineError: The file is damaged, or of another version.
    """
    path = output / RESULT
    if not path.is_file():
        return None
    try:
        return TypeAdapter(Benchmark).validate_json(path.read_bytes())
    except ValidationError as error:
        raise PipelineError(
            f"{path}: no benchmark of this version; choose another --output, or remove the file"
        ) from error


def _check_same(output: Path, earlier: Benchmark, begun: Benchmark) -> None:
    """Whether an earlier benchmark can go on.

    Raises:
        PipelineError: It differs.
    """
    before, now = (json.loads(json.dumps(asdict(one))) for one in (earlier, begun))
    changed = [name for name in _SAME if before[name] != now[name]]
    if earlier.data.sha256 != begun.data.sha256:
        changed.append(f"files of the data (see {output / DIGESTS})")
    if changed:
        raise PipelineError(
            f"{output}: holds a benchmark that differs in {', '.join(changed)}; go on with its "
            "options and data, or choose another --output"
        )


def _written(output: Path, benchmark: Benchmark, lines: str) -> Benchmark:
    """Writes the table of what is done so far, and returns it with mean and spread."""
    runs = sorted(benchmark.runs, key=lambda run: run.seed or 0)
    if benchmark.seeds and len(runs) == len(benchmark.seeds):
        mean, sd = over_seeds(runs)
        benchmark = replace(benchmark, runs=runs, mean=mean, sd=sd)
    with refusals_named(output, "free some space, or choose another --output"):
        output.mkdir(parents=True, exist_ok=True)
        for name, text in (
            (DIGESTS, lines),
            (TABLE, as_markdown(benchmark)),
            (RESULT, json.dumps(asdict(benchmark), indent=2) + "\n"),
        ):
            with appearing(output / name) as partial:
                partial.write_text(text, encoding="utf-8")
    return benchmark
