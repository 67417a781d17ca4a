"""How a process shares out its tiles."""

from pipelines.inference.lanes import Lanes, lanes_of


def test_a_cpu_has_a_lane_for_each_thread_and_two_tiles_in_each(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert lanes_of(12, 3, on_cpu=True) == Lanes(3, 1, 2, 1)
    assert lanes_of(1, 3, on_cpu=True) == Lanes(3, 1, 2, 1)


def test_tiles_that_are_computed_alone_come_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for steps in (3, "auto"):
        assert lanes_of(12, steps, on_cpu=True, alone=True) == Lanes(3, 1, 1, 1)


def test_a_gpu_has_two_lanes_of_whole_batches():
    assert lanes_of(12, 3, on_cpu=False) == Lanes(2, 4, 12, 1)


def test_where_tiles_stop_early_more_of_them_come_together(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert lanes_of(8, "auto", on_cpu=True).under_way == 4 * lanes_of(8, 3, on_cpu=True).under_way
