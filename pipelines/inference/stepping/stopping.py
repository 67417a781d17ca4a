"""Which tiles take another recurrent step.

Both measures count pixels of probabilities in 16-bit fixed point, so they are whole numbers, and
the same whichever tiles are computed together.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipelines.models.stopping import StopRule
from tiling.blend import ONE

UNSURE = round(0.3 * ONE)
"""A pixel is unsure whose probability is nearer to one half than this."""

MOVED = round(0.2 * ONE)
"""A pixel moved whose probability changed by more than this."""

_MILLION = 1_000_000


def in_fixed_point(probability: Tensor) -> Tensor:
    """Probabilities of any shape to whole numbers, as `tiling.blend.quantise` rounds them."""
    return (probability * ONE).round().to(torch.int32)


def unsure(fixed: Tensor) -> Tensor:
    """Counts the pixels of each tile of which some class is neither likely nor unlikely.

    Args:
        fixed: Probabilities of the foreground classes, in fixed point [b, classes, t, t].

    Returns:
        Whole numbers [b].
    """
    return ((2 * fixed - ONE).abs() < 2 * UNSURE).any(dim=1).sum(dim=(1, 2))


def changed(fixed: Tensor, before: Tensor) -> Tensor:
    """Counts the pixels of each tile that moved together with all their neighbours.

    The edge of a road moves by a pixel at every step, and that pays nothing. What comes or goes is
    wider.

    Args:
        fixed: Probabilities of the foreground classes, in fixed point [b, classes, t, t].
        before: The same of the step before.

    Returns:
        Whole numbers [b].
    """
    stayed = ((fixed - before).abs() <= MOVED).all(dim=1, keepdim=True)
    # Outside a tile nothing moves, as everywhere where nothing is known.
    near = functional.max_pool2d(functional.pad(stayed.float(), (1, 1, 1, 1), value=1.0), 3, 1)
    return (near == 0).sum(dim=(1, 2, 3))


def going_on(rule: StopRule, fixed: Tensor, before: Tensor | None) -> Tensor:
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


def in_millionths(fixed: Tensor, before: Tensor | None) -> Tensor:
    """The share of each tile's pixels that tells whether it takes another step, rounded down.

    Args:
        fixed: See `changed`, after the step just taken.
        before: See `changed`; None after the first step.

    Returns:
        Of unsure pixels after the first step, of changed ones after a later one, in millionths [b].
    """
    count = unsure(fixed) if before is None else changed(fixed, before)
    return count * _MILLION // (fixed.shape[-2] * fixed.shape[-1])
