"""A network as an `.onnx` file, which works without torch."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.errors import PipelineError
from pipelines.export.check import Exported, check
from pipelines.export.program import exported, metadata
from pipelines.models.weights import Model
from pipelines.runtime.disk import refusals_named
from tiling.disk import appearing

SUFFIX = ".onnx"


_OPSET = 18
"""The oldest opset that torch exports to, supported by the most runtimes."""


_FLOAT = 1
"""The number of the type float32 in ONNX."""


def export_onnx(model: Model, path: Path, *, steps: int | None = None) -> float | None:
    """Writes a network and its weights as ONNX, if it gives what it gives here.

    Args:
        model: The model to export; it is not changed.
        path: A name in `.onnx`. Its folder is created, and an existing file is replaced.
        steps: Number of recurrent steps; None for as many as in training.

    Returns:
        The largest difference from our own probabilities, see `check`; None where there is no
        onnxruntime to run the file with.

    Raises:
        PipelineError: onnx is not installed, the path has another suffix or cannot be written, or
            the difference is too large.
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
    program.model.metadata_props.update(metadata(model, steps))
    with refusals_named(path, "free some space or give another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as partial:
            program.save(partial, external_data=False)
            run = _loaded(partial)
            return None if run is None else check(path, model, steps, run)


def _loaded(path: Path) -> Exported | None:
    """Returns what runs the network in a file; None without onnxruntime."""
    try:
        from onnxruntime import InferenceSession
    except ImportError:
        return None
    session = InferenceSession(path, providers=["CPUExecutionProvider"])

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        probability: NDArray[np.float32] = session.run(["probability"], {"image": image})[0]
        return probability

    return run


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
