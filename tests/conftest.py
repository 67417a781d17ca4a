"""Fixtures for all tests: tiny rasters, small networks, and random weights."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from pipelines.backends.choice import offered
from pipelines.config.inference import PredictionSettings
from pipelines.inference.predictor import predictor_for
from pipelines.inference.scene import predict_scene
from pipelines.inference.workers import ThisProcess
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models import weights
from pipelines.models.weights import Model, WeightsCard
from pipelines.results.outcome import Prediction, SceneOutcome
from pipelines.results.progress import Progress
from pipelines.runtime.device import device_kind
from rurnet.network import SegmentationNetwork
from rurnet.registry import create
from tiling.readers.raster import without_georeferencing_warning
from tiling.scenes.scene import Scene

# Helpers beside the tests say which values differ, too.
pytest.register_assert_rewrite("tests.flows", "tests.pipelines", "tests.tiling")

# On a busy machine two threads wait for each other, and a tile takes seconds.
torch.set_num_threads(1)

# The same examples every time, and no deadline: the machine may be busy.
settings.register_profile(
    "house",
    deadline=None,
    derandomize=True,
    max_examples=30,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("house")

ON_AN_ENCODER = (
    "unet-vgg16", "dru-vgg16", "unet-resnet50", "dru-resnet50", "deeplab-v3plus", "refinenet",
    "icnet", "canvas",
)  # fmt: skip
NARROW: dict[str, dict[str, int]] = {
    **{name: {"width": 8} for name in ON_AN_ENCODER},
    "reseg": {"width": 8, "units": 8},
}
"""Arguments that make the large networks small."""

NodataKind = Literal["nodata", "alpha", "mask", "none"]


class WriteRaster(Protocol):
    """Type of the fixture `write_raster`."""

    def __call__(
        self,
        path: Path,
        pixels: NDArray[np.generic],
        *,
        nodata_kind: NodataKind = "none",
        valid: NDArray[np.bool_] | None = None,
        crs: str | None = "EPSG:26986",
        transform: Affine | None = None,
        **profile: object,
    ) -> Path: ...


@pytest.fixture(scope="session")
def write_raster() -> WriteRaster:
    """Writes a tiny raster of pixels [C, h, w] and returns its path.

    `valid` [h, w] marks the pixels that are present. `nodata_kind` is how the file stores this: 0
    in every band, an alpha band, a mask band, or not at all.
    """

    def write(
        path: Path,
        pixels: NDArray[np.generic],
        *,
        nodata_kind: NodataKind = "none",
        valid: NDArray[np.bool_] | None = None,
        crs: str | None = "EPSG:26986",
        transform: Affine | None = None,
        **profile: object,
    ) -> Path:
        bands, height, width = pixels.shape
        valid = np.ones((height, width), bool) if valid is None else valid
        if crs is not None:
            profile |= {
                "crs": crs,
                "transform": transform or Affine(1.0, 0, 200_000.5, 0, -1.0, 900_000.25),
            }
        if nodata_kind == "nodata":
            pixels = np.where(valid, np.where(pixels == 0, 1, pixels), 0).astype(pixels.dtype)
            profile["nodata"] = 0
        if nodata_kind == "alpha":
            alpha = (valid * 255).astype(pixels.dtype)
            pixels = np.concatenate([pixels, alpha[None]])
        path.parent.mkdir(parents=True, exist_ok=True)
        options = {"driver": "GTiff", "dtype": pixels.dtype, "count": len(pixels)} | profile
        if options["driver"] == "GTiff":
            options.setdefault("photometric", "rgb" if bands == 3 else "minisblack")
        if nodata_kind == "alpha":
            options["alpha"] = "yes"
        with (
            without_georeferencing_warning(),
            rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True),
            rasterio.open(path, "w", height=height, width=width, **options) as raster,
        ):
            raster.write(pixels)
            if nodata_kind == "mask":
                raster.write_mask(valid)
        return path

    return write


class FreshWeights(Protocol):
    """Type of the fixture `fresh_weights`."""

    def __call__(
        self,
        path: Path,
        classes: tuple[str, ...] = ("background", "road"),
        *,
        network: str = "dru-4",
        bands: int = 3,
        seed: int = 7,
        **card: object,
    ) -> Path: ...


@pytest.fixture(scope="session")
def fresh_weights() -> FreshWeights:
    """Writes the random weights of an untrained network for roads and returns the path.

    They follow from `seed`. Other arguments change the metadata.
    """

    def write(
        path: Path,
        classes: tuple[str, ...] = ("background", "road"),
        *,
        network: str = "dru-4",
        bands: int = 3,
        seed: int = 7,
        **card: object,
    ) -> Path:
        arguments = {"in_channels": bands, "classes": len(classes)}
        if not network.startswith("unet"):
            arguments["steps"] = 3
        known = {
            "task": "roads", "mean": (120.0, 118.0, 110.0, 90.0)[:bands],
            "std": (50.0, 48.0, 52.0, 40.0)[:bands], "ground_sampling_distance": 1.0,
            "threshold": 0.5, "version": "0.1.0",
        }  # fmt: skip
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            made = create(network, **arguments)
        known |= {"network": network, "arguments": arguments, "classes": classes, **card}
        weights.save(path, made, WeightsCard(**known))
        return path

    return write


@pytest.fixture(scope="session")
def roads_weights(fresh_weights: FreshWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file for roads: untrained DRU(4), always the same."""
    return fresh_weights(tmp_path_factory.mktemp("weights") / "fresh-roads.safetensors")


@pytest.fixture(scope="session")
def vessels_weights(fresh_weights: FreshWeights, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A weights file for vessels: untrained DRU(4), always the same."""
    return fresh_weights(
        tmp_path_factory.mktemp("weights") / "fresh-vessels.safetensors", ("background", "vessel"),
        task="vessels", ground_sampling_distance=None,
    )  # fmt: skip


@pytest.fixture
def roads_model(roads_weights: Path) -> Model:
    """The model in `roads_weights`."""
    return weights.load(str(roads_weights))


class Predict(Protocol):
    """Type of the fixture `predict`."""

    def __call__(
        self,
        scene: Scene,
        models: Sequence[Model],
        settings: PredictionSettings,
        folder: Path,
        *,
        seen: Scene | None = None,
        png: bool = False,
        progress: Callable[[int], None] = lambda tiles: None,
    ) -> Prediction: ...


@pytest.fixture(scope="session")
def predict() -> Predict:
    """Predicts a scene into a folder, in one process."""

    def run(
        scene: Scene,
        models: Sequence[Model],
        settings: PredictionSettings,
        folder: Path,
        *,
        seen: Scene | None = None,
        png: bool = False,
        progress: Callable[[int], None] = lambda tiles: None,
    ) -> Prediction:
        predictor = partial(predictor_for, models, settings)
        workers = ThisProcess(device_kind(settings.device), predictor, offered(settings, "cpu"))
        opened = OpenedScene(scene, seen or scene, value_range=settings.value_ends)
        item = SceneInput(scene.name, folder.name, lambda: nullcontext(opened), png)
        return predict_scene(item, opened, models, settings, folder, workers, progress=progress)

    return run


@dataclass
class Told(Progress):
    """A `Progress` that records its calls."""

    expected: dict[str, int | None] = field(default_factory=dict)
    scenes: dict[str, int] = field(default_factory=dict)
    done: int = 0
    outcomes: list[SceneOutcome] = field(default_factory=list)

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        self.expected |= tiles

    def scene(self, name: str, tiles: int) -> None:
        self.scenes[name] = tiles

    def tiles(self, name: str, done: int) -> None:
        self.done += done

    def finished(self, outcome: SceneOutcome) -> None:
        self.outcomes.append(outcome)


@pytest.fixture
def told() -> Told:
    """Progress that records its calls."""
    return Told()


@pytest.fixture(scope="session")
def narrow_arguments() -> Callable[[str], dict[str, int]]:
    """Returns the arguments that make a large network small, by its name."""
    return lambda name: NARROW.get(name, {})


@pytest.fixture(scope="session")
def narrow() -> Callable[..., SegmentationNetwork]:
    """Builds a network by name from a fixed seed, large ones with few channels."""

    def build(name: str, *, seed: int = 3, **arguments: Any) -> SegmentationNetwork:
        torch.manual_seed(seed)
        return create(name, **{**NARROW.get(name, {}), **arguments})

    return build
