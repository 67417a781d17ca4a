"""`python -m pipelines.export WEIGHTS FILE.onnx`: writes a network as an ONNX file.

The file works without torch. It takes images of any batch size, height and width, and includes the
normalisation:

- input `image`, float32 [B, bands, H, W]: pixels on the 8-bit scale, 0 to 255. Set missing pixels
  to the mean of the training images (`mean` in the metadata).
- output `probability`, float32 [B, foreground classes, H, W], 0 to 1, after the last step.
- metadata `rurnet`: the metadata of the weights as JSON; `steps`: the number of steps; `digest`:
  the start of the weights file's SHA-256.
"""

import argparse
import copy
import json
import logging
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram
from torch.fx.experimental import _config as symbolic_shapes

from pipelines.errors import PipelineError
from pipelines.models.weights import Model, WeightsCard, load, steps_taken
from pipelines.runtime.disk import refusals_named
from rurnet.errors import RurnetError
from tiling.disk import appearing

SUFFIX = ".onnx"


KEY = "rurnet"
"""Key of the weights' metadata in the file's metadata."""


_OPSET = 18
"""The oldest opset that torch exports to, supported by the most runtimes."""


_FLOAT = 1
"""The number of the type float32 in ONNX."""


def export_onnx(model: Model, path: Path, *, steps: int | None = None) -> None:
    """Writes a network and its weights as ONNX. The file appears only when it is complete.

    Args:
        model: The model to export; it is not changed.
        path: A name in `.onnx`. Its folder is created, and an existing file is replaced.
        steps: Number of recurrent steps; None for as many as in training.

    Raises:
        PipelineError: onnx is not installed, or the path has another suffix or cannot be written.
        NetworkError: The network does not take this number of steps.
    """
    if path.suffix != SUFFIX:
        raise PipelineError(f"{path}: give a file name that ends in {SUFFIX}")
    if path.is_dir():
        raise PipelineError(f"{path}: is a folder; give the name of a file in it")
    try:
        import onnxscript
        from onnx_ir.passes.common import ClearMetadataAndDocStringPass
    except ImportError as error:
        raise PipelineError(
            f'onnx is not installed ({error}); pip install "rurnet[export]"'
        ) from error
    with warnings.catch_warnings():
        # torch's own code triggers this warning when it copies a graph.
        warnings.filterwarnings("ignore", "`isinstance.treespec", FutureWarning)
        program = torch.onnx.export(
            exported(model, steps),
            input_names=["image"],
            output_names=["probability"],
            opset_version=_OPSET,
            dynamo=True,
            verbose=False,
            custom_translation_table=_translations(onnxscript.opset18),
        )
    assert program is not None  # Only the old exporter returns None.
    # Removes the origin of each node: paths on this machine, more text than the graph.
    ClearMetadataAndDocStringPass()(program.model)
    program.model.metadata_props.update(
        {
            KEY: json.dumps(asdict(model.card)),
            "steps": str(steps_taken([model], steps)),
            "digest": model.digest,
        }
    )
    with refusals_named(path, "free some space or give another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as partial:
            program.save(partial, external_data=False)


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


def _translations(op: Any) -> dict[Callable[..., Any], Callable[..., Any]]:
    """Translations into ONNX of operators that torch translates wrongly or not at all."""

    def means(length: Any, count: int) -> Any:
        """Matrix [count, length] that averages a side into bins, as adaptive pooling does."""
        bins, one = range(count), op.Constant(value_ints=[1])
        start = op.Div(
            op.Mul(length, op.Constant(value_ints=[*bins])), op.Constant(value_int=count)
        )
        # Adding count - 1 before the division rounds (bin + 1) * length / count up.
        end = op.Mul(length, op.Constant(value_ints=[each + 1 for each in bins]))
        end = op.Add(end, op.Constant(value_int=count - 1))
        end = op.Div(end, op.Constant(value_int=count))
        zero, step = op.Constant(value_int=0), op.Constant(value_int=1)
        at = op.Range(zero, op.Squeeze(length), step)
        start, end = op.Unsqueeze(start, one), op.Unsqueeze(end, one)
        inside = op.And(op.GreaterOrEqual(at, start), op.Less(at, end))
        return op.Div(op.Cast(inside, to=_FLOAT), op.Cast(op.Sub(end, start), to=_FLOAT))

    def pooled(image: Any, sizes: Sequence[int]) -> Any:
        # torch's own translation fixes the bins for the size of the example.
        rows = means(op.Shape(image, start=2, end=3), sizes[0])
        columns = means(op.Shape(image, start=3, end=4), sizes[1])
        return op.MatMul(op.MatMul(rows, image), op.Transpose(columns, perm=[1, 0]))

    def gru(inputs: Any, weights: Sequence[Any], bidirectional: bool) -> Any:
        size = weights[1].shape[1]
        # torch orders the gates r, z, n, ONNX z, r, n. ONNX has a first axis for directions.
        rows = [*range(size, 2 * size), *range(size), *range(2 * size, 3 * size)]
        order, first = op.Constant(value_ints=rows), op.Constant(value_ints=[0])

        def reordered(kind: int) -> Any:
            ordered = [op.Gather(weight, order, axis=0) for weight in weights[kind::4]]
            return op.Concat(*(op.Unsqueeze(each, first) for each in ordered), axis=0)

        outputs, last = op.GRU(
            inputs,
            reordered(0),
            reordered(1),
            op.Concat(reordered(2), reordered(3), axis=1),
            direction="bidirectional" if bidirectional else "forward",
            hidden_size=size,
            linear_before_reset=1,
        )
        # [L, directions, B, size]
        together = op.Transpose(outputs, perm=[0, 2, 1, 3])
        return op.Reshape(together, op.Constant(value_ints=[0, 0, -1])), last

    return {
        torch.ops.aten.adaptive_avg_pool2d.default: pooled,
        torch.ops.rurnet.gru.default: gru,
    }


def main(called: str, words: Sequence[str]) -> None:
    """Reads the command line and writes the file.

    Args:
        called: How the command is typed, for its help and its errors.
        words: What was typed after that.
    """
    parser = argparse.ArgumentParser(
        called, description="Write a network and its weights as an ONNX file."
    )
    parser.add_argument(
        "weights", metavar="WEIGHTS", help="name of shipped weights (roads-dru4), or a weights file"
    )
    parser.add_argument("file", metavar="FILE.onnx", type=Path, help="file to write")
    parser.add_argument(
        "--steps", type=int, help="number of recurrent steps; by default as in training"
    )
    arguments = parser.parse_args(words)
    # They log hints on optional packages and on nodes that stay unsimplified.
    for name in ("torch.onnx", "onnxscript", "onnx_ir"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        export_onnx(load(arguments.weights), arguments.file, steps=arguments.steps)
    except (PipelineError, RurnetError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    print(f"{arguments.file}: {arguments.file.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main("python -m pipelines.export", sys.argv[1:])
