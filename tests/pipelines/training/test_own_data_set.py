"""A data set that is added as docs/extending.md says, with a configuration of its own."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from pipelines.config.training import TrainingSettings, TrainRoads, WeightsName
from pipelines.datasets.examples import Example, TrainingData, checked_contents
from pipelines.inputs.discovery import aerial_input
from pipelines.inputs.opening import Reading
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling.sources import SceneSource
from pipelines.training.run import run_training
from tests.pipelines.training.small_runs import FEW

pytestmark = pytest.mark.usefixtures("_small_tiles")


class TrainDeepGlobe(TrainingSettings):
    """Train on DeepGlobe; write weights and a report."""

    PROTOCOLS = TrainRoads.PROTOCOLS
    HELD_OUT = 3

    data: Path = Path("deepglobe")
    output: Path = Path("runs/train-deepglobe")
    name: WeightsName = "deepglobe"


def deepglobe_data(config):
    """Every scene of the folder, to train on; none is tested."""
    examples = []
    for image in sorted((config.data / "train").glob("*_sat.tif")):
        label = image.with_name(image.name.replace("_sat.tif", "_mask.tif"))
        item = aerial_input(str(image), label, Reading())
        source = SceneSource(item)
        contents = partial(checked_contents, source, "road")
        examples.append(Example(source, item, item.name, contents))
    name = config.data.resolve().name
    return TrainingData("roads", (name,), ("background", "road"), [examples], "test", [])


@pytest.fixture
def deepglobe(roads, tmp_path):
    """The drawn scenes in a layout of their own."""
    folder = tmp_path / "deepglobe"
    (folder / "train").mkdir(parents=True)
    for kind, ending in (("sat", "sat"), ("map", "mask")):
        for path in (roads / "train" / kind).iterdir():
            shutil.copy(path, folder / "train" / f"{path.stem}_{ending}.tif")
    return folder


@pytest.mark.parametrize("folds", [0, 3])
def test_a_data_set_of_ones_own_is_trained_on(deepglobe, tmp_path, folds):
    told = {**FEW, "held_out": None} if folds else FEW
    config = TrainDeepGlobe(
        **told, iterations=2, folds=folds, data=deepglobe, output=tmp_path / "out"
    )
    result = run_training(config, deepglobe_data(config), Silence())
    assert result.failed == []
    assert result.report.scenes[0].scores is not None
    card = load(str(result.weights)).card
    assert (card.task, card.training["data"]) == ("roads", ["deepglobe"])
    assert len({*card.training["images"], *card.training["held_out"]}) == 3
