"""A network over tiles, each with as many steps as it needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil

import torch
from torch import Tensor

from pipelines.inference.lanes import LEAST
from pipelines.inference.stepping.stopping import going_on, in_fixed_point, unsure
from pipelines.models.stopping import StopRule
from rurnet.network import SegmentationNetwork, State


@dataclass(frozen=True)
class Stepped:
    """Tiles after as many steps as each took.

    Attributes:
        every: Foreground probabilities [n, classes - 1, t, t] after each step, of a tile that
            stopped those of its last step.
        taken: How many steps each took, whole numbers [n].
        unsure: How many pixels of each were unsure after its first step [n].
    """

    every: list[Tensor]
    taken: Tensor
    unsure: Tensor


def until_still(
    network: SegmentationNetwork,
    image: Tensor,
    most: int,
    rule: StopRule,
    size: int,
    *,
    same_size: bool,
    least: int = LEAST,
) -> Stepped:
    """Steps of tiles, of which each stops when another one would not pay.

    Those that go on are packed anew after each step, so that batches stay full. The bits of a
    tile's step do not depend on who travels with it.

    Args:
        network: Recurrent.
        image: Tiles [n, bands, t, t].
        most: Steps that a tile takes at most.
        rule: Tells when it stops.
        size: Tiles that go through the network together.
        same_size: Whether all batches are filled up to that size; else they have `least` at least.
        least: `LEAST`, or 1 where each tile is computed alone.
    """
    every: list[Tensor] = []
    fixed: Tensor | None = None
    taken = torch.zeros(len(image), dtype=torch.int64, device=image.device)
    moving = torch.arange(len(image), device=image.device)
    state: State | None = None
    for _ in range(most):
        fill = size if same_size else least
        found, state = _step(network, image[moving], state, size, fill, same_size=same_size)
        taken[moving] += 1
        whole = every[-1].clone() if every else torch.empty_like(found)
        whole[moving] = found
        every.append(whole)
        before, fixed = fixed, in_fixed_point(found)
        if before is None:
            doubt = unsure(fixed)
        on = going_on(rule, fixed, before)
        if not on.any():
            break
        moving, fixed = moving[on], fixed[on]
        state = _some(state, on)
    return Stepped(every + every[-1:] * (most - len(every)), taken, doubt)


def first_step(
    network: SegmentationNetwork, image: Tensor, mask: Tensor, size: int, *, same_size: bool
) -> Tensor:
    """Foreground probabilities [n, classes - 1, t, t] after one step from masks on.

    Args:
        network: Recurrent.
        image: Tiles [n, bands, t, t].
        mask: Where they start [n, classes, t, t].
        size: See `until_still`.
        same_size: See `until_still`.
    """
    fill = size if same_size else LEAST
    state = network.initial_state(image, mask)
    found, _ = _step(network, image, state, size, fill, same_size=same_size)
    return found


def last_change(stepped: Stepped) -> Tensor:
    """How probabilities changed in each tile's last step; 0 where it took only one."""
    change = torch.zeros_like(stepped.every[0])
    for step, (before, after) in enumerate(pairwise(stepped.every), start=2):
        change = torch.where((stepped.taken == step)[:, None, None, None], after - before, change)
    return change


def _step(
    network: SegmentationNetwork,
    image: Tensor,
    state: State | None,
    size: int,
    fill: int,
    *,
    same_size: bool,
) -> tuple[Tensor, State]:
    """Foreground probabilities after a step of all tiles, their first one without a state."""
    found: list[Tensor] = []
    states: list[State] = []
    for chunk in _chunks(len(image), size, same_size=same_size):
        count = chunk.stop - chunk.start
        # Filled up by the last one again, in the layout in which the network convolves.
        lacking = fill - count
        places = torch.tensor([*range(count), *[count - 1] * lacking], device=image.device)
        places += chunk.start
        tiles = image[places].contiguous(memory_format=torch.channels_last)
        before = network.initial_state(tiles) if state is None else _some(state, places)
        logits, new = network.step(tiles, before)
        found.append(logits.float().softmax(dim=1)[:count, 1:])
        states.append(_some(new, slice(count)))
    return torch.cat(found), _joined(states)


def _chunks(count: int, size: int, *, same_size: bool) -> Iterator[slice]:
    """Splits tiles into batches of at most `size`, but leaves none alone if there are others."""
    number = ceil(count / size)
    if not same_size and count // number < LEAST:
        number = max(1, count // LEAST)
    ends = [count * index // number for index in range(number + 1)]
    return (slice(start, end) for start, end in pairwise(ends))


def _some(state: State, which: Tensor | slice) -> State:
    """The states of some tiles."""
    return State(state.mask[which], tuple(part[which] for part in state.hidden))


def _joined(states: Sequence[State]) -> State:
    hidden = zip(*(state.hidden for state in states), strict=True)
    return State(
        torch.cat([state.mask for state in states]), tuple(torch.cat(parts) for parts in hidden)
    )
