"""Who computes the parts of a scene: this process, or the workers of a Dask cluster.

Dask is imported only where it is asked for.
"""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Protocol
from uuid import uuid4

import torch

from pipelines.config.inference import PredictionSettings
from pipelines.errors import PipelineError, UnforeseenError
from pipelines.inference.predictor import NetworkPredictor, predictor_for
from pipelines.inputs.kept_open import KeptOpen
from pipelines.inputs.normalisation import ValueRange
from pipelines.inputs.scene_input import OpenedScene, SceneInput
from pipelines.models.weights import Model, load
from pipelines.results.failure import OWN_ERRORS, trace_of, unforeseen
from pipelines.runtime.device import device_kind
from tiling.part import Part
from tiling.stitch import TilePredictor, stitch
from tiling.store import PartStore

if TYPE_CHECKING:
    from distributed import Client


_WAIT_FOR_A_WORKER_S = 60


class RangePredictor(Protocol):
    """What gives a `tiling.stitch.TilePredictor` for each range of values that scenes have."""

    def scaled_from(self, value_range: ValueRange | None) -> TilePredictor:
        """See `NetworkPredictor.scaled_from`."""
        ...


class Workers(Protocol):
    """Who computes parts."""

    @property
    def scenes(self) -> int:
        """Scenes that may be under way at the same time."""
        ...

    @property
    def device(self) -> str:
        """See `pipelines.runtime.device.device_kind`."""
        ...

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
    ) -> None:
        """Computes parts of a scene into its store.

        Args:
            item: The scene, for whoever opens it anew.
            opened: The same, for whoever is here.
            store: Where parts are written.
            parts: What is missing.
            progress: Told how many tiles are done, each time some are.
        """
        ...


@contextmanager
def workers_for(models: Sequence[Model], settings: PredictionSettings) -> Iterator[Workers]:
    """Starts or finds who computes, and lets them go in the end.

    Raises:
        PipelineError: No such device, no such scheduler, or workers that differ.
    """
    if not settings.workers and settings.scheduler is None:
        yield ThisProcess(device_kind(settings.device), predictor_for(models, settings))
        return
    with _dask_client(settings) as client:
        kinds = sorted(set(client.run(device_kind, settings.device).values()))
        if len(kinds) > 1:
            raise PipelineError(
                f"the workers compute on {' and '.join(kinds)}: bytes would depend on which did "
                "what; give --device, or use workers of one kind"
            )
        yield _DaskWorkers(client, kinds[0], models, settings)


@dataclass(frozen=True)
class ThisProcess:
    """Computes here, one scene after the other.

    Attributes:
        device: See `Workers.device`.
        predictor: What turns tiles into probabilities.
        scenes: See `Workers.scenes`.
    """

    device: str
    predictor: RangePredictor
    scenes: int = 1

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
    ) -> None:
        """See `Workers.compute`."""
        predictor = self.predictor.scaled_from(opened.value_range)
        stitch(opened.seen, store.grid, parts, predictor, store.write, progress=progress)


class _DaskWorkers:
    """Has parts computed by a cluster; a lost worker's parts go to the others.

    Workers read scenes and weights, and write parts, under the same paths as this process.
    """

    def __init__(
        self, client: "Client", device: str, models: Sequence[Model], settings: PredictionSettings
    ) -> None:
        self.client = client
        self.device = device
        # One more than there are workers, so that none waits while a scene is put together.
        self.scenes = len(client.scheduler_info(n_workers=-1)["workers"]) + 1
        self._team = _Team(
            tuple((model.source, model.digest) for model in models),
            # Of the settings only what all flows have: it is part of a key.
            PredictionSettings.model_validate(
                settings.model_dump(include=set(PredictionSettings.model_fields))
            ),
            device,
        )

    def compute(
        self,
        item: SceneInput,
        opened: OpenedScene,
        store: PartStore,
        parts: Sequence[Part],
        progress: Callable[[int], None],
    ) -> None:
        """See `Workers.compute`."""
        from distributed import CancelledError, KilledWorker, as_completed

        folder, use = Path.cwd(), uuid4().hex
        # Without the list of all parts, which would travel with each of them.
        alone = replace(store, parts=())
        futures = {
            self.client.submit(
                _compute, self._team, folder, item, use, alone, part, pure=False
            ): part
            for part in parts
        }
        try:
            for future, error in as_completed(list(futures), with_results=True):
                if error is not None:
                    raise error
                progress(futures[future].tile_count)
        except CancelledError as error:
            # Nothing is asked of the client here: one that is closing would never answer.
            raise PipelineError(
                f"{item.source}: the Dask cluster was lost ({' '.join(str(error).split())}); "
                "see to its scheduler, then run again: what is computed is kept"
            ) from error
        except Exception as error:
            self.client.cancel(list(futures))
            if not isinstance(error, KilledWorker):
                raise
            raise PipelineError(
                f"{item.source}: a part of it ended several workers ({error}); most likely they "
                "ran out of memory: give a smaller --part-size or --batch, then run again"
            ) from error


@dataclass(frozen=True)
class _Team:
    """What all workers of a run have in common."""

    models: tuple[tuple[str, str], ...]
    settings: PredictionSettings
    device: str


_SCENES = KeptOpen()
"""The scene that is open on a worker, from one part to the next."""


def _compute(
    team: _Team, folder: Path, item: SceneInput, use: str, store: PartStore, part: Part
) -> Exception | None:
    """Computes one part; runs on a worker.

    Returns:
        What went wrong, if something did. It is not raised: Dask would print it, and could not
        send it with what it came of, as GDAL's errors cannot be unpickled.
    """
    logging.getLogger("rasterio").setLevel(logging.CRITICAL)  # What it says is raised as well.
    if Path.cwd() != folder:
        os.chdir(folder)  # Paths are those of the process that asks.
    if store.path(part).exists():
        return None  # By a worker that was believed to be lost.
    try:
        predictor = _predictor(team)
        with _SCENES.opened(item, use) as opened:
            scaled = predictor.scaled_from(opened.value_range)
            stitch(opened.seen, store.grid, [part], scaled, store.write)
    except OWN_ERRORS as error:
        return type(error)(str(error))
    except Exception as error:
        return UnforeseenError(unforeseen(error), trace_of(error))
    return None


@lru_cache(maxsize=1)
def _predictor(team: _Team) -> NetworkPredictor:
    """The networks, kept on a worker from one part to the next."""
    settings = team.settings.model_copy(update={"device": _own_device(team.settings.device)})
    kind = device_kind(settings.device)
    if kind != team.device:
        raise PipelineError(
            f"a worker joined that computes on {kind}, the others on {team.device}; "
            "use workers of one kind"
        )
    models = [load(source) for source, _ in team.models]
    for model, (source, digest) in zip(models, team.models, strict=True):
        if model.digest != digest:
            raise PipelineError(
                f"{source}: a worker has other weights under this name; copy the same file there"
            )
    return predictor_for(models, settings)


def _own_device(name: str) -> str:
    """For "auto" on a machine with several GPUs: one for each local worker, in turn."""
    from distributed import get_worker

    worker = str(get_worker().name)
    count = torch.cuda.device_count()
    if name == "auto" and count > 1 and worker.isdecimal():
        return f"cuda:{int(worker) % count}"
    return name


@contextmanager
def _dask_client(settings: PredictionSettings) -> Iterator["Client"]:
    """A client of the cluster asked for; a local one is started and ended here."""
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise PipelineError(
            "several workers need Dask: pip install 'rurnet[cluster]', or leave --workers and "
            "--scheduler out"
        ) from error
    # It logs a lost worker or scheduler with tracebacks; the first is mended, the second comes
    # again as our error.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        if settings.scheduler is None:
            cluster = stack.enter_context(
                LocalCluster(
                    n_workers=settings.workers,
                    threads_per_worker=1,
                    # Parts bound the memory; a limit would only kill what is about to finish.
                    memory_limit=0,
                    dashboard_address=None,
                )
            )
            address = cluster.scheduler_address
        else:
            address = settings.scheduler
        try:
            client = stack.enter_context(Client(address, timeout=_WAIT_FOR_A_WORKER_S))
            client.wait_for_workers(1, timeout=_WAIT_FOR_A_WORKER_S)
        except (OSError, ValueError, TimeoutError) as error:
            raise PipelineError(
                f"{address}: no Dask cluster with workers answers there ({error}); "
                "check --scheduler, and that workers have joined it"
            ) from error
        yield client
