"""Scores of lines as a network: TOPO, paths, and what lies near."""

from dataclasses import dataclass

from pipelines.scores.apls import Graph, Number, Paths, apls, compare
from pipelines.scores.curve import Number as Score
from pipelines.scores.curve import Values, ratio
from pipelines.scores.line_graphs import share_near
from pipelines.scores.topo import TopoCounts, topo


@dataclass(frozen=True)
class NetworkScores:
    """Scores of lines; None where one is not defined.

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

    length: float
    label_length: float
    topo_precision: Score
    topo_recall: Score
    topo_f1: Score
    apls: Score
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True)
class NetworkCounts:
    """What the scores are taken from; it adds up over scenes.

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
    length: float
    near: float
    label_length: float
    label_near: float

    def __add__(self, other: "NetworkCounts") -> "NetworkCounts":
        return NetworkCounts(
            self.topo + other.topo,
            _sum(self.label_paths, other.label_paths),
            _sum(self.paths, other.paths),
            self.length + other.length,
            self.near + other.near,
            self.label_length + other.label_length,
            self.label_near + other.label_near,
        )

    def scores(self) -> NetworkScores:
        """The scores of all that was added up."""
        marbles, holes, both = self.topo.scores()
        precision, recall = ratio(self.near, self.length), ratio(self.label_near, self.label_length)
        return NetworkScores(
            round(self.length, 3),
            round(self.label_length, 3),
            _number(marbles),
            _number(holes),
            _number(both),
            _number(apls(self.label_paths, self.paths)),
            _number(precision),
            _number(recall),
            _number(ratio(2 * precision * recall, precision + recall)),
        )


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


def _sum(one: Paths, other: Paths) -> Paths:
    count: Number = one.count + other.count
    return Paths(count, one.score + other.score)


def _number(value: Values) -> Score:
    number = float(value)
    return number if number == number else None
