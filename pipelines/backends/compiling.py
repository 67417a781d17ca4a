"""Compiles a network's step for OpenVINO.

Run with `python -m`, it does what standard input asks for: `pipelines.backends.openvino` has that
done by a process of its own.
"""

import copy
import json
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pipelines.backends.openvino import FEATURES, REFUSED, ZEROS, Asked, config, openvino, run
from pipelines.backends.rearranged import rearrange
from pipelines.errors import PipelineError, shortened
from pipelines.models.outline import load_again
from pipelines.models.weights import Model
from rurnet.network import SegmentationNetwork, State

_BOUND = {"f32": 1e-4, "bf16": 2e-2}
"""By how much probabilities may differ from torch's, on average over a tile of noise."""


def compiled_step(model: Model, asked: Asked) -> bytes:
    """Compiles the step of a network for tiles of a size, and checks it.

    Args:
        model: The network; it is not changed.
        asked: What it is compiled for.

    Returns:
        What `openvino.Core.import_model` takes. Its inputs are the image, the mask and the hidden
        tensors, named for how these begin; its outputs the next mask and hidden tensors.

    Raises:
        PipelineError: OpenVINO cannot compute this network, or gives something else.
    """
    # Tensors of inference mode cannot be traced.
    with torch.inference_mode(False), torch.no_grad():
        try:
            graph = step_graph(model.network, asked)
            compiled = openvino().Core().compile_model(graph, "CPU", config(asked))
        except Exception as error:  # Many kinds, of torch and of OpenVINO.
            raise PipelineError(
                f"{model.name}: OpenVINO cannot compute this network "
                f"({shortened(error)}); give --backend eager"
            ) from error
        _check(compiled, model, asked)
    compiled.export_model(buffer := BytesIO())
    return buffer.getvalue()


def step_graph(network: SegmentationNetwork, asked: Asked) -> Any:
    """Returns one step as OpenVINO's graph; see `compiled_step`.

    Not by `openvino.convert_model`, which tells its makers of each use. The graphs of
    `pipelines.export` are for any size, and slower: they pad every image, if by nothing.
    """
    frontend = import_module("openvino.frontend").FrontEndManager()
    decoding = import_module("openvino.frontend.pytorch.ts_decoder")
    pytorch = frontend.load_by_framework("pytorch")
    step = _Step(network, paired=asked.backend.precision == "bf16")
    image = torch.zeros(1, network.in_channels, *asked.shape)
    inputs = (image, *_flat(network.initial_state(image)))
    with warnings.catch_warnings():
        # A size of tile is compiled for itself, so what is true of it may be taken for true.
        warnings.simplefilter("ignore")
        trace: Callable[..., Any] = torch.jit.trace  # It has no types.
        traced = trace(step, inputs, check_trace=False)
    decoder = decoding.TorchScriptPythonDecoder(traced)  # It must outlive the conversion.
    graph = pytorch.convert(pytorch.load(decoder))
    graph.reshape({at: list(part.shape) for at, part in enumerate(inputs)})
    begun = network.initial_state(_noise(network, asked)).hidden
    names = ["image", "mask", *(f"{_how(part)} {at}" for at, part in enumerate(begun))]
    for own, name in zip(graph.inputs, names, strict=True):
        own.get_tensor().set_names({name})
    return graph


def _check(compiled: Any, model: Model, asked: Asked) -> None:
    """Compares two steps on noise with torch's.

    Raises:
        PipelineError: They differ by more than rounding.
    """
    network = _plain(model.network)
    image = _noise(network, asked)
    state = theirs = network.initial_state(image)
    request = compiled.create_infer_request()
    for _ in range(1 if network.one_shot else 2):
        _, state = network.step(image, state)
        found = run(request, [part.numpy() for part in (image, *_flat(theirs))])
        mask, *hidden = (torch.from_numpy(part.copy()) for part in found)
        theirs = State(mask, tuple(hidden))
    difference = float((theirs.mask - state.mask).abs().mean())
    if not difference <= _BOUND[asked.backend.precision]:  # NaN is not.
        raise PipelineError(
            f"{model.name}: {asked.backend} gives other probabilities than torch, by "
            f"{difference:.2g} on average; give --backend eager"
        )


def _noise(network: SegmentationNetwork, asked: Asked) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(1, network.in_channels, *asked.shape, generator=generator)


def _how(begun: Tensor) -> str:
    """How a hidden tensor begins."""
    return FEATURES if begun.any() else ZEROS


def _flat(state: State) -> tuple[Tensor, ...]:
    return (state.mask, *state.hidden)


def _plain(network: nn.Module) -> Any:
    """A copy in torch's usual layout, in which its group norm is more exact."""
    plain = copy.deepcopy(network).cpu().eval()
    convert: Callable[..., Any] = plain.to  # The type annotations lack the memory format.
    return convert(memory_format=torch.contiguous_format)


class _Step(nn.Module):
    """A step of a network, on tensors alone; for `paired` see `rearrange`."""

    def __init__(self, network: SegmentationNetwork, *, paired: bool) -> None:
        super().__init__()
        self.network = _plain(network)
        rearrange(self.network, paired=paired)
        self.eval()

    def forward(self, image: Tensor, mask: Tensor, *hidden: Tensor) -> tuple[Tensor, ...]:
        """The next mask [B, classes, H, W] and hidden tensors."""
        _, state = self.network.step(image, State(mask, hidden))
        return _flat(state)


def main() -> None:
    """Does what is asked on standard input; a refusal is told on standard output."""
    asked = Asked.read(sys.stdin.read())
    try:
        model = load_again(asked.source, asked.digest)
        Path(asked.output).write_bytes(compiled_step(model, asked))
    except PipelineError as error:
        print(json.dumps(str(error)))
        sys.exit(REFUSED)


if __name__ == "__main__":
    main()
