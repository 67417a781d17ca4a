"""Reports in a browser: a small server on loopback that `flows.serve` runs beside Prefect's.

A browser does not follow a link from Prefect's page to a file on disk.
"""

import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

ADDRESS = "RURNET_REPORTS_URL"
"""Environment variable with the address of this server; runs inherit it."""

_TYPES = {
    ".html": "text/html; charset=utf-8", ".json": "application/json", ".csv": "text/csv",
    ".jpeg": "image/jpeg", ".webp": "image/webp",
}  # fmt: skip

_SHOWN = ("report.html", "report.json", "scores.csv")
"""Names of the only files that are shown, but for tiles; the second must lie beside."""

_TILES = re.compile(r"/report-tiles/\d+/\d+-\d+-\d+-[a-z]+\.(jpeg|webp)$")
"""The tiles of a report, in a folder beside it."""


def link_to(page: Path) -> str:
    """Returns the address of a report: of this server where it runs, or else of the file."""
    server = os.environ.get(ADDRESS)
    return page.as_uri() if server is None else server + quote(str(page))


@contextmanager
def reports_served(port: int) -> Iterator[None]:
    """Serves reports on 127.0.0.1 for as long as the context lasts, if the port is free.

    Args:
        port: The same each time, so that links of earlier runs go on working.
    """
    try:
        server = ThreadingHTTPServer(("127.0.0.1", port), _Handler)
    except OSError:
        yield
        return
    os.environ[ADDRESS] = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="reports", daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.environ.pop(ADDRESS, None)
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """Answers with a report's files, and with nothing else of the disk."""

    def do_GET(self) -> None:
        """Answers one request."""
        path = Path(unquote(urlsplit(self.path).path))
        local = self.headers.get("Host", "").rsplit(":", 1)[0] in ("127.0.0.1", "localhost")
        page = path.parents[2] / _SHOWN[0] if _TILES.search(path.as_posix()) else path
        if not local or page.name not in _SHOWN or not page.with_name(_SHOWN[1]).is_file():
            self.send_error(404)
            return
        try:
            content = path.read_bytes()
        except OSError:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Type", _TYPES[path.suffix])
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: the terminal is that of `flows.serve`."""
