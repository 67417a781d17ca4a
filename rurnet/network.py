"""The interface of all networks: an initial state, and steps that refine the mask."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from rurnet.errors import NetworkError

Hidden = tuple[Tensor, ...]


class State(NamedTuple):
    """The tensors that one step passes to the next.

    Attributes:
        mask: [B, classes, H, W], the softmax of the last logits, at the size of the image.
        hidden: Tensors [B, ...] that depend on the network: the memory of its recurrent unit, and
            features that it computes once per image. Empty if the network has neither.
    """

    mask: Tensor
    hidden: Hidden


class SegmentationNetwork(nn.Module):
    """Base of all networks. They take images of any size and run any number of steps.

    A step depends on the image and the state only, so tiles can join or leave a batch between
    steps.

    Attributes:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Default number of steps; 1 in a one-shot network.
        one_shot: Whether the network has a single step; a second would repeat the first.
        multiple: The network pads images internally to multiples of this height and width.
        alpha: Weight of a step's loss relative to the next step's, as its authors trained it.
    """

    one_shot: ClassVar[bool] = False
    multiple: int = 1
    alpha: ClassVar[float] = 0.4

    def __init__(self, in_channels: int, classes: int, steps: int) -> None:
        super().__init__()
        whole = all(isinstance(number, int) for number in (in_channels, classes, steps))
        if not whole or in_channels < 1 or classes < 2 or steps < 1:
            raise NetworkError(
                "a network needs whole numbers in_channels >= 1, classes >= 2 and steps >= 1, "
                f"not {in_channels}, {classes} and {steps}"
            )
        self.in_channels = in_channels
        self.classes = classes
        self.steps = steps

    def initial_state(self, image: Tensor, mask: Tensor | None = None) -> State:
        """Returns the state before the first step: a uniform mask (1 / classes), empty memory.

        Args:
            image: [B, in_channels, H, W], of any floating-point type.
            mask: [B, classes, H, W], probabilities of any type: an earlier mask to refine, in place
                of the uniform one. It has no effect in a network that feeds no mask back.

        Raises:
            NetworkError: The image has the wrong number of channels or is not floating point, or
                the mask has the wrong shape.
        """
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise NetworkError(
                f"the network takes images [B, {self.in_channels}, H, W], not {list(image.shape)}"
            )
        if not image.is_floating_point():
            raise NetworkError(f"the network takes images of floating type, not {image.dtype}")
        batch, _, height, width = image.shape
        shape = (batch, self.classes, height, width)
        if mask is None:
            mask = image.new_full(shape, 1 / self.classes)
        elif tuple(mask.shape) != shape:
            raise NetworkError(f"the mask must be {list(shape)}, not {list(mask.shape)}")
        mask = mask.to(image.dtype)
        return State(mask, self._initial_hidden(self._pad(image), self._pad(mask)))

    def step(self, image: Tensor, state: State) -> tuple[Tensor, State]:
        """Refines the mask by one step.

        Args:
            image: [B, in_channels, H, W]; any H and W. It is padded internally.
            state: From `initial_state` or the previous step.

        Returns:
            Logits [B, classes, H, W] and the next state.
        """
        height, width = image.shape[-2:]
        logits, hidden = self._step(self._pad(image), self._pad(state.mask), state.hidden)
        logits = logits[..., :height, :width]
        return logits, State(logits.softmax(dim=1), hidden)

    def channels_last(self) -> Self:
        """Returns the network in the memory layout in which CPUs and GPUs convolve it fastest."""
        return self.laid_out(torch.channels_last)

    def laid_out(self, layout: torch.memory_format) -> Self:
        """Returns the network in a memory layout: channels first or last."""
        # The type annotations of `to` lack the memory format.
        convert: Callable[..., Self] = self.to
        return convert(memory_format=layout)

    def forward(self, image: Tensor, steps: int | None = None) -> list[Tensor]:
        """Returns the logits [B, classes, H, W] of all steps, first to last.

        Args:
            image: [B, in_channels, H, W].
            steps: Number of steps; None for the network's default. A one-shot network takes None
                or 1.

        Raises:
            NetworkError: `steps` is less than 1, or more than 1 in a one-shot network.
        """
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise NetworkError(f"steps must be at least 1, not {steps}")
        if steps > 1 and self.one_shot:
            raise NetworkError(f"a one-shot network has one step, not {steps}")
        return self.unroll(image, self.initial_state(image), steps)

    def unroll(self, image: Tensor, state: State, steps: int) -> list[Tensor]:
        """Returns the logits [B, classes, H, W] of `steps` steps from a state on, first to last.

        Args:
            image: [B, in_channels, H, W].
            state: From `initial_state` or a step.
            steps: Number of steps.
        """
        every = []
        for _ in range(steps):
            logits, state = self.step(image, state)
            every.append(logits)
        return every

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        """Returns the first `State.hidden`, from a padded image and mask; empty by default."""
        return ()

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """Computes a step on padded tensors: logits, shaped like the mask, and the next hidden."""
        raise NotImplementedError

    def _pad(self, tensor: Tensor) -> Tensor:
        """Repeats the last row and column until height and width are multiples of `multiple`."""
        if self.multiple == 1:
            return tensor
        bottom, right = (-size % self.multiple for size in tensor.shape[-2:])
        # An exported network always pads, by 0 if nothing is missing: its sizes are free.
        if not torch.compiler.is_exporting() and not (bottom or right):
            return tensor
        return functional.pad(tensor, (0, right, 0, bottom), mode="replicate")


def parameter_count(network: nn.Module) -> int:
    """Returns the number of trainable values in a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
