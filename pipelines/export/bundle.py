"""A network as a MONAI bundle, which `python -m monai.bundle run` executes without this package."""

import json
import shutil
import uuid
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pipelines.errors import PipelineError
from pipelines.export.bundle_configs import inference_config, metadata_config
from pipelines.export.check import SIDE, Exported, check
from pipelines.export.program import exported, metadata
from pipelines.export.program_file import save_program
from pipelines.models.weights import Model
from pipelines.runtime.disk import refusals_named

SUFFIX = ".bundle"

_PILLOW_MODES = {1: "L", 3: "RGB"}

_BYTES = (0.0, 255.0)
"""Values of black and white in the images that a bundle reads."""


def export_bundle(model: Model, path: Path, *, steps: int | None = None) -> float:
    """Writes a network and its weights as a MONAI bundle, if it gives what it gives here.

    Args:
        model: The model to export; it is not changed.
        path: A folder with a name in `.bundle`, not there yet; the folder around it is created.
        steps: Number of recurrent steps; None for as many as in training.

    Returns:
        The largest difference from our own probabilities, see `check`.

    Raises:
        PipelineError: The path has another suffix, is there already or cannot be written; MONAI
            cannot run this network; or the difference is too large.
        NetworkError: The network does not take this number of steps.
    """
    if path.suffix != SUFFIX:
        raise PipelineError(f"{path}: give a folder name that ends in {SUFFIX}")
    if path.exists():
        raise PipelineError(f"{path}: is there already; remove it or give another name")
    if any(isinstance(module, nn.GRU) for module in model.network.modules()):
        raise PipelineError(
            f"{path}: {model.card.network} contains a GRU, which a bundle cannot run for images of "
            "any size; export to .onnx instead"
        )
    bands = len(model.card.mean)
    if bands not in _PILLOW_MODES:
        raise PipelineError(
            f"{path}: a bundle reads images of 1 or 3 bands, and {model.name} takes {bands}; "
            "export to .pt2 or .onnx instead"
        )
    if (ends := model.card.value_range) is not None and ends != _BYTES:
        low, high = ends
        raise PipelineError(
            f"{path}: a bundle reads images of 8 bits, with black as 0 and white as 255, and for "
            f"{model.name} they are {low:g} and {high:g}; export to .pt2 or .onnx instead, and "
            "scale the pixels yourself"
        )
    program = exported(model, steps)
    with refusals_named(path, "free some space or give another folder"):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            for name in ("configs", "models"):
                (partial / name).mkdir(parents=True)
            save_program(program, partial / "models" / "model.pt2", metadata(model, steps))
            _write_json(
                partial / "configs" / "inference.json",
                inference_config(_PILLOW_MODES[bands], model.network.classes),
            )
            _write_json(
                partial / "configs" / "metadata.json",
                metadata_config(model, metadata(model, steps), _versions()),
            )
            difference = check(path, model, steps, _loaded(partial))
            partial.rename(path)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return difference


def _loaded(folder: Path) -> Exported:
    """Returns what runs the network of a bundle on a tile of `SIDE`, by way of MONAI."""
    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config(folder / "configs" / "inference.json")
    parser["bundle_root"] = str(folder)
    parser["tile"] = SIDE  # A larger one would be filled up by reflection.
    inferer = parser.get_parsed_content("inferer")
    network = parser.get_parsed_content("network_def")

    def run(image: NDArray[np.float32]) -> NDArray[np.float32]:
        probability: NDArray[np.float32] = inferer(torch.from_numpy(image), network).numpy()
        return probability

    return run


def _versions() -> dict[str, str]:
    names = {"monai": "monai", "pytorch": "torch", "numpy": "numpy", "pillow": "pillow"}
    return {name: version(package).split("+")[0] for name, package in names.items()}


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
