"""Which rule a run in time follows: told by a clock of the test's own."""

from datetime import datetime

import pytest
import torch

from pipelines.config.inference import InferRoads
from pipelines.errors import OutOfTimeError
from pipelines.inference.stepping.pace import Pace, Ruled
from pipelines.inference.stepping.passes import Stepped
from pipelines.models.stopping import StopRule

OWN = StopRule(unsure=20_000, changing=1_000_000)
ALL, ONE = StopRule(0, 0), StopRule(1_000_001, 1_000_001)
SIDE = 10


class Machine:
    """A run of many tiles on a machine that takes so many seconds for a step."""

    def __init__(self, seconds, tiles=500, speed=1.0, passes=1, slower=1.0):
        self.slower = slower
        self.now, self.speed, self.tiles = 0.0, speed, tiles
        self.passes = passes
        self.pace = Pace(OWN, 3, seconds, tiles, 2, passes, "--budget", clock=lambda: self.now)
        self.rules = []

    def group(self):
        count = min(9, self.tiles)
        self.tiles -= count
        ruled = Ruled(self.pace.rule())
        self.rules.append(ruled.rule)
        # Every second tile has no unsure pixel, the others have ever more.
        unsure = torch.tensor([0 if i % 2 else i * 4 + 4 for i in range(count)])
        on = unsure * 1_000_000 >= ruled.rule.unsure * SIDE**2
        most = 3 if ruled.rule == ALL else 2
        taken = torch.where(on, most, 1)
        for _ in range(self.passes):
            ruled.note(Stepped([torch.zeros(count, 1, SIDE, SIDE)], taken, unsure))
        spent = self.speed * int(taken.sum()) * self.passes
        self.now += spent
        self.pace.note(ruled, count, spent, spent / self.slower)

    def run(self, until=0):
        while self.tiles > until:
            self.group()
        return self


def test_with_time_for_it_all_steps_are_taken():
    machine = Machine(500 * 3 * 1.5).run()
    assert machine.rules[0] == OWN
    assert set(machine.rules[1:]) == {ALL}


def test_with_less_fewer_tiles_go_on_and_the_time_is_kept_and_used():
    seconds = 500 * 1.4 * 1.2
    machine = Machine(seconds).run()
    assert OWN.unsure < max(rule.unsure for rule in machine.rules) <= 1_000_000
    # What else a scene takes is set aside; nothing was here.
    assert 0.75 * seconds < machine.now <= seconds


def test_where_others_compute_too_more_time_is_set_aside_for_the_end():
    alone, among_others = (Machine(500 * 1.6, slower=slower).run() for slower in (1, 20))
    assert among_others.now < alone.now


@pytest.mark.parametrize("passes", [2, 8])
def test_several_networks_or_views_take_their_steps_each(passes):
    seconds = 500 * 1.4 * 1.2 * passes
    machine = Machine(seconds, passes=passes).run()
    assert 0.75 * seconds < machine.now <= seconds


@pytest.mark.parametrize("factor", [0.6, 1.5])
def test_a_machine_that_changes_in_the_middle_changes_the_rule(factor):
    seconds = 500 * 1.6 * 1.2
    machine = Machine(seconds).run(until=250)
    before = machine.rules[-1]
    machine.speed = factor
    machine.run()
    after = machine.rules[-1]
    assert (after.unsure > before.unsure) == (factor > 1)
    assert machine.now <= 1.05 * seconds


def test_what_does_not_fit_is_refused_after_the_first_tiles():
    machine = Machine(300)
    machine.group()
    for _ in range(2):  # All other scenes are refused too.
        with pytest.raises(OutOfTimeError, match=r"--budget: one step on each of the 491 tiles"):
            machine.group()


def test_a_run_that_began_in_time_ends_with_one_step_rather_than_not():
    machine = Machine(500 * 1.3 * 1.2).run(until=300)
    machine.speed = 10.0
    machine.run()
    assert machine.rules[-1] == ONE


def test_putting_scenes_together_takes_its_share():
    machine = Machine(500 * 2)
    machine.run(until=400)
    before = machine.pace.rule()
    machine.pace.note_rest(100, 300.0)
    assert machine.pace.rule().unsure > before.unsure


@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ({"budget": "20m"}, 1200), ({"budget": "1h30m"}, 5400), ({"budget": "90s"}, 90),
        ({"deadline": "06:00"}, 8 * 3600), ({"deadline": "23:30"}, 5400),
    ],
)  # fmt: skip
def test_budgets_and_deadlines_are_told_in_words(asked, seconds):
    now = datetime(2026, 11, 28, 22, 0)
    assert InferRoads(**asked).since(now).seconds(now) == seconds


def test_a_budget_runs_from_when_it_was_asked_for():
    now = datetime(2026, 11, 28, 22, 0)
    asked = InferRoads(budget="20m").since(datetime(2026, 11, 28, 21, 58))
    assert asked.seconds(now) == 1080
    assert asked.model_copy(update={"tile": 256}).seconds(now) == 1080
    assert asked == InferRoads(budget="20m")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"budget": "20"}, "budget"), ({"budget": ""}, "budget"),
        ({"deadline": "25:00"}, "deadline"),
        ({"budget": "20m", "deadline": "06:00"}, "exclude each other"),
        ({"budget": "20m", "steps": 2}, "the time decides"),
        ({"budget": "20m", "workers": 2}, "by one process"),
    ],
)  # fmt: skip
def test_what_does_not_fit_a_budget_is_refused(asked, said):
    with pytest.raises(ValueError, match=said):
        InferRoads(**asked)
