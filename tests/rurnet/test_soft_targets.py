"""Soft targets of the loss: teachers, and the last step, by hand in numpy."""

import numpy as np
import pytest
import torch

from rurnet.loss import IGNORE_INDEX, SoftTargets, label_weight, multi_step_loss
from tests.rurnet.test_loss import case, cross_entropy, probabilities


def test_a_teacher_has_its_share_of_the_cross_entropy_wherever_there_are_pixels():
    logits, labels, tensors, label_tensor = case(steps=2)
    random = np.random.default_rng(5)
    valid = random.random(labels.shape) > 0.3
    teacher = probabilities(random.normal(0, 2, logits.shape[1:]))
    weights = (1.0, 2.3)

    def taught(step):
        entropy = -(teacher * np.log(probabilities(step))).sum(axis=1)
        return entropy[valid].mean()

    by_hand = sum(
        alpha * (0.7 * cross_entropy(step, labels, weights) + 0.3 * taught(step))
        for alpha, step in zip((0.4, 1.0), logits, strict=True)
    )
    soft = SoftTargets(torch.tensor(valid), torch.tensor(teacher), 0.3)
    loss = multi_step_loss(tensors, label_tensor, class_weights=torch.tensor(weights), soft=soft)
    assert loss.item() == pytest.approx(by_hand, rel=1e-6)
    loss.backward()
    reached = tensors[0].grad.abs().sum(dim=1).numpy() > 0
    np.testing.assert_array_equal(reached, valid | (labels != IGNORE_INDEX))


def test_the_last_step_teaches_the_earlier_ones_and_learns_nothing_from_it():
    logits, labels, tensors, label_tensor = case(steps=2, ignored=0)
    soft = SoftTargets(torch.ones_like(label_tensor), own_weight=0.25)
    loss = multi_step_loss(tensors, label_tensor, soft=soft)
    first, last = (probabilities(step) for step in logits)
    taught = -(last * np.log(first)).sum(axis=1).mean()
    one = (1.0, 1.0)
    by_hand = 0.4 * (0.75 * cross_entropy(logits[0], labels, one) + 0.25 * taught)
    assert loss.item() == pytest.approx(by_hand + cross_entropy(logits[1], labels, one), rel=1e-6)
    loss.backward()
    alone = tensors[1].detach().requires_grad_()
    multi_step_loss([alone], label_tensor).backward()
    torch.testing.assert_close(tensors[1].grad, alone.grad)


def test_the_taught_losses_of_the_parts_of_a_batch_add_up():
    _, labels, tensors, label_tensor = case(steps=2)
    valid = torch.tensor(np.random.default_rng(6).random(labels.shape) > 0.3)
    teacher = tensors[0].detach().softmax(dim=1)
    soft = SoftTargets(valid, teacher, 0.4, 0.2)
    whole = multi_step_loss(tensors, label_tensor, soft=soft)
    parts = [
        multi_step_loss(
            [step[n : n + 1] for step in tensors], label_tensor[n : n + 1],
            denominator=label_weight(label_tensor),
            soft=SoftTargets(valid[n : n + 1], teacher[n : n + 1], 0.4, 0.2, valid.sum()),
        )
        for n in range(2)
    ]  # fmt: skip
    torch.testing.assert_close(sum(parts), whole)


def test_where_nothing_is_taught_either_it_is_zero_with_a_finite_gradient():
    _, _, tensors, label_tensor = case(ignored=1.0)
    nothing = torch.zeros_like(label_tensor)
    soft = SoftTargets(nothing, torch.full_like(tensors[0], 0.5), 0.5, 0.5)
    loss = multi_step_loss(tensors, label_tensor, soft=soft)
    loss.backward()
    assert loss.item() == 0
    assert all((step.grad == 0).all() for step in tensors)
