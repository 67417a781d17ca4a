"""`--dry-run`: what a run would do, and what that takes."""

from collections.abc import Sequence

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.inference.items import items_of
from pipelines.inference.planning.estimate import estimate_batch
from pipelines.inference.planning.settled import made_with, settled
from pipelines.models.outline import known
from pipelines.models.weights import Task
from pipelines.results.estimate import SceneEstimate
from pipelines.results.result import Result
from pipelines.results.this_run import Failure


def dry_run(
    config: InferRoads | InferDrive, task: Task, scenes: Sequence[str], nothing: str | None
) -> Result:
    """Estimates what scenes take; nothing is written.

    Args:
        config: What is asked for.
        task: What the weights must find.
        scenes: Those of `config`, or some of them.
        nothing: Why there is nothing to do; None where there is something.

    Raises:
        PipelineError: What a run would refuse.
    """
    models = [known(name, task) for name in config.model]
    config = settled(config, models)
    items = [] if nothing else items_of(config, models, scenes)
    left = {}
    if config.inbox:
        from pipelines.inbox.job import quarantined_in

        left = quarantined_in(config, items, made_with(config, models))
    due = [item for item in items if item.name not in left]
    estimates = estimate_batch(due, models, config, config.output)
    estimates += [SceneEstimate(name, skipped=why) for name, why in left.items()]
    failed = [Failure(one.name, one.error) for one in estimates if one.error is not None]
    return Result(None, config.output, failed, estimates=estimates, reported=False, nothing=nothing)
