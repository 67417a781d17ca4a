"""From a scene and weights to `probability.tif` and `mask.tif`.

Imports neither lightning, monai, dask, matplotlib nor prefect.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from pipelines.config import PredictionSettings
from pipelines.errors import PipelineError
from pipelines.weights import Model
from tiling.blend import TOP, quantise
from tiling.grid import Grid
from tiling.scene import Scene
from tiling.sink import RasterSink
from tiling.stitch import stitch


@dataclass(frozen=True)
class Prediction:
    """What came of a scene.

    Attributes:
        probability: Levels 0 to 254, nodata 255.
        mask: 0 and 1, nodata 255.
        tiles: Tiles of the scene's grid.
        seconds: Wall time.
    """

    probability: Path
    mask: Path
    tiles: int
    seconds: float


class NetworkPredictor:
    """Normalises tiles and runs the network on them; a `tiling.stitch.TilePredictor`.

    A tile's bits must not depend on how tiles fell into batches. A batch of one takes another
    path through the convolutions; and on a CPU group norm's sums are shared out among the
    threads, so that a tile on the border of two shares is summed in two pieces. So a batch is
    filled up, by repeating its last tile, to a multiple of the threads: then every tile is whole
    in one share.

    Args:
        model: Network and normalisation.
        steps: Recurrent steps; None for the network's own.
        device: Where it runs.

    Attributes:
        multiple: Batches whose size divides by this are not filled up; at least 2.
    """

    def __init__(self, model: Model, steps: int | None, device: torch.device) -> None:
        self.classes = model.network.classes - 1
        self.steps = steps
        self.device = device
        self.multiple = max(2, torch.get_num_threads()) if device.type == "cpu" else 2
        self.network = model.network.to(device).channels_last()
        self._mean = torch.tensor(model.card.mean, device=device)[:, None, None]
        self._std = torch.tensor(model.card.std, device=device)[:, None, None]

    @torch.inference_mode()
    def __call__(self, pixels: NDArray[np.uint8], valid: NDArray[np.bool_]) -> NDArray[np.uint16]:
        """See `tiling.stitch.TilePredictor`."""
        count = len(pixels)
        if lacking := -count % self.multiple:
            pixels = np.concatenate([pixels, np.repeat(pixels[-1:], lacking, axis=0)])
            valid = np.concatenate([valid, np.repeat(valid[-1:], lacking, axis=0)])
        image = torch.from_numpy(pixels).to(self.device).float()
        there = torch.from_numpy(valid).to(self.device)[:, None]
        # Missing pixels become 0: the training mean.
        image = ((image - self._mean) / self._std) * there
        image = image.contiguous(memory_format=torch.channels_last)
        logits = self.network(image, self.steps)[-1][:count]
        foreground = logits.float().softmax(dim=1)[:, 1:]
        return quantise(foreground.cpu().numpy())


def choose_device(name: str) -> torch.device:
    """The device a name stands for; "auto" is the first GPU, or else the CPU.

    Raises:
        PipelineError: No such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        first = str(error).splitlines()[0]
        raise PipelineError(
            f"device {name}: not usable here ({first}); give --device auto"
        ) from error
    return device


def predict_scene(
    scene: Scene,
    model: Model,
    predictor: NetworkPredictor,
    folder: Path,
    settings: PredictionSettings,
    progress: Callable[[int], None] = lambda tiles: None,
) -> Prediction:
    """Predicts one scene and writes its two rasters.

    Args:
        scene: Where pixels come from.
        model: What the tags of the rasters say was used.
        predictor: The model's network on its device; shared by the scenes of a run.
        folder: Where the rasters go.
        settings: What the prediction depends on.
        progress: Told how many tiles were done, each time some were.

    Raises:
        SceneError: The scene cannot be read.
        SinkError: The rasters cannot be written.
    """
    start = time.perf_counter()
    grid = _grid(scene, settings)
    parts = grid.parts(settings.part_size)
    tags = {
        "RURNET_VERSION": version("rurnet"),
        "RURNET_MODEL": model.name,
        "RURNET_WEIGHTS_SHA256": model.digest,
        "RURNET_STEPS": str(settings.steps or model.network.steps),
        "RURNET_TILE": str(settings.tile),
        "RURNET_OVERLAP": str(settings.overlap),
        "RURNET_THRESHOLD": str(settings.threshold),
    }
    sink = RasterSink(folder, scene, model.card.classes[1:], tags)
    with sink.collecting():
        batch = settings.batch + -settings.batch % predictor.multiple
        done = stitch(scene, grid, parts, predictor, batch=batch, progress=progress)
        for part, levels in done:
            sink.write(part, levels)
        probability, mask = sink.finish(parts, threshold_level(settings.threshold))
    return Prediction(probability, mask, grid.tile_count, time.perf_counter() - start)


def tiles_to_predict(scene: Scene, settings: PredictionSettings) -> int:
    """Tiles that the network sees: those of the grid, at part borders once for each part."""
    grid = _grid(scene, settings)
    return sum(1 for part in grid.parts(settings.part_size) for _ in grid.tiles(part))


def _grid(scene: Scene, settings: PredictionSettings) -> Grid:
    return Grid(scene.height, scene.width, settings.tile, settings.overlap)


def threshold_level(threshold: float) -> int:
    """The level from which on a pixel is foreground: 127 for a probability of 0.5."""
    return max(1, int(np.ceil(threshold * TOP - 1e-9)))
