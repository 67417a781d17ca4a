"""The loss of Wang et al., ICCV 2019: cross entropy at every step, with more weight on later steps.

Soft Dice and soft clDice can be added to it. Class weights make rare classes count more. Other
networks, or the last step, can teach besides the labels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from rurnet.errors import NetworkError

IGNORE_INDEX = 255
"""Label of pixels that the loss leaves out (missing, or outside the field of view)."""

_DICE_SMOOTHING = 1e-5
"""In pixels, as in MONAI."""

_CLDICE_SMOOTHING = 1.0
"""In pixels of skeleton, as in the authors' code."""


@dataclass(frozen=True, eq=False)
class SoftTargets:
    """Probabilities that teach besides the labels (Hinton et al., 2015, without temperature).

    They have no class weights: a teacher has learned its probabilities with its own.

    Attributes:
        valid: [B, H, W], True or 1 where there is a pixel, be it labelled or not: these are taught.
        teacher: [B, classes, H, W], probabilities that teach all steps; None for none.
        teacher_weight: Their weight w, 0 to 1: a step's cross entropy is (1 - w) times that with
            the labels plus w times that with the teacher.
        own_weight: Weight of the last step's probabilities, 0 to 1, in the cross entropy of each
            earlier step; all else there has 1 minus this weight. The last step learns nothing from
            it.
        denominator: For a part of a batch, the sum of `valid` in the whole batch.
    """

    valid: Tensor
    teacher: Tensor | None = None
    teacher_weight: float = 0.0
    own_weight: float = 0.0
    denominator: Tensor | None = None


def multi_step_loss(
    logits: Sequence[Tensor],
    labels: Tensor,
    *,
    alpha: float = 0.4,
    class_weights: Tensor | None = None,
    dice: float = 0.0,
    cldice: float = 0.0,
    denominator: Tensor | None = None,
    soft: SoftTargets | None = None,
) -> Tensor:
    """Sum over steps of alpha^(N-t) times a step's loss (equations 7 and 8).

    A step's loss is cross entropy + dice * soft Dice loss + cldice * soft clDice loss.

    Args:
        logits: N tensors [B, classes, H, W], first step first.
        labels: [B, H, W], integer class of each pixel, `IGNORE_INDEX` for unlabelled pixels.
        alpha: Weight of a step relative to the next step; 0.4 or 1 in the paper. With 0 only the
            last step counts, and the others are not evaluated.
        class_weights: [classes], weight of each class in the mean of the cross entropy.
        dice: Weight of `soft_dice_loss`; with 0 it is not computed.
        cldice: Weight of `soft_cldice_loss`; with 0 it is not computed.
        denominator: For a part of a batch, `label_weight` of the whole batch. The sum of the cross
            entropy is divided by it, so that the losses of the parts add up to that of the batch.
        soft: Probabilities that are part of the cross entropy; None for labels alone.

    Returns:
        A scalar. If every pixel is ignored, and none is taught, it is zero with a gradient of zero.

    Raises:
        NetworkError: The number of class weights is not the number of classes.
    """
    classes = logits[0].shape[1]
    if class_weights is not None and len(class_weights) != classes:
        raise NetworkError(
            f"{len(class_weights)} class weights for {classes} classes: give one for each"
        )
    total = logits[0].new_zeros(())
    # 16 bits are too few to count pixels: the sum would be inexact or overflow.
    dtype = torch.promote_types(logits[0].dtype, torch.float32)
    weights = _pixel_weights(labels, class_weights, dtype)
    if denominator is None:
        denominator = weights.sum()
    # Avoids 0 / 0 (torch's mean) if the whole batch is ignored.
    denominator = denominator + (denominator == 0)
    for position, step in enumerate(logits):
        factor = alpha ** (len(logits) - 1 - position)
        if factor == 0:
            # Skipped, not multiplied by 0: if a step diverged, 0 times infinity would be nan.
            continue
        per_pixel = functional.cross_entropy(
            step, labels.long(), ignore_index=IGNORE_INDEX, reduction="none"
        )
        entropy = (per_pixel * weights).sum() / denominator
        if soft is not None:
            entropy = _taught(entropy, step, soft, None if step is logits[-1] else logits[-1])
        total = total + factor * entropy
        if dice:
            total = total + factor * dice * soft_dice_loss(step, labels)
        if cldice:
            total = total + factor * cldice * soft_cldice_loss(step, labels)
    return total


def _taught(entropy: Tensor, step: Tensor, soft: SoftTargets, last: Tensor | None) -> Tensor:
    """The cross entropy of a step with labels and probabilities; `last` are the last's logits."""
    dtype = torch.promote_types(step.dtype, torch.float32)
    valid = soft.valid.to(dtype)
    pixels = valid.sum() if soft.denominator is None else soft.denominator
    own = None if last is None else last.detach().softmax(dim=1, dtype=dtype)
    for targets, weight in ((soft.teacher, soft.teacher_weight), (own, soft.own_weight)):
        if targets is not None and weight:
            per_pixel = -(targets * step.log_softmax(dim=1, dtype=dtype)).sum(dim=1)
            mean = (per_pixel * valid).sum() / (pixels + (pixels == 0))
            entropy = (1 - weight) * entropy + weight * mean
    return entropy


def label_weight(labels: Tensor, class_weights: Tensor | None = None) -> Tensor:
    """Sums the class weights of all labelled pixels: the divisor of the mean cross entropy.

    Args:
        labels: [B, H, W], integer class of each pixel, `IGNORE_INDEX` for unlabelled pixels.
        class_weights: [classes]; None for 1 each.

    Returns:
        A scalar, in 32 bits or more.
    """
    return _pixel_weights(labels, class_weights, torch.float32).sum()


def soft_dice_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """One minus soft Dice, 2 |P G| / (|P| + |G|), averaged over the foreground classes.

    See Milletari et al., "V-Net", 2016, section 3. Like most implementations, the denominator has
    plain sums in place of squares. Sums are over the whole batch, because Dice is undefined for a
    crop without foreground. If no pixel is ignored, the loss equals MONAI's
    `DiceLoss(softmax=True, include_background=False, batch=True)`.

    Args:
        logits: [B, classes, H, W], floating point; class 0 is the background.
        labels: [B, H, W], integer class of each pixel, `IGNORE_INDEX` for unlabelled pixels.

    Returns:
        A scalar from 0 to 1, in 32 bits or more. If every pixel is ignored, it is zero with a
        gradient of zero. The loss of a class without labels is close to 1 unless its probabilities
        are close to 0.
    """
    predicted, true = _foreground(logits, labels)
    both = (predicted * true).sum(dim=(0, 2, 3))
    either = predicted.sum(dim=(0, 2, 3)) + true.sum(dim=(0, 2, 3))
    score = (2 * both + _DICE_SMOOTHING) / (either + _DICE_SMOOTHING)
    return (1 - score).mean()


def soft_cldice_loss(logits: Tensor, labels: Tensor, iterations: int = 15) -> Tensor:
    """One minus soft clDice, averaged over the foreground classes: gaps cost more than borders.

    See Shit et al., "clDice", CVPR 2021, algorithms 1 and 2. Topology precision is the share of
    the predicted skeleton that lies in the labels. Topology sensitivity is the share of the labels'
    skeleton that lies in the prediction. clDice is their harmonic mean. Sums are over the whole
    batch. Add it to another loss: a skeleton has no width.

    Ignored pixels become background in both images before skeletonisation, so that the prediction
    there cannot change the skeleton nearby.

    Args:
        logits: [B, classes, H, W], floating point; class 0 is the background.
        labels: [B, H, W], integer class of each pixel, `IGNORE_INDEX` for unlabelled pixels.
        iterations: Number of erosions; each removes one pixel from every side. With too few, a wide
            vessel or road has a skeleton in its corners only. More than needed only take longer. 15
            are enough for widths up to 32 pixels, or 22 for diagonal roads, which a cross erodes
            more slowly. This covers Massachusetts Roads and all but a few places of CHASE_DB1.

    Returns:
        A scalar from 0 to 1, in 32 bits or more. If every pixel is ignored, it is zero with a
        gradient of zero. For a class without labels only the precision is below 1.
    """
    predicted, true = _foreground(logits, labels)
    predicted_skeleton = _soft_skeleton(predicted, iterations)
    true_skeleton = _soft_skeleton(true, iterations)
    precision = _part_within(predicted_skeleton, true)
    sensitivity = _part_within(true_skeleton, predicted)
    return (1 - 2 * precision * sensitivity / (precision + sensitivity)).mean()


def median_frequency_weights(pixels: Tensor | Sequence[Sequence[int]]) -> Tensor:
    """Returns median frequency / frequency for each class, so that rare classes count more.

    See Eigen and Fergus, ICCV 2015, and ReSeg, section 5. The frequency of a class is its number
    of pixels divided by the number of pixels in the images that contain it. With an even number of
    classes the median is the mean of the two middle frequencies.

    Args:
        pixels: [images, classes], number of labelled pixels of each class in each image, without
            ignored pixels.

    Returns:
        [classes], 32-bit floats above 0, for `class_weights` of `multi_step_loss`.

    Raises:
        NetworkError: A class occurs in no image (its weight would be infinite), or `pixels` has
            another number of dimensions.
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
    # torch.median would return the lower of two middle values, not their mean.
    return (frequency.quantile(0.5) / frequency).float()


def _pixel_weights(labels: Tensor, class_weights: Tensor | None, dtype: torch.dtype) -> Tensor:
    """Weights [B, H, W] of the cross entropy: those of the pixels' classes, 0 if ignored."""
    weights = labels.new_ones(labels.shape, dtype=dtype)
    if class_weights is not None:
        weights = class_weights.to(weights)[labels.clamp(max=len(class_weights) - 1).long()]
    return weights * (labels != IGNORE_INDEX)


def _foreground(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Probabilities and labels (0 or 1), both [B, classes - 1, H, W], 0 in ignored pixels."""
    # Mixed precision has 16 bits, too few for sums over many pixels.
    dtype = torch.promote_types(logits.dtype, torch.float32)
    labels = labels[:, None]
    # Filling, unlike multiplying, also removes values that are not finite.
    predicted = logits.softmax(dim=1, dtype=dtype)[:, 1:].masked_fill(labels == IGNORE_INDEX, 0)
    classes = torch.arange(1, logits.shape[1], device=labels.device)[:, None, None]
    return predicted, (labels == classes).to(dtype)


def _soft_skeleton(image: Tensor, iterations: int) -> Tensor:
    """Soft skeleton of [B, classes, H, W] in 0..1 (clDice, algorithm 1)."""
    skeleton = torch.zeros_like(image)
    for _ in range(iterations + 1):
        # As in the authors' code and in MONAI: erosion by a cross, dilation by a square.
        eroded = torch.minimum(_narrowest(image, (3, 1)), _narrowest(image, (1, 3)))
        opened = functional.max_pool2d(eroded, 3, stride=1, padding=1)
        ridge = functional.relu(image - opened)
        skeleton = skeleton + functional.relu(ridge - skeleton * ridge)
        image = eroded
    return skeleton


def _narrowest(image: Tensor, window: tuple[int, int]) -> Tensor:
    """Minimum over a window around each pixel, leaving out positions outside the image."""
    padding = (window[0] // 2, window[1] // 2)
    return -functional.max_pool2d(-image, window, stride=1, padding=padding)


def _part_within(skeleton: Tensor, image: Tensor) -> Tensor:
    """Share of a skeleton that lies in an image, [classes]; 1 if there is no skeleton."""
    within = (skeleton * image).sum(dim=(0, 2, 3))
    return (within + _CLDICE_SMOOTHING) / (skeleton.sum(dim=(0, 2, 3)) + _CLDICE_SMOOTHING)
