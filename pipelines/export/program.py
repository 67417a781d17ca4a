"""The computation of a network with its normalisation, as a torch graph of free image sizes."""

import copy
import json
from dataclasses import asdict

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes

from pipelines.errors import PipelineError
from pipelines.models.weights import Model, WeightsCard, steps_taken


def metadata(model: Model, steps: int | None) -> dict[str, str]:
    """Returns what an exported file says of itself, by key: see the docs of `pipelines.export`."""
    return {
        "rurnet": json.dumps(asdict(model.card)),
        "steps": str(steps_taken([model], steps)),
        "digest": model.digest,
    }


def exported(model: Model, steps: int | None = None) -> ExportedProgram:
    """Returns the computation of the ONNX file as a torch graph with free image sizes.

    Args:
        model: The model to export; it is not changed.
        steps: Number of recurrent steps; None for as many as in training.

    Raises:
        NetworkError: The network does not take this number of steps.
    """
    network = _FromPixels(model.network, model.card, steps).cpu().eval()
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.GRU):
            network.set_submodule(name, _Gru(module))
    image = torch.zeros(2, model.network.in_channels, 48, 80)
    free = {"image": {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}}
    with (
        torch.no_grad(),
        # Otherwise the graph asserts what is true of this size only, such as sides above 1.
        symbolic_shapes.patch(backed_size_oblivious=True),  # type: ignore[attr-defined]
    ):
        return torch.export.export(network, (image,), dynamic_shapes=free)


class _FromPixels(nn.Module):
    """A network with normalisation before it and softmax after it."""

    def __init__(self, network: nn.Module, card: WeightsCard, steps: int | None) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.steps = steps
        self.mean = nn.Buffer(torch.tensor(card.mean)[:, None, None])
        self.std = nn.Buffer(torch.tensor(card.std)[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """[B, bands, H, W] to [B, foreground classes, H, W]."""
        logits: list[Tensor] = self.network((image - self.mean) / self.std, self.steps)
        return logits[-1].softmax(dim=1)[:, 1:]


class _Gru(nn.Module):
    """A GRU for sequences of any length; torch would unroll it to the length of the example."""

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        if gru.num_layers != 1 or not gru.bias:
            raise PipelineError("only a GRU of one layer, with biases, can be exported")
        self.batch_first = gru.batch_first
        self.bidirectional = gru.bidirectional
        self.weights = nn.ParameterList(weight for each in gru.all_weights for weight in each)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Like `nn.GRU`, for a batch of sequences with an initial state of zero."""
        if self.batch_first:
            inputs = inputs.transpose(0, 1)
        outputs, last = _gru(inputs, list(self.weights), self.bidirectional)
        return (outputs.transpose(0, 1) if self.batch_first else outputs), last


@torch.library.custom_op("rurnet::gru", mutates_args=())
def _gru(inputs: Tensor, weights: list[Tensor], bidirectional: bool) -> tuple[Tensor, Tensor]:
    """Runs a GRU over a whole sequence [L, B, C] as one operator, like the GRU of ONNX."""
    hidden = inputs.new_zeros(1 + bidirectional, inputs.shape[1], weights[1].shape[1])
    return torch.gru(inputs, hidden, weights, True, 1, 0.0, False, bidirectional, False)


@_gru.register_fake
def _(inputs: Tensor, weights: list[Tensor], bidirectional: bool) -> tuple[Tensor, Tensor]:
    length, batch, _ = inputs.shape
    directions, size = 1 + bidirectional, weights[1].shape[1]
    return (
        inputs.new_empty(length, batch, directions * size),
        inputs.new_empty(directions, batch, size),
    )
