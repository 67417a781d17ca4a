"""Networks by name."""

import pytest
import torch

from rurnet import NETWORKS, NetworkError, create


@pytest.mark.parametrize("name", NETWORKS)
def test_every_value_of_every_network_learns_from_a_single_image(narrow, name):
    net = narrow(name).train()
    logits = net(torch.randn(1, 3, 97, 131), 2 if net.steps > 1 else None)[-1]
    torch.nn.functional.cross_entropy(logits, torch.ones(1, 97, 131, dtype=torch.long)).backward()
    without = [key for key, value in net.named_parameters() if value.grad is None]
    assert without == []
    idle = [key for key, value in net.named_parameters() if not value.grad.any()]
    assert idle == []


@pytest.mark.parametrize("name", NETWORKS)
def test_the_same_seed_makes_the_same_network(narrow, name):
    first, again = narrow(name).state_dict(), narrow(name).state_dict()
    other = narrow(name, seed=5).state_dict()
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


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("unet-bn", {"norm": "bacth"}), ("dru-4", {"unit": "gru"}), ("dru-vgg16", {"unit": "gru"}),
        ("unet-vgg16", {"encoder": "vgg19"}), ("unet-vgg16", {"width": 0}),
        ("dru-4", {"hidden_channels": -1}), ("dru-4", {"hidden_channels": 0}),
        ("canvas", {"width": "10"}), ("canvas", {"width": 0}), ("refinenet", {"width": 0}),
        ("icnet", {"width": 0}), ("deeplab-v3plus", {"width": 0}), ("dru-4", {"steps": 2.5}),
        ("rec-last", {"hidden_channels": 0}), ("unet-gn", {"channels": ()}),
        ("rec-middle", {"channels": ()}),
    ],
    ids=str,
)  # fmt: skip
def test_a_value_that_makes_no_network_is_refused(name, wrong):
    with pytest.raises(NetworkError):
        create(name, **wrong)


def test_levels_may_be_more_or_fewer():
    for channels in [(8, 16), (8, 8, 8, 8, 8, 8, 8)]:
        for name in ("unet-gn", "rec-simple", "rec-middle", "rec-last"):
            net = create(name, channels=channels).eval()
            assert net(torch.randn(1, 3, 50, 70))[-1].shape == (1, 2, 50, 70)
    net = create("dru-1", channels=(8, 8, 8, 8, 8, 8))
    assert net(torch.randn(1, 3, 50, 70))[-1].shape == (1, 2, 50, 70)
