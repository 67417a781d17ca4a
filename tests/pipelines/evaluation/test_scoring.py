"""Rasters on disk counted window by window, against the whole of them at once."""

import numpy as np
import pytest

from pipelines.config.scoring import ScoringSettings
from pipelines.errors import LabelError
from pipelines.evaluation.scoring import as_levels, count, score
from pipelines.inputs.labels import Labelling, open_label
from pipelines.results.levels import open_levels
from pipelines.scores.counts import IGNORE_INDEX, Counter
from pipelines.scores.relaxed import Disc
from pipelines.scores.topology import TopologyCounts
from tiling.blend import NODATA, TOP
from tiling.errors import SceneError
from tiling.window import Window

HEIGHT, WIDTH = 90, 110
WHOLE = Window(0, 0, HEIGHT, WIDTH)
PLAIN = ScoringSettings(topology=False)
ARRAYS = ("strict", "near", "reached", "confusion")


def smooth(seed, bands=1):
    """Random numbers 0 to 1 that neighbours share, a bit of noise on them [bands, h, w]."""
    random = np.random.default_rng(seed)
    coarse = random.random((bands, HEIGHT // 10, WIDTH // 10))
    return np.kron(coarse, np.ones((10, 10))) * 0.8 + random.random((bands, HEIGHT, WIDTH)) * 0.2


@pytest.fixture
def rasters(write_raster, tmp_path):
    """Levels [classes - 1, h, w] and label [h, w], which leave out pixels, and their files."""

    def make(classes=2, seed=1, name="scene", hole=np.s_[40:60, 60:90]):
        levels = np.rint(smooth(seed, classes - 1) / (classes - 1) * TOP).astype(np.uint8)
        levels[:, 20:45, 30:70] = NODATA
        label = (smooth(seed + 50)[0] * 1.1 * classes).astype(np.uint8).clip(0, classes - 1)
        label[hole] = 9
        on_disk = (
            write_raster(tmp_path / f"{name}.tif", levels, nodata=NODATA),
            write_raster(tmp_path / f"{name}-label.tif", label[None]),
        )
        return levels, np.where(label == 9, IGNORE_INDEX, label).astype(np.uint8), *on_disk

    return make


def at_once(levels, label, rho, *, graded=True):
    """Counts of the whole arrays."""
    counter = Counter(len(levels) + 1, Disc(rho))
    counter.add(levels, label, WHOLE, WHOLE)
    return counter.counts(None, graded=graded)


NAMES = ("road", "rail", "path")


def counted(raster, label, settings=PLAIN, classes=2, **options):
    with (
        open_levels(raster, "probability", (0, TOP), NAMES[: classes - 1], **options) as levels,
        open_label(label, Labelling(classes, ignore=(9,))) as drawn,
    ):
        return count([levels], drawn, None, settings).counts


def assert_same(found, expected):
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert found.rho == expected.rho
    assert found.graded == expected.graded


@pytest.mark.parametrize("rho", [0.0, 1.5, 3.0])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("side", [37, 2048])
def test_windows_count_what_the_whole_does(rasters, monkeypatch, rho, classes, side):
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", side)
    levels, label, raster, drawn = rasters(classes)
    settings = ScoringSettings(topology=False, rho=rho)
    assert_same(counted(raster, drawn, settings, classes), at_once(levels, label, rho))


def test_every_pixel_that_is_there_in_both_counts_once(rasters, monkeypatch):
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 37)
    levels, label, raster, drawn = rasters()
    there = (levels[0] != NODATA) & (label != IGNORE_INDEX)
    counts = counted(raster, drawn)
    assert counts.strict.sum() == counts.confusion.sum() == there.sum() < there.size
    assert counts.confusion[1].sum() == (label[there] == 1).sum()


def test_outside_a_field_nothing_counts(rasters):
    levels, label, raster, drawn = rasters()
    field = smooth(5)[0] > 0.4
    within = np.where(field, levels, NODATA)
    assert_same(counted(raster, drawn, field=field), at_once(within, label, 3.0))


def test_a_mask_counts_as_ungraded(write_raster, rasters, tmp_path):
    levels, label, _, drawn = rasters()
    mask = np.where(levels == NODATA, NODATA, levels > 127).astype(np.uint8)
    path = write_raster(tmp_path / "mask.tif", mask, nodata=NODATA)
    with open_levels(path) as masked, open_label(drawn, Labelling(ignore=(9,))) as of:
        found = count([masked], of, None, PLAIN).counts
    hard = np.where(mask == NODATA, NODATA, mask * TOP).astype(np.uint8)
    assert_same(found, at_once(hard, label, 3.0, graded=False))


# Topology.


def test_topology_is_counted_only_where_it_is_asked_for(rasters):
    _, _, raster, drawn = rasters()
    assert counted(raster, drawn).topology is None
    assert counted(raster, drawn, ScoringSettings()).topology is not None


@pytest.fixture
def components(write_raster, tmp_path):
    """Counts components of levels and label [h, w] at a threshold."""

    def counts(levels, label, threshold=0.5):
        raster = write_raster(tmp_path / "levels.tif", levels[None], nodata=NODATA)
        drawn = write_raster(tmp_path / "label.tif", label.astype(np.uint8)[None])
        found = counted(raster, drawn, ScoringSettings(threshold=threshold)).topology
        topology = TopologyCounts(*found)
        return topology.components, topology.label_components

    return counts


def bars(*levels):
    """Bars from left to right, each of a level [h, w]."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for row, level in enumerate(levels):
        pixels[20 * row + 20 : 20 * row + 23, 10:100] = level
    return pixels


def test_topology_is_of_the_mask_at_the_chosen_threshold(components):
    levels = bars(200, 127, 126)
    for threshold, count_of in ((0.3, 3), (126 / TOP, 3), (0.5, 2), (128 / TOP, 1), (0.9, 0)):
        assert components(levels, levels > 0, threshold) == (count_of, 3)


@pytest.mark.parametrize("left_out_by", ["prediction", "label"])
def test_what_does_not_count_is_in_neither_topology(components, left_out_by):
    levels, label = bars(200, 200), (bars(1, 1) > 0).astype(np.uint8)
    pixels, value = (levels, NODATA) if left_out_by == "prediction" else (label, 9)
    pixels[35:] = value
    for column in (40, 70):
        pixels[15:30, column : column + 9] = value  # Cuts the bar that is left.
    assert components(levels, label) == (3, 3)


# A scene with all that belongs to it.


@pytest.fixture
def written(rasters):
    """Files of three steps, their levels, and two observers' labels with their files."""
    arrays, files = {}, {}
    for step in (1, 2, 3):
        levels, _, path, _ = rasters(seed=step, name=f"probability-step{step}")
        arrays[step], files[f"probability-step{step}"] = levels, path
    files["probability"] = files["probability-step3"]
    _, label, _, first = rasters(seed=11, name="first")
    _, other, _, second = rasters(seed=12, name="second", hole=np.s_[70:, :50])

    return files, arrays, ((label, first), (other, second))


def scored(files, first, second=None, progress=lambda windows: None):
    def opened(path):
        return open_levels(path, "probability", (0, TOP))

    labelling = Labelling(ignore=(9,))
    with open_label(first, labelling) as label, open_label(second, labelling) as other:
        return score(files, opened, label, other, PLAIN, progress)


def test_every_step_that_was_kept_is_scored_and_the_last_is_the_prediction(written):
    files, arrays, ((label, first), _) = written
    scores = scored(files, first)
    assert len(scores.steps) == 3
    for step, counts in enumerate(scores.steps, start=1):
        assert_same(counts, at_once(arrays[step], label, 3.0))
    assert scores.counts is scores.steps[-1]
    assert scores.second is None


def test_without_steps_the_prediction_alone_is_scored(written):
    files, arrays, ((label, first), _) = written
    scores = scored({"probability": files["probability-step2"]}, first)
    assert scores.steps == ()
    assert_same(scores.counts, at_once(arrays[2], label, 3.0))


def test_the_second_observer_counts_where_the_prediction_and_both_labels_do(written):
    files, arrays, ((label, first), (other, second)) = written
    scores = scored(files, first, second)
    there = (other != IGNORE_INDEX) & (arrays[3][0] != NODATA)
    drawn = np.where(there, (other == 1) * TOP, NODATA)[None].astype(np.uint8)
    assert_same(scores.second, at_once(drawn, label, 3.0, graded=False))
    assert scores.second.strict.sum() == (there & (label != IGNORE_INDEX)).sum()


def test_what_was_drawn_as_levels_leaves_out_what_either_does():
    within = np.full((2, 2, 4), 50, np.uint8)
    within[:, 0] = NODATA
    levels = as_levels(np.array([[0, 1, 2, IGNORE_INDEX]] * 2, np.uint8), within)
    assert levels.dtype == np.uint8
    assert (levels[:, 0] == NODATA).all()
    assert levels[:, 1].tolist() == [[0, TOP, 0, NODATA], [0, 0, TOP, NODATA]]


def test_every_window_is_told_once_for_each_raster(written, monkeypatch):
    monkeypatch.setattr("pipelines.evaluation.scoring.AT_ONCE", 37)
    files, _, ((_, first), (_, second)) = written
    done = []
    scored(files, first, second, done.append)
    windows = 3 * 3
    assert sum(done) == 4 * windows  # Three steps and the second observer.


def test_a_label_with_a_value_that_is_no_class_is_an_error(rasters):
    _, _, raster, drawn = rasters(3)
    with (
        open_levels(raster, "probability", (0, TOP), NAMES[:2]) as levels,
        open_label(drawn, Labelling(3)) as label,
        pytest.raises(LabelError, match="value 9 is no class"),
    ):
        count([levels], label, None, PLAIN)


def test_a_raster_that_is_cut_off_is_an_error_that_names_it(rasters):
    _, _, raster, drawn = rasters()
    raster.write_bytes(raster.read_bytes()[:3000])
    with pytest.raises(SceneError, match=r"scene\.tif"):
        counted(raster, drawn)
