"""The loss of Wang et al., ICCV 2019: cross entropy at every step, later steps weighing more.

Also soft Dice and soft clDice, which can be added to it, and weights for rare classes.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from rurnet.errors import NetworkError

IGNORE_INDEX = 255
"""Label of a pixel that is left out of the loss (missing, or outside the field of view)."""

_DICE_SMOOTHING = 1e-5
"""In pixels; MONAI's."""

_CLDICE_SMOOTHING = 1.0
"""In pixels of skeleton; that of the authors' code."""


def multi_step_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    alpha: float = 0.4,
    class_weights: Tensor | None = None,
    dice: float = 0.0,
    cldice: float = 0.0,
    denominator: Tensor | None = None,
) -> Tensor:
    """Sum over steps of alpha^(N-t) times a step's loss (equations 7 and 8).

    A step's loss is cross entropy + dice * soft Dice loss + cldice * soft clDice loss.

    Args:
        logits: N tensors [B, classes, H, W], first step first.
        labels: [B, H, W], integer class per pixel, `IGNORE_INDEX` where there is none.
        alpha: Weight of a step against the one after it; 0.4 or 1 in their paper. At 0 only the
            last step counts, and no other is looked at.
        class_weights: [classes], weight of each class in the cross entropy's mean.
        dice: Weight of `soft_dice_loss`, which is not computed at 0.
        cldice: Weight of `soft_cldice_loss`, which is not computed at 0.
        denominator: What the cross entropy's sum is divided by, where these are a part of a batch:
            `label_weight` of the whole batch. The parts' losses then add up to the whole's.

    Returns:
        A scalar. It is zero, with a gradient of zero, where every pixel is ignored.

    Raises:
        NetworkError: There are more or fewer class weights than classes.
    """
    classes = logits[0].shape[1]
    if class_weights is not None and len(class_weights) != classes:
        raise NetworkError(
            f"each of the {classes} classes needs a weight, not {len(class_weights)} of them"
        )
    total = logits[0].new_zeros(())
    # In 16 bits a count of pixels is off, or overflows.
    dtype = torch.promote_types(logits[0].dtype, torch.float32)
    weights = _pixel_weights(labels, class_weights, dtype)
    if denominator is None:
        denominator = weights.sum()
    # The plain mean of torch is 0 / 0 where a whole batch is ignored.
    denominator = denominator + (denominator == 0)
    for position, step in enumerate(logits):
        factor = alpha ** (len(logits) - 1 - position)
        if factor == 0:
            # Left out, not multiplied: 0 times the infinity of a step that diverged is nan.
            continue
        per_pixel = functional.cross_entropy(
            step, labels.long(), ignore_index=IGNORE_INDEX, reduction="none"
        )
        total = total + factor * (per_pixel * weights).sum() / denominator
        if dice:
            total = total + factor * dice * soft_dice_loss(step, labels)
        if cldice:
            total = total + factor * cldice * soft_cldice_loss(step, labels)
    return total


def label_weight(labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """What `multi_step_loss` divides a batch's cross entropy by: its pixels, weighted by class.

    Args:
        labels: [B, H, W], integer class per pixel, `IGNORE_INDEX` where there is none.
        class_weights: [classes].

    Returns:
        A scalar, in 32 bits or more.
    """
    return _pixel_weights(labels, class_weights, torch.float32).sum()


def soft_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus soft Dice, 2 |P G| / (|P| + |G|), mean over the foreground classes.

    Milletari et al., "V-Net", 2016, section 3, with plain sums below the line in place of
    squares, as most implementations have it. Sums run over the whole batch and not image by
    image: a crop without a vessel has no Dice of its own. It equals MONAI's
    `DiceLoss(softmax=True, include_background=False, batch=True)` where nothing is ignored.

    Args:
        logits: [B, classes, H, W], floating, class 0 the background.
        labels: [B, H, W], integer class per pixel, `IGNORE_INDEX` where there is none.

    Returns:
        A scalar in 0..1, in 32 bits or more. It is zero, with a gradient of zero, where every
        pixel is ignored. A class without a label costs nearly 1 unless its probabilities vanish.
    """
    predicted, true = _foreground(logits, labels)
    both = (predicted * true).sum(dim=(0, 2, 3))
    either = predicted.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3))
    score = (2 * both + _DICE_SMOOTHING) / (either + _DICE_SMOOTHING)
    return (1 - score).mean()


def soft_cldice_loss(logits: Tensor, labels: Tensor, iterations: int = 15) -> Tensor:
    """One minus soft clDice, mean over the foreground classes: gaps cost more than borders.

    Shit et al., "clDice", CVPR 2021, algorithms 1 and 2. Topology precision is the part of the
    predicted skeleton that lies in the labels, topology sensitivity the part of the labels'
    skeleton that lies in the prediction; clDice is their harmonic mean. Sums run over the whole
    batch. Made to be added to another loss: a skeleton says nothing about width.

    Ignored pixels are background in both images before the skeletons are taken, so what the
    network says there cannot reach the skeleton beside it.

    Args:
        logits: [B, classes, H, W], floating, class 0 the background.
        labels: [B, H, W], integer class per pixel, `IGNORE_INDEX` where there is none.
        iterations: Erosions, each one pixel from either side. Too few, and a wide vessel or road
            has no skeleton but in its corners; too many change nothing and take longer. 15 are
            enough for 32 pixels, and for 22 where it runs diagonally, for a cross erodes more
            slowly there: all of Massachusetts Roads, all but a few spots of CHASE_DB1.

    Returns:
        A scalar in 0..1, in 32 bits or more. It is zero, with a gradient of zero, where every
        pixel is ignored. Of a class without a label only the precision is below 1.
    """
    predicted, true = _foreground(logits, labels)
    predicted_skeleton = _soft_skeleton(predicted, iterations)
    true_skeleton = _soft_skeleton(true, iterations)
    precision = _part_within(predicted_skeleton, true)
    sensitivity = _part_within(true_skeleton, predicted)
    return (1 - 2 * precision * sensitivity / (precision + sensitivity)).mean()


def median_frequency_weights(pixels: Tensor | Sequence[Sequence[int]]) -> Tensor:
    """Class weights that make rare classes count more: median frequency / frequency of a class.

    Eigen and Fergus, ICCV 2015; ReSeg, section 5. A class's frequency is
    its pixels over the pixels of the images that have it. Of an even number of classes the
    median is the mean of the two in the middle.

    Args:
        pixels: [images, classes], labelled pixels of each class in each image; ignored pixels
            are in no column.

    Returns:
        [classes], 32-bit floats above 0, for `class_weights` of `multi_step_loss`.

    Raises:
        NetworkError: If a class occurs in no image: its weight would be infinite.
    """
    counts = torch.as_tensor(pixels, dtype=torch.float64)
    if counts.ndim != 2:
        raise NetworkError(
            f"pixels must be counts [images, classes], not of shape {list(counts.shape)}"
        )
    of_class = counts.sum(dim=0)
    absent = (of_class == 0).nonzero().flatten().tolist()
    if absent:
        raise NetworkError(
            f"no labelled pixel of class {', '.join(map(str, absent))}: "
            "add images that have it, or train without it"
        )
    where_present = (counts.sum(dim=1, keepdim=True) * (counts > 0)).sum(dim=0)
    frequency = of_class / where_present
    # Not torch.median: of two in the middle that takes the lower.
    return (frequency.quantile(0.5) / frequency).float()


def _pixel_weights(labels: Tensor, class_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Weight of each pixel's cross entropy [B, H, W]: of its class, 0 where it is ignored."""
    weights = labels.new_ones(labels.shape, dtype=dtype)
    if class_weights is not None:
        weights = class_weights.to(weights)[labels.clamp(max=len(class_weights) - 1).long()]
    return weights * (labels != IGNORE_INDEX)


def _foreground(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and labels (0 or 1), both [B, classes - 1, H, W], 0 where ignored."""
    # Sums over many pixels: not in the 16 bits that mixed precision has.
    dtype = torch.promote_types(logits.dtype, torch.float32)
    labels = labels[:, None]
    # Filled, not multiplied: it also stops what is not finite.
    predicted = logits.softmax(dim=1, dtype=dtype)[:, 1:].masked_fill(labels == IGNORE_INDEX, 0)
    classes = torch.arange(1, logits.shape[1], device=labels.device)[:, None, None]
    return predicted, (labels == classes).to(dtype)


def _soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """Soft skeleton of [B, classes, H, W] in 0..1 (clDice, algorithm 1)."""
    skeleton = torch.zeros_like(image)
    for _ in range(iterations + 1):
        # Erosion by a cross, dilation by a square: so the authors' code, and MONAI.
        eroded = torch.minimum(_narrowest(image, (3, 1)), _narrowest(image, (1, 3)))
        opened = functional.max_pool2d(eroded, 3, stride=1, padding=1)
        ridge = functional.relu(image - opened)
        skeleton = skeleton + functional.relu(ridge - skeleton * ridge)
        image = eroded
    return skeleton


def _narrowest(image: Tensor, window: tuple[int, int]) -> Tensor:
    """Minimum over a window around each pixel; what lies beyond the image does not count."""
    padding = (window[0] // 2, window[1] // 2)
    return -functional.max_pool2d(-image, window, stride=1, padding=padding)


def _part_within(skeleton: Tensor, image: Tensor) -> Tensor:
    """Part of a skeleton that lies in an image: [classes]. 1 where there is no skeleton."""
    within = (skeleton * image).sum(dim=(0, 2, 3))
    return (within + _CLDICE_SMOOTHING) / (skeleton.sum(dim=(0, 2, 3)) + _CLDICE_SMOOTHING)
