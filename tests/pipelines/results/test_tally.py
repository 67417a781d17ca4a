"""How far a job has come."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from pipelines.results.tally import Tally, duration


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_share_is_that_of_the_tiles_of_all_scenes():
    clock = Clock()
    tally = Tally(clock)
    tally.expect({"a": 10, "b": 30, "c": 0})
    tally.begin("a", 10)
    clock.now += 20
    tally.add("a", 10)
    standing = tally.standing()
    assert (standing.scenes, standing.finished, standing.share) == (3, 0, 0.25)
    assert standing.seconds_left == 60
    tally.finish("a")
    tally.begin("b", 30)
    assert str(tally.standing()) == "scene 2 of 3, 25 % of all tiles, 60 s left"


def test_a_scene_that_is_not_counted_yet_stands_for_the_mean_of_the_others():
    tally = Tally(Clock())
    tally.expect({"a": 10, "b": 20, "c": None})
    tally.begin("a", 10)
    tally.add("a", 9)
    assert tally.standing().share == 9 / 45


def test_all_tiles_done_are_not_100_percent_while_a_scene_is_left():
    tally = Tally(Clock())
    tally.expect({"a": 1, "b": 1})
    for name in ("a", "b"):
        tally.begin(name, 1)
        tally.add(name, 1)
    tally.finish("a")
    assert tally.standing().share == 0.99
    tally.finish("b")
    assert tally.standing().share == 1
    assert str(tally.standing()) == "2 of 2 scenes, 100 % of all tiles"


def test_a_failed_scene_leaves_nothing_to_wait_for():
    tally = Tally(Clock())
    tally.expect({"a": 100, "b": 1})
    tally.begin("a", 100)
    tally.add("a", 1)
    tally.finish("a")
    tally.finish("b")
    assert tally.standing().share == 1


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["expect", "begin", "add", "finish"]),
        st.sampled_from("abcd"),
        st.integers(0, 50),
    )
)


@given(EVENTS)
def test_the_share_never_falls_whatever_is_found_out(events):
    tally = Tally(Clock())
    tally.expect(dict.fromkeys("ab", 5))
    shares, begun = [0.0], set()
    for what, name, tiles in events:
        if what == "expect":
            tally.expect({name: tiles or None})
        elif what == "begin":
            tally.begin(name, tiles)
            begun.add(name)
        elif what == "add" and name in begun:
            tally.add(name, tiles)
        elif what == "finish":
            tally.finish(name)
            begun.discard(name)
        shares.append(tally.standing().share)
    assert all(one <= other for one, other in pairwise(shares))
    assert shares[-1] <= 1


def test_a_time_is_told_in_the_unit_that_fits():
    assert [duration(s) for s in (3.2, 89, 400, 12600)] == ["4 s", "89 s", "7 min", "3.5 h"]
