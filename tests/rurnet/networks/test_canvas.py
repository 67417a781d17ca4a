"""The network of McIntosh et al.: ConvLSTMs that add to a canvas of logits."""

import numpy as np
import pytest
import torch

from rurnet.cost import cost
from rurnet.encoders.pretrained import load_encoder
from rurnet.network import State, parameter_count
from rurnet.networks.canvas import Canvas

FEATURES, CANVAS, H3 = 0, 1, 6
"""Their positions in the hidden tensors."""


def network(classes=3, **arguments):
    torch.manual_seed(5)
    return Canvas(3, classes, **{"width": 2, **arguments}).eval()


def started(net, height=32, width=48, mask=None):
    """An image and its first state, with random features of unit deviation."""
    image = torch.rand(2, net.in_channels, height, width)
    state = net.initial_state(image, mask)
    features = torch.randn_like(state.hidden[FEATURES])
    return image, State(state.mask, (features, *state.hidden[1:]))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_by_hand(layer, x, h, c):
    """The next h and c at one cell of the canvas; x, h and c are vectors."""
    weight = layer.gates.weight.detach().double().numpy()[..., 0, 0]
    i, f, g, o = np.split(weight @ np.concatenate([x, h]) + layer.gates.bias.tolist(), 4)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


@torch.no_grad()
def test_three_cells_read_the_features_beside_the_canvas_and_add_to_it():
    net = network()
    mask = torch.rand(2, 3, 32, 48).softmax(dim=1)
    image, state = started(net, mask=mask)
    by_hand = {}
    for row, column in [(0, 0), (1, 2)]:
        cell = [t[1, :, row, column].double().numpy() for t in state.hidden]
        features, canvas, h1, c1, h2, c2, h3, c3 = cell
        for _ in range(2):
            h1, c1 = lstm_by_hand(net.first, np.concatenate([features, canvas]), h1, c1)
            h2, c2 = lstm_by_hand(net.second, h1, h2, c2)
            h3, c3 = lstm_by_hand(net.third, h2, h3, c3)
            canvas = canvas + h3
        by_hand[row, column] = (features, canvas, h1, c1, h2, c2, h3, c3)
    for _ in range(2):
        _, state = net.step(image, state)
    for (row, column), expected in by_hand.items():
        for tensor, value in zip(state.hidden, expected, strict=True):
            np.testing.assert_allclose(tensor[1, :, row, column], value, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_the_canvas_is_the_sum_of_what_was_added():
    net = network()
    image, state = started(net)
    total = torch.zeros_like(state.hidden[CANVAS])
    for _ in range(3):
        _, state = net.step(image, state)
        total += state.hidden[H3]
        torch.testing.assert_close(state.hidden[CANVAS], total)
    assert total.abs().max() > state.hidden[H3].abs().max()


@torch.no_grad()
def test_no_step_adds_more_than_one_to_a_logit():
    net = network()
    image, state = started(net)
    state = State(state.mask, (state.hidden[FEATURES] * 1e3, *state.hidden[1:]))
    for _ in range(4):
        before = state.hidden[CANVAS]
        _, state = net.step(image, state)
        assert (state.hidden[CANVAS] - before).abs().max() <= 1 + 1e-6


@torch.no_grad()
def test_logits_are_the_canvas_bilinearly_at_the_images_size():
    net = network()
    image, state = started(net)
    logits, state = net.step(image, state)
    canvas = state.hidden[CANVAS]
    # The middle of pixel 20 is at 20.5 / 16 cells, that of cell 0 at 0.5.
    row, column = 20.5 / 16 - 0.5, 30.5 / 16 - 1.5
    upper, lower = (canvas[..., i, 1] * (1 - column) + canvas[..., i, 2] * column for i in (0, 1))
    torch.testing.assert_close(logits[..., 20, 30], upper * (1 - row) + lower * row)
    torch.testing.assert_close(logits[..., 0, 0], canvas[..., 0, 0])


@torch.no_grad()
def test_only_the_canvas_is_fed_back():
    net = network()
    image, state = started(net)
    other = State(torch.rand_like(state.mask), state.hidden)
    assert torch.equal(net.step(image, state)[0], net.step(image, other)[0])


@torch.no_grad()
@pytest.mark.parametrize("classes", [2, 3, 7, 21, 39])
@pytest.mark.parametrize("size", [(48, 64), (97, 131), (42, 53), (141, 231)])
def test_a_uniform_mask_is_a_canvas_of_zeros(classes, size):
    net = network(classes)
    image = torch.rand(2, 3, *size)
    uniform = torch.full((2, classes, *size), 1 / classes)
    laid_out = uniform.contiguous(memory_format=torch.channels_last)
    for mask in (None, uniform, laid_out):
        _, *rest = net.initial_state(image, mask).hidden
        assert all((tensor == 0).all() for tensor in rest)


@torch.no_grad()
def test_a_canvas_starts_from_an_earlier_mask():
    net = network()
    mask = torch.randn(2, 3, 32, 48).softmax(dim=1)
    canvas = net.initial_state(torch.rand(2, 3, 32, 48), mask).hidden[CANVAS]
    cells = mask.reshape(2, 3, 2, 16, 3, 16).mean(dim=(3, 5))
    torch.testing.assert_close(canvas, cells.log() - cells.log().mean(dim=1, keepdim=True))
    torch.testing.assert_close(canvas.softmax(dim=1), cells)


@torch.no_grad()
def test_a_cell_of_an_odd_size_is_the_area_that_its_logits_are_spread_over():
    # 100 pixels in seven cells of 14.3.
    ramp = torch.linspace(0, 6, 100)
    road = 0.5 + 0.4 * torch.sin(ramp[:, None] + ramp / 2)
    mask = torch.stack([1 - road, road])[None]
    canvas = network(2).initial_state(torch.rand(1, 3, 100, 100), mask).hidden[CANVAS]
    finer = road.repeat_interleave(7, 0).repeat_interleave(7, 1)
    cells = finer.reshape(7, 100, 7, 100).mean(dim=(1, 3))
    torch.testing.assert_close(canvas.softmax(dim=1)[0, 1], cells, rtol=0, atol=2e-3)


@torch.no_grad()
def test_even_a_sure_seed_can_be_overturned_in_two_steps():
    mask = torch.tensor([1.0, 0.0, 0.0])[None, :, None, None].expand(1, 3, 32, 32)
    canvas = network().initial_state(torch.rand(1, 3, 32, 32), mask).hidden[CANVAS]
    lead = canvas.amax(dim=1) - canvas.amin(dim=1)
    assert (canvas.argmax(dim=1) == 0).all()
    assert lead.min() > 3  # 95 % against each of the others.
    assert lead.max() < 2 * 2  # Two steps change a difference by less than 4.


@torch.no_grad()
def test_the_likeliest_of_many_unlikely_classes_is_kept():
    mask = torch.full((1, 100, 16, 16), 0.9 / 99)
    mask[:, 42] = 0.1
    mask[:, 7] = 0.0
    canvas = network(100).initial_state(torch.rand(1, 3, 16, 16), mask).hidden[CANVAS]
    assert canvas.argmax() == 42
    assert torch.isfinite(canvas).all()


@torch.no_grad()
def test_features_are_computed_once_for_six_steps():
    net = network()
    calls = []
    net.encoder.register_forward_hook(lambda *_: calls.append(1))
    every = net(torch.rand(1, 3, 97, 131))
    assert len(every) == 6
    assert {logits.shape for logits in every} == {(1, 3, 97, 131)}
    assert len(calls) == 1


def test_the_sizes_and_costs_are_those_of_the_paper():
    with torch.device("meta"):
        net = Canvas(3, 21).eval()
        image = torch.empty(1, 3, 513, 513)
    once, step = cost(net, 513)
    assert net.initial_state(image).hidden[FEATURES].shape == (1, 2048, 33, 33)
    assert parameter_count(net.encoder) == pytest.approx(42.5e6, rel=1e-3)
    assert once == pytest.approx(54.4e9, rel=0.01)
    assert step == pytest.approx((94.3e9 - 61.1e9) / 5, rel=0.002)


def test_pretrained_weights_have_a_place():
    net = network()
    tensors = {
        key: torch.rand_like(value.float()) for key, value in net.encoder.state_dict().items()
    }
    load_encoder(net, tensors)
    assert torch.equal(net.encoder.layer4[2].conv3.weight, tensors["layer4.2.conv3.weight"])


@torch.no_grad()
def test_sizes_stay_free_in_an_export():
    class Small(torch.nn.Module):
        """Stands in for the encoder, which takes twenty seconds to export."""

        def __init__(self):
            super().__init__()
            self.convolve = torch.nn.Conv2d(3, 64, 1, stride=16)

        def forward(self, image):
            return [self.convolve(image)]

    class Refine(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = network(2)
            self.net.encoder = Small()

        def forward(self, image, mask):
            return self.net.step(image, self.net.initial_state(image, mask))[0]

    def example(batch, height, width):
        mask = torch.rand(batch, 2, height, width).softmax(dim=1)
        return torch.rand(batch, 3, height, width), mask

    free = dict.fromkeys((0, 2, 3), torch.export.Dim.DYNAMIC)
    refine = Refine()
    exported = torch.export.export(refine, example(2, 97, 131), dynamic_shapes=(free, free))
    other = example(3, 64, 200)
    torch.testing.assert_close(exported.module()(*other), refine(*other))
