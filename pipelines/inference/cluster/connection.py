"""The connection to a Dask cluster: it outlasts a restart of its scheduler.

Dask is imported only where it is asked for.
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Event, Lock
from types import TracebackType
from typing import TYPE_CHECKING, Self

from pipelines.config.inference import PredictionSettings
from pipelines.errors import ClusterLostError, PipelineError, shortened

if TYPE_CHECKING:
    from distributed import Client

_LOG = logging.getLogger("rurnet")

WAIT_FOR_A_WORKER_S = 60

WAIT_FOR_THE_SCHEDULER_S = 300
"""Seconds in which a scheduler that was lost, and a worker, may come back."""

_TRY_FOR_S, _TRY_EVERY_S = 5, 2.0


class Connection:
    """A client of a cluster; where its scheduler was lost and is back, another one.

    A context, in the end of which it is closed. Several threads may use it.

    Args:
        address: Of the scheduler.
        local: Whether that is a part of this process, and cannot come back without it.

    Raises:
        PipelineError: No cluster with workers answers.
    """

    def __init__(self, address: str, local: bool) -> None:
        self.address = address
        self._patience = 0 if local else WAIT_FOR_THE_SCHEDULER_S
        self._lock = Lock()
        self._over = Event()
        self._failed: str | None = None
        try:
            with ExitStack() as undone:
                self.client = _opened(address, WAIT_FOR_A_WORKER_S)
                undone.callback(self.client.close)
                self.client.wait_for_workers(1, timeout=WAIT_FOR_A_WORKER_S)
                undone.pop_all()
        except (OSError, ValueError) as error:
            raise PipelineError(
                f"{address}: no Dask cluster with workers answers there ({error}); "
                "check --scheduler, and that workers have joined it"
            ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()  # Before threads see that the client is closed, and wait for another.
        self.client.close()

    def renew(self, lost: "Client", check: Callable[["Client"], None]) -> None:
        """Waits until the scheduler is back, with workers, and connects anew.

        One thread does so for all: the others find it done.

        Args:
            lost: The client that lost its scheduler.
            check: Raises a `PipelineError` where the workers cannot be used.

        Raises:
            ClusterLostError: They do not come back in time.
        """
        with self._lock:
            if self.client is not lost:
                return
            if self._failed is None:
                self._failed = self._renewed(check)
            if self._failed is not None:
                raise ClusterLostError(self._failed)

    def _renewed(self, check: Callable[["Client"], None]) -> str | None:
        """Replaces the client; why not, if that was in vain."""
        end = time.monotonic() + self._patience
        if self._patience and not self._over.is_set():
            _LOG.warning(
                "the Dask scheduler %s was lost; waiting for it and for workers, for %g min at "
                "most: what is computed is kept", self.address, self._patience / 60,
            )  # fmt: skip
        why = "no answer"
        with ExitStack() as undone:
            client: Client | None = None
            while time.monotonic() < end and not self._over.is_set():
                try:
                    if client is None or client.status != "running":
                        undone.close()
                        client = _opened(self.address, _TRY_FOR_S)
                        undone.callback(client.close)
                    client.wait_for_workers(1, timeout=_TRY_FOR_S)
                    with losses_named():
                        check(client)
                except (PipelineError, OSError, ValueError) as error:
                    why = shortened(error)
                    self._over.wait(_TRY_EVERY_S)
                    continue
                undone.pop_all()
                # Only now: with its last client, Dask ends the loop that futures are waited on.
                self.client.close()
                self.client = client
                _LOG.info("the Dask scheduler %s is back: the run goes on", self.address)
                return None
        return (
            f"the Dask cluster was lost: {self.address} did not come back with workers that can "
            f"be used ({why}); see to its scheduler and workers, then run again: what is computed "
            "is kept"
        )


def _opened(address: str, seconds: float) -> "Client":
    """A client, with something for a first worker to do: adaptive clusters start none without.

    Raises:
        OSError: Nobody answers in that time.
        ValueError: That is no address.
    """
    from distributed import Client, fire_and_forget

    client = Client(address, timeout=seconds)
    fire_and_forget(client.submit(int, pure=False))
    return client


@contextmanager
def losses_named() -> Iterator[None]:
    """Says of what a client raises that its scheduler was lost.

    Raises:
        ClusterLostError: In place of Dask's own errors.
    """
    from distributed import CancelledError
    from distributed.client import ClosedClientError

    try:
        yield
    except (CancelledError, ClosedClientError, OSError) as error:
        if isinstance(error, PipelineError):
            raise
        raise ClusterLostError(shortened(error)) from error


@contextmanager
def dask_cluster(settings: PredictionSettings) -> Iterator[Connection]:
    """Connects to the cluster asked for; a local one is started and ended here.

    Raises:
        PipelineError: Dask is not installed, or no cluster with workers answers.
    """
    try:
        from distributed import LocalCluster
    except ImportError as error:
        raise PipelineError(
            "several workers need Dask: pip install 'rurnet[cluster]', or leave --workers and "
            "--scheduler out"
        ) from error
    # It logs a lost worker or scheduler with tracebacks; both are mended, or come again as our
    # error.
    for name in ("distributed", "distributed.client"):  # Dask gives the second a level of its own.
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with ExitStack() as stack:
        address = settings.scheduler
        if address is None:
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
        yield stack.enter_context(Connection(address, local=settings.scheduler is None))
