"""Measures what was predicted of a batch, from the rasters as written."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.measurements.certainty import doubt_of
from pipelines.measurements.measured import SceneMeasures
from pipelines.measurements.network import Network, network
from pipelines.measurements.vessels import VesselTree, vessel_tree
from pipelines.measurements.zones import Disc
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.counts import together
from pipelines.scores.expected import expected_f1
from tiling.masks.mask import threshold_level
from tiling.window import Window

_LITTLE = 0.3
"""Expected F1 below which a threshold of `auto` is doubtful.

With `roads-dru4-wide`, on squares of 250 m of six scenes that its training held out: 20 of the 26
without a road are below, and 11 of the 82 with one, where the F1 of `auto` is 0.02.
"""

_LOG = logging.getLogger("rurnet")


def measured(
    outcomes: Sequence[SceneOutcome],
    classes: Sequence[str],
    discs: Mapping[str, Disc],
    foreground_weight: float = 1.0,
) -> list[SceneOutcome]:
    """The outcomes with what is measured of each scene that was predicted.

    Args:
        outcomes: Of each scene; those with a field of view are measured as fundi.
        classes: Names of the foreground classes.
        discs: Optic discs, by the name of the scene.
        foreground_weight: See `pipelines.scores.expected.best_expected`.
    """
    return [
        _measured(one, classes, discs.get(one.name), foreground_weight) if one.done else one
        for one in outcomes
    ]


def with_doubtful_thresholds(outcomes: Sequence[SceneOutcome]) -> list[SceneOutcome]:
    """The outcomes with a remark where the threshold that a scene has for itself is worth little.

    Args:
        outcomes: Measured, of scenes whose probabilities chose their thresholds.
    """
    return [_doubted(one) for one in outcomes]


def _doubted(outcome: SceneOutcome) -> SceneOutcome:
    expected = outcome.measures.expected_f1 if outcome.measures else None
    if expected is None or expected >= _LITTLE:
        return outcome
    remark = (
        f"{outcome.source}: its own probabilities make expect an F1 of {expected:.2f} at most: "
        "there may be nothing to find in it, or the weights do not know such scenes; look at its "
        "mask before you use it"
    )
    _LOG.warning("%s", remark)
    return replace(outcome, remarks=(*outcome.remarks, remark))


def _measured(
    outcome: SceneOutcome, classes: Sequence[str], disc: Disc | None, foreground_weight: float
) -> SceneOutcome:
    start = time.perf_counter()
    if disc is not None and not disc.lies_in(outcome.height, outcome.width):
        remark = (
            f"{outcome.source}: the centre of its optic disc, {disc.x:g},{disc.y:g}, lies outside "
            f"of its {outcome.width} x {outcome.height} pixels, so no zones are measured; correct "
            "--disc: x is counted from the left, y from the top"
        )
        _LOG.warning("%s", remark)
        outcome, disc = replace(outcome, remarks=(*outcome.remarks, remark)), None
    try:
        measures = _measures(outcome, classes, disc, foreground_weight)
        _LOG.info("%s: measured in %.1f s", outcome.name, time.perf_counter() - start)
        return replace(outcome, measures=measures)
    except Exception as error:  # The result is there all the same.
        remark = (
            f"{outcome.source}: could not be measured ({error}); --no-measurements leaves it out"
        )
        _LOG.warning("%s", remark)
        return replace(outcome, remarks=(*outcome.remarks, remark))


def _measures(
    outcome: SceneOutcome, classes: Sequence[str], disc: Disc | None, foreground_weight: float
) -> SceneMeasures:
    with open_levels(outcome.files["mask"], "mask", classes=tuple(classes)) as mask:
        lines: Network | VesselTree
        if outcome.field is None:
            lines = network(mask, outcome.pixel)
        else:
            whole = together(mask.read(Window(0, 0, mask.height, mask.width)))
            lines = vessel_tree(whole, outcome.field.diameter, disc)
    with open_levels(outcome.files["probability"], "probability") as probability:
        doubt = doubt_of(probability)
        threshold = outcome.prediction.threshold if outcome.prediction else 0.5
        expected = expected_f1(doubt.pixels, threshold_level(threshold), foreground_weight)
        return SceneMeasures(
            lines, doubt.places, probability.transform, outcome.micrometres, expected
        )
