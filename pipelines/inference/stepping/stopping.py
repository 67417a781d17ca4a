"""Which tiles take another recurrent step.

Both measures count pixels of probabilities in 16-bit fixed point, so they are whole numbers, and
the same whichever tiles are computed together.
"""

from typing import Any

from pipelines.backends.arrays import Array, namespace
from pipelines.models.stopping import StopRule
from tiling.blend import ONE

UNSURE = round(0.3 * ONE)
"""A pixel is unsure whose probability is nearer to one half than this."""

MOVED = round(0.2 * ONE)
"""A pixel moved whose probability changed by more than this."""

_MILLION = 1_000_000


def in_fixed_point(probability: Array) -> Array:
    """Probabilities of any shape to whole numbers, as `tiling.blend.quantise` rounds them."""
    xp = namespace(probability)
    return xp.astype(xp.round(probability * ONE), xp.int32)


def unsure(fixed: Array) -> Array:
    """Counts the pixels of each tile of which some class is neither likely nor unlikely.

    Args:
        fixed: Probabilities of the foreground classes, in fixed point [b, classes, t, t].

    Returns:
        Whole numbers [b].
    """
    xp = namespace(fixed)
    return _count(xp, xp.any(xp.abs(2 * fixed - ONE) < 2 * UNSURE, axis=1))


def changed(fixed: Array, before: Array) -> Array:
    """Counts the pixels of each tile that moved together with all their neighbours.

    The edge of a road moves by a pixel at every step, and that pays nothing. What comes or goes is
    wider.

    Args:
        fixed: Probabilities of the foreground classes, in fixed point [b, classes, t, t].
        before: The same of the step before.

    Returns:
        Whole numbers [b].
    """
    xp = namespace(fixed)
    moved = xp.any(xp.abs(fixed - before) > MOVED, axis=1)
    # Without the border: outside a tile nothing moves, as everywhere where nothing is known.
    moved = moved[:, :-2] & moved[:, 1:-1] & moved[:, 2:]
    return _count(xp, moved[..., :-2] & moved[..., 1:-1] & moved[..., 2:])


def going_on(rule: StopRule, fixed: Array, before: Array | None) -> Array:
    """Which tiles take another step.

    Args:
        rule: Of the network.
        fixed: See `changed`, after the step just taken.
        before: See `changed`; None after the first step.

    Returns:
        True or false [b].
    """
    least = rule.unsure if before is None else rule.changing
    return in_millionths(fixed, before) >= least


def in_millionths(fixed: Array, before: Array | None) -> Array:
    """The share of each tile's pixels that tells whether it takes another step, rounded down.

    Args:
        fixed: See `changed`, after the step just taken.
        before: See `changed`; None after the first step.

    Returns:
        Of unsure pixels after the first step, of changed ones after a later one, in millionths [b].
    """
    count = unsure(fixed) if before is None else changed(fixed, before)
    return count * _MILLION // (fixed.shape[-2] * fixed.shape[-1])


def _count(xp: Any, pixels: Array) -> Array:
    """How many pixels of each tile are true: [b, t, t] to whole numbers [b]."""
    return xp.sum(pixels, axis=(1, 2), dtype=xp.int64)
