"""A gateway with TLS in front of a Prometheus, as Mimir's or a reverse proxy: it wants a bearer token and a tenant.

It hands on what the Prometheus behind it answers, and fails when it is told to.
"""

from __future__ import annotations

import contextlib
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit
from urllib.request import Request, urlopen

from tests.services.certificates import Pair


@dataclass
class Gateway:
    """How it behaves, and what it was asked.

    Attributes:
        behind: URL of the Prometheus.
        token: Bearer token that it wants.
        tenant: X-Scope-OrgID that it wants.
        failures: Next answers: status, and the Retry-After header ("" for none).
        slow_h: Questions about more hours than this are answered after `delay_s`; 0 for none.
        delay_s: Seconds.
        slow_left: How often it is slow.
        asked: Time and path of every request.
        url: Its own URL.
    """

    behind: str
    token: str
    tenant: str
    failures: list[tuple[int, str]] = field(default_factory=list)
    slow_h: float = 0
    delay_s: float = 0
    slow_left: int = 0
    asked: list[tuple[float, str]] = field(default_factory=list)
    url: str = ""

    def answer(self, path: str, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body."""
        self.asked.append((time.monotonic(), path))
        if headers.get("authorization") != f"Bearer {self.token}":
            return 401, {}, b"no"
        if headers.get("x-scope-orgid") != self.tenant:
            return 401, {}, b"no org id"
        if self.failures:
            status, after = self.failures.pop(0)
            return status, {"Retry-After": after} if after else {}, b"later"
        params = parse_qs(urlsplit(path).query)
        if self.slow_h and "start" in params and "step" in params:
            hours = (float(params["end"][0]) - float(params["start"][0])) / 3600
            if hours > self.slow_h and self.slow_left:
                self.slow_left -= 1
                time.sleep(self.delay_s)
        try:
            with urlopen(Request(self.behind + path), timeout=30) as found:
                return found.status, {"Content-Type": "application/json"}, found.read()
        except HTTPError as error:
            with error:
                return error.code, {}, error.read()


@contextlib.contextmanager
def serve(gateway: Gateway, pair: Pair) -> Iterator[Gateway]:
    """Serves with the certificate."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers, body = gateway.answer(self.path, {k.lower(): v for k, v in self.headers.items()})
            with contextlib.suppress(OSError):  # the client may have gone
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body))}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            return

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    gateway.url = f"https://127.0.0.1:{server.server_address[1]}"
    try:
        yield gateway
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
