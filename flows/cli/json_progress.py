"""Progress for another program that runs the command: a line of JSON for each step of it."""

import json
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from pipelines.results.progress import Progress
from pipelines.results.tally import Tally

if TYPE_CHECKING:
    from pipelines.results.outcome import SceneOutcome
    from pipelines.results.training import TrainingStanding

ASKED = "RURNET_PROGRESS"
"""The environment variable that asks for it, with the value `json`."""

_LINE_EVERY_S = 0.2


def json_is_asked() -> bool:
    """Whether the program that started this one wants to read the progress."""
    return os.environ.get(ASKED) == "json"


class JsonProgress(Progress):
    """Writes how far the work is, and the files of each scene when it is done.

    `{"share": 0.25, "said": "scene 1 of 2, 25 % of all tiles"}`: how far all of it is, 0 to 1.
    `{"scene": "a", "files": {"mask": "/out/a/mask.tif"}}`: a scene is done; with `"error"` or
    `"skipped"` and the reason, where it is not.

    Args:
        out: Where the lines go. It may take others, which do not begin with a brace.
    """

    def __init__(self, out: IO[str]) -> None:
        self._out = out
        self._tally = Tally()
        self._lock = threading.Lock()
        self._last_line: float | None = None

    def training(self, standing: "TrainingStanding") -> None:
        """See `Progress`."""
        self._now_and_then(standing.share, str(standing))

    def expect(self, tiles: Mapping[str, int | None]) -> None:
        """See `Progress`."""
        self._tally.expect(tiles)

    def scene(self, name: str, tiles: int) -> None:
        """See `Progress`."""
        self._tally.begin(name, tiles)

    def tiles(self, name: str, done: int) -> None:
        """See `Progress`."""
        self._tally.add(name, done)
        standing = self._tally.standing()
        self._now_and_then(standing.share, str(standing))

    def finished(self, outcome: "SceneOutcome") -> None:
        """See `Progress`."""
        self._tally.finish(outcome.name)
        files = {kind: _whole(path) for kind, path in outcome.files.items()}
        said: dict[str, Any] = {"scene": outcome.name, "files": files}
        if outcome.error is not None:
            said["error"] = outcome.error
        if outcome.skipped is not None:
            said["skipped"] = outcome.skipped
        self._line(said)
        standing = self._tally.standing()
        self._line({"share": standing.share, "said": str(standing)})

    def _now_and_then(self, share: float, said: str) -> None:
        now = time.monotonic()
        if self._last_line is None or now - self._last_line >= _LINE_EVERY_S:
            self._last_line = now
            self._line({"share": share, "said": said})

    def _line(self, what: Mapping[str, Any]) -> None:
        with self._lock:
            self._out.write(json.dumps(what) + "\n")
            self._out.flush()


def _whole(path: Path | str) -> str:
    """A path from the root on: the program that reads it may be in another folder."""
    return str(path.resolve()) if isinstance(path, Path) else path
