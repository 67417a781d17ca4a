"""A network as a `.pt2` file, which `torch.export.load` reads without this package."""

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.export import ExportedProgram

from pipelines.errors import PipelineError
from pipelines.export.check import Exported, check
from pipelines.export.program import exported, metadata
from pipelines.models.weights import Model
from pipelines.runtime.disk import refusals_named
from tiling.disk import appearing

SUFFIX = ".pt2"


def export_program(model: Model, path: Path, *, steps: int | None = None) -> float:
    """Writes a network and its weights as a torch program, if it gives what it gives here.

    Args:
        model: The model to export; it is not changed.
        path: A name in `.pt2`. Its folder is created, and an existing file is replaced.
        steps: Number of recurrent steps; None for as many as in training.

    Returns:
        The largest difference from our own probabilities, see `check`.

    Raises:
        PipelineError: The path has another suffix or cannot be written, or the difference is too
            large.
        NetworkError: The network does not take this number of steps.
    """
    if path.suffix != SUFFIX:
        raise PipelineError(f"{path}: give a file name that ends in {SUFFIX}")
    if path.is_dir():
        raise PipelineError(f"{path}: is a folder; give the name of a file in it")
    program = exported(model, steps)
    with refusals_named(path, "free some space or give another file"):
        path.parent.mkdir(parents=True, exist_ok=True)
        with appearing(path) as partial:
            save_program(program, partial, metadata(model, steps))
            return check(path, model, steps, load_program(partial))


def save_program(program: ExportedProgram, path: Path, metadata: dict[str, str]) -> None:
    """Writes a program with its metadata as extra files."""
    for node in program.graph.nodes:
        # The origin of each node: paths on this machine, more text than the graph.
        node.meta.pop("stack_trace", None)
    with path.open("wb") as file:
        torch.export.save(program, file, extra_files=dict(metadata))


def load_program(path: Path) -> Exported:
    """Returns what runs the program in a file."""
    with path.open("rb") as file:
        network = torch.export.load(file).module()

    @torch.inference_mode()
    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        probability: NDArray[np.float32] = network(torch.from_numpy(image)).numpy()
        return probability

    return run
