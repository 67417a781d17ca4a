"""One Prefect server on loopback that every process of this project uses.

Without one, each Prefect process would start a temporary server of its own.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlparse

from flows.errors import ServerError
from flows.service.api import answers, noted_url, prefect_home
from tiling.scenes.names import shown

_START_WITHIN_S = 300.0

_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@contextmanager
def running_server(url: str) -> Iterator[None]:
    """Finds the server at `url`, or starts it for as long as the context lasts.

    Args:
        url: `http://HOST:PORT/api`; HOST is where it listens.

    Raises:
        ServerError: The server does not come up, or none answers on another machine.
    """
    process = None
    if not answers(url):
        if urlparse(url).hostname not in _LOOPBACK:
            raise ServerError(
                f"{shown(url)}: no Prefect server answers there, and one is started on loopback "
                "only; start it on that machine (prefect server start --host ADDRESS), or leave "
                "PREFECT_API_URL out"
            )
        process = _start(url)
    # A password that a person set for the server alone: its own clients need it too.
    if password := os.environ.get("PREFECT_SERVER_API_AUTH_STRING"):
        os.environ.setdefault("PREFECT_API_AUTH_STRING", password)
    noted_url().parent.mkdir(parents=True, exist_ok=True)
    noted_url().write_text(url + "\n", encoding="utf-8")
    try:
        yield
    finally:
        if process is not None:
            noted_url().unlink(missing_ok=True)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


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
