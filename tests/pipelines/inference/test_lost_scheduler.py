"""A Dask scheduler that is killed under a run: it comes back with workers, or never.

Real processes and real signals. Moments are told by what is on the disk and in the log.
"""

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from distributed import Client

from pipelines.datasets.synthetic import write_road_scene
from pipelines.errors import ClusterLostError, PipelineError
from pipelines.inference.cluster import connection as connections
from pipelines.inference.cluster.connection import Connection
from tests.pipelines.inference.clusters import Cluster
from tests.pipelines.inference.commands import (
    CUT,
    GUARD_S,
    PARTS,
    SMALL,
    Command,
    finished,
    parts,
    rasters,
    run,
)


@pytest.fixture(scope="module")
def words(roads_weights, tmp_path_factory) -> tuple[object, ...]:
    """Six scenes, of which more than four are never under way together."""
    folder = tmp_path_factory.mktemp("scenes")
    for seed, name in enumerate("abcdef"):
        write_road_scene(folder / f"{name}.tif", None, size=560, seed=seed)
    return (folder, "--model", roads_weights, *SMALL, *CUT, "--output", "out")


@pytest.fixture(scope="module")
def alone(words, tmp_path_factory) -> dict[str, dict[str, bytes]]:
    """The rasters of a run in one process."""
    folder = tmp_path_factory.mktemp("alone")
    run(folder, *words)
    return {name: rasters(folder / "out" / name) for name in "abcdef"}


@pytest.fixture
def own_cluster(tmp_path):
    """A cluster of two workers, which nobody else needs."""
    with ExitStack() as stack:
        cluster = Cluster(tmp_path, stack)
        cluster.add("one")
        cluster.add("two")
        yield cluster


def begun(folder: Path) -> int:
    """Parts that are there."""
    return sum(len(parts(one)) for one in (folder / "out").glob("*"))


@pytest.mark.soak
@pytest.mark.parametrize("times", [1, 3])
def test_a_run_goes_on_when_its_scheduler_is_back(own_cluster, words, alone, tmp_path, times):
    with Command(tmp_path, *words, "--scheduler", own_cluster.address) as command:
        for time in range(1, times + 1):
            before = begun(tmp_path)
            command.wait_until(lambda before=before: begun(tmp_path) >= before + 3)
            own_cluster.restart()
            command.wait_until(lambda time=time: command.errors.count("was lost; w") == time)
            own_cluster.add(f"{time}-one")
            own_cluster.add(f"{time}-two")
            command.wait_until(lambda time=time: command.errors.count("is back") == time)
        assert command.end() == 0, command.errors
    assert "Traceback" not in command.errors
    assert command.errors.count("was lost") == times
    for name in "abcdef":
        assert finished(tmp_path / "out" / name, alone[name])


@pytest.mark.soak
def test_a_scheduler_that_stays_away_ends_the_run_and_nothing_is_lost(
    own_cluster, words, alone, tmp_path
):
    with Command(tmp_path, *words, "--scheduler", own_cluster.address, absence=3) as command:
        command.wait_until(lambda: begun(tmp_path) >= 3)
        own_cluster.scheduler.kill()
        assert command.end() == 1
    assert "Traceback" not in command.errors
    assert "waiting for it and for workers, for 0.05 min at most" in command.errors
    tried = [line for line in command.error_lines if "did not come back" in line]
    assert tried
    assert all("run again: what is computed is kept" in line for line in tried)
    # What had not begun is said in one line.
    assert sum("not tried, as the Dask cluster was lost" in one for one in command.error_lines) == 1
    there = begun(tmp_path)
    assert 3 <= there < 6 * PARTS
    run(tmp_path, *words)
    for name in "abcdef":
        assert finished(tmp_path / "out" / name, alone[name])


@pytest.mark.soak
def test_a_scheduler_that_is_lost_is_no_failure_of_a_scene(own_cluster, words, tmp_path):
    words = (*words, "--inbox", "--attempts", "1", "--scheduler", own_cluster.address)
    with Command(tmp_path, *words, absence=1) as command:
        command.wait_until(lambda: begun(tmp_path) >= 3)
        own_cluster.scheduler.kill()
        assert command.end() == 1
    again = run(tmp_path, *(word for word in words[:-2]))
    assert "0 quarantined" in again.errors
    report = json.loads((tmp_path / "out/report.json").read_text())
    assert [scene["name"] for scene in report["scenes"]] == [*"abcdef"]


def refusing(times: int, asked: list[Client], client: Client) -> None:
    """Refuses workers a few times, as where their machine has not mounted a folder yet."""
    asked.append(client)
    if len(asked) <= times:
        raise PipelineError("tcp://1.2.3.4:5: a worker that does not see /shared/out")


def test_workers_that_are_refused_are_waited_for_too(cluster, monkeypatch):
    monkeypatch.setattr(connections, "_TRY_EVERY_S", 0.01)
    with Connection(cluster.address, local=False) as connection:
        lost, asked = connection.client, []
        connection.renew(lost, partial(refusing, 2, asked))
        assert len(asked) == 3
        assert (connection.client is lost, lost.status) == (False, "closed")
        assert connection.client.submit(int, 7).result(GUARD_S) == 7
        connection.renew(lost, partial(refusing, 2, asked))
        assert len(asked) == 3  # Another thread has done it.
        monkeypatch.setattr(connection, "_patience", 0.5)
        with pytest.raises(ClusterLostError, match=r"cluster was lost: .* /shared/out"):
            connection.renew(connection.client, partial(refusing, 1_000_000, asked))


def test_a_run_that_ends_waits_for_no_scheduler(cluster, caplog):
    with Connection(cluster.address, local=False) as connection:
        lost = connection.client
    with pytest.raises(ClusterLostError):
        connection.renew(lost, partial(refusing, 0, []))
    assert "waiting" not in caplog.text
