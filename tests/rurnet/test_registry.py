"""Networks by name."""

import pytest
import torch

from rurnet import NETWORKS, NetworkError, SegmentationNetwork, create


def test_the_papers_networks_are_there():
    levels = [f"{unit}-{level}" for unit in ("dru", "sru") for level in range(5)]
    assert set(NETWORKS) == {"unet-gn", "unet-bn", *levels, "rec-simple"}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_value_of_every_network_is_trained(name):
    torch.manual_seed(1)
    net = create(name)
    assert isinstance(net, SegmentationNetwork)
    logits = net(torch.randn(2, 3, 16, 16))[-1]
    torch.nn.functional.cross_entropy(logits, torch.ones(2, 16, 16, dtype=torch.long)).backward()
    without = [key for key, value in net.named_parameters() if value.grad is None]
    assert without == []


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_makes_the_same_network(name):
    made = []
    for seed in (4, 4, 5):
        torch.manual_seed(seed)
        made.append(create(name).state_dict())
    first, again, other = made
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)


def test_an_unknown_name_is_refused_and_the_known_ones_are_listed():
    with pytest.raises(NetworkError) as caught:
        create("dru5")
    assert "dru5" in str(caught.value)
    assert all(name in str(caught.value) for name in NETWORKS)


@pytest.mark.parametrize(("name", "argument"), [("dru-4", "depth"), ("unet-gn", "steps")])
def test_an_argument_it_does_not_have_is_refused_by_name(name, argument):
    with pytest.raises(NetworkError, match=argument):
        create(name, **{argument: 3})
