"""The foreground behind published class means."""

import numpy as np
import pytest

from benchmarks.published import ROADS, VESSELS, Printed, class_means, solved


def test_class_means_are_those_of_a_confusion_matrix():
    # Of 100 pixels 10 are foreground: 6 found, 4 missed, 2 wrongly found.
    iou, recall, precision = class_means(np.array([6 / 8, 6 / 10, 0.1]))
    assert iou == pytest.approx((6 / 12 + 88 / 94) / 2)
    assert recall == pytest.approx((6 / 10 + 88 / 90) / 2)
    assert precision == pytest.approx((6 / 8 + 88 / 92) / 2)


def test_the_foreground_is_found_again_from_its_means():
    iou, recall, precision = class_means(np.array([0.7, 0.4, 0.05]))
    found = solved(Printed(iou, recall, precision, f1=0.0))
    assert (found.precision, found.recall, found.share) == pytest.approx((0.7, 0.4, 0.05), abs=1e-4)


def test_the_road_tables_recall_and_precision_are_exchanged():
    printed = [solved(row) for row in ROADS.values()]
    exchanged = [solved(row.exchanged()) for row in ROADS.values()]
    assert max(one.off for one in (*printed, *exchanged)) < 1e-6
    # One test set has one share of roads; as printed, networks would differ in it twentyfold.
    shares = [one.share for one in exchanged]
    assert 0.045 < min(shares) < max(shares) < 0.049
    shares = [one.share for one in printed]
    assert max(shares) > 15 * min(shares)


def test_the_foreground_of_the_recurrent_and_the_one_shot_network():
    dru, one_shot = solved(ROADS["DRU(4)"].exchanged()), solved(ROADS["U-Net-G"].exchanged())
    assert (dru.recall, dru.f1) == pytest.approx((0.17, 0.28), abs=0.005)
    assert dru.break_even(0.757) == pytest.approx(0.54, abs=0.005)
    assert one_shot.f1 == pytest.approx(0.01, abs=0.005)
    for reading in (VESSELS["DRU(4)"], VESSELS["DRU(4)"].exchanged()):
        assert solved(reading).f1 == pytest.approx(0.82, abs=0.001)
