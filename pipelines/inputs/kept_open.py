"""Keeps a scene open between one use and the next: a worker computes many parts of one scene."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

from pipelines.inputs.scene_input import OpenedScene, SceneInput


@dataclass
class _Kept:
    """A scene that is open.

    Attributes:
        use: The use that it was opened for.
        files: Closes the scene.
        opened: The scene.
        users: Number of threads that use it now.
    """

    use: str
    files: ExitStack
    opened: OpenedScene
    users: int = 0


class KeptOpen:
    """Keeps the scene open that was opened last, until another is opened or `close` is called.

    Several threads may use it, even for different scenes: one that was replaced is closed when
    the last thread is done with it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last: _Kept | None = None

    @contextmanager
    def opened(self, item: SceneInput, use: str) -> Iterator[OpenedScene]:
        """A scene, opened unless it is already open for the same use.

        Args:
            item: The scene.
            use: Tells one use of a scene from all others, a later one of the same scene too:
                files may have changed in between, and what is open would not show it.

        Raises:
            SceneError: The scene cannot be opened; `item.open` may raise other errors too.
        """
        with self._lock:
            # Under the lock: threads that want the same scene wait until it is open.
            if self._last is None or self._last.use != use:
                self._let_go()
                files = ExitStack()
                self._last = _Kept(use, files, files.enter_context(item.open()))
            kept = self._last
            kept.users += 1
        try:
            yield kept.opened
        finally:
            with self._lock:
                kept.users -= 1
                if not kept.users and kept is not self._last:
                    kept.files.close()

    def close(self) -> None:
        """Closes the scene, or lets its last user do so."""
        with self._lock:
            self._let_go()

    def _let_go(self) -> None:
        last, self._last = self._last, None
        if last is not None and not last.users:
            last.files.close()
