"""Every network is trained by the same command, and can learn two real tiles by heart."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter
from torch.nn import functional

from pipelines.config.training import TrainDrive
from pipelines.datasets.fundus import fundus_samples
from pipelines.datasets.synthetic import write_drive_folder
from pipelines.models.weights import load
from pipelines.results.progress import Silence
from pipelines.sampling.fundi import load_fundus
from pipelines.sampling.transforms import Normalised
from pipelines.training.run import train_vessels
from rurnet import NETWORKS
from rurnet.loss import multi_step_loss

CHASE = Path(__file__).parents[4] / "shared" / "data" / "chase_db1"
SIDE = 64
LEARNED = 0.9
ITERATIONS = 400

WITHOUT_NORM = ("refinenet", "reseg")
"""Their convolutions or recurrent layers are not normalised: they need smaller steps."""

WIDER = {"reseg": {"width": 16, "units": 32}}
"""More than a test of shapes needs."""

ZOOM = {"canvas": 4}
"""A canvas at 1/16 cannot draw a vessel of three pixels: it is shown fewer, larger ones."""

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def tiles():
    """Two tiles around the widest vessels of two photographs: image [2, 3, s, s], label."""
    images, labels = [], []
    for sample in fundus_samples(CHASE, "train")[:4:2]:
        arrays = load_fundus(sample)
        wide = uniform_filter((arrays["label"][0] == 1).astype(float), 24)
        row, column = np.unravel_index(wide.argmax(), wide.shape)
        half = SIDE // 2
        rows, columns = slice(row - half, row + half), slice(column - half, column + half)
        pixels = arrays["image"].reshape(3, -1)
        normalise = Normalised(tuple(pixels.mean(axis=1)), tuple(pixels.std(axis=1)))
        images.append(normalise(arrays)["image"][:, rows, columns].astype(np.float32))
        labels.append(arrays["label"][0, rows, columns])
    assert all(0.05 < label.mean() < 0.7 for label in labels)
    return torch.from_numpy(np.stack(images)), torch.from_numpy(np.stack(labels))


def f1(logits, labels):
    found, there = logits.argmax(dim=1) == 1, labels == 1
    return float(2 * (found & there).sum() / (found.sum() + there.sum()))


def zoomed(image, labels, factor):
    """The middle of the tiles, enlarged to their size."""
    side = SIDE // factor
    middle = slice((SIDE - side) // 2, (SIDE + side) // 2)
    repeated = labels[:, middle, middle].repeat_interleave(factor, 1).repeat_interleave(factor, 2)
    size = (SIDE, SIDE)
    return functional.interpolate(image[..., middle, middle], size, mode="bilinear"), repeated


@pytest.mark.skipif(not CHASE.is_dir(), reason=f"no CHASE_DB1 at {CHASE}")
@pytest.mark.parametrize("name", NETWORKS)
def test_two_real_tiles_are_learned_by_heart(narrow, tiles, name):
    image, labels = zoomed(*tiles, ZOOM.get(name, 1))
    net = narrow(name, **WIDER.get(name, {})).train()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3 if name in WITHOUT_NORM else 5e-3)
    reached = []
    for _ in range(ITERATIONS):
        logits = net(image)
        reached.append(f1(logits[-1], labels))
        if reached[-1] >= LEARNED:
            break
        optimizer.zero_grad()
        multi_step_loss(logits, labels, alpha=net.alpha).backward()
        optimizer.step()
    assert max(reached) >= LEARNED


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    """A drawn folder in DRIVE's layout."""
    return write_drive_folder(tmp_path_factory.mktemp("drive"), train=2, test=1)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_training_ends_with_weights_that_predict(drive, tmp_path, narrow_arguments, name):
    config = TrainDrive(
        data=[drive], output=tmp_path, model=name, network_arguments=narrow_arguments(name),
        iterations=2, crop_sizes=[64], batch_pixels=8192, held_out=[1], scorings=1, workers=0,
    )  # fmt: skip
    result = train_vessels(config, Silence())
    assert load(str(result.weights)).card.network == name
    assert result.failed == []
    assert result.report.pooled.pixels > 0
