"""Whether a mask hangs together as its label does: centre lines, paths, components and loops.

clDice is that of Shit et al., "clDice - A Novel Topology-Preserving Loss Function for Tubular
Structure Segmentation", CVPR 2021, section 3, with hard skeletons; for the paths see
`pipelines.scores.apls`. Components and loops are counted exactly for scenes of any size. Skeletons
and paths are those of parts where a scene is larger than one.

scikit-image's skeletons prefer a side, and so depend on how an image lies. So skeletons and paths
are taken over the four quarter turns of each part: a turned scene has the same scores.
"""

import math
import zlib
from collections import deque
from dataclasses import astuple, dataclass, replace
from typing import Generic

import numpy as np
from numpy.typing import NDArray

from pipelines.scores.apls import AT_MOST, Number, Paths, apls, compare, graph_of
from pipelines.scores.curve import Score, Values, ratio
from tiling.blend import NODATA
from tiling.masks.sieve import HOLES, SPECKS, Regions
from tiling.window import Window, split

Mask = NDArray[np.uint8]
"""[h, w]: 0 background, 1 foreground, 255 not counted."""


PART = 4096
"""Pixels on a side of what is skeletonised at once."""


MARGIN = 256
"""Pixels around a part that are skeletonised with it, so that its lines end where they should."""


_TURNS = 4
"""Quarter turns that scores are taken over."""


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

    Skeletons and paths are those of all four quarter turns together.

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


class TopologyCounter:
    """Counts a scene as its windows are added, row by row.

    What skeletons are still to be made of is kept, compressed: a strip of the scene at most.

    Args:
        height: Rows of the scene.
        width: Columns.
        metres: Per pixel, where known; see `pipelines.scores.apls.compare`.
        part: Pixels on a side of what is skeletonised at once.
        margin: Pixels around it that are skeletonised with it.

    Attributes:
        kept: The windows that the skeletons to come need.
    """

    def __init__(
        self,
        height: int,
        width: int,
        metres: float | None = None,
        *,
        part: int = PART,
        margin: int = MARGIN,
    ) -> None:
        self._scene = Window(0, 0, height, width)
        self._metres = metres
        self._margin = margin
        # All of a size: a last part of a few pixels would have no paths.
        longest = max(height, width)
        self._parts = deque(split(height, width, -(-longest // -(-longest // part))))
        self.kept: dict[Window, bytes] = {}
        self._components, self._loops = (
            tuple(Regions(height, width, kind) for _ in ("prediction", "label"))
            for kind in (SPECKS, HOLES)
        )
        self._of_parts = TopologyCounts()

    def add(self, window: Window, prediction: Mask, label: Mask) -> None:
        """Counts a window.

        Args:
            window: The next one, see `tiling.window.split`.
            prediction: The predicted mask [h, w].
            label: The label, of which the same pixels are not counted: they are foreground of
                neither, and background that touches them is no loop.
        """
        masks = np.stack([prediction, label])
        for regions in (self._components, self._loops):
            for of_mask, mask in zip(regions, masks, strict=True):
                of_mask.add(window, mask)
        self.kept[window] = zlib.compress(masks.data, level=1)
        if window.right == self._scene.right:
            self._compare_down_to(window.bottom)

    def counts(self) -> TopologyCounts:
        """What was counted, once all windows were added."""
        components, label_components = (regions.count() for regions in self._components)
        loops, label_loops = (regions.count() for regions in self._loops)
        return self._of_parts + TopologyCounts(
            components=components,
            label_components=label_components,
            loops=loops,
            label_loops=label_loops,
        )

    def _compare_down_to(self, bottom: int) -> None:
        """Compares the parts of which all is there, and forgets what no other part needs."""
        while self._parts and (around := self._around(self._parts[0])).bottom <= bottom:
            inside = self._parts.popleft().slices(around)
            prediction, label = self._read(around)
            self._of_parts += _of_part(prediction, label, inside, self._metres)
        needed = self._around(self._parts[0]).row if self._parts else bottom
        self.kept = {
            window: packed for window, packed in self.kept.items() if window.bottom > needed
        }

    def _around(self, part: Window) -> Window:
        return part.grown(self._margin).intersection(self._scene)

    def _read(self, around: Window) -> NDArray[np.uint8]:
        """Prediction and label [2, h, w]."""
        masks = np.empty((2, around.height, around.width), np.uint8)
        for window, packed in self.kept.items():
            if window.meets(around):
                shared = window.intersection(around)
                of_window = np.frombuffer(zlib.decompress(packed), np.uint8)
                of_window = of_window.reshape(2, window.height, window.width)
                masks[:, *shared.slices(around)] = of_window[:, *shared.slices(window)]
        return masks


def _of_part(
    prediction: Mask,
    label: Mask,
    inside: tuple[slice, slice],
    metres: float | None,
) -> TopologyCounts:
    """Counts the skeletons `inside` what was read, in all four quarter turns of it."""
    counted = np.zeros(prediction.shape, bool)
    counted[inside] = True
    stack = np.stack([_foreground(prediction), _foreground(label), counted])
    turns = [_of_turn(np.rot90(stack, turn, (1, 2)), metres) for turn in range(_TURNS)]
    # Summed exactly: the four come in another order when the image itself is turned.
    counts = TopologyCounts(*map(math.fsum, zip(*map(astuple, turns), strict=True)))
    return replace(counts, parts=1)


def _of_turn(stack: NDArray[np.bool_], metres: float | None) -> TopologyCounts:
    """Counts skeletons as they lie: prediction, label, and where they are counted [3, h, w]."""
    # Imported here: it takes a second, and most runs predict only.
    from skimage.morphology import skeletonize

    predicted, labelled, counted = stack
    rows, columns = (np.flatnonzero(counted.any(axis=axis)) for axis in (1, 0))
    inside = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    skeleton = skeletonize(predicted)[inside]
    label_skeleton = skeletonize(labelled)[inside]
    label_paths, paths = compare(
        graph_of(label_skeleton), graph_of(skeleton), metres, AT_MOST // _TURNS
    )
    return TopologyCounts(
        skeleton=int(skeleton.sum()),
        skeleton_inside=int((skeleton & labelled[inside]).sum()),
        label_skeleton=int(label_skeleton.sum()),
        label_skeleton_inside=int((label_skeleton & predicted[inside]).sum()),
        paths=paths.count,
        path_score=paths.score,
        label_paths=label_paths.count,
        label_path_score=label_paths.score,
    )


def _foreground(mask: Mask) -> NDArray[np.bool_]:
    return np.asarray((mask != 0) & (mask != NODATA))
