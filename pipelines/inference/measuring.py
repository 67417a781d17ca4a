"""Measures what was predicted of a batch, from the rasters as written."""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from pipelines.measurements.certainty import least_certain
from pipelines.measurements.measured import SceneMeasures
from pipelines.measurements.network import Network, network
from pipelines.measurements.vessels import VesselTree, vessel_tree
from pipelines.measurements.zones import Disc
from pipelines.results.levels import open_levels
from pipelines.results.outcome import SceneOutcome
from pipelines.scores.counts import together
from tiling.window import Window

_LOG = logging.getLogger("rurnet")


def measured(
    outcomes: Sequence[SceneOutcome], classes: Sequence[str], discs: Mapping[str, Disc]
) -> list[SceneOutcome]:
    """The outcomes with what is measured of each scene that was predicted.

    Args:
        outcomes: Of each scene; those with a field of view are measured as fundi.
        classes: Names of the foreground classes.
        discs: Optic discs, by the name of the scene.
    """
    return [_measured(one, classes, discs.get(one.name)) if one.done else one for one in outcomes]


def _measured(outcome: SceneOutcome, classes: Sequence[str], disc: Disc | None) -> SceneOutcome:
    start = time.perf_counter()
    try:
        measures = _measures(outcome, classes, disc)
        _LOG.info("%s: measured in %.1f s", outcome.name, time.perf_counter() - start)
        return replace(outcome, measures=measures)
    except Exception as error:  # The result is there all the same.
        remark = (
            f"{outcome.source}: could not be measured ({error}); --no-measurements leaves it out"
        )
        _LOG.warning("%s", remark)
        return replace(outcome, remarks=(*outcome.remarks, remark))


def _measures(outcome: SceneOutcome, classes: Sequence[str], disc: Disc | None) -> SceneMeasures:
    with open_levels(outcome.files["mask"], "mask", classes=tuple(classes)) as mask:
        lines: Network | VesselTree
        if outcome.field is None:
            lines = network(mask, outcome.pixel.side if outcome.pixel else None)
        else:
            whole = together(mask.read(Window(0, 0, mask.height, mask.width)))
            lines = vessel_tree(whole, outcome.field.diameter, disc)
    with open_levels(outcome.files["probability"], "probability") as probability:
        return SceneMeasures(
            lines, least_certain(probability), probability.transform, outcome.micrometres
        )
