"""A TCP proxy that notes what is sent through it and cuts answers short."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from urllib.parse import urlsplit


class Wire:
    """Relays to an HTTP server; connections to it are real, and so is their end.

    Attributes:
        url: Where to connect to.
        sent: What clients sent, one entry a piece.
        cut: Bytes of an answer (its head included) to let through before the connection is cut, one entry for
            each next request that contains `marker`.
        marker: Which requests are cut, or wait for each other.
        together: Such requests go on when as many have come; broken if they do not.
    """

    def __init__(self, upstream: str) -> None:
        parts = urlsplit(upstream)
        self._upstream = (parts.hostname or "", parts.port or 80)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent: list[bytes] = []
        self.cut: list[int] = []
        self.marker = b""
        self.together: threading.Barrier | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def requests(self, marker: bytes) -> list[bytes]:
        return [piece for piece in self.sent if marker in piece]

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._upstream)
                limit: list[int] = []
                for pump in (self._up, self._down):
                    threading.Thread(target=pump, args=(client, server, limit), daemon=True).start()

    def _up(self, client: socket.socket, server: socket.socket, limit: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                self.sent.append(data)
                if self.cut and self.marker in data:
                    limit.append(self.cut.pop(0))
                if self.together and self.marker in data:
                    with contextlib.suppress(threading.BrokenBarrierError):
                        self.together.wait()
                server.sendall(data)
        _end(client, server)

    def _down(self, client: socket.socket, server: socket.socket, limit: list[int]) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 14):
                if limit:
                    data = data[: limit[0]]
                    limit[0] -= len(data)
                client.sendall(data)
                if limit and not limit[0]:
                    break
        _end(client, server)


def _end(*sockets: socket.socket) -> None:
    for each in sockets:
        with contextlib.suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@contextlib.contextmanager
def wire(upstream: str) -> Iterator[Wire]:
    """A proxy before a server, for as long as it is needed."""
    proxy = Wire(upstream)
    try:
        yield proxy
    finally:
        proxy.close()
