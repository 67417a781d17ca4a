"""Jobs over an inbox that grows."""

import json
import os
from pathlib import Path

import pytest

from pipelines.inbox import looks
from pipelines.inbox.ledger import Ledger, running
from pipelines.results.outcome import Updated
from pipelines.results.report import as_json, from_json
from tests.pipelines.inference.commands import SMALL, Command
from tests.pipelines.inference.inboxes import break_five, copied, run_job, scene, settled

GOOD = [f"s{number}" for number in range(4)]


@pytest.fixture(scope="module")
def first(write_raster, roads_weights, tmp_path_factory):
    """A folder with an inbox of four good scenes and five bad ones, after its first run."""
    folder = tmp_path_factory.mktemp("job")
    for seed, name in enumerate(GOOD):
        scene(write_raster, folder / "inbox" / f"{name}.tif", seed)
    broken = break_five(write_raster, folder / "inbox")
    return folder, broken, run_job(folder, roads_weights)


@pytest.fixture
def job(first, tmp_path):
    """A copy of that folder. What its ledger says of the files it copied with their times."""
    return copied(first[0], tmp_path / "job")


def states(folder):
    return {name: line.state for name, line in Ledger(folder / "outbox").lines().items()}


def report(folder):
    return json.loads((folder / "outbox" / "report.json").read_text())


def test_what_is_good_is_done_and_what_is_broken_is_named_with_its_reason(first):
    folder, broken, result = first
    assert states(folder) == dict.fromkeys(GOOD, "done") | dict.fromkeys(broken, "failed")
    assert {failure.input for failure in result.failed} == {
        str(folder / "inbox" / f"{name}.tif") for name in broken
    }
    lines = Ledger(folder / "outbox").lines()
    for name, said in broken.items():
        assert said in lines[name].reason
        assert lines[name].attempts == 1
    for name in GOOD:
        manifest = json.loads((folder / "outbox" / name / "manifest.json").read_text())
        assert lines[name].samples == manifest["input"]["samples"][:16]
        assert lines[name].run == result.report.this_run.id
    assert result.done == f"4 scenes computed in this run, 4 of 9 done in {folder / 'outbox'}"


def test_a_report_over_runs_is_read_back_as_it_was(first):
    folder, _, result = first
    assert as_json(from_json(report(folder))) == json.loads(json.dumps(as_json(result.report)))


def test_reruns_do_the_broken_ones_until_they_are_left_alone(first, roads_weights, tmp_path, told):
    folder, broken, _ = first
    copied(folder / "outbox", tmp_path / "outbox")
    inbox = [str(folder / "inbox")]
    for _ in range(2):
        again = run_job(tmp_path, roads_weights, scenes=inbox)
        assert sorted(again.report.this_run.tried) == sorted(broken)
        assert len(again.failed) == 5
        assert [one.name for one in again.report.scenes] == GOOD
        assert {one.parts_computed for one in again.report.scenes} == {0}
    assert {one.input for one in again.report.this_run.quarantined} == {
        f"{inbox[0]}/{name}.tif" for name in broken
    }
    # A dry run leaves them alone too, and says so.
    dry = run_job(tmp_path, roads_weights, scenes=inbox, dry_run=True).estimates
    assert {one.name for one in dry if one.skipped is not None} == set(broken)
    assert all("quarantined after 3" in one.skipped for one in dry if one.skipped is not None)
    before = (tmp_path / "outbox" / "report.json").stat().st_mtime_ns
    fourth = run_job(tmp_path, roads_weights, told, scenes=inbox)
    assert (told.outcomes, fourth.failed, fourth.reported) == ([], [], False)
    assert "nothing new among 9 scenes" in fourth.nothing
    assert "5 quarantined, 4 done already" in fourth.nothing
    assert (tmp_path / "outbox" / "report.json").stat().st_mtime_ns == before
    # Named itself, or changed, it is tried again.
    named = run_job(tmp_path, roads_weights, scenes=[f"{inbox[0]}/text.tif"])
    assert named.report.this_run.tried == ["text"]


def test_a_run_on_one_scene_adds_to_the_report(job, roads_weights, write_raster):
    before = report(job)
    new = scene(write_raster, job / "inbox" / "late.tif", 9)
    result = run_job(job, roads_weights, scenes=[str(new)])
    after = report(job)
    assert result.report.this_run.tried == ["late"]
    assert [one["name"] for one in after["scenes"]] == ["late", *GOOD]
    assert [one["parts_computed"] for one in after["scenes"]] == [1, 0, 0, 0, 0]
    assert len(after["failed"]) == 5
    for earlier, now in zip(before["scenes"], after["scenes"][1:], strict=True):
        moved = {kind: f"{job}/outbox/{path.split('outbox/')[1]}"
                 for kind, path in earlier["files"].items()}  # fmt: skip
        assert {**earlier, "parts_computed": 0, "files": moved} == now
    pooled = after["measurements"]["pooled"]["length_px"]
    assert pooled == pytest.approx(sum(one["measurements"]["length_px"] for one in after["scenes"]))


def test_a_changed_scene_is_done_again_and_no_other(job, roads_weights, write_raster, told):
    before = {name: (job / "outbox" / name / "mask.tif").stat().st_mtime_ns for name in GOOD}
    scene(write_raster, job / "inbox" / "s1.tif", 77)
    one, several = str(job / "inbox/s1.tif"), [str(job / "inbox" / f"{n}.tif") for n in GOOD]
    result = run_job(job, roads_weights, told, scenes=[*several])
    assert one in several
    assert {outcome.name for outcome in told.outcomes} >= {"s1"}
    changed = {n for n in GOOD if (job / "outbox" / n / "mask.tif").stat().st_mtime_ns != before[n]}
    assert changed == {"s1"}
    assert result.failed == []


def test_a_result_that_somebody_removed_is_made_again(first, roads_weights, tmp_path):
    folder = first[0]
    copied(folder / "outbox", tmp_path / "outbox")
    (tmp_path / "outbox" / "s2" / "mask.tif").unlink()
    result = run_job(
        tmp_path, roads_weights, scenes=[str(folder / "inbox" / f"{name}.tif") for name in GOOD]
    )
    assert result.report.this_run.tried == ["s2"]
    assert (tmp_path / "outbox" / "s2" / "mask.tif").is_file()


def test_scenes_that_were_taken_out_of_the_inbox_stay_in_the_report(
    job, roads_weights, write_raster
):
    new = scene(write_raster, job / "inbox" / "late.tif", 9)
    for name in GOOD:
        (job / "inbox" / f"{name}.tif").unlink()
    result = run_job(job, roads_weights, scenes=[str(new)])
    assert [one.name for one in result.report.scenes] == ["late", *GOOD]


def test_bad_scenes_that_were_taken_out_of_the_inbox_leave_the_report(
    write_raster, roads_weights, tmp_path
):
    broken = break_five(write_raster, tmp_path / "inbox")
    run_job(tmp_path, roads_weights, attempts=2)
    (tmp_path / "inbox" / "text.tif").unlink()
    result = run_job(tmp_path, roads_weights, attempts=2)
    left = sorted(broken.keys() - {"text"})
    assert [Path(one.input).stem for one in result.report.failed] == left
    assert [Path(one.input).stem for one in result.report.this_run.quarantined] == left


def test_scenes_of_other_options_are_not_reported_together(job, roads_weights, write_raster):
    new = scene(write_raster, job / "inbox" / "late.tif", 9)
    result = run_job(job, roads_weights, scenes=[str(new)], threshold=0.4)
    assert [one.name for one in result.report.scenes] == ["late"]


def test_a_scene_that_is_still_written_waits_and_is_named(
    write_raster, roads_weights, tmp_path, monkeypatch
):
    whole = scene(write_raster, tmp_path / "inbox" / "whole.tif", 1)
    growing = scene(write_raster, tmp_path / "inbox" / "growing.tif", 2)
    content = growing.read_bytes()
    growing.write_bytes(content[:-100])
    monkeypatch.setattr(
        "pipelines.inbox.job.still_written",
        lambda seen, again: looks.still_written(
            seen, again, lambda _: growing.write_bytes(content)
        ),
    )
    result = run_job(tmp_path, roads_weights)
    assert result.failed == []
    assert [one.input for one in result.report.this_run.waiting] == [str(growing)]
    assert f"1 waiting: {growing}" in result.done
    assert states(tmp_path) == {"whole": "done", "growing": "waiting"}
    assert whole.is_file()
    settled(growing)
    assert run_job(tmp_path, roads_weights).report.this_run.tried == ["growing"]
    assert states(tmp_path) == {"whole": "done", "growing": "done"}


def test_a_scene_that_changes_while_it_is_predicted_waits_too(
    write_raster, roads_weights, tmp_path, told
):
    path = scene(write_raster, tmp_path / "inbox" / "s.tif", 1)
    told.scene = lambda name, tiles: os.utime(path)
    result = run_job(tmp_path, roads_weights, told)
    assert states(tmp_path) == {"s": "waiting"}
    assert "changed while it was looked at" in Ledger(tmp_path / "outbox").lines()["s"].reason
    assert result.failed == []


def two_scenes_of_which_a_was_seen(write_raster, folder):
    """Writes a and b into the inbox, and returns the ledger of its outbox."""
    for seed, name in enumerate(("a", "b")):
        scene(write_raster, folder / "inbox" / f"{name}.tif", seed)
    (folder / "outbox").mkdir()
    ledger = Ledger(folder / "outbox")
    ledger.make()
    ledger.see({"a": "a.tif"})
    return ledger


def test_a_scene_of_a_killed_run_is_done_last(write_raster, roads_weights, tmp_path, told):
    ledger = two_scenes_of_which_a_was_seen(write_raster, tmp_path)
    ledger.claim("a", {}, "x", "killed")
    run_job(tmp_path, roads_weights, told)
    assert [outcome.name for outcome in told.outcomes] == ["b", "a"]


def test_a_scene_that_another_run_has_is_left_to_it(write_raster, roads_weights, tmp_path):
    ledger = two_scenes_of_which_a_was_seen(write_raster, tmp_path)
    with running(ledger.folder, "other"):
        ledger.claim("a", {}, "x", "other")
        result = run_job(tmp_path, roads_weights)
        again = run_job(tmp_path, roads_weights)
    assert "1 done already, 1 being done by another run" in again.nothing
    assert result.report.this_run.tried == ["b"]
    assert [one.name for one in result.report.scenes] == ["b"]


def test_the_next_run_reports_what_a_killed_one_had_done(
    write_raster, roads_weights, tmp_path, told
):
    for seed, name in enumerate(("a", "b", "c")):
        scene(write_raster, tmp_path / "inbox" / f"{name}.tif", seed)

    def killed_at_c(name, tiles):
        if name == "c":
            raise KeyboardInterrupt

    told.scene = killed_at_c
    with pytest.raises(KeyboardInterrupt):
        run_job(tmp_path, roads_weights, told)
    assert states(tmp_path) == {"a": "done", "b": "done", "c": "running"}
    result = run_job(tmp_path, roads_weights)
    assert result.done == f"1 scene computed in this run, 3 of 3 done in {tmp_path / 'outbox'}"
    assert [one["name"] for one in report(tmp_path)["scenes"]] == ["a", "b", "c"]
    assert "3 done already" in run_job(tmp_path, roads_weights).nothing


def test_a_report_that_could_not_be_written_is_written_by_the_next_run(
    write_raster, roads_weights, tmp_path
):
    scene(write_raster, tmp_path / "inbox" / "a.tif", 1)
    in_the_way = tmp_path / "outbox" / "report.json"
    in_the_way.mkdir(parents=True)
    assert [one.input for one in run_job(tmp_path, roads_weights).failed] == [
        str(tmp_path / "outbox")
    ]
    in_the_way.rmdir()
    assert run_job(tmp_path, roads_weights).reported
    assert [one["name"] for one in report(tmp_path)["scenes"]] == ["a"]


def test_scenes_that_were_brought_up_to_date_stay_in_the_report(
    first, write_raster, roads_weights, tmp_path
):
    folder = first[0]
    asked = {"scenes": [str(folder / "inbox" / f"{name}.tif") for name in GOOD]}
    earlier = {"output": tmp_path / "outbox", "from_run": folder / "outbox"}
    run_job(tmp_path, roads_weights, **asked, **earlier)
    new = scene(write_raster, tmp_path / "late.tif", 9)
    result = run_job(tmp_path, roads_weights, scenes=[str(new)], **earlier)
    assert {one.name: one.updated for one in result.report.scenes} == {
        "late": None, **dict.fromkeys(GOOD, Updated(1, 0, 0))
    }  # fmt: skip


def test_a_frame_that_arrives_later_starts_from_the_one_before_it(
    write_raster, roads_weights, tmp_path
):
    inbox = tmp_path / "inbox"
    for name in ("a", "c"):
        scene(write_raster, inbox / f"{name}.tif", 1)
    run_job(tmp_path, roads_weights, sequence=True)
    for name in ("b", "d"):
        scene(write_raster, inbox / f"{name}.tif", 1)
    # A scene at which a run was killed is done last, but not after later frames.
    Ledger(tmp_path / "outbox").see({"b": "b.tif"})
    Ledger(tmp_path / "outbox").claim("b", {}, "x", "killed")
    result = run_job(tmp_path, roads_weights, sequence=True)
    assert sorted(result.report.this_run.tried) == ["b", "d"]
    assert {one.name: one.updated for one in result.report.scenes} == {
        "a": None, **dict.fromkeys("bcd", Updated(1, 0, 0))
    }  # fmt: skip


def test_an_empty_inbox_is_no_failure_and_leaves_nothing(roads_weights, tmp_path):
    (tmp_path / "inbox").mkdir()
    (tmp_path / "inbox" / "late.tif.part").touch()
    for scenes in ([str(tmp_path / "inbox")], [str(tmp_path / "inbox" / "*.tif")]):
        result = run_job(tmp_path, roads_weights, scenes=scenes)
        assert f"no scenes in {scenes[0]}" in result.nothing
        assert (result.failed, result.reported) == ([], False)
    assert not (tmp_path / "outbox").exists()


def test_two_jobs_on_one_outbox_share_the_scenes_and_lose_none(
    write_raster, roads_weights, tmp_path
):
    names = {f"n{number}" for number in range(12)}
    for seed, name in enumerate(sorted(names)):
        scene(write_raster, tmp_path / "inbox" / f"{name}.tif", seed)
    words = (tmp_path / "inbox", "--inbox", "--output", tmp_path / "outbox", *SMALL,
             "--model", roads_weights)  # fmt: skip
    folders = tmp_path / "one", tmp_path / "two"
    for folder in folders:
        folder.mkdir()
    with Command(folders[0], *words) as one, Command(folders[1], *words) as two:
        assert (one.end(), two.end()) == (0, 0), one.errors + two.errors
    lines = Ledger(tmp_path / "outbox").lines()
    assert {name: line.state for name, line in lines.items()} == dict.fromkeys(names, "done")
    assert {line.attempts for line in lines.values()} == {1}  # No scene was done twice.
    assert {one["name"] for one in report(tmp_path)["scenes"]} == names
    assert report(tmp_path)["failed"] == []


@pytest.mark.soak
def test_of_a_hundred_scenes_five_are_broken(write_raster, roads_weights, tmp_path, told):
    for number in range(95):
        scene(write_raster, tmp_path / "inbox" / f"s{number:02}.tif", number)
    broken = break_five(write_raster, tmp_path / "inbox")
    first = run_job(tmp_path, roads_weights)
    assert first.done == f"95 scenes computed in this run, 95 of 100 done in {tmp_path / 'outbox'}"
    for result in (first, *(run_job(tmp_path, roads_weights) for _ in range(2))):
        assert {failure.input for failure in result.failed} == {
            str(tmp_path / "inbox" / f"{name}.tif") for name in broken
        }
        assert len(result.report.scenes) == 95
    assert sorted(result.report.this_run.tried) == sorted(broken)
    fourth = run_job(tmp_path, roads_weights, told)
    assert told.outcomes == []
    assert "5 quarantined, 95 done already" in fourth.nothing
