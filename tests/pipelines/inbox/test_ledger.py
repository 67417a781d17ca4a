"""The ledger of an outbox."""

import multiprocessing
import sqlite3

import pytest

from pipelines.errors import PipelineError
from pipelines.inbox.ledger import LEDGER, Ledger, running

LOOK = {"/inbox/a.tif": [10, 20]}


@pytest.fixture
def ledger(tmp_path):
    made = Ledger(tmp_path)
    made.make()
    made.see({"a": "inbox/a.tif"})
    return made


def fail(ledger, look=LOOK, made_with="x", *, counted=True, limit=3):
    assert ledger.claim("a", look, made_with, "r") is None
    return ledger.settle("a", "r", "failed", reason="is bad", counted=counted, limit=limit)


def test_a_scene_is_seen_once_and_keeps_its_line(ledger):
    first = ledger.lines()["a"]
    assert (first.state, first.attempts, first.reason, first.run) == ("seen", 0, None, None)
    fail(ledger)
    ledger.see({"a": "elsewhere/a.tif"})
    line = ledger.lines()["a"]
    assert (line.source, line.state, line.seen) == ("elsewhere/a.tif", "failed", first.seen)


def test_the_third_failure_puts_a_scene_into_quarantine(ledger):
    assert [fail(ledger) for _ in range(3)] == ["failed", "failed", "quarantined"]
    line = ledger.lines()["a"]
    assert (line.state, line.attempts, line.reason) == ("quarantined", 3, "is bad")


@pytest.mark.parametrize("change", [{"look": {"/inbox/a.tif": [11, 20]}}, {"made_with": "y"}])
def test_attempts_are_counted_anew_when_files_or_options_change(ledger, change):
    fail(ledger)
    fail(ledger)
    assert fail(ledger, **change) == "failed"
    assert ledger.lines()["a"].attempts == 1


def test_what_the_disk_ended_is_no_attempt_at_the_scene(ledger):
    assert {fail(ledger, counted=False) for _ in range(5)} == {"failed"}
    assert ledger.lines()["a"].attempts == 0


def test_a_scene_that_a_run_has_is_not_given_to_another_until_that_one_is_gone(ledger, tmp_path):
    with running(tmp_path, "first"):
        assert ledger.claim("a", LOOK, "x", "first") is None
        assert ledger.claim("a", LOOK, "x", "second") == "is being done by run first"
        ledger.wait("a", "changes")
        assert ledger.lines()["a"].state == "running"
    assert ledger.claim("a", LOOK, "x", "second") is None
    # What the first one says now is said of nothing that it has.
    ledger.settle("a", "first", "done")
    assert (ledger.lines()["a"].state, ledger.lines()["a"].run) == ("running", "second")


def test_a_scene_that_another_run_has_done_since_it_was_planned_is_not_done_again(ledger):
    planned = ledger.lines()["a"]
    assert ledger.claim("a", LOOK, "x", "first", planned) is None
    ledger.settle("a", "first", "done")
    said = ledger.claim("a", LOOK, "x", "second", planned)
    assert said == "was begun by run first in the meantime"
    assert ledger.claim("a", LOOK, "x", "second", ledger.lines()["a"]) is None


def test_the_file_of_a_killed_run_is_removed_by_the_next_one(tmp_path):
    (tmp_path / ".run-killed").touch()
    with running(tmp_path, "next"):
        assert [path.name for path in tmp_path.iterdir()] == [".run-next"]
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_comes_back_for_the_same_options_only(ledger):
    ledger.keep({"a": "one", "b": "two"}, "x")
    ledger.keep({"b": "three"}, "y")
    assert ledger.kept("x") == {"a": "one"}
    assert ledger.kept("y") == {"b": "three"}


def test_a_file_that_is_no_ledger_is_named_with_what_to_do(tmp_path):
    (tmp_path / LEDGER).write_text("no database, but longer than the header of one " * 9)
    with pytest.raises(PipelineError, match=r"ledger\.sqlite: the ledger cannot be used.*move"):
        Ledger(tmp_path).make()


def write_many(folder, run, names):
    ledger = Ledger(folder)
    ledger.make()
    with running(folder, run):
        for name in names:
            ledger.see({name: f"{name}.tif"})
            if ledger.claim(name, LOOK, "x", run) is None:
                ledger.settle(name, run, "done")
                ledger.keep({name: run}, "x")


def test_two_processes_lose_no_line(tmp_path):
    spawning = multiprocessing.get_context("spawn")
    own = {run: [f"{run}{n}" for n in range(12)] for run in ("one", "two")}
    shared = [f"both{n}" for n in range(12)]
    both = [
        spawning.Process(target=write_many, args=(tmp_path, run, [*names, *shared]))
        for run, names in own.items()
    ]
    for process in both:
        process.start()
    for process in both:
        process.join()
        assert process.exitcode == 0
    lines = Ledger(tmp_path).lines()
    assert set(lines) == {*own["one"], *own["two"], *shared}
    assert {line.state for line in lines.values()} == {"done"}
    assert set(Ledger(tmp_path).kept("x")) == set(lines)
    with sqlite3.connect(tmp_path / LEDGER) as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
