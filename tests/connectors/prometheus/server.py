"""A small HTTP server on loopback that answers as a test tells it to: the other side of the client, not a mock of it."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = tuple[int, str]
"""Status and body."""


def ok(result: list[dict[str, Any]], **more: Any) -> Answer:
    """A good answer of Prometheus."""
    return 200, json.dumps({"status": "success", "data": {"resultType": "matrix", "result": result}} | more)


def error(status: int, kind: str, text: str) -> Answer:
    """A refusal of Prometheus."""
    return status, json.dumps({"status": "error", "errorType": kind, "error": text})


@contextlib.contextmanager
def serve(answer: Callable[[str, dict[str, str]], Answer]) -> Iterator[tuple[str, list[dict[str, str]]]]:
    """Serves; yields the URL and the list of requests (parameters, and headers as `header:NAME`)."""
    asked: list[dict[str, str]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            url = urlsplit(self.path)
            params = {k: v[0] for k, v in parse_qs(url.query).items()}
            asked.append(params | {f"header:{k}": v for k, v in self.headers.items()})
            status, body = answer(url.path, params)
            data = body.encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
