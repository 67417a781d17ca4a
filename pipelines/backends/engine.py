"""What computes networks, as those see it who have tiles computed: torch, or OpenVINO."""

from contextlib import AbstractContextManager
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.backends.arrays import Array
from pipelines.models.weights import ModelFacts


class State(Protocol):
    """See `rurnet.network.State`; a named tuple of an engine's arrays."""

    @property
    def mask(self) -> Array:
        """The probabilities of all classes after the last step [n, classes, h, w], float32."""
        ...

    @property
    def hidden(self) -> tuple[Array, ...]:
        """What else a step passes to the next."""
        ...

    def _replace(self, *, mask: Array, hidden: tuple[Array, ...]) -> Self: ...


class Stepping(Protocol):
    """A network on an engine, step by step; see `rurnet.network.SegmentationNetwork`."""

    def initial_state(self, image: Array, mask: Array | None = None) -> Any:
        """Returns the state before the first step, see `SegmentationNetwork.initial_state`."""
        ...

    def step(self, image: Array, state: Any) -> tuple[Any, Any]:
        """Takes a step.

        Args:
            image: Normalised tiles [n, bands, h, w], float32.
            state: From `initial_state` or the previous step.

        Returns:
            Not of use for all engines, and the next state: its mask has the probabilities.
        """
        ...


class Engine(Protocol):
    """What computes networks on one device."""

    @property
    def device(self) -> str:
        """Its name, for errors: "cpu", "cuda:1"."""
        ...

    def network(self, model: ModelFacts) -> Stepping:
        """Returns the network of weights, ready for several threads."""
        ...

    def array(self, values: NDArray[np.generic]) -> Array:
        """Returns the same values as an array of this engine's."""
        ...

    def computing(self) -> AbstractContextManager[None]:
        """Returns the context that a thread computes in: by itself, and without gradients."""
        ...
