"""The loss of the paper: cross entropy at every step, later steps weighing more."""

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

IGNORE = 255
"""Label of a pixel that is left out of the loss (missing, or outside the field of view)."""


def multi_step_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    alpha: float = 0.4,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Sum over steps of alpha^(N-t) times cross entropy (equations 7 and 8).

    Args:
        logits: N tensors [B, classes, H, W], first step first.
        labels: [B, H, W], integer class per pixel, `IGNORE` where there is none.
        alpha: Weight of a step against the one after it; 0.4 or 1 in the paper.
        class_weights: [classes], weight of each class in the cross entropy's mean.

    Returns:
        A scalar. It is zero, with a gradient of zero, where every pixel is ignored.
    """
    total = logits[0].new_zeros(())
    weights = labels.new_ones(labels.shape, dtype=logits[0].dtype)
    if class_weights is not None:
        weights = class_weights.to(logits[0])[labels.clamp(max=len(class_weights) - 1).long()]
    weights = weights * (labels != IGNORE)
    denominator = weights.sum()
    # The plain mean of torch is 0 / 0 where a whole batch is ignored.
    denominator = denominator + (denominator == 0)
    for position, step in enumerate(logits):
        per_pixel = functional.cross_entropy(
            step, labels.long(), ignore_index=IGNORE, reduction="none"
        )
        factor = alpha ** (len(logits) - 1 - position)
        total = total + factor * (per_pixel * weights).sum() / denominator
    return total
