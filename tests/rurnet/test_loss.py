"""The loss against equations 7 and 8, worked out with numpy."""

import numpy as np
import pytest
import torch

from rurnet.loss import IGNORE, multi_step_loss


def case(seed=0, steps=3, classes=2, ignored=0.2):
    random = np.random.default_rng(seed)
    logits = random.normal(0, 2, (steps, 2, classes, 6, 5))
    labels = random.integers(0, classes, (2, 6, 5))
    labels[random.random(labels.shape) < ignored] = IGNORE
    tensors = [torch.tensor(step, requires_grad=True) for step in logits]
    return logits, labels, tensors, torch.tensor(labels.astype(np.uint8))


def cross_entropy(logits, labels, class_weights):
    """Weighted mean of -log p(label) over the pixels that have a label."""
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    total = weight = 0.0
    for item, row, column in np.argwhere(labels != IGNORE):
        label = labels[item, row, column]
        total -= class_weights[label] * np.log(p[item, label, row, column])
        weight += class_weights[label]
    return total / weight


@pytest.mark.parametrize("alpha", [0.4, 1.0])
@pytest.mark.parametrize("steps", [1, 3, 5])
@pytest.mark.parametrize("weights", [None, (1.0, 2.3), (0.001, 0.003)])
def test_it_is_the_weighted_sum_of_every_steps_cross_entropy(alpha, steps, weights):
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
        np.testing.assert_array_equal(reached, labels != IGNORE)


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


def test_class_weights_count_against_each_other_only():
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
