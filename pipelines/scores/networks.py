"""Scores of lines as a network: TOPO, paths, and what lies near."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from typing import Generic

import numpy as np

from pipelines.scores.apls import Graph, Paths, apls, compare
from pipelines.scores.apls import Number as Count
from pipelines.scores.curve import Score, Values, ratio
from pipelines.scores.intervals import Interval, draws_of, interval_of
from pipelines.scores.line_graphs import share_near
from pipelines.scores.topo import TopoCounts, topo


@dataclass(frozen=True)
class NetworkScores(Generic[Score]):
    """Scores of lines; nan, or None in reports, where one is not defined.

    Attributes:
        length: Of the predicted lines, in the unit of the coordinates.
        label_length: Of the label's.
        topo_precision: Share of marbles that fall into a hole, see `pipelines.scores.topo`.
        topo_recall: Share of holes that take a marble.
        topo_f1: Harmonic mean of both.
        apls: See `pipelines.scores.apls`.
        precision: Share of the predicted length that is near a line of the label.
        recall: Share of the label's length that is near a predicted line.
        f1: Harmonic mean of both.
    """

    length: Score
    label_length: Score
    topo_precision: Score
    topo_recall: Score
    topo_f1: Score
    apls: Score
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True)
class NetworkCounts:
    """What the scores are taken from, of one scene or of several sets of scenes.

    Attributes:
        topo: Holes and marbles.
        label_paths: The label's paths, looked up in the prediction.
        paths: The prediction's, looked up in the label.
        length: Of the predicted lines.
        near: Of those near the label.
        label_length: Of the label's lines.
        label_near: Of those near the prediction.
    """

    topo: TopoCounts
    label_paths: Paths
    paths: Paths
    length: Count
    near: Count
    label_length: Count
    label_near: Count

    def scores(self) -> NetworkScores[Values]:
        """The scores, of each set of scenes."""
        precision, recall = ratio(self.near, self.length), ratio(self.label_near, self.label_length)
        return NetworkScores(
            np.round(self.length, 3),
            np.round(self.label_length, 3),
            *self.topo.scores(),
            apls(self.label_paths, self.paths),
            precision,
            recall,
            ratio(2 * precision * recall, precision + recall),
        )


SCORES = tuple(field.name for field in fields(NetworkScores))
"""Names of all scores of lines."""


def count_networks(label: Graph, prediction: Graph, rho: float) -> NetworkCounts:
    """Counts one scene.

    Args:
        label: Its lines.
        prediction: Those that were predicted, in the same coordinates.
        rho: Up to this distance a line is near another.
    """
    label_paths, paths = compare(label, prediction, 1.0)
    length, near = share_near(prediction, label, rho)
    label_length, label_near = share_near(label, prediction, rho)
    return NetworkCounts(
        topo(label, prediction), label_paths, paths, length, near, label_length, label_near
    )


def combined_networks(
    counts: Sequence[NetworkCounts], times: Values | None = None
) -> NetworkCounts:
    """Adds up scenes.

    Args:
        counts: Of each scene.
        times: How often each scene counts [..., scenes]; None for once.
    """
    if times is None:
        times = np.ones(len(counts))
    rows = [
        (*astuple(one.topo), *astuple(one.label_paths), *astuple(one.paths),
         one.length, one.near, one.label_length, one.label_near)
        for one in counts
    ]  # fmt: skip
    sums = np.moveaxis(times @ np.array(rows, float), -1, 0)
    return NetworkCounts(
        TopoCounts(*sums[:3]), Paths(*sums[3:5]), Paths(*sums[5:7]), *sums[7:]
    )  # fmt: skip


def network_intervals(counts: Sequence[NetworkCounts]) -> dict[str, Interval | None] | None:
    """95 % intervals of the pooled scores by name, see `pipelines.scores.intervals`.

    A score that is undefined in too many draws has None. Fewer than two scenes have no intervals.
    """
    if len(counts) < 2:
        return None
    drawn = combined_networks(counts, draws_of(len(counts)).astype(float)).scores()
    return {name: interval_of(getattr(drawn, name)) for name in SCORES}
