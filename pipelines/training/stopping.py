"""Finds the rule by which tiles stop before the last step, on images with labels."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelines.config.base import AUTO
from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import PipelineError
from pipelines.inference.run import infer_drive, infer_roads
from pipelines.models.stopping import StopRule
from pipelines.models.weights import Model, save
from pipelines.results.progress import Progress
from pipelines.scores.scores import score_at

UNSURE = (64_000, 32_000, 16_000, 8_000, 4_000, 2_000, 0)
"""What is tried for `StopRule.unsure`, the cheapest first."""

CHANGING = (1_000_000, 3_200, 1_600, 800, 400, 200, 100, 0)
"""The same for `StopRule.changing`; the first takes two steps at most."""

TOPOLOGY = ("topology.apls", "topology.cldice")


@dataclass(frozen=True)
class Tried:
    """What a rule costs and scores.

    Attributes:
        rule: The rule.
        steps: Steps that a pixel's tiles took, on average.
        f1: F1 of all scenes' pixels together.
        apls: Of all scenes together.
        cldice: Of all scenes together.
    """

    rule: StopRule
    steps: float
    f1: float
    apls: float
    cldice: float

    def within(self, full: "Tried", f1: float, topology: float) -> bool:
        """Whether it loses no more than this against all steps."""
        return (
            self.f1 >= full.f1 - f1
            and self.apls >= full.apls - topology
            and self.cldice >= full.cldice - topology
        )


def fitted_rules(
    model: Model,
    config: InferRoads | InferDrive,
    progress: Progress,
    *,
    lost_f1: float = 0.001,
    lost_topology: float = 0.005,
) -> Iterator[Tried]:
    """Tries rules, the last of which is the cheapest that loses next to nothing.

    First all steps are taken, then `StopRule.changing` is lowered until the scores are kept, and
    then `StopRule.unsure`.

    Args:
        model: A recurrent network with its weights.
        config: What is to be predicted and scored: images that the network was not trained on.
        progress: Who is told.
        lost_f1: How much of the F1 may be lost.
        lost_topology: The same of APLS and clDice.

    Yields:
        What each came to.

    Raises:
        PipelineError: The network has only one step, or no scene could be scored.
    """
    if model.network.one_shot or model.network.steps < 2:
        raise PipelineError(f"{model.name}: takes one step, so there is none to leave out")
    with TemporaryDirectory() as folder:

        def tried(rule: StopRule) -> Tried:
            return _tried(model, rule, config, Path(folder), progress)

        yield (full := tried(StopRule(0, 0)))
        kept = full
        for changing in CHANGING[:-1]:
            yield (kept := tried(StopRule(0, changing)))
            if kept.within(full, lost_f1, lost_topology):
                break
        else:
            kept = full
        for unsure in UNSURE[:-1]:
            yield (last := tried(StopRule(unsure, kept.rule.changing)))
            if last.within(full, lost_f1, lost_topology):
                return
        yield kept


def _tried(
    model: Model,
    rule: StopRule,
    config: InferRoads | InferDrive,
    folder: Path,
    progress: Progress,
) -> Tried:
    weights = folder / f"{model.name}.safetensors"
    save(weights, model.network, replace(model.card, stopping=rule))
    changes = {
        "model": [str(weights)], "steps": AUTO, "output": folder / "run", "overwrite": True,
        "topology": True, "measurements": False,
    }  # fmt: skip
    if isinstance(config, InferDrive):
        report = infer_drive(config.model_copy(update=changes), progress).report
    else:
        report = infer_roads(config.model_copy(update=changes), progress).report
    if report.pooled is None or report.failed:
        said = report.failed[0].error if report.failed else "no label was found; give --labels"
        raise PipelineError(f"{', '.join(config.scenes)}: cannot be scored ({said})")
    pixels = [scene.height * scene.width for scene in report.scenes]
    steps = sum(
        (scene.mean_steps or 0) * share for scene, share in zip(report.scenes, pixels, strict=True)
    ) / sum(pixels)
    f1, apls, cldice = (
        score_at(report.pooled, path) or 0.0 for path in ("foreground.f1", *TOPOLOGY)
    )
    return Tried(rule, steps, f1, apls, cldice)
