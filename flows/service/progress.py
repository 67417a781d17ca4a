"""What a flow run shows in Prefect while it goes on: its scenes as task runs, and how far it is."""

import threading
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from prefect import State, Task
from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.cache_policies import NO_CACHE
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from pipelines.results.progress import Progress
from pipelines.results.tally import Tally

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.training import TrainingEnd, TrainingStanding

_UPDATE_EVERY_S = 2.0


class SceneTasks(Progress):
    """Makes a task run of each scene: it has the scene's name, state, log and times."""

    @property
    def run(self) -> str | None:
        """Identifier of the flow run."""
        identifier: str | None = flow_run.id
        return identifier

    def around(self, name: str, work: "Callable[[], SceneOutcome]") -> "SceneOutcome":
        """See `Progress`."""
        outcomes = []

        def scene() -> State[Any]:
            outcomes.append(work())
            return _state_of(outcomes[0])

        task = Task(
            scene, task_run_name=_verbatim(name), cache_policy=NO_CACHE, persist_result=False
        )
        state = task(return_state=True)
        if not outcomes:
            # Prefect refused the run, or cancelled it.
            raise RuntimeError(f"{name}: not begun: {state.message}")
        return outcomes[0]


def _verbatim(name: str) -> str:
    """A name for Prefect, which would fill in what is in braces."""
    return name.replace("{", "{{").replace("}", "}}")


def _state_of(outcome: "SceneOutcome") -> State[Any]:
    """A state without data: it says in one line what came of the scene."""
    if outcome.error is not None:
        return Failed(message=outcome.error)
    if outcome.skipped is not None:
        return Completed(name="Left out", message=outcome.skipped)
    if outcome.prediction is None:
        return Completed(message="scored")
    if not outcome.prediction.computed:
        return Completed(name="There already", message="was done by an earlier run")
    tiles = outcome.prediction.tiles
    return Completed(message=f"{tiles} tile{'' if tiles == 1 else 's'}")


class ArtifactProgress(Progress):
    """Progress artifacts of the flow run: one of the trainings, one of all tiles."""

    def __init__(self) -> None:
        self._tally = Tally()
        self._tiles, self._trainings = _Artifact(), _Artifact()

    def training(self, standing: "TrainingStanding") -> None:
        """See `Progress`."""
        self._trainings.show(standing.share, str(standing))

    def trained(self, end: "TrainingEnd") -> None:
        """See `Progress`."""
        self._trainings.show(end.share, end.said, at_once=True)

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        self._tally.expect(tiles)
        # Made here, and not in a scene's task: then it would be an artifact of that one.
        self._update(at_once=True)

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        self._tally.begin(name, tiles)
        self._update()

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        self._tally.add(name, done)
        self._update()

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        self._tally.finish(outcome.name)
        self._update(at_once=True)

    def _update(self, at_once: bool = False) -> None:
        standing = self._tally.standing()
        self._tiles.show(standing.share, str(standing), at_once)


class _Artifact:
    """A progress artifact, which is updated now and then; it may be told from several threads."""

    def __init__(self) -> None:
        self._artifact: UUID | None = None
        self._last = 0.0
        self._share = 0.0
        self._lock = threading.Lock()

    def show(self, share: float, description: str, at_once: bool = False) -> None:
        """Shows a description, and a share, 0 to 1, which never falls."""
        with self._lock:
            self._share = max(self._share, share)
            if not at_once and time.monotonic() - self._last < _UPDATE_EVERY_S:
                return
            self._last = time.monotonic()
            percent = 100.0 * self._share
            # Both are coroutines only if called from one.
            if self._artifact is None:
                made = create_progress_artifact(percent, description=description)
                self._artifact = cast(UUID, made)
            else:
                update_progress_artifact(self._artifact, progress=percent, description=description)
