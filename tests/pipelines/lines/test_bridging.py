"""Gaps: bridged where the probability supports a way across, and nowhere else."""

from dataclasses import replace

import numpy as np
import pytest

from pipelines.lines.bridging import Bridging, bridged
from tests.tiling.lines.drawings import content, degrees, network, tidy
from tiling.lines.cleaning import pruned
from tiling.lines.network import WIDTH
from tiling.lines.tracing import MISSING
from tiling.window import Window

ROAD, FAINT, DARK, THRESHOLD = 240, 80, 2, 127

WANTED = Bridging(longest=40, mean=0.2, lowest=0.05, threshold=THRESHOLD)


def background():
    return np.full((120, 200), DARK, np.uint8)


def gap(level, width=20):
    """A road of 7 pixels with a gap, in which the levels are `level`."""
    levels = background()
    levels[57:64, 10:190] = ROAD
    levels[57:64, 100 - width // 2 : 100 + width // 2] = level
    return levels


def bridges(levels, wanted=WANTED, found=None):
    if found is None:
        found = tidy_of(levels)
    scene = Window(0, 0, *levels.shape)
    return pruned(bridged(found, scene, lambda window: levels[None, *window.slices()], wanted), 8)


def tidy_of(levels):
    return pruned(network(levels >= THRESHOLD, values=levels[None]), 8)


def test_a_gap_with_probability_is_bridged_to_one_line():
    found = bridges(gap(FAINT))
    [edge] = found.edges.values()
    assert degrees(found) == [1, 1]
    assert edge.length == pytest.approx(180 - 7, abs=1)
    assert (edge.values[:, 0] == FAINT).any()
    over = edge.values[:, WIDTH] == MISSING
    assert over.sum() == pytest.approx(20 + 7, abs=3)  # From end to end of the lines.


@pytest.mark.parametrize(
    "wanted",
    [
        replace(WANTED, longest=15),
        replace(WANTED, mean=0.5),
        replace(WANTED, lowest=0.4),
        replace(WANTED, longest=0),
    ],
    ids=["too long", "mean too low", "lowest too low", "none wanted"],
)
def test_a_gap_beyond_the_limits_stays(wanted):
    assert degrees(bridges(gap(FAINT), wanted)) == [1, 1, 1, 1]


def test_a_gap_without_probability_stays_however_short():
    assert degrees(bridges(gap(DARK, width=4))) == [1, 1, 1, 1]


def test_one_dark_place_in_a_faint_gap_keeps_it_open():
    levels = gap(FAINT)
    levels[:, 98:102] = DARK
    assert degrees(bridges(levels)) == [1, 1, 1, 1]


def test_a_bridge_follows_the_probability_and_no_straight_line():
    levels = gap(DARK, width=30)
    # Around by the south.
    levels[57:75, 80:87] = FAINT
    levels[70:77, 80:120] = FAINT
    levels[57:75, 113:120] = FAINT
    [edge] = bridges(levels, replace(WANTED, longest=80)).edges.values()
    assert edge.path[:, 0].max() / 2 > 68


def test_a_dead_end_is_led_on_to_the_side_of_another_road():
    levels = background()
    levels[20:27, 10:190] = ROAD
    levels[45:110, 97:104] = ROAD
    levels[27:45, 97:104] = FAINT
    found = bridges(levels)
    assert degrees(found) == [1, 1, 1, 3]
    [junction] = [found.nodes[node] for node in found.nodes if found.degree(node) == 3]
    assert junction.column == pytest.approx(100, abs=2)
    assert junction.row == pytest.approx(23, abs=2)


def test_no_bridge_where_there_is_a_short_way_round():
    levels = background()
    # A horseshoe: its ends are 20 pixels apart, along it 150.
    levels[20:27, 40:100] = ROAD
    levels[60:67, 40:100] = ROAD
    levels[20:67, 40:47] = ROAD
    levels[27:60, 93:100] = FAINT
    assert degrees(bridges(levels, replace(WANTED, longest=60, turn=120.0))) == [1, 1]


def test_no_bridge_through_what_is_missing():
    levels = gap(FAINT)
    levels[:, 99:101] = 255
    found = tidy(np.where(levels == 255, 0, levels) >= THRESHOLD)
    assert degrees(bridges(levels, found=found)) == [1, 1, 1, 1]


def test_windows_of_thinning_cannot_be_seen_in_bridges():
    levels = gap(FAINT)
    there = levels >= THRESHOLD
    whole, cut = (
        bridges(levels, found=pruned(network(there, at_once, levels[None]), 8))
        for at_once in (2048, 50)
    )
    assert content(whole) == content(cut)
