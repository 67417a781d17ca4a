"""A process of its own on another GPU, for the scenes after one that failed.

CUDA lets a process that lost its GPU use no other. A GPU that is out of memory most often is in
use by another program.
"""

import logging
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import uuid4

from pipelines.backends.choice import Backend
from pipelines.errors import DeviceLostError, DeviceMemoryError, PipelineError, shortened
from pipelines.inference.cluster.parts import error_of_part
from pipelines.inference.cluster.protocol import Workers
from pipelines.inference.cluster.team import Team, check_member, introduced, predictor_on
from pipelines.inference.predictor import NetworkPredictor
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.runtime.gpus import VISIBLE, other_gpus
from tiling.part import Part
from tiling.store import PartStore

_LOG = logging.getLogger("rurnet")

NOT_TRIED = (
    "not tried, as the GPU was lost and no other like it works here; look at nvidia-smi, then run "
    "again: the same command goes on with what is missing"
)


class GpuRelay:
    """Computes in this process until its GPU fails; the next scene is computed on another one.

    Args:
        here: This process.
        start: Starts who computes on another GPU, by its identifier; None where there is no other.
        mine: Identifier of this process's own GPU; None where that is not known.
    """

    scenes = 1

    def __init__(
        self, here: Workers, start: Callable[[str], Workers] | None, mine: str | None = None
    ) -> None:
        self.device = here.device
        self.offer = here.offer
        self.ended: str | None = None
        self._now = here
        self._start = start
        self._mine = mine
        self._others: list[str] | None = None

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """See `Workers.compute`."""
        try:
            self._now.compute(item, opened, store, parts, progress, backend)
        except DeviceLostError:
            if not self._moved():
                self.ended = NOT_TRIED
            raise
        except DeviceMemoryError:
            if self._mine is not None:  # The memory of the machine is the same everywhere.
                self._moved()
            raise

    def _moved(self) -> bool:
        """Whether another GPU is found that works."""
        if self._others is None:
            # Asked only now: it takes a moment, and GPUs come and go.
            self._others = [] if self._start is None else other_gpus(self._mine)
        while self._others and self._start is not None:
            gpu = self._others.pop(0)
            try:
                self._now = self._start(gpu)
            except PipelineError as error:
                _LOG.warning("%s", error)
                continue
            _LOG.warning("the scenes that follow are computed on %s", gpu)
            return True
        return False


class AnotherGpu:
    """Computes in a process that sees one GPU only; a context, which the process does not outlive.

    Args:
        gpu: Its identifier.
        team: What it must have in common with this process.
    """

    scenes = 1
    ended: str | None = None

    def __init__(self, gpu: str, team: Team) -> None:
        self.device = team.device
        self.offer = team.backend
        self._gpu = gpu
        self._team = team
        # Spawned: what was forked from a process that uses CUDA cannot use it.
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn, _see_only, (gpu,))

    def __enter__(self) -> Self:
        """Checks what the process is.

        Raises:
            PipelineError: It cannot use the GPU, or that is another kind of device.
        """
        names = [source for source, _ in self._team.models]
        try:
            member = self._asked(introduced, "auto", names, Path.cwd(), self._team.marker)
            check_member(self._gpu, member, self._team)
        except BaseException:
            self._pool.shutdown(wait=False, cancel_futures=True)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # Interrupted, nobody waits for the part under way.
        self._pool.shutdown(wait=error is None, cancel_futures=True)

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
        backend: Backend | None,
    ) -> None:
        """See `Workers.compute`."""
        use = uuid4().hex
        alone = replace(store, parts=())  # Without the list of all, which would travel each time.
        for part in parts:
            networks = partial(_networks, self._team, backend)
            error = self._asked(error_of_part, networks, item, use, alone, part)
            if error is not None:
                raise error
            progress(part.tile_count)

    def _asked(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What the process answers.

        Raises:
            DeviceLostError: It ended, or cannot use the GPU.
        """
        try:
            return self._pool.submit(function, *arguments).result()
        except RuntimeError as error:  # Of CUDA, or of the pool whose process ended.
            raise DeviceLostError(
                f"device {self._gpu}: lost ({shortened(error)}); look at nvidia-smi, then run "
                "again: it goes on with what is missing, on a GPU that works"
            ) from error


def _see_only(gpu: str) -> None:
    """Shows a process one GPU, before it uses any."""
    os.environ[VISIBLE] = gpu
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Who is interrupted ends this process too.
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """Ends this process when the one that started it is gone: the pool would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@lru_cache(maxsize=2)
def _networks(team: Team, backend: Backend | None) -> NetworkPredictor:
    return predictor_on("auto", team, backend)
