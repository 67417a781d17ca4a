"""From settings and training images to what is trained."""

import numpy as np
import pytest
import torch

from pipelines.config.training import TrainRoads
from pipelines.datasets.massachusetts import RoadPair
from pipelines.errors import PipelineError, WeightsError
from pipelines.models.weights import load
from pipelines.sampling.sources import SceneSource
from pipelines.sampling.statistics import contents_of
from pipelines.training.objective import objective_of
from rurnet import NetworkError, create
from rurnet.encoders.vgg import VGG16

SIDE = 40


@pytest.fixture(scope="module")
def sources(tmp_path_factory, write_raster):
    """Two scenes: one with a road of four rows and ten missing pixels, one without a road."""
    folder = tmp_path_factory.mktemp("scenes")
    made = []
    for number, rows in enumerate((4, 0)):
        pixels = np.random.default_rng(number).integers(1, 250, (3, SIDE, SIDE)).astype(np.uint8)
        valid = np.ones((SIDE, SIDE), bool)
        valid[-1, :10] = number == 1
        label = np.zeros((1, SIDE, SIDE), np.uint8)
        label[0, :rows] = 255
        image = write_raster(folder / f"{number}.tif", pixels, nodata_kind="nodata", valid=valid)
        truth = write_raster(folder / f"{number}_label.tif", label)
        made.append(SceneSource(RoadPair(str(number), image, truth).scene_input()))
    return made


def objective(sources, **changed):
    images = [contents_of(source) for source in sources]
    return objective_of(TrainRoads(**changed), "roads", 2, images)


def test_pixels_are_counted_by_class_without_those_that_are_missing(sources):
    assert contents_of(sources[0]).classes.tolist() == [36 * SIDE - 10, 4 * SIDE]
    assert contents_of(sources[1]).classes.tolist() == [SIDE * SIDE, 0]


def test_median_frequency_counts_a_class_in_the_images_that_have_it(sources):
    road = 4 * SIDE / (SIDE * SIDE - 10)
    ground = (76 * SIDE - 10) / (2 * SIDE * SIDE - 10)
    median = (road + ground) / 2
    weights = objective(sources, foreground_weight="median").class_weights
    assert weights == pytest.approx((median / ground, median / road), rel=1e-3)


def test_a_number_weighs_the_foreground(sources):
    assert objective(sources, foreground_weight=1.7).class_weights == (1.0, 1.7)


def test_the_networks_arguments_are_those_given_and_its_own_steps_otherwise(sources):
    given = {"hidden-channels": 16, "mask-fed-back": False}
    arguments = objective(sources, network_arguments=given, steps=5).arguments
    assert arguments == {
        "in_channels": 3, "classes": 2, "steps": 5, "hidden_channels": 16, "mask_fed_back": False,
    }  # fmt: skip
    assert create("dru-4", **arguments).steps == 5


def test_channels_of_the_levels_are_numbers_with_commas(sources):
    given = {"channels": "4,8,16"}
    arguments = objective(sources, model="unet-gn", network_arguments=given).arguments
    assert arguments["channels"] == [4, 8, 16]
    assert create("unet-gn", **arguments).multiple == 4


def test_what_a_networks_authors_train_with_is_noted(sources):
    narrow = {"width": 4}
    canvas = objective(sources, model="canvas", network_arguments=narrow)
    assert (canvas.arguments["steps"], canvas.alpha) == (6, 0)
    dru = objective(sources)
    assert (dru.arguments["steps"], dru.alpha) == (3, 0.4)
    assert objective(sources, alpha=1.0, steps=2).alpha == 1
    assert "steps" not in objective(sources, model="unet-gn").arguments


def test_a_one_shot_network_takes_no_steps(sources):
    with pytest.raises(PipelineError, match="unet-gn: a one-shot network has one step"):
        objective(sources, model="unet-gn", steps=3)


def test_it_starts_from_shipped_weights_on_their_scale(sources):
    found = objective(sources, start_from="roads-dru4", steps=4)
    model = load("roads-dru4")
    assert found.mean == model.card.mean
    assert found.arguments["steps"] == 4
    assert found.earlier == model.card.training
    own = model.network.state_dict()
    assert all(torch.equal(found.start[key], own[key]) for key in own)


@pytest.mark.parametrize(("bands", "classes"), [(3, 3), (4, 2)])
def test_weights_of_other_bands_or_classes_are_no_start(
    sources, fresh_weights, tmp_path, bands, classes
):
    names = ("background", "road", "path")[:classes]
    path = fresh_weights(tmp_path / "other.safetensors", names, bands=bands)
    with pytest.raises(WeightsError) as caught:
        objective(sources, start_from=str(path))
    assert f"weights of {bands} bands and {classes} classes" in str(caught.value)
    assert "have 3 and 2" in str(caught.value)


def test_arguments_that_weights_do_not_go_with_are_refused(sources):
    with pytest.raises(WeightsError, match="leave --network-arguments out"):
        objective(sources, start_from="roads-dru4", network_arguments={"hidden_channels": 16})


def encoder_file(path, width=4):
    """What torchvision would save, of fewer channels."""
    torch.manual_seed(4)
    tensors = VGG16(width=width).state_dict()
    torch.save({**tensors, "classifier.6.bias": torch.zeros(1000)}, path)
    return tensors


@pytest.mark.parametrize("model", ["unet-vgg16", "dru-vgg16", "reseg"])
def test_an_encoder_starts_from_a_file(sources, tmp_path, model):
    tensors = encoder_file(tmp_path / "vgg16.pth")
    start = objective(
        sources, model=model, network_arguments={"width": 4},
        encoder_weights=str(tmp_path / "vgg16.pth"),
    ).start  # fmt: skip
    prefix = "encoder." if model == "reseg" else "pyramid.encoder."
    own = {key.removeprefix(prefix): start[key] for key in start if key.startswith(prefix)}
    assert own
    for key, value in own.items():
        assert torch.equal(value[:, :3] if key == "features.0.weight" else value, tensors[key])
    if model == "dru-vgg16":
        assert own["features.0.weight"].shape[1] == 5
        assert not own["features.0.weight"][:, 3:].any()


@pytest.mark.parametrize(
    ("model", "width", "named"),
    [("dru-4", None, "no encoder"), ("unet-vgg16", 8, "features.0.weight"),
     ("unet-resnet50", 4, "conv1.weight")],
)  # fmt: skip
def test_weights_of_another_encoder_are_refused_naming_file_and_network(
    sources, tmp_path, model, width, named
):
    path = tmp_path / "vgg16.pth"
    encoder_file(path)
    arguments = {} if width is None else {"width": width}
    with pytest.raises(WeightsError) as caught:
        objective(sources, model=model, network_arguments=arguments, encoder_weights=str(path))
    assert all(part in str(caught.value) for part in (str(path), model, named))


def test_without_weights_nothing_is_started_from(sources):
    assert objective(sources, model="unet-vgg16").start is None


def test_an_unknown_argument_is_refused_by_name(sources, tmp_path):
    encoder_file(tmp_path / "vgg16.pth")
    with pytest.raises(NetworkError, match="depth"):
        objective(
            sources, model="unet-vgg16", network_arguments={"depth": 3},
            encoder_weights=str(tmp_path / "vgg16.pth"),
        )  # fmt: skip
