import numpy as np
import pytest
from scipy import ndimage

from tiling.masks.overviews import halved
from tiling.window import Window, split

EIGHT = np.ones((3, 3))


def half(classes, side=None):
    """The raster of half the size, made in windows of `side`."""
    height, width = classes.shape
    shape = -(-height // 2), -(-width // 2)
    result = np.full(shape, 99, np.uint8)
    for window in split(*shape, side or max(shape)):
        result[window.slices()] = halved(lambda of: classes[of.slices()], height, width, window)
    return result


def levels(classes, count):
    """Overviews, each half as large as the one before."""
    made = []
    for _ in range(count):
        classes = half(classes)
        made.append(classes)
    return made


def pieces(classes):
    return ndimage.label((classes != 0) & (classes != 255), EIGHT)[1]


def roads(seed, shape=(400, 500)):
    """Lines of one to five pixels in all directions, as roads lie."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    mask = np.zeros(shape, np.uint8)
    for _ in range(6):
        angle = random.uniform(0, np.pi)
        row, column = random.uniform(0, shape[0]), random.uniform(0, shape[1])
        off = np.abs((rows - row) * np.cos(angle) - (columns - column) * np.sin(angle))
        mask[off < random.uniform(0.5, 2.5)] = 1
    return mask


@pytest.mark.parametrize("turn", [False, True])
@pytest.mark.parametrize("start", range(8))
@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_thin_line_is_there_once_at_every_size_wherever_it_lies(start, width, turn):
    mask = np.zeros((256, 256), np.uint8)
    mask[:, 96 + start : 96 + start + width] = 1
    for level in levels(mask.T if turn else mask, 6):
        of_line = level.T if turn else level
        np.testing.assert_array_equal(of_line, of_line[:1].repeat(len(of_line), 0))
        assert of_line[0].sum() == 1 or (width == 3 and of_line[0].sum() <= 2)


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("width", [10, 11, 20])
def test_a_wide_line_keeps_its_width(start, width):
    mask = np.zeros((64, 64), np.uint8)
    mask[20 + start : 20 + start + width] = 1
    for factor, level in zip((2, 4), levels(mask, 2), strict=True):
        assert abs(level[:, 0].sum() - width / factor) < 1
        assert (level == level[:, :1]).all()


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_a_diagonal_of_single_pixels_stays_one_thin_line(start, flip):
    mask = np.eye(128, k=start, dtype=np.uint8)
    for size, level in zip((64, 32, 16, 8), levels(mask[::-1] if flip else mask, 4), strict=True):
        assert pieces(level) == 1
        assert size - 2 <= level.sum() <= size + 1


@pytest.mark.parametrize("seed", range(4))
def test_no_road_breaks_and_none_becomes_a_field(seed):
    mask = roads(seed)
    for factor, level in zip((2, 4, 8), levels(mask, 3), strict=True):
        assert pieces(level) <= pieces(mask)
        blocks = mask[: 400 // factor * factor, : 500 // factor * factor]
        blocks = blocks.reshape(400 // factor, factor, -1, factor).max(axis=(1, 3)) > 0
        near = ndimage.binary_dilation(level > 0, EIGHT, 2)[: blocks.shape[0], : blocks.shape[1]]
        assert near[blocks].all(), "no place with a road is without one"
        assert level.sum() < 0.8 * blocks.sum(), "thinner than all that the road touches"


def test_separate_roads_stay_separate_pieces():
    mask = np.zeros((400, 400), np.uint8)
    for place in range(23):
        mask[5 + 17 * place, 11 : 11 + 15 * (place + 1)] = 1
    assert [pieces(level) for level in levels(mask, 3)] == [23] * 3


def test_a_dot_stays_and_a_full_raster_stays_full():
    dot = np.zeros((64, 64), np.uint8)
    dot[33, 17] = 1
    assert [level.sum() for level in levels(dot, 6)] == [1] * 6
    assert all((level == 1).all() for level in levels(np.ones((50, 70), np.uint8), 6))


def test_classes_are_those_of_most_pixels_of_a_block_the_lowest_where_two_tie():
    blocks = np.array([[3, 3, 2, 2], [3, 1, 1, 1]], np.uint8)
    assert half(blocks).tolist() == [[3, 1]]
    line = np.zeros((64, 64), np.uint8)
    line[:, 31] = 2
    assert set(np.unique(half(line))) == {0, 2}


def test_a_pixel_is_missing_only_where_all_of_its_block_is():
    mask = np.zeros((8, 8), np.uint8)
    mask[:4] = 255
    mask[4, :5] = 255
    mask[3, 7] = 1
    assert half(mask).tolist() == [
        [255] * 4,
        [255, 255, 255, 1],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
    ]


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (33, 2), (101, 77)])
def test_half_a_block_at_the_edge_counts_like_a_whole_one(shape):
    assert (half(np.ones(shape, np.uint8)) == 1).all()
    assert (half(np.zeros(shape, np.uint8)) == 0).all()


@pytest.mark.parametrize("side", [7, 32, 100])
def test_windows_do_not_show(side):
    mask = roads(0) + 2 * (roads(1) & ~roads(0) & 1)
    random = np.random.default_rng(2)
    noise = random.integers(0, 2, (301, 203), dtype=np.uint8)
    noise[:, 60:80] = 255
    for classes in (mask, noise):
        np.testing.assert_array_equal(half(classes, side), half(classes))


def test_only_pixels_of_the_raster_are_asked_for():
    asked = []

    def read(window):
        asked.append(window)
        return np.ones((window.height, window.width), np.uint8)

    halved(read, 101, 77, Window(0, 0, 51, 39))
    assert asked == [Window(0, 0, 101, 77)]
