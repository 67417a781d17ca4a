"""A network over tiles, each with as many steps as it needs."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil
from typing import Any

from pipelines.backends.arrays import Array, device, laid_out, namespace
from pipelines.backends.engine import State, Stepping
from pipelines.inference.lanes import LEAST
from pipelines.inference.stepping.stopping import going_on, in_fixed_point, unsure
from pipelines.models.stopping import StopRule


@dataclass(frozen=True)
class Stepped:
    """Tiles after as many steps as each took.

    Attributes:
        every: Foreground probabilities [n, classes - 1, t, t] after each step, of a tile that
            stopped those of its last step.
        taken: How many steps each took, whole numbers [n].
        unsure: How many pixels of each were unsure after its first step [n].
    """

    every: list[Array]
    taken: Array
    unsure: Array


def until_still(
    network: Stepping,
    image: Array,
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
    every: list[Array] = []
    fixed: Array | None = None
    xp, here = namespace(image), device(image)
    taken = xp.zeros(len(image), dtype=xp.int64, device=here)
    moving = xp.arange(len(image), device=here)
    state: State | None = None
    for _ in range(most):
        fill = size if same_size else least
        found, state = _step(network, image[moving], state, size, fill, same_size=same_size)
        taken[moving] += 1
        whole = xp.asarray(every[-1], copy=True) if every else xp.empty_like(found)
        whole[moving] = found
        every.append(whole)
        before, fixed = fixed, in_fixed_point(found)
        if before is None:
            doubt = unsure(fixed)
        on = going_on(rule, fixed, before)
        if not xp.any(on):
            break
        moving, fixed = moving[on], fixed[on]
        state = _some(state, on)
    return Stepped(every + every[-1:] * (most - len(every)), taken, doubt)


def first_step(
    network: Stepping, image: Array, mask: Array, size: int, *, same_size: bool, least: int = LEAST
) -> Array:
    """Foreground probabilities [n, classes - 1, t, t] after one step from masks on.

    Args:
        network: Recurrent.
        image: Tiles [n, bands, t, t].
        mask: Where they start [n, classes, t, t].
        size: See `until_still`.
        same_size: See `until_still`.
        least: See `until_still`.
    """
    fill = size if same_size else least
    state = network.initial_state(image, mask)
    found, _ = _step(network, image, state, size, fill, same_size=same_size)
    return found


def unrolled(network: Stepping, image: Array, steps: int) -> list[Array]:
    """Foreground probabilities [n, classes - 1, t, t] after each step of tiles together.

    Args:
        network: One-shot, or recurrent.
        image: Tiles [n, bands, t, t].
        steps: How many all of them take.
    """
    state = network.initial_state(image)
    every: list[Array] = []
    for _ in range(steps):
        _, state = network.step(image, state)
        every.append(state.mask[:, 1:])
    return every


def last_change(stepped: Stepped) -> Array:
    """How probabilities changed in each tile's last step; 0 where it took only one."""
    xp = namespace(stepped.taken)
    change = xp.zeros_like(stepped.every[0])
    for step, (before, after) in enumerate(pairwise(stepped.every), start=2):
        change = xp.where((stepped.taken == step)[:, None, None, None], after - before, change)
    return change


def _step(
    network: Stepping,
    image: Array,
    state: State | None,
    size: int,
    fill: int,
    *,
    same_size: bool,
) -> tuple[Array, State]:
    """Foreground probabilities after a step of all tiles, their first one without a state."""
    xp = namespace(image)
    found: list[Array] = []
    states: list[State] = []
    for chunk in _chunks(len(image), size, same_size=same_size):
        count = chunk.stop - chunk.start
        # Filled up by the last one again, in the layout in which the network convolves.
        lacking = fill - count
        places = xp.asarray([*range(count), *[count - 1] * lacking], device=device(image))
        places += chunk.start
        tiles = laid_out(image[places])
        before = network.initial_state(tiles) if state is None else _some(state, places)
        _, new = network.step(tiles, before)
        found.append(new.mask[:count, 1:])
        states.append(_some(new, slice(count)))
    return xp.concat(found), _joined(xp, states)


def _chunks(count: int, size: int, *, same_size: bool) -> Iterator[slice]:
    """Splits tiles into batches of at most `size`, but leaves none alone if there are others."""
    number = ceil(count / size)
    if not same_size and count // number < LEAST:
        number = max(1, count // LEAST)
    ends = [count * index // number for index in range(number + 1)]
    return (slice(start, end) for start, end in pairwise(ends))


def _some(state: State, which: Array | slice) -> State:
    """The states of some tiles."""
    return state._replace(mask=state.mask[which], hidden=tuple(one[which] for one in state.hidden))


def _joined(xp: Any, states: Sequence[State]) -> State:
    hidden = zip(*(state.hidden for state in states), strict=True)
    return states[0]._replace(
        mask=xp.concat([state.mask for state in states]),
        hidden=tuple(xp.concat(parts) for parts in hidden),
    )
