"""One Prefect server on loopback that every process of this project uses.

Without one, each Prefect process would start a temporary server of its own. Imports nothing of
Prefect: `flows.plugin` runs while Prefect is being imported.
"""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlparse

from flows.errors import ServerError

DEFAULT_URL = "http://127.0.0.1:4200/api"
_START_WITHIN_S = 90.0


def prefect_home() -> Path:
    """Prefect's own folder, where its database is."""
    return Path(os.environ.get("PREFECT_HOME", "~/.prefect")).expanduser()


def _noted() -> Path:
    return prefect_home() / "rurnet-server.url"


def server_url() -> str:
    """The server that was noted by `flows.serve`, or else the default address."""
    try:
        return _noted().read_text(encoding="utf-8").strip() or DEFAULT_URL
    except OSError:
        return DEFAULT_URL


def answers(url: str, timeout: float = 1.0) -> bool:
    """Whether a Prefect server answers there."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=timeout) as reply:
            return bool(reply.status == 200 and reply.read(16).strip() == b"true")
    except (urllib.error.URLError, OSError, ValueError):
        return False


@contextmanager
def running_server(url: str) -> Iterator[None]:
    """Finds the server at `url`, or starts it for as long as the context lasts.

    Args:
        url: `http://HOST:PORT/api`; HOST is where it listens.

    Raises:
        ServerError: It does not come up.
    """
    process = None
    if not answers(url):
        process = _start(url)
    _noted().parent.mkdir(parents=True, exist_ok=True)
    _noted().write_text(url + "\n", encoding="utf-8")
    try:
        yield
    finally:
        if process is not None:
            _noted().unlink(missing_ok=True)
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def _start(url: str) -> subprocess.Popen[bytes]:
    address = urlparse(url)
    log = prefect_home() / "rurnet-server.log"
    log.parent.mkdir(parents=True, exist_ok=True)
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
            # Ctrl-C is for us: the server outlives the runs that report to it.
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
