"""One Prefect server on loopback that every process of this project uses.

Without one, each Prefect process would start a temporary server of its own.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlparse

from flows.errors import ServerError
from flows.service.api import answers, noted_url, prefect_home
from tiling.scenes.names import shown

_START_WITHIN_S = 300.0

_AGAIN_AFTER_S = 2.0
"""A server that dies at once is not started in a busy loop."""

_END_WITHIN_S = 20.0

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextmanager
def running_server(url: str) -> Iterator[None]:
    """Finds the server at `url`, or starts it for as long as the context lasts.

    Args:
        url: `http://HOST:PORT/api`; HOST is where it listens.

    Raises:
        ServerError: The server does not come up, or none answers on another machine.
    """
    kept = None
    if not answers(url):
        if urlparse(url).hostname not in _LOOPBACK:
            raise ServerError(
                f"{shown(url)}: no Prefect server answers there, and one is started on loopback "
                "only; start it on that machine (prefect server start --host ADDRESS), or leave "
                "PREFECT_API_URL out"
            )
        kept = _Kept(url)
    # A password that a person set for the server alone: its own clients need it too.
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)
    noted_url().parent.mkdir(parents=True, exist_ok=True)
    noted_url().write_text(url + "\n", encoding="utf-8")
    try:
        yield
    finally:
        if kept is not None:
            noted_url().unlink(missing_ok=True)
            kept.end()


class _Kept:
    """A server that is started again when it dies, until it is ended.

    Its database is on the disk, so nothing is lost but the seconds in between, in which the
    runner asks again and again.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._ended = threading.Event()
        self._process = _start(url)
        self._watcher = threading.Thread(target=self._watch, name="prefect-server", daemon=True)
        self._watcher.start()

    def end(self) -> None:
        """Ends the server."""
        self._ended.set()
        self._process.terminate()
        try:
            self._process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
        self._watcher.join(_END_WITHIN_S)

    def _watch(self) -> None:
        while True:
            status = self._process.wait()
            if self._ended.wait(_AGAIN_AFTER_S):
                return
            said = f"The Prefect server at {self._url} ended ({status}); it is started again"
            print(said, flush=True)
            try:
                self._process = _start(self._url)
            except ServerError as error:
                # Whoever keeps services running sees that this one ended, and why.
                print(f"error: {error}", file=sys.stderr, flush=True)
                os.kill(os.getpid(), signal.SIGTERM)
                return
            if self._ended.is_set():
                self._process.kill()
                return


def _start(url: str) -> subprocess.Popen[bytes]:
    address = urlparse(url)
    log = prefect_home() / "rurnet-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # Seconds at best; minutes where Prefect must make its database on a busy machine.
    print(f"Starting a Prefect server at {url}; its log is {log}", flush=True)
    environment = {
        **os.environ,
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_API_URL": url,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "server", "start",
             "--host", str(address.hostname), "--port", str(address.port)],
            stdout=output, stderr=subprocess.STDOUT, env=environment,
            # Ctrl-C is for this process: the server must outlive the runs that report to it.
            start_new_session=True,
        )  # fmt: skip
    end = time.monotonic() + _START_WITHIN_S
    while time.monotonic() < end:
        if answers(url):
            return process
        if process.poll() is not None:
            break
        time.sleep(0.3)
    process.kill()
    raise ServerError(
        f"{url}: the Prefect server does not come up; see {log}, or choose another --port"
    )
