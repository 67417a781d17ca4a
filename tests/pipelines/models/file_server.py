"""A server of files on this machine."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Server:
    """A server on this machine that counts what it is asked for.

    Attributes:
        answer: What it does with a request.
        asked: Paths of the requests.
        url: Where it listens.
    """

    def __init__(self, folder):
        self.asked = []
        self.answer = lambda request: whole(request, folder)
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                server.answer(self)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextmanager
    def listening(self):
        thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()


def begun(request, length):
    request.send_response(200)
    if length is not None:
        request.send_header("Content-Length", str(length))
    request.end_headers()


def whole(request, folder):
    """The file of the request's name, if there is one."""
    path = folder / request.path.split("?")[0].rsplit("/", 1)[-1]
    if not path.is_file():
        request.send_error(404)
        return
    begun(request, path.stat().st_size)
    request.wfile.write(path.read_bytes())
