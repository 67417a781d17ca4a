"""The losses, compared with their papers' equations in numpy and with MONAI."""

import numpy as np
import pytest
import torch
from monai.losses import DiceLoss, SoftclDiceLoss
from scipy.ndimage import maximum_filter, minimum_filter

from rurnet.errors import NetworkError
from rurnet.loss import (
    IGNORE_INDEX,
    median_frequency_weights,
    multi_step_loss,
    soft_cldice_loss,
    soft_dice_loss,
)

LOSSES = {
    "multi step": lambda logits, labels: multi_step_loss([logits], labels),
    "dice": soft_dice_loss,
    "cldice": soft_cldice_loss,
    "all": lambda logits, labels: multi_step_loss([logits], labels, dice=0.7, cldice=0.3),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def case(seed=0, steps=3, classes=2, ignored=0.2):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (steps, 2, classes, 6, 5))
    labels = random.integers(0, classes, (2, 6, 5))
    labels[random.random(labels.shape) < ignored] = IGNORE_INDEX
    tensors = [torch.tensor(step, requires_grad=True) for step in logits]
    return logits, labels, tensors, torch.tensor(labels.astype(np.uint8))


def probabilities(logits):
    p = np.exp(logits)
    return p / p.sum(axis=1, keepdims=True)


def cross_entropy(logits, labels, class_weights):
    """Weighted mean of -log p(label) over the pixels that have a label."""
    p = probabilities(logits)
    total = weight = 0.0
    for item, row, column in np.argwhere(labels != IGNORE_INDEX):
        label = labels[item, row, column]
        total -= class_weights[label] * np.log(p[item, label, row, column])
        weight += class_weights[label]
    return total / weight


@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("weights", [None, (1.0, 2.3), (0.001, 0.003)])
def test_the_loss_is_the_weighted_sum_of_all_steps_cross_entropy(alpha, steps, weights):
    logits, labels, tensors, label_tensor = case(steps=steps)
    by_hand = sum(
        alpha ** (steps - t) * cross_entropy(logits[t - 1], labels, weights or (1.0, 1.0))
        for t in range(1, steps + 1)
    )
    given = None if weights is None else torch.tensor(weights)
    loss = multi_step_loss(tensors, label_tensor, alpha=alpha, class_weights=given)
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)


def test_ignored_pixels_have_no_gradient_and_all_others_do():
    _, labels, tensors, label_tensor = case(classes=3)
    multi_step_loss(tensors, label_tensor, class_weights=torch.tensor([1.0, 2.0, 3.0])).backward()
    for step in tensors:
        reached = step.grad.abs().sum(dim=1).numpy() > 0
        np.testing.assert_array_equal(reached, labels != IGNORE_INDEX)


@pytest.mark.parametrize("weights", [None, torch.tensor([1.0, 2.3])])
def test_where_everything_is_ignored_it_is_zero_with_a_finite_gradient(weights):
    _, _, tensors, label_tensor = case(ignored=1.0)
    loss = multi_step_loss(tensors, label_tensor, class_weights=weights)
    loss.backward()
    assert loss.item() == 0
    assert all((step.grad == 0).all() for step in tensors)


def test_a_step_weighs_alpha_times_the_next_one():
    step = torch.randn(1, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    steps = [step.clone().requires_grad_() for _ in range(3)]
    multi_step_loss(steps, torch.ones(1, 4, 4, dtype=torch.long), alpha=0.4).backward()
    torch.testing.assert_close(steps[0].grad, steps[2].grad * 0.16)
    torch.testing.assert_close(steps[1].grad, steps[2].grad * 0.4)


def test_only_the_ratio_of_class_weights_counts():
    _, _, tensors, label_tensor = case()
    one = multi_step_loss(tensors, label_tensor, class_weights=torch.tensor([1.0, 2.3]))
    ten = multi_step_loss(tensors, label_tensor, class_weights=torch.tensor([10.0, 23.0]))
    torch.testing.assert_close(one, ten)


def test_a_heavier_foreground_moves_the_best_constant_to_a_higher_probability():
    labels = torch.tensor([[[1, 0, 0, 0]]])

    def loss(p, weight):
        logits = torch.tensor([np.log(1 - p), np.log(p)])[None, :, None, None].expand(1, 2, 1, 4)
        return multi_step_loss([logits], labels, class_weights=torch.tensor([1.0, weight])).item()

    grid = np.linspace(0.01, 0.99, 99)
    assert grid[np.argmin([loss(p, 1.0) for p in grid])] == pytest.approx(0.25)
    assert grid[np.argmin([loss(p, 3.0) for p in grid])] == pytest.approx(0.5)


def test_sure_and_right_costs_nothing_and_sure_and_wrong_costs_much():
    labels = torch.tensor([[[0, 1]]])
    right = torch.tensor([[[[30.0, -30.0]], [[-30.0, 30.0]]]])
    assert multi_step_loss([right], labels).item() == pytest.approx(0, abs=1e-12)
    assert multi_step_loss([-right], labels).item() == pytest.approx(60)


def soft_dice(logits, labels):
    """1 - Dice of the whole batch, mean over the classes above 0; smoothed by 1e-5 pixels."""
    p = probabilities(logits)
    scores = []
    for c in range(1, p.shape[1]):
        both = either = 0.0
        for item, row, column in np.argwhere(labels != IGNORE_INDEX):
            is_class = labels[item, row, column] == c
            both += p[item, c, row, column] * is_class
            either += p[item, c, row, column] + is_class
        scores.append((2 * both + 1e-5) / (either + 1e-5))
    return 1 - np.mean(scores)


CROSS = np.array([[0, 1, 0], [1, 1, 1], [0, 1, 0]])


def soft_skeleton(image, iterations):
    """Algorithm 1 of the clDice paper, for one image [H, W]."""

    def eroded(image):
        return minimum_filter(image, footprint=CROSS, mode="constant", cval=np.inf)

    def opened(image):
        return maximum_filter(eroded(image), size=3, mode="constant", cval=-np.inf)

    skeleton = np.maximum(image - opened(image), 0)
    for _ in range(iterations):
        image = eroded(image)
        skeleton = skeleton + (1 - skeleton) * np.maximum(image - opened(image), 0)
    return skeleton


def soft_cldice(logits, labels, iterations):
    """Algorithm 2 over the whole batch, mean over the classes above 0; smoothed by 1 pixel."""
    p = probabilities(logits)
    valid = labels != IGNORE_INDEX
    losses = []
    for c in range(1, p.shape[1]):
        predicted = np.where(valid, p[:, c], 0.0)
        true = np.where(valid, labels == c, False).astype(float)
        predicted_skeleton = np.stack([soft_skeleton(image, iterations) for image in predicted])
        true_skeleton = np.stack([soft_skeleton(image, iterations) for image in true])
        precision = ((predicted_skeleton * true).sum() + 1) / (predicted_skeleton.sum() + 1)
        sensitivity = ((true_skeleton * predicted).sum() + 1) / (true_skeleton.sum() + 1)
        losses.append(1 - 2 / (1 / precision + 1 / sensitivity))
    return np.mean(losses)


def strips(seed=0, classes=3, ignored=0.1):
    """Two images with a strip of each class, and logits that partly agree with it."""
    random = np.random.default_rng(seed)
    labels = np.zeros((2, 24, 20), int)
    for c in range(1, classes):
        labels[0, 7 * c - 4 : 7 * c, 2:17] = c
        labels[1, 2:, 6 * c : 6 * c + c + 1] = c
    logits = random.normal(0, 2, (2, classes, *labels.shape[1:]))
    logits += 3 * (labels[:, None] == np.arange(classes)[:, None, None])
    labels[random.random(labels.shape) < ignored] = IGNORE_INDEX
    tensor = torch.tensor(logits, requires_grad=True)
    return logits, labels, tensor, torch.tensor(labels.astype(np.uint8))


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("ignored", [0.0, 0.3])
def test_soft_dice_is_the_sum_by_hand(classes, ignored):
    logits, labels, tensor, label_tensor = strips(classes=classes, ignored=ignored)
    by_hand = soft_dice(logits, labels)
    assert soft_dice_loss(tensor, label_tensor).item() == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("classes", [2, 4])
def test_soft_dice_is_that_of_monai(classes):
    _, _, (tensor, *_), labels = case(classes=classes, ignored=0.0)
    monai = DiceLoss(softmax=True, to_onehot_y=True, include_background=False, batch=True)
    expected = monai(tensor, labels[:, None])
    torch.testing.assert_close(soft_dice_loss(tensor, labels), expected)


@pytest.mark.parametrize("iterations", [0, 1, 5])
@pytest.mark.parametrize(("classes", "ignored"), [(2, 0.0), (2, 0.1), (3, 0.1)])
def test_soft_cldice_is_algorithms_1_and_2(classes, ignored, iterations):
    logits, labels, tensor, label_tensor = strips(classes=classes, ignored=ignored)
    by_hand = soft_cldice(logits, labels, iterations)
    loss = soft_cldice_loss(tensor, label_tensor, iterations)
    assert loss.item() == pytest.approx(by_hand, rel=1e-9)


@pytest.mark.parametrize("iterations", [3, 10])
def test_soft_cldice_of_one_image_is_that_of_monai(iterations):
    _, _, tensor, labels = strips(classes=2, ignored=0.0)
    # MONAI treats each image separately and adds a constant to the denominator.
    monai = SoftclDiceLoss(iter_=iterations, softmax=True, include_background=False, smooth=1e-12)
    for item in range(2):
        one, label = tensor[item : item + 1], labels[item : item + 1]
        expected = monai(one, torch.stack([label == 0, label == 1], dim=1).double())
        torch.testing.assert_close(soft_cldice_loss(one, label, iterations), expected)


def sure(mask):
    """Logits that are certain of a mask [H, W]."""
    signs = torch.tensor(np.where(mask, 20.0, -20.0))
    return torch.stack([-signs, signs])[None]


def road(width, *, diagonal=False):
    """A road across 96 x 96 pixels, `width` pixels wide, and its label tensor."""
    row, column = np.indices((96, 96))
    if diagonal:
        mask = np.abs(row - column) < width / np.sqrt(2)
    else:
        mask = (row >= 30) & (row < 30 + width)
    return mask, torch.tensor(mask[None].astype(np.uint8))


def test_a_gap_costs_more_cldice_than_as_many_pixels_at_the_border_and_the_same_dice():
    mask, labels = road(width=5)
    broken, thinner = mask.copy(), mask.copy()
    broken[:, 30:34] = False
    thinner[30, 20:40] = False
    assert broken.sum() == thinner.sum()
    torch.testing.assert_close(
        soft_dice_loss(sure(broken), labels), soft_dice_loss(sure(thinner), labels)
    )
    gap = soft_cldice_loss(sure(broken), labels).item()
    border = soft_cldice_loss(sure(thinner), labels).item()
    assert gap > 2 * border
    assert soft_cldice_loss(sure(mask), labels).item() == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("widest", "diagonal"), [(32, False), (22, True)])
def test_a_gap_is_seen_in_roads_of_up_to_32_pixels_or_22_across_the_diagonal(widest, diagonal):
    def gap(width, **iterations):
        mask, labels = road(width, diagonal=diagonal)
        mask[:, 40:56] = False
        return soft_cldice_loss(sure(mask), labels, **iterations).item()

    assert gap(widest) > 0.05
    assert gap(widest) == pytest.approx(gap(widest, iterations=30))
    assert gap(widest + 1) < gap(widest + 1, iterations=30) / 2


@every_loss
def test_ignored_pixels_have_no_gradient_at_all(loss):
    _, labels, tensor, label_tensor = strips()
    loss(tensor, label_tensor).backward()
    reached = tensor.grad.abs().sum(dim=1).numpy() > 0
    assert not reached[labels == IGNORE_INDEX].any()
    assert reached[labels != IGNORE_INDEX].any()


@every_loss
def test_whatever_is_predicted_at_ignored_pixels_the_loss_is_the_same(loss):
    _, labels, tensor, label_tensor = strips()
    changed = tensor.detach().clone()
    where = torch.tensor(labels == IGNORE_INDEX)
    changed[:, 1].masked_fill_(where, 1e4)
    changed[:, 2].masked_fill_(where, -50)
    assert loss(changed, label_tensor).item() == loss(tensor, label_tensor).item()


@every_loss
def test_where_everything_is_ignored_every_loss_is_zero_with_a_zero_gradient(loss):
    _, _, tensor, labels = strips(ignored=1.1)
    value = loss(tensor, labels)
    value.backward()
    assert value.item() == 0
    assert (tensor.grad == 0).all()


@every_loss
@pytest.mark.parametrize("shift", [-200.0, 0.0, 200.0])
def test_without_any_foreground_every_loss_and_gradient_is_finite(loss, shift):
    _, _, tensor, labels = strips(ignored=0.0)
    moved = (tensor.float() + shift * torch.tensor([0.0, 1.0, 1.0])[:, None, None]).detach()
    moved.requires_grad_()
    value = loss(moved, torch.zeros_like(labels))
    value.backward()
    assert value.isfinite()
    assert moved.grad.isfinite().all()


@pytest.mark.parametrize("loss", [soft_dice_loss, soft_cldice_loss])
def test_logits_of_16_bits_are_summed_in_32(loss):
    _, _, tensor, labels = strips()
    half = tensor.detach().to(torch.bfloat16)
    assert loss(half, labels).dtype == torch.float32
    torch.testing.assert_close(loss(half, labels), loss(half.float(), labels))


def test_each_steps_loss_is_cross_entropy_and_weighted_dice_and_cldice():
    steps = [strips(seed=seed)[2] for seed in range(3)]
    labels = strips()[3]
    loss = multi_step_loss(steps, labels, alpha=0.5, dice=0.7, cldice=0.3)
    by_hand = sum(
        0.5**later
        * (
            multi_step_loss([step], labels)
            + 0.7 * soft_dice_loss(step, labels)
            + 0.3 * soft_cldice_loss(step, labels)
        )
        for later, step in zip((2, 1, 0), steps, strict=True)
    )
    torch.testing.assert_close(loss, by_hand)


@pytest.mark.parametrize("name", ["soft_dice_loss", "soft_cldice_loss"])
def test_a_loss_of_weight_zero_is_not_computed(name, monkeypatch):
    def refuse(*_):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(f"rurnet.loss.{name}", refuse)
    _, _, tensor, labels = strips()
    other = {"soft_dice_loss": "cldice", "soft_cldice_loss": "dice"}[name]
    multi_step_loss([tensor], labels, **{other: 0.5})
    with pytest.raises(AssertionError, match=name):
        multi_step_loss([tensor], labels, dice=0.5, cldice=0.5)


def test_at_alpha_zero_only_the_last_step_counts_though_others_diverge():
    _, _, last, labels = strips()
    first = torch.full_like(last, torch.inf, requires_grad=True)
    loss = multi_step_loss([first, first, last], labels, alpha=0.0, dice=0.5, cldice=0.5)
    loss.backward()
    assert loss.item() == multi_step_loss([last], labels, dice=0.5, cldice=0.5).item()
    assert last.grad.isfinite().all()
    assert first.grad is None


def test_median_frequency_counts_only_the_images_that_have_a_class():
    pixels = [
        [90, 10, 0],
        [60, 0, 40],
        [150, 50, 0],
    ]
    # Frequencies: 300 of 400 pixels, 60 of 300 (two images), 40 of 100 (one image).
    expected = torch.tensor([0.4 / 0.75, 0.4 / 0.2, 0.4 / 0.4])
    torch.testing.assert_close(median_frequency_weights(pixels), expected)
    torch.testing.assert_close(median_frequency_weights(torch.tensor(pixels)), expected)


def test_of_two_classes_the_median_frequency_is_between_them():
    weights = median_frequency_weights([[900, 100]])
    torch.testing.assert_close(weights, torch.tensor([0.5 / 0.9, 0.5 / 0.1]))


def test_weights_of_equally_frequent_classes_are_one():
    torch.testing.assert_close(median_frequency_weights([[7, 7, 7], [9, 9, 9]]), torch.ones(3))


@pytest.mark.parametrize("pixels", [[[5, 0, 3], [4, 0, 0]], torch.zeros(0, 3)])
def test_a_class_without_a_pixel_is_an_error_that_names_it(pixels):
    with pytest.raises(NetworkError, match=r"class .*\b1\b.*add images"):
        median_frequency_weights(pixels)


def test_counts_of_one_image_without_the_images_axis_are_refused():
    with pytest.raises(NetworkError, match=r"\[images, classes\].*\[2\]"):
        median_frequency_weights(torch.tensor([900, 100]))


@pytest.mark.parametrize("weights", [[1.0], [1.0, 2.0, 3.0]])
def test_another_number_of_class_weights_is_refused(weights):
    logits, labels = torch.zeros(1, 2, 4, 4), torch.zeros(1, 4, 4, dtype=torch.long)
    with pytest.raises(NetworkError, match="2 classes"):
        multi_step_loss([logits], labels, class_weights=torch.tensor(weights))
