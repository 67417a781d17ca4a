"""Keeps scenes open between one use and the next: a worker computes many parts of one scene."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from threading import Lock

from pipelines.inputs.scene_input import OpenedScene, SceneInput


@dataclass
class _Kept:
    """A scene that is open.

    Attributes:
        files: Closes the scene.
        opened: The scene.
        users: Number of threads that use it now.
    """

    files: ExitStack
    opened: OpenedScene
    users: int = 0


class KeptOpen:
    """Keeps the scenes open that were used last, until others are used or `close` is called.

    Several threads may use it, even for different scenes: one that was let go is closed when the
    last thread is done with it.

    Args:
        keeps: How many scenes. Parts of several may come in turn, where their threads were slow to
            hand them out: of no more than these, none is opened again.
    """

    def __init__(self, keeps: int) -> None:
        self._keeps = keeps
        self._lock = Lock()
        self._kept: dict[str, _Kept] = {}  # By use, the one that was used last at the end.

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
            kept = self._kept.pop(use, None)
            if kept is None:
                self._let_go(self._keeps - 1)
                files = ExitStack()
                kept = _Kept(files, files.enter_context(item.open()))
            self._kept[use] = kept
            kept.users += 1
        try:
            yield kept.opened
        finally:
            with self._lock:
                kept.users -= 1
                if not kept.users and kept is not self._kept.get(use):
                    kept.files.close()

    def close(self) -> None:
        """Closes all scenes, or lets their last users do so."""
        with self._lock:
            self._let_go(0)

    def _let_go(self, but: int) -> None:
        """Lets all scenes go but some that were used last."""
        for use in [*self._kept][: max(0, len(self._kept) - but)]:
            gone = self._kept.pop(use)
            if not gone.users:
                gone.files.close()
