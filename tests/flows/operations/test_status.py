"""`rurnet status OUTBOX`."""

import os

import pytest

from flows.errors import FlowsError
from flows.operations.status import status
from pipelines.inbox.ledger import Ledger, Watched, running
from pipelines.inbox.looks import look_at
from tests.flows.test_rurnet import rurnet


@pytest.fixture
def outbox(tmp_path):
    """An outbox with a scene in every state, and an inbox with one that nobody has seen."""
    inbox, outbox = tmp_path / "inbox", tmp_path / "outbox"
    for folder in (inbox, outbox):
        folder.mkdir()
    ledger = Ledger(outbox)
    ledger.make()
    ledger.watch([Watched(str(inbox), False, 3)])
    for name in ("bad", "cut", "killed", "late", "novel", "wet"):
        (inbox / f"{name}.tif").write_text(name)
        if name != "novel":
            ledger.see({name: f"inbox/{name}.tif"})
    looks = {name: look_at({name: str(inbox / f"{name}.tif")}, {})[name] for name in ("bad", "cut",
             "killed", "wet")}  # fmt: skip
    for _ in range(3):
        ledger.claim("bad", looks["bad"], "x", "r1")
        ledger.settle("bad", "r1", "failed", reason="inbox/bad.tif: no raster", limit=3)
    ledger.claim("cut", looks["cut"], "x", "r1")
    ledger.settle("cut", "r1", "failed", reason="inbox/cut.tif: ends early", limit=3)
    ledger.claim("wet", looks["wet"], "x", "r1")
    ledger.settle("wet", "r1", "left out", reason="outside of the area", samples="0123456789")
    ledger.keep({"wet": "what a report told"}, "x")
    ledger.claim("killed", looks["killed"], "x", "r2")
    ledger.wait("late", "inbox/late.tif: changed while it was looked at")
    return outbox


def rows(text):
    return {line.split()[0]: line for line in text.split("\n\n")[0].splitlines()[1:]}


def test_it_prints_every_scene_with_its_state_tries_and_reason(outbox, capsys):
    status(outbox)
    said = capsys.readouterr().out
    found = rows(said)
    assert list(found) == ["wet", "killed", "late", "cut", "bad"]
    assert found["bad"].split()[1:3] == ["quarantined", "3"]
    assert found["bad"].endswith("inbox/bad.tif: no raster")
    assert found["killed"].split()[1] == "interrupted"
    assert "01234567  r1" in found["wet"]
    assert "5 scenes: 1 left out, 1 interrupted, 1 waiting, 1 failed, 1 quarantined" in said


def test_a_bad_scene_that_was_taken_away_is_gone(outbox, capsys):
    (outbox.parent / "inbox" / "bad.tif").unlink()
    status(outbox)
    said = capsys.readouterr().out
    assert rows(said)["bad"].split()[1] == "gone"
    assert "5 scenes: 1 left out, 1 gone, 1 interrupted, 1 waiting, 1 failed" in said


def test_it_says_what_a_rerun_would_do(outbox, capsys):
    os.utime(outbox.parent / "inbox" / "cut.tif", (1, 1))
    status(outbox)
    assert capsys.readouterr().out.splitlines()[-1] == (
        f"A rerun over {outbox.parent / 'inbox'}: 2 new, 1 changed, 1 to try again, "
        "1 quarantined, 1 done already"
    )


def test_it_tells_a_run_that_goes_on_from_one_that_was_killed(outbox, capsys):
    with running(outbox, "r2"):
        status(outbox)
    said = capsys.readouterr().out
    assert rows(said)["killed"].split()[1] == "running"
    assert said.splitlines()[-1].endswith("1 being done by another run")


def test_a_folder_without_a_ledger_is_named(tmp_path):
    with pytest.raises(FlowsError, match=f"^{tmp_path}: no ledger there; give"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_it_is_a_command_and_loads_no_torch(outbox, tmp_path):
    done = rurnet("status", str(outbox), cwd=tmp_path, PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    loaded = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "rasterio" in loaded
    assert not loaded & {"torch", "prefect", "dask", "skimage"}
