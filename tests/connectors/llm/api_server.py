"""An HTTP server on the loopback that pages and fails as the documented organisation APIs do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

KEY = "sk-admin-SECRET-0123456789"


class Api(ThreadingHTTPServer):
    """Holds buckets by endpoint, gives `per_page` of them at a time, and first the failures it is told to.

    Args:
        root: Path above the endpoints.
        since: Name of the parameter and of the key of a bucket with its start.
        signed: Headers that an answer needs.
    """

    def __init__(self, root: str, since: tuple[str, str], signed: dict[str, str]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.root, self.since, self.signed = f"/v1/{root}/", since, signed
        self.data: dict[str, list[dict[str, Any]]] = {}
        self.per_page = 2
        self.failures: list[str] = []
        self.asked: list[tuple[str, dict[str, list[str]]]] = []
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Api

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def answer(self, status: int, body: str, *, cut: int = 0, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - cut].encode())
        self.close_connection = True

    def do_GET(self) -> None:
        api, parts = self.server, urlsplit(self.path)
        asked = parse_qs(parts.query)
        endpoint = parts.path.removeprefix(api.root)
        api.asked.append((endpoint, asked))
        if any(self.headers[name] != value for name, value in api.signed.items()):
            self.answer(401, json.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}}))
            return
        failure = api.failures.pop(0) if api.failures else ""
        if failure == "429":
            self.answer(429, json.dumps({"error": {"message": "slow down"}}), Retry_After="0")
            return
        if failure == "400":
            self.answer(400, json.dumps({"error": {"message": f"wrong; you sent {KEY}"}}))
            return
        parameter, key = api.since
        start = asked[parameter][0]
        buckets = [b for b in api.data.get(endpoint, []) if str(b[key]) >= start]
        at = int(asked.get("page", ["page_0"])[0].removeprefix("page_"))
        more = at + api.per_page < len(buckets)
        page = {
            "object": "page",
            "data": buckets[at : at + api.per_page],
            "has_more": more,
            "next_page": f"page_{at + api.per_page}" if more and failure != "lost" else None,
            "error": {"message": "busy"} if failure == "error" else None,
        }
        self.answer(200, json.dumps(page), cut=40 if failure == "half" else 0)


@contextmanager
def serving(server: Api) -> Iterator[Api]:
    """The server, while it answers."""
    with server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
