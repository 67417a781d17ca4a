"""Whether a mask hangs together as its label does: centre lines, paths, components and loops.

clDice is that of Shit et al., "clDice - A Novel Topology-Preserving Loss Function for Tubular
Structure Segmentation", CVPR 2021, section 3, with hard skeletons; for the paths see
`pipelines.scores.apls`. Components and loops are counted exactly for scenes of any size. Skeletons
and paths are those of parts where a scene is larger than one.
"""

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Generic

import numpy as np
from numpy.typing import NDArray
from skimage.morphology import skeletonize

from pipelines.scores.apls import Number, Paths, apls, compare, graph_of
from pipelines.scores.curve import Score, Values, ratio
from tiling.blend import NODATA
from tiling.sieve import HOLES, SPECKS, count
from tiling.window import Window, split

Read = Callable[[Window], NDArray[np.uint8]]
"""Gives a window of a mask [h, w]: 0 background, 1 foreground, 255 not counted."""


PART = 4096
"""Pixels on a side of what is skeletonised at once."""


MARGIN = 256
"""Pixels around a part that are skeletonised with it, so that its lines end where they should."""


@dataclass(frozen=True)
class Topology(Generic[Score]):
    """Scores and counts.

    Attributes:
        cldice: Harmonic mean of `cl_precision` and `cl_recall`; 0 where only one of the masks is
            empty, undefined where both are.
        cl_precision: Share of the prediction's skeleton that is inside the label.
        cl_recall: Share of the label's skeleton that is inside the prediction.
        apls: Average Path Length Similarity; undefined where the label has no path.
        components: Connected parts of the prediction (8 neighbours).
        label_components: Of the label.
        loops: Regions of background that the prediction encloses (4 neighbours).
        label_loops: That the label encloses.
        parts: In how many the skeletons were compared; no path leads from one to another.
    """

    cldice: Score
    cl_precision: Score
    cl_recall: Score
    apls: Score
    components: Score
    label_components: Score
    loops: Score
    label_loops: Score
    parts: Score


@dataclass(frozen=True)
class TopologyCounts:
    """What the scores are taken from; it adds up over parts and scenes. Each may be an array.

    Attributes:
        skeleton: Pixels of the prediction's skeleton.
        skeleton_inside: Those inside the label.
        label_skeleton: Pixels of the label's skeleton.
        label_skeleton_inside: Those inside the prediction.
        paths: Paths of the prediction, looked up in the label.
        path_score: Sum of their scores.
        label_paths: Paths of the label, looked up in the prediction.
        label_path_score: Sum of their scores.
        components: As in `Topology`.
        label_components: As in `Topology`.
        loops: As in `Topology`.
        label_loops: As in `Topology`.
        parts: As in `Topology`.
    """

    skeleton: Number = 0
    skeleton_inside: Number = 0
    label_skeleton: Number = 0
    label_skeleton_inside: Number = 0
    paths: Number = 0
    path_score: Number = 0
    label_paths: Number = 0
    label_path_score: Number = 0
    components: Number = 0
    label_components: Number = 0
    loops: Number = 0
    label_loops: Number = 0
    parts: Number = 0

    def __add__(self, other: "TopologyCounts") -> "TopologyCounts":
        return TopologyCounts(
            *(one + another for one, another in zip(astuple(self), astuple(other), strict=True))
        )

    def scores(self) -> Topology[Values]:
        """The scores of all that was added up."""
        precision = ratio(self.skeleton_inside, self.skeleton)
        recall = ratio(self.label_skeleton_inside, self.label_skeleton)
        found = precision + recall
        there, labelled = np.asarray(self.components) > 0, np.asarray(self.label_components) > 0
        return Topology(
            cldice=np.where(
                there & labelled,
                np.where(found > 0, ratio(2 * precision * recall, found), 0.0),
                np.where(there | labelled, 0.0, np.nan),
            ),
            cl_precision=precision,
            cl_recall=recall,
            apls=apls(
                Paths(self.label_paths, self.label_path_score), Paths(self.paths, self.path_score)
            ),
            components=np.asarray(self.components, float),
            label_components=np.asarray(self.label_components, float),
            loops=np.asarray(self.loops, float),
            label_loops=np.asarray(self.label_loops, float),
            parts=np.asarray(self.parts, float),
        )


def count_topology(
    prediction: Read,
    label: Read,
    height: int,
    width: int,
    metres: float | None = None,
    *,
    part: int = PART,
    margin: int = MARGIN,
) -> TopologyCounts:
    """Counts a scene.

    Args:
        prediction: Reads the prediction: once, or three times where there are several parts.
        label: Reads the label, of which the same pixels are not counted: they are foreground of
            neither, and background that touches them is no loop.
        height: Rows of the scene.
        width: Columns.
        metres: Per pixel, where known; see `pipelines.scores.apls.compare`.
        part: Pixels on a side of what is skeletonised at once.
        margin: Pixels around it that are skeletonised with it.
    """
    # All of a size: a last part of a few pixels would have no paths.
    longest = max(height, width)
    windows = list(split(height, width, -(-longest // -(-longest // part))))
    scene = Window(0, 0, height, width)
    if len(windows) == 1:
        prediction, label = _held(prediction, scene), _held(label, scene)
    total = TopologyCounts(
        components=count(prediction, windows, SPECKS),
        label_components=count(label, windows, SPECKS),
        loops=count(prediction, windows, HOLES),
        label_loops=count(label, windows, HOLES),
    )
    for window in windows:
        around = window.grown(margin).intersection(scene)
        total += _of_part(prediction(around), label(around), window.slices(around), metres)
    return total


def _of_part(
    prediction: NDArray[np.uint8],
    label: NDArray[np.uint8],
    inside: tuple[slice, slice],
    metres: float | None,
) -> TopologyCounts:
    """Counts the skeletons `inside` what was read."""
    predicted, labelled = _foreground(prediction), _foreground(label)
    skeleton = skeletonize(predicted)[inside]
    label_skeleton = skeletonize(labelled)[inside]
    label_paths, paths = compare(graph_of(label_skeleton), graph_of(skeleton), metres)
    return TopologyCounts(
        skeleton=int(skeleton.sum()),
        skeleton_inside=int((skeleton & labelled[inside]).sum()),
        label_skeleton=int(label_skeleton.sum()),
        label_skeleton_inside=int((label_skeleton & predicted[inside]).sum()),
        paths=paths.count,
        path_score=paths.score,
        label_paths=label_paths.count,
        label_path_score=label_paths.score,
        parts=1,
    )


def _foreground(mask: NDArray[np.uint8]) -> NDArray[np.bool_]:
    return np.asarray((mask != 0) & (mask != NODATA))


def _held(read: Read, scene: Window) -> Read:
    """The same from memory."""
    mask = read(scene)
    return lambda window: mask[window.slices()]
