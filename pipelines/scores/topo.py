"""TOPO: whether what can be reached from a place is the same on both networks.

Biagioni and Eriksson, "Inferring Road Maps from Global Positioning System Traces: Survey and
Comparative Evaluation", Transportation Research Record 2291, 2012. From seeds on the label's lines
both networks are walked in all directions. Holes are made along the label's lines and marbles are
dropped along the predicted ones, at even distances; a marble falls into a hole that is near. What
is not connected is not reached, so that a gap costs more than its own length.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from pipelines.scores.apls import Graph, Number, PathGraph, Pixels, control_points
from pipelines.scores.curve import Values, ratio

SEEDS = 50.0
"""Seeds are no further apart, in metres, or in pixels where none are known; so all that follow."""

REACH = 300.0
"""How far both networks are walked from a seed."""

INTERVAL = 5.0
"""Holes and marbles are no further apart."""

NEAR = 8.0
"""How far away from a hole its marble may lie, and the predicted line from a seed."""

_MOST_SEEDS = 4000
"""Of more seeds than these, evenly spread ones are taken."""

_AT_ONCE = 4_000_000  # Path lengths in memory.


@dataclass(frozen=True)
class TopoCounts:
    """Holes and marbles of all seeds.

    Attributes:
        holes: On the label's lines.
        marbles: On the predicted ones.
        matched: Pairs of the two; each hole takes one marble at most.
    """

    holes: Number = 0
    marbles: Number = 0
    matched: Number = 0

    def __add__(self, other: "TopoCounts") -> "TopoCounts":
        return TopoCounts(
            self.holes + other.holes, self.marbles + other.marbles, self.matched + other.matched
        )

    def scores(self) -> tuple[Values, Values, Values]:
        """Precision, recall and their harmonic mean."""
        return (
            ratio(self.matched, self.marbles),
            ratio(self.matched, self.holes),
            ratio(2 * self.matched, self.holes + self.marbles),
        )


def topo(label: Graph, prediction: Graph) -> TopoCounts:
    """Counts holes and marbles around all seeds.

    A seed without a predicted line near it has holes and no marbles.

    Args:
        label: Its lines, in metres or pixels.
        prediction: The same of what was predicted.
    """
    seeds = control_points(label, SEEDS)
    count = min(seeds.size, _MOST_SEEDS)
    seeds = seeds[np.arange(count) * seeds.size // max(1, count)]
    if not seeds.size:
        return TopoCounts()
    holes, marbles = control_points(label, INTERVAL), control_points(prediction, INTERVAL)
    entries: Pixels = np.zeros(0, np.intp)
    found = np.zeros(seeds.size, bool)
    if len(prediction.points):
        far, nearest = scipy.spatial.cKDTree(prediction.points).query(label.points[seeds])
        found = far <= NEAR
        entries = nearest[found]
    of_label = PathGraph(label, np.concatenate([holes, seeds]))
    of_prediction = PathGraph(prediction, np.concatenate([marbles, entries]))
    fits = _near(label, holes, prediction, marbles)
    place = np.cumsum(found) - 1
    counts = TopoCounts()
    chunk = max(1, _AT_ONCE // (of_label.size + of_prediction.size))
    for begin in range(0, seeds.size, chunk):
        some = np.arange(begin, min(seeds.size, begin + chunk))
        far_holes = of_label.lengths(holes.size + some, REACH)[:, : holes.size]
        far_marbles = np.full((some.size, marbles.size), np.inf)
        if found[some].any():
            sources = marbles.size + place[some[found[some]]]
            far_marbles[found[some]] = of_prediction.lengths(sources, REACH)[:, : marbles.size]
        for reached, dropped in zip(far_holes <= REACH, far_marbles <= REACH, strict=True):
            counts += _matched(fits, np.flatnonzero(reached), np.flatnonzero(dropped))
    return counts


def _near(
    label: Graph, holes: Pixels, prediction: Graph, marbles: Pixels
) -> "scipy.sparse.csr_array":
    """Which marbles fall into which holes [holes, marbles]."""
    shape = holes.size, marbles.size
    if not marbles.size:
        return scipy.sparse.csr_array(shape, dtype=np.int8)
    tree = scipy.spatial.cKDTree(prediction.points[marbles])
    near = tree.query_ball_point(label.points[holes], NEAR, return_sorted=True)
    counts = np.array([len(one) for one in near])
    columns = np.concatenate([np.zeros(0, np.intp), *(np.array(one, np.intp) for one in near)])
    starts = np.append(0, counts.cumsum())
    return scipy.sparse.csr_array((np.ones(columns.size, np.int8), columns, starts), shape)


def _matched(fits: "scipy.sparse.csr_array", holes: Pixels, marbles: Pixels) -> TopoCounts:
    pairs = 0
    if holes.size and marbles.size:
        between = scipy.sparse.csr_array(fits[holes][:, marbles])
        pairs = int(
            (
                scipy.sparse.csgraph.maximum_bipartite_matching(between, perm_type="column") >= 0
            ).sum()
        )
    return TopoCounts(holes.size, marbles.size, pairs)
