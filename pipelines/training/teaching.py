"""Teachers: weights whose probabilities a training learns besides the labels (distillation)."""

import torch
from torch import Tensor

from pipelines.models.weights import Model
from pipelines.training.objective import Objective
from rurnet.network import SegmentationNetwork


class Teachers:
    """The averaged probabilities of networks, each with its own steps and normalisation.

    It is no torch module, so that checkpoints and running averages leave the teachers out.

    Args:
        objective: Objective of the training, with its teachers.
        layout: How images lie in memory.
    """

    def __init__(self, objective: Objective, layout: torch.memory_format) -> None:
        self._layout = layout
        self._members = [_member(teacher, objective) for teacher in objective.teachers]
        for network, _, _ in self._members:
            network.requires_grad_(False).eval().laid_out(layout)

    @torch.no_grad()
    def probabilities(self, image: Tensor, valid: Tensor) -> Tensor:
        """Returns the mean of the last steps' probabilities, float32 [B, classes, H, W].

        Args:
            image: [B, bands, H, W], normalised as the student takes it.
            valid: [B, 1, H, W], 1 where there is a pixel.
        """
        total = torch.zeros((), device=image.device)
        for network, scale, shift in self._members:
            network.to(image.device)
            # What is missing is the training mean, 0, for every network.
            own = (image * scale.to(image) + shift.to(image)) * valid
            logits = network(own.contiguous(memory_format=self._layout))[-1]
            total = total + logits.softmax(dim=1, dtype=torch.float32)
        return total / len(self._members)


def _member(teacher: Model, student: Objective) -> tuple[SegmentationNetwork, Tensor, Tensor]:
    """A teacher's network, and the factor and summand from the student's images to its own."""

    def planes(values: tuple[float, ...]) -> Tensor:
        return torch.tensor(values, dtype=torch.float64)[:, None, None]

    own_std = planes(teacher.card.std)
    scale = planes(student.std) / own_std
    shift = (planes(student.mean) - planes(teacher.card.mean)) / own_std
    return teacher.network, scale, shift
