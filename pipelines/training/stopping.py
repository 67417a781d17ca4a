"""Finds the rule by which tiles stop before the last step, on images with labels.

Every tile is predicted once with all steps. What a rule would have made of them is then put
together from those.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from operator import ge

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config.inference import InferDrive, InferRoads
from pipelines.errors import PipelineError
from pipelines.inference.fingerprint import grid_of
from pipelines.inference.items import items_of
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.inference.stepping.stopping import in_millionths
from pipelines.inputs.labels import IGNORE_INDEX
from pipelines.inputs.scene_input import OpenedScene
from pipelines.models.stopping import StopRule
from pipelines.models.weights import Model
from pipelines.scores.counts import together
from pipelines.scores.curve import HALF
from pipelines.scores.topology import TopologyCounter, TopologyCounts
from tiling.blend import NODATA, BlendWeights
from tiling.grid import Grid
from tiling.stitch import reflected
from tiling.window import Window

UNSURE = (64_000, 32_000, 16_000, 8_000, 4_000, 2_000, 0)
"""What is tried for `StopRule.unsure`."""

CHANGING = (1_000_000, 3_200, 1_600, 800, 400, 200, 100, 0)
"""The same for `StopRule.changing`; the first takes two steps at most."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """Masks of all images against others.

    Attributes:
        f1: Of all pixels together.
        apls: Of all images together.
        cldice: Of all images together.
    """

    f1: float
    apls: float
    cldice: float

    @property
    def scores(self) -> tuple[float, float, float]:
        """F1, APLS and clDice."""
        return self.f1, self.apls, self.cldice


LIKENESS = Compared(f1=0.985, apls=0.975, cldice=0.985)
"""What scores must be at least, with the masks of all steps as the labels."""

_IDENTICAL = Compared(1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Tried:
    """What a rule costs and gives.

    Attributes:
        rule: The rule.
        steps: Steps that a tile takes, on average.
        to_labels: Its masks against the labels.
        to_all: Its masks against those of all steps.
    """

    rule: StopRule
    steps: float
    to_labels: Compared
    to_all: Compared


@dataclass(frozen=True)
class _Image:
    """An image as the network sees it, after every step.

    Attributes:
        weights: Blend weights of its tiles.
        tiles: Where they lie.
        fixed: Probabilities in fixed point [n, steps, classes, t, t].
        moving: What `in_millionths` says after each step but the last [n, steps - 1].
        label: Where its label is foreground [h, w].
        counted: Which pixels count [h, w].
        metres: Side of a pixel, where it is known.
    """

    weights: BlendWeights
    tiles: Sequence[Window]
    fixed: NDArray[np.uint16]
    moving: NDArray[np.int64]
    label: Mask
    counted: Mask
    metres: float | None

    def taken(self, rule: StopRule) -> NDArray[np.int64]:
        """The steps that each tile takes [n]."""
        least = [rule.unsure] + [rule.changing] * (self.moving.shape[1] - 1)
        taken: NDArray[np.int64] = 1 + np.cumprod(self.moving >= least, axis=1).sum(axis=1)
        return taken

    def mask(self, taken: NDArray[np.int64]) -> Mask:
        """The mask at one half [h, w] where each tile takes so many steps."""
        height, width = self.label.shape
        sums = np.zeros((self.fixed.shape[2], height, width), self.weights.dtype)
        for tile, fixed, steps in zip(self.tiles, self.fixed, taken, strict=True):
            rows, columns = tile.slices(Window(0, 0, height, width))
            part = fixed[steps - 1][:, : tile.height, : tile.width]
            sums[:, rows, columns] += part * self.weights.tile
        levels = together(self.weights.levels(sums, Window(0, 0, height, width)))
        mask: Mask = (levels >= HALF) & (levels != NODATA) & self.counted
        return mask


def fitted_rules(
    model: Model,
    config: InferRoads | InferDrive,
    *,
    lost_f1: float = 0.001,
    lost_topology: float = 0.005,
) -> Iterator[Tried]:
    """Tries rules, the last of which is the cheapest that loses next to nothing.

    First all steps are taken, then rules are tried from the cheapest on, until one keeps the
    scores and the masks. Labels alone would not do: on few images a step may change much and gain
    nothing by chance.

    Args:
        model: A recurrent network with its weights.
        config: Images with labels, which the network was not trained on. They have to fit into
            memory: a megapixel takes about 20 MB.
        lost_f1: How much of the F1 may be lost.
        lost_topology: The same of APLS and clDice.

    Yields:
        What each came to; rules are left out that lose too much F1, which is soon told.

    Raises:
        PipelineError: The network has only one step, or an image has no label.
    """
    if model.network.one_shot or model.network.steps < 2:
        raise PipelineError(f"{model.name}: takes one step, so there is none to leave out")
    config = config.model_copy(update={"save_steps": True, "steps": None})
    predictor = predictor_for([model], config)
    images = []
    for item in items_of(config, [model], config.scenes):
        with item.open() as opened:
            if opened.label is None:
                raise PipelineError(f"{item.source}: no label was found; give --labels")
            images.append(_seen(opened, grid_of(opened.seen, config), predictor))
    every = [image.mask(np.full(len(image.tiles), predictor.steps)) for image in images]
    labels = [image.label for image in images]
    none = StopRule(0, 0)
    steps = np.full(sum(len(image.tiles) for image in images), predictor.steps)
    yield (full := Tried(none, predictor.steps, _compared(images, every, labels), _IDENTICAL))
    lost = (lost_f1, lost_topology, lost_topology)
    kept = [score - most for score, most in zip(full.to_labels.scores, lost, strict=True)]
    seen = {steps.tobytes()}
    for rule, taken in _cheapest_first(images):
        if (steps := np.concatenate(taken)).tobytes() in seen:
            continue
        seen.add(steps.tobytes())
        masks = [image.mask(one) for image, one in zip(images, taken, strict=True)]
        if _f1(masks, every) < LIKENESS.f1 or _f1(masks, labels) < kept[0]:
            continue
        of_labels, of_all = (_compared(images, masks, truth) for truth in (labels, every))
        yield Tried(rule, float(steps.mean()), of_labels, of_all)
        if all(map(ge, of_all.scores + of_labels.scores, (*LIKENESS.scores, *kept))):
            return
    yield full


def _cheapest_first(
    images: Sequence[_Image],
) -> Iterator[tuple[StopRule, list[NDArray[np.int64]]]]:
    """Rules and the steps that tiles take by them; of those that take as many, the most careful."""
    rules = [StopRule(*pair) for pair in itertools.product(UNSURE, CHANGING)]
    taken = {rule: [image.taken(rule) for image in images] for rule in rules}
    steps = {rule: sum(int(one.sum()) for one in taken[rule]) for rule in rules}
    for rule in sorted(rules, key=lambda rule: (steps[rule], rule.unsure, rule.changing)):
        yield rule, taken[rule]


def _seen(opened: OpenedScene, grid: Grid, predictor: NetworkPredictor) -> _Image:
    """Predicts an image with all steps."""
    assert opened.label is not None
    seen, scene = opened.seen, opened.scene
    predict = predictor.scaled_from(opened.value_range)
    tiles, fixed = [], []
    there = np.zeros((seen.height, seen.width), bool)
    whole = Window(0, 0, seen.height, seen.width)
    for row in grid.rows:
        read = []
        for column in grid.columns:
            tile = Window(row, column, grid.tile_height, grid.tile_width)
            pixels, valid = seen.read(tile)
            there[tile.slices(whole)] |= valid
            if valid.any():
                tiles.append(tile)
                read.append((reflected(pixels, grid.tile), reflected(valid, grid.tile)))
        if read:
            found = predict(*(np.stack(part) for part in zip(*read, strict=True)))
            fixed.append(found.reshape(len(found), predictor.steps, -1, *found.shape[-2:]))
    classes = opened.label.read(Window(0, 0, scene.height, scene.width))
    # The nearest pixel of the label, where the network sees the image at another scale.
    rows, columns = (
        ((np.arange(there_) + 0.5) * of / there_).astype(np.int64)
        for there_, of in ((seen.height, scene.height), (seen.width, scene.width))
    )
    classes = classes[rows[:, None], columns[None]]
    counted = there & (classes != IGNORE_INDEX)
    pixel = opened.pixel
    found = np.concatenate(fixed)
    return _Image(
        BlendWeights(grid), tiles, found, _moving(found), (classes > 0) & counted, counted,
        None if pixel is None else pixel.side * scene.height / seen.height,
    )  # fmt: skip


def _moving(fixed: NDArray[np.uint16]) -> NDArray[np.int64]:
    """See `_Image.moving`."""
    moving = np.zeros((len(fixed), fixed.shape[1] - 1), np.int64)
    for tile, row in zip(fixed, moving, strict=True):
        before = None
        for step in range(len(row)):
            now = torch.from_numpy(tile[step : step + 1].astype(np.int32))
            row[step], before = in_millionths(now, before), now
    return moving


def _compared(images: Sequence[_Image], masks: Sequence[Mask], truth: Sequence[Mask]) -> Compared:
    topology = TopologyCounts()
    for image, mask, label in zip(images, masks, truth, strict=True):
        counter = TopologyCounter(mask.shape[0], mask.shape[1], image.metres)
        left_out = ~image.counted
        found, wanted = (np.where(left_out, np.uint8(NODATA), one) for one in (mask, label))
        counter.add(Window(0, 0, mask.shape[0], mask.shape[1]), found, wanted)
        topology += counter.counts()
    scores = topology.scores()
    # Where nothing is drawn there is nothing to lose.
    apls, cldice = (float(np.nan_to_num(one, nan=1.0)) for one in (scores.apls, scores.cldice))
    return Compared(_f1(masks, truth), apls, cldice)


def _f1(masks: Sequence[Mask], truth: Sequence[Mask]) -> float:
    pairs = list(zip(masks, truth, strict=True))
    drawn = sum(int(mask.sum()) + int(label.sum()) for mask, label in pairs)
    both = sum(int((mask & label).sum()) for mask, label in pairs)
    return 2 * both / drawn if drawn else 1.0
