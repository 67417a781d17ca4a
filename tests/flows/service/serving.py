"""`flows.serve` for tests: in a folder, with a server and a database of its own."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Queue
from urllib.error import HTTPError
from urllib.request import Request, urlopen

ROOT = Path(__file__).resolve().parents[3]
PREFECT = Path(sys.executable).parent / "prefect"


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def clean_environment(home: Path) -> dict[str, str]:
    unset = ("PREFECT_", "OMP_WAIT_POLICY")
    kept = {k: v for k, v in os.environ.items() if not k.startswith(unset)}
    return {**kept, "PREFECT_HOME": str(home)}


class Served:
    """`python -m flows.serve` in a project folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # GNU's OpenMP, that of torch on Linux, then tells its settings when it is loaded.
        self.environment = clean_environment(folder / "home") | {"OMP_DISPLAY_ENV": "verbose"}
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}/api"
        # The root of a project as Prefect sees it: its pyproject.toml switches the plugin on.
        (folder / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
        self.log = folder / "serve.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        before = self.log.read_text().count("Ctrl-C ends") if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "flows.serve", "--port", str(self.port)],
                cwd=self.folder, env=self.environment, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        end = time.monotonic() + 330
        while self.log.read_text().count("Ctrl-C ends") == before:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.3)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(60)

    def prefect(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PREFECT, *words], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=900,
        )  # fmt: skip

    def rurnet(self, *words: str, typed: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "flows", *words], cwd=self.folder, env=self.environment,
            input=typed, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    def python(self, code: str) -> str:
        """What a script prints that uses the server."""
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, capture_output=True, text=True,
            env={**self.environment, "PREFECT_API_URL": self.url}, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def read(self, path: str, **filters: object) -> list[dict]:
        return self.send("POST", path, filters)

    def send(self, method: str, path: str, content: dict) -> list[dict]:
        body, headers = json.dumps(content).encode(), {"content-type": "application/json"}
        request = Request(f"{self.url}/{path}", body, headers, method=method)
        for again in range(10, -1, -1):
            try:
                with urlopen(request, timeout=20) as reply:
                    return json.loads(reply.read() or "[]")
            except HTTPError as error:
                # Its database is locked for now: Prefect's own client asks again, too.
                if error.code != 503 or not again:
                    raise
                time.sleep(1)
        raise AssertionError("the last try returns or raises")

    def deployment(self, name: str) -> dict:
        return next(d for d in self.read("deployments/filter") if d["name"] == name)


class Listener:
    """A webhook on loopback that remembers what it was sent."""

    def __enter__(self) -> "Listener":
        sent: Queue[tuple[str, dict]] = Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                content = self.rfile.read(int(self.headers["content-length"]))
                sent.put((self.path, json.loads(content)))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._sent, self._server = sent, ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next(self) -> tuple[str, dict]:
        """The path and the content of what came next."""
        return self._sent.get(timeout=60)


def wait_until(moment: Callable[[], bool]) -> None:
    end = time.monotonic() + 240
    while not moment():
        assert time.monotonic() < end
        time.sleep(0.5)


def state_of_newest(service: Served, wanted: set[str], within: float) -> str:
    end = time.monotonic() + within
    while True:
        runs = service.read("flow_runs/filter", sort="EXPECTED_START_TIME_DESC", limit=1)
        if runs[0]["state"]["type"] in wanted or time.monotonic() > end:
            return str(runs[0]["state"]["type"])
        time.sleep(0.5)


def engine_of(service: Served) -> int:
    """The process of the flow run that is going on: a child of the service."""
    assert state_of_newest(service, {"RUNNING"}, 90) == "RUNNING"
    listed = subprocess.run(
        ["ps", "--ppid", str(service.process.pid), "-o", "pid=,args="],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    engines = [line.split()[0] for line in listed.splitlines() if "server start" not in line]
    assert engines, listed
    return int(engines[-1])
