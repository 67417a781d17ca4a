"""What networks hold in memory, for the table by which `--dry-run` tells it without torch.

    python -m benchmarks.outlines > pipelines/models/shipped/outlines.json

Takes a minute. A change of a network's layers changes it.
"""

import json
from collections.abc import Mapping
from typing import Any

import torch

from pipelines.models.names import shipped
from pipelines.models.outline import key_of, shapes_digest
from pipelines.models.weights import card_of
from pipelines.runtime.tensor_memory import most_held
from rurnet.network import SegmentationNetwork
from rurnet.registry import NETWORKS, create

_ARGUMENTS = {"in_channels": 3, "classes": 2}

_SIDE = 64
"""Of the tile that is predicted: memory grows with its pixels."""


def networks() -> list[tuple[str, Mapping[str, Any]]]:
    """Every network as it is by default, and those of shipped weights."""
    cards = [card_of(name) for name in shipped()]
    trained = [(one.network, one.arguments) for one in cards]
    return [*((name, _ARGUMENTS) for name in NETWORKS), *trained]


def row_of(network: SegmentationNetwork) -> dict[str, object]:
    """Returns what `pipelines.models.outline.NetworkOutline` is made from."""
    shape = 1, network.in_channels, _SIDE, _SIDE

    def held(steps: int) -> float:
        return most_held(lambda: network(torch.zeros(shape), steps=steps)) / _SIDE**2

    one = held(1)
    shapes = {name: tensor.shape for name, tensor in network.state_dict().items()}
    return {
        "steps": network.steps,
        "one_shot": network.one_shot,
        "held": one,
        "held_by_step": 0.0 if network.one_shot else held(2) - one,
        "tensors": shapes_digest(shapes),
    }


def main() -> None:
    """Prints the table."""
    table = {
        key_of(name, arguments): row_of(create(name, **arguments).eval())
        for name, arguments in networks()
    }
    print(json.dumps(table, indent=1, sort_keys=True))


if __name__ == "__main__":
    main()
