"""Vessels that were drawn have the measures that they were drawn with."""

import math

import numpy as np
import pytest

from pipelines.measurements.vessels import vessel_tree
from pipelines.measurements.zones import Disc
from tests.pipelines.measurements.drawn import SIDE, arc, bar, ray
from tiling.blend import NODATA, TOP


def tree(mask, **options):
    return vessel_tree(mask.astype(np.uint8) * TOP, SIDE, **options)


@pytest.mark.parametrize("angle", [0, 3, 10, 27, 45, 90, 133])
@pytest.mark.parametrize("width", [4, 8, 11])
def test_a_straight_vessel_has_its_width_its_length_and_no_tortuosity(width, angle):
    mask = bar(width, angle)
    [segment] = tree(mask).segments
    # An even number of pixels fits a line that is drawn along the rows.
    drawn = mask.sum() / 160
    assert segment.calibre == pytest.approx(drawn, abs=0.35)
    # A skeleton ends half a width before the line does.
    assert segment.length == pytest.approx(160 - width / 2, abs=width / 2 + 2)
    assert segment.arc_chord == pytest.approx(1, abs=0.01)
    assert segment.turning < 1 / 200
    assert (segment.row, segment.column) == pytest.approx((SIDE / 2, SIDE / 2), abs=4)


@pytest.mark.parametrize("radius", [40, 80, 110])
def test_an_arc_turns_by_one_over_its_radius(radius):
    [segment] = tree(arc(radius, 5, 60)).segments
    assert segment.calibre == pytest.approx(5, abs=0.2)
    assert segment.turning == pytest.approx(1 / radius, rel=0.1)
    angle = segment.length / radius
    assert segment.arc_chord == pytest.approx(angle / (2 * math.sin(angle / 2)), rel=0.01)
    assert angle == pytest.approx(math.radians(120), abs=6 / radius + 0.02)


@pytest.mark.parametrize(("angle", "too_wide"), [(60, 8), (90, 4), (120, 6)])
def test_a_fork_is_a_bifurcation_with_its_angle(angle, too_wide):
    mask = ray(9, 180) | ray(5, angle / 2) | ray(5, -angle / 2)
    found = tree(mask)
    assert [len(found.segments), found.count("end"), found.count("bifurcation")] == [3, 3, 1]
    [fork] = [node for node in found.nodes if node.kind == "bifurcation"]
    assert fork.angle == pytest.approx(angle, abs=too_wide)
    assert math.hypot(fork.row - SIDE / 2, fork.column - SIDE / 2) < 9
    assert sorted(s.calibre for s in found.segments) == pytest.approx([5, 5, 9], abs=0.5)
    assert all(
        {found.nodes[segment.start].kind, found.nodes[segment.end].kind} == {"end", "bifurcation"}
        for segment in found.segments
    )


def test_four_vessels_that_meet_are_a_crossing():
    found = tree(bar(5, 0) | bar(5, 90))
    assert [len(found.segments), found.count("end"), found.count("crossing")] == [4, 4, 1]
    assert math.isnan(found.angle)


def test_a_ring_is_one_segment_without_a_chord():
    found = tree(arc(60, 5, 180))
    [segment] = found.segments
    assert segment.length == pytest.approx(2 * math.pi * 60, rel=0.02)
    assert math.isnan(segment.arc_chord)
    assert [node.kind for node in found.nodes] == ["joint"]


def test_bumps_of_an_edge_are_no_vessels():
    mask = bar(11, 0)
    rows, _ = np.nonzero(mask)
    mask[rows.min() - 2 : rows.min(), 80:83] = True
    mask[rows.max() + 1 : rows.max() + 3, 150:153] = True
    assert len(tree(mask).segments) == 1


def test_density_and_calibre_are_of_all_vessels_inside_the_field():
    wide, thin = np.roll(bar(10, 0), -40, 0), np.roll(bar(4, 0), 40, 0)
    levels = (wide | thin).astype(np.uint8) * TOP
    levels[:60] = NODATA
    found = vessel_tree(levels, SIDE)
    assert found.whole.area == 180 * SIDE
    assert found.whole.density == pytest.approx((wide | thin).sum() / (180 * SIDE))
    lengths = {round(one.calibre): one.length for one in found.segments}
    assert set(lengths) == {4, 10}
    clear = {4: lengths[4] - 4, 10: lengths[10] - 10}
    expected = sum(width * length for width, length in clear.items()) / sum(clear.values())
    assert found.whole.calibre == pytest.approx(expected, abs=0.1)
    assert found.whole.length == pytest.approx(sum(lengths.values()), rel=0.01)


def test_measures_relative_to_the_field_are_those_of_an_image_twice_as_large():
    mask = arc(80, 6, 60) | ray(6, 180)
    large = np.kron(mask, np.ones((2, 2), bool))
    small, twice = tree(mask), vessel_tree(large.astype(np.uint8), 2 * SIDE)
    assert twice.whole.calibre == pytest.approx(2 * small.whole.calibre, rel=0.03)
    assert twice.whole.length == pytest.approx(2 * small.whole.length, rel=0.03)
    assert twice.turning == pytest.approx(small.turning / 2, rel=0.2)
    assert twice.arc_chord == pytest.approx(small.arc_chord, rel=0.01)
    assert twice.dimension == pytest.approx(small.dimension, abs=0.05)


def test_zones_are_rings_around_the_disc():
    mask = bar(6, 0, 220)
    found = tree(mask, disc=Disc(SIDE / 2, SIDE / 2, 20))
    assert list(found.zones) == ["A", "B", "C"]
    for name, (begin, end) in {"A": (20, 40), "B": (40, 60), "C": (40, 100)}.items():
        zone = found.zones[name]
        assert zone.area == pytest.approx(math.pi * (end**2 - begin**2), rel=0.02)
        assert zone.length == pytest.approx(2 * (end - begin), abs=3)
        assert zone.calibre == pytest.approx(6, abs=0.1)
        assert zone.density == pytest.approx(6 * zone.length / zone.area, rel=0.1)
    assert tree(mask).zones == {}


@pytest.mark.parametrize("vessels", [0, 1])
def test_an_empty_field_has_no_vessels(vessels):
    levels = np.zeros((SIDE, SIDE), np.uint8)
    levels[5, 5] = vessels * TOP
    found = vessel_tree(levels, SIDE)
    assert (found.segments, found.nodes) == ([], [])
    assert found.whole.density == pytest.approx(vessels / SIDE**2)
    assert found.whole.length == 0
    assert math.isnan(found.whole.calibre)
    assert math.isnan(found.dimension)
    assert vessel_tree(np.full((9, 9), NODATA, np.uint8), 9).whole.area == 0
