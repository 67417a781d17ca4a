"""The contract every network keeps: a state that starts, and a step that refines it."""

from collections.abc import Callable
from typing import ClassVar, NamedTuple, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from rurnet.errors import NetworkError

Hidden = tuple[Tensor, ...]


class State(NamedTuple):
    """What is handed from one step to the next.

    Attributes:
        mask: [B, classes, H, W], the softmax of the last logits, at the image's own size.
        hidden: Tensors [B, ...] of the network's own: what its recurrent unit remembers, and
            what it computes of the image once and not at every step. Empty where it has neither.
    """

    mask: Tensor
    hidden: Hidden


class SegmentationNetwork(nn.Module):
    """Base of all networks: any input size, any number of steps.

    Tiles can join and leave a batch between steps, because everything a step needs is in
    the image and the state.

    Attributes:
        in_channels: Channels of the image.
        classes: Number of classes, background included.
        steps: Steps the network was made for; 1 in a one-shot network.
        one_shot: Whether a second step would repeat the first.
        multiple: Images are padded, inside, to a height and width that divide by this.
        alpha: Weight of a step's loss against the next one's that its authors train it with.
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
        """State before the first step: a uniform mask (1 / classes), and nothing remembered.

        Args:
            image: [B, in_channels, H, W], any floating type.
            mask: [B, classes, H, W], an earlier mask to refine instead of the uniform one:
                probabilities, of any type. A network that feeds no mask back pays it no heed.

        Raises:
            NetworkError: The image has another number of channels or no floating type, or the
                mask another shape.
        """
        if image.dim() != 4 or image.shape[1] != self.in_channels:
            raise NetworkError(
                f"the network takes images [B, {self.in_channels}, H, W], not {list(image.shape)}"
            )
        if not image.is_floating_point():
            raise NetworkError(f"the network takes images of a floating type, not {image.dtype}")
        batch, _, height, width = image.shape
        shape = (batch, self.classes, height, width)
        if mask is None:
            mask = image.new_full(shape, 1 / self.classes)
        elif tuple(mask.shape) != shape:
            raise NetworkError(f"the mask must be {list(shape)}, not {list(mask.shape)}")
        mask = mask.to(image.dtype)
        return State(mask, self._initial_hidden(self._pad(image), self._pad(mask)))

    def step(self, image: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of refinement.

        Args:
            image: [B, in_channels, H, W]; any H and W, padded inside and cropped back.
            state: From `initial_state` or the step before.

        Returns:
            Logits [B, classes, H, W] and the next state.
        """
        height, width = image.shape[-2:]
        logits, hidden = self._step(self._pad(image), self._pad(state.mask), state.hidden)
        logits = logits[..., :height, :width]
        return logits, State(logits.softmax(dim=1), hidden)

    def channels_last(self) -> Self:
        """The same network, laid out as CPUs and GPUs convolve its sizes fastest."""
        # torch's annotations of `to` leave the memory format out.
        convert: Callable[..., Self] = self.to
        return convert(memory_format=torch.channels_last)

    def forward(self, image: Tensor, steps: int | None = None) -> list[Tensor]:
        """Logits [B, classes, H, W] of every step, first to last.

        Args:
            image: [B, in_channels, H, W].
            steps: How many; None for the number the network was made for. A one-shot network
                repeats nothing: it takes None or 1.

        Raises:
            NetworkError: Fewer than one step, or more than one of a one-shot network.
        """
        steps = self.steps if steps is None else steps
        if steps < 1:
            raise NetworkError(f"steps must be at least 1, not {steps}")
        if steps > 1 and self.one_shot:
            raise NetworkError(f"a one-shot network has one step, not {steps}")
        return self.unroll(image, self.initial_state(image), steps)

    def unroll(self, image: Tensor, state: State, steps: int) -> list[Tensor]:
        """Logits [B, classes, H, W] of so many steps from a state on, first to last.

        Args:
            image: [B, in_channels, H, W].
            state: From `initial_state` or a step.
            steps: How many.
        """
        every = []
        for _ in range(steps):
            logits, state = self.step(image, state)
            every.append(logits)
        return every

    def _initial_hidden(self, image: Tensor, mask: Tensor) -> Hidden:
        """What `State.hidden` starts as, of a padded image and mask; nothing here."""
        return ()

    def _step(self, image: Tensor, mask: Tensor, hidden: Hidden) -> tuple[Tensor, Hidden]:
        """A step on padded tensors: logits like the mask, and the next hidden tensors."""
        raise NotImplementedError

    def _pad(self, tensor: Tensor) -> Tensor:
        """Repeats the last row and column until height and width divide by `multiple`."""
        if self.multiple == 1:
            return tensor
        bottom, right = (-size % self.multiple for size in tensor.shape[-2:])
        # An exported network pads every size, by nothing where nothing lacks.
        if not torch.compiler.is_exporting() and not (bottom or right):
            return tensor
        return functional.pad(tensor, (0, right, 0, bottom), mode="replicate")


def parameter_count(network: nn.Module) -> int:
    """Number of trained values in a network."""
    return sum(p.numel() for p in network.parameters() if p.requires_grad)
