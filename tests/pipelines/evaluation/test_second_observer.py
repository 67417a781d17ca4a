"""A second observer's labels against the first's."""

import numpy as np

from tests.pipelines.evaluation.reported import (
    assert_foreground,
    by_hand,
    names,
    scene,
    scored,
    ungraded,
)


def test_the_second_observer_is_scored_in_rows_of_its_own(tool, write_raster, tmp_path):
    every = []
    for name, label in tool.items():
        other = np.roll(label, 1, axis=0)
        every.append((other, label))
        write_raster(
            tmp_path / "second" / f"{name}_manual2.tif", (other * 255).astype(np.uint8)[None]
        )
    alone = scored(tmp_path / "tool", tmp_path / "labels", tmp_path / "alone")
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", second=tmp_path / "second"
    )
    second = report["second_observer"]
    assert names(second) == ["a", "b", "c"]
    for name, pair in zip("abc", every, strict=True):
        assert_foreground(scene(second, name), by_hand(*pair))
    assert ungraded(second["pooled"])
    assert report["pooled"] == alone["pooled"]
    lines = (tmp_path / "out" / "scores.csv").read_text().splitlines()
    assert sum(line.startswith("second observer,") for line in lines) >= 4


def test_a_second_observers_label_that_does_not_fit_ends_its_scene(tool, write_raster, tmp_path):
    for name, label in tool.items():
        cut = label[1:] if name == "b" else label
        write_raster(tmp_path / "second" / f"{name}.tif", cut[None].astype("u1"))
    report = scored(
        tmp_path / "tool", tmp_path / "labels", tmp_path / "out", second=tmp_path / "second"
    )
    assert names(report) == names(report["second_observer"]) == ["a", "c"]
    [failed] = report["failed"]
    assert "second/b.tif: 80 x 59 pixels" in failed["error"]


def test_both_observers_may_lie_in_one_folder(tool, write_raster, tmp_path):
    """As in CHASE_DB1."""
    for name, label in tool.items():
        for observer in ("1stHO", "2ndHO"):
            drawn = np.roll(label, 2 if observer == "2ndHO" else 0, axis=1)
            write_raster(tmp_path / "chase" / f"{name}_{observer}.tif", drawn[None].astype("u1"))
    chase = tmp_path / "chase"
    report = scored(tmp_path / "tool", chase, tmp_path / "out", second=chase)
    assert report["failed"] == []
    for name, label in tool.items():
        expected = by_hand(np.roll(label, 2, axis=1), label)
        assert_foreground(scene(report["second_observer"], name), expected)


def test_a_label_is_not_its_own_second_observer(tool, tmp_path):
    labels = tmp_path / "labels"
    report = scored(tmp_path / "tool", labels, tmp_path / "out", second=labels)
    assert report["scenes"] == []
    assert "a: no second observer's label of this name" in report["failed"][0]["error"]
