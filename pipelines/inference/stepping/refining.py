"""Tiles that start from an earlier mask: one step, or all of them where that mask is wrong."""

from dataclasses import dataclass

from pipelines.backends.arrays import Array, namespace
from pipelines.backends.engine import Stepping
from pipelines.inference.lanes import LEAST
from pipelines.inference.stepping.passes import Stepped, first_step, until_still
from pipelines.inference.stepping.stopping import changed, in_fixed_point
from pipelines.models.stopping import StopRule
from tiling.blend import NODATA, TOP

_MILLION = 1_000_000

ALL_STEPS = StopRule(0, 0)
"""By which no tile ever stops."""


@dataclass(frozen=True)
class Refined:
    """Tiles that started from an earlier mask.

    Attributes:
        stepped: What came of them; those that took all steps were given none of the mask.
        cold: Which ones these are [n].
    """

    stepped: Stepped
    cold: Array


def starting_levels(levels: Array) -> Array:
    """Levels of foreground classes [n, classes - 1, t, t] to a mask [n, classes, t, t].

    Where no pixel was, all classes are alike, as in a start without a mask.
    """
    xp = namespace(levels)
    foreground = xp.astype(levels, xp.float32) / TOP
    rest = xp.clip(1 - xp.sum(foreground, axis=1, keepdims=True), min=0)
    mask = xp.concat([rest, foreground], axis=1)
    missing = xp.any(levels == NODATA, axis=1, keepdims=True)
    return xp.where(missing, 1 / mask.shape[1], mask)


def from_earlier(
    network: Stepping,
    image: Array,
    there: Array,
    mask: Array,
    most: int,
    rule: StopRule,
    gate: int,
    size: int,
    *,
    same_size: bool,
    least: int = LEAST,
) -> Refined:
    """One step of tiles from earlier masks on; where it moves away from the mask, all steps anew.

    What moves is counted as between two steps (`stopping.changed`), in whole numbers, so the same
    tiles start anew whichever are computed together.

    Args:
        network: Recurrent, with a mask that is fed back.
        image: Tiles [n, bands, t, t].
        there: Which of their pixels are there [n, 1, t, t].
        mask: Where they start [n, classes, t, t].
        most: Steps of a tile that starts anew, at most.
        rule: By which these stop.
        gate: A tile of which more pixels moved starts anew, in millionths.
        size: See `until_still`.
        same_size: See `until_still`.
        least: See `until_still`.
    """
    found = first_step(network, image, mask, size, same_size=same_size, least=least)
    xp = namespace(image)
    before = xp.where(there, mask[:, 1:], found)
    moved = changed(in_fixed_point(found), in_fixed_point(before))
    cold = moved * _MILLION > gate * image.shape[-2] * image.shape[-1]
    every = [xp.asarray(found, copy=True) for _ in range(most)]
    taken = xp.ones_like(moved)
    unsure = xp.zeros_like(moved)
    if xp.any(cold):
        anew = until_still(network, image[cold], most, rule, size, same_size=same_size, least=least)
        for whole, part in zip(every, anew.every, strict=True):
            whole[cold] = part
        taken[cold], unsure[cold] = anew.taken, anew.unsure
    return Refined(Stepped(every, taken, unsure), cold)
