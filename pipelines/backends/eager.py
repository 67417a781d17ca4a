"""Networks as torch itself computes them, on a CPU or a GPU."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pipelines.models.outline import with_network
from pipelines.models.weights import ModelFacts
from rurnet.network import SegmentationNetwork


class Eager:
    """Computes networks with torch; an `Engine`.

    Args:
        device: Where it computes.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = str(device)
        self._device = device

    def network(self, model: ModelFacts) -> SegmentationNetwork:
        """See `Engine`; of a `Model` it is its own network, which moves to the device."""
        network: SegmentationNetwork = with_network(model).network.to(self._device)
        return network.channels_last()

    def array(self, values: NDArray[np.generic]) -> Tensor:
        """See `Engine`."""
        return torch.from_numpy(values).to(self._device)

    @contextmanager
    def computing(self) -> Iterator[None]:
        """See `Engine`; on a CPU a thread computes with itself alone."""
        threads = torch.get_num_threads()
        if self._device.type == "cpu":
            torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)


class Beginning:
    """Gives the states before a network's first step, for an engine that has steps only.

    Args:
        model: The weights.
    """

    def __init__(self, model: ModelFacts) -> None:
        self._engine = Eager(torch.device("cpu"))
        self._network = self._engine.network(model)

    def state(
        self, image: NDArray[np.float32], mask: NDArray[np.float32] | None
    ) -> tuple[NDArray[np.float32], ...]:
        """The mask, then the hidden tensors; see `SegmentationNetwork.initial_state`."""
        # As torch's own convolutions take it.
        tiles = torch.from_numpy(image).contiguous(memory_format=torch.channels_last)
        given = None if mask is None else torch.from_numpy(mask)
        if len(tiles) == 1 and mask is None:
            tiles = torch.cat([tiles, tiles])  # One alone takes another path through convolutions.
        with self._engine.computing():
            state = self._network.initial_state(tiles, given)
        return tuple(part[: len(image)].numpy() for part in (state.mask, *state.hidden))
