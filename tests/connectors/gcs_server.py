"""A loopback server of the two calls of the GCS JSON API that the store makes (list; get with alt=media).

Shapes of requests, answers and errors as the public reference of the JSON API gives them (Objects: list, get).
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit


@dataclass
class Stored:
    body: bytes
    generation: int
    composed: bool = False


@dataclass
class Bucket:
    """What the server holds, and how it behaves.

    Attributes:
        url: Of the server.
        objects: Name -> object.
        page: Objects a page.
        token: Bearer token that is asked for; None lets everybody in.
        forbidden: Credentials are known, but may do nothing.
        failures: Next answers are these statuses, without a reason of the API's own.
        page_text: Answers a list with this text instead.
        asked: Every request: path with query, and headers (names in lower case).
    """

    url: str = ""
    objects: dict[str, Stored] = field(default_factory=dict)
    page: int = 1000
    token: str | None = None
    forbidden: bool = False
    failures: list[int] = field(default_factory=list)
    page_text: str | None = None
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def put(self, name: str, body: bytes, *, composed: bool = False) -> None:
        generation = max((o.generation for o in self.objects.values()), default=1_700_000_000_000_000) + 1
        self.objects[name] = Stored(body, generation, composed)

    def media(self) -> list[dict[str, str]]:
        """Headers of each request for content."""
        return [headers for path, headers in self.asked if "alt=media" in path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.fail(404, "Not Found")

    def do_GET(self) -> None:
        bucket, parts = self.bucket, urlsplit(self.path)
        query = {k: v[0] for k, v in parse_qs(parts.query).items()}
        bucket.asked.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
        if bucket.failures:
            self.answer(bucket.failures.pop(0), b"upstream trouble", "text/plain")
        elif bucket.token and self.headers.get("Authorization") != f"Bearer {bucket.token}":
            self.fail(401, "Invalid Credentials")
        elif bucket.forbidden:
            self.fail(403, "who@acme.iam.gserviceaccount.com does not have storage.objects.list access")
        elif not parts.path.startswith("/storage/v1/b/bills/o"):
            self.fail(404, "The specified bucket does not exist.")
        elif parts.path == "/storage/v1/b/bills/o":
            self.list_objects(query)
        else:
            self.get_media(unquote(parts.path.removeprefix("/storage/v1/b/bills/o/")), query)

    def list_objects(self, query: dict[str, str]) -> None:
        if self.bucket.page_text is not None:
            self.answer(200, self.bucket.page_text.encode(), "text/html")
            return
        names = sorted(n for n in self.bucket.objects if n.startswith(query.get("prefix", "")))
        start = int(query.get("pageToken", "0"))
        items = []
        for name in names[start : start + self.bucket.page]:
            stored = self.bucket.objects[name]
            item = {"name": name, "size": str(len(stored.body)), "generation": str(stored.generation)}
            if not stored.composed:
                digest = hashlib.md5(stored.body).digest()
                item["md5Hash"] = base64.b64encode(digest).decode()
            items.append(item)
        page: dict[str, Any] = {"items": items} if items else {}
        if start + self.bucket.page < len(names):
            page["nextPageToken"] = str(start + self.bucket.page)
        self.answer(200, json.dumps(page).encode())

    def get_media(self, name: str, query: dict[str, str]) -> None:
        stored = self.bucket.objects.get(name)
        if stored is None or query.get("generation", str(stored.generation)) != str(stored.generation):
            self.answer(404, f"No such object: bills/{name}".encode(), "text/html")
            return
        span = self.headers.get("Range")
        if span is None:
            self.answer(200, stored.body, "application/octet-stream")
            return
        start = int(span.removeprefix("bytes=").removesuffix("-"))
        self.answer(206, stored.body[start:], "application/octet-stream")

    def fail(self, status: int, message: str) -> None:
        body = {"error": {"code": status, "message": message, "errors": [{"reason": "required"}]}}
        self.answer(status, json.dumps(body).encode())

    def answer(self, status: int, body: bytes, kind: str = "application/json; charset=UTF-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def serve() -> Iterator[Bucket]:
    """The server with an empty bucket `bills`, for as long as it is needed."""
    bucket = Bucket()
    handler = type("BucketHandler", (Handler,), {"bucket": bucket})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    bucket.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield bucket
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
