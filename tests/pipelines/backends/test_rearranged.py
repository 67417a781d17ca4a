"""Networks that are written otherwise for OpenVINO compute the same function."""

import copy

import pytest
import torch

from pipelines.backends.rearranged import rearrange
from rurnet.network import State
from rurnet.registry import create


@pytest.mark.parametrize("paired", [True, False])
@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("dru-4", {}), ("dru-2", {"in_channels": 4, "classes": 3}), ("sru-1", {}), ("dru-0", {}),
        ("unet-gn", {}), ("unet-gn", {"channels": (6, 8)}), ("unet-bn", {}), ("rec-middle", {}),
    ],
)  # fmt: skip
def test_a_rearranged_network_computes_the_same(name, arguments, paired):
    with torch.random.fork_rng():
        torch.manual_seed(1)
        network = create(name, **arguments).eval()
        # Torch starts with norms that do nothing to a channel.
        for parameter in network.parameters():
            if parameter.dim() == 1:
                torch.nn.init.uniform_(parameter, 0.5, 1.5)
        image = torch.randn(2, network.in_channels, 48, 80)
        mask = torch.rand(2, network.classes, 48, 80)
    other = copy.deepcopy(network)
    rearrange(other, paired=paired)
    with torch.no_grad():
        state = network.initial_state(image, mask)
        expected, after = network.step(image, state)
        found, theirs = other.step(image, State(state.mask, state.hidden))
    assert (found - expected).abs().max() < 1e-4
    for one, same in zip(after.hidden, theirs.hidden, strict=True):
        assert (one - same).abs().max() < 1e-4
    assert expected.std() > 0.05
