"""The published statements over HTTP, for the person at this machine.

Whoever can reach the address sees the costs of all teams, so it is that of this machine alone unless another is given.
"""

from __future__ import annotations

from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from socket import AF_INET6
from urllib.parse import unquote, urlsplit

SUFFIXES = (".html", ".csv")
LOCAL = ("localhost", "127.0.0.1", "::1")


def is_loopback(host: str) -> bool:
    """The address is of this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def server(folder: Path, host: str, port: int) -> ThreadingHTTPServer:
    """A server of the pages and CSV files below a folder; `serve_forever` runs it, whoever makes it closes it.

    Args:
        folder: The statements; a link is followed at each request, so that a new publication shows.
        host: The address to listen at.
        port: The port; 0 takes a free one.

    Raises:
        OSError: The address cannot be listened at.
    """
    names = (*LOCAL, host) if is_loopback(host) else ()
    return (_Six if ":" in host else ThreadingHTTPServer)(
        (host, port), partial(_Pages, names, directory=str(folder))
    )


class _Six(ThreadingHTTPServer):
    address_family = AF_INET6


def _host(header: str) -> str | None:
    """The name in a header `Host`, without its port; None where there is none."""
    try:
        return urlsplit(f"//{header}").hostname
    except ValueError:
        return None


class _Pages(SimpleHTTPRequestHandler):
    """Files with a name that statements have, and nothing else."""

    def __init__(self, names: tuple[str, ...], *args: object, **kwargs: object) -> None:
        self.names = names
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def send_head(self):  # type: ignore[no-untyped-def]
        # A page of another site may have its own name point to this machine, and read what its script asks for.
        if self.names and _host(self.headers.get("Host", "")) not in self.names:
            self.send_error(HTTPStatus.FORBIDDEN, f"ask for http://{self.names[0]}")
            return None
        try:
            path = urlsplit(self.path).path  # without the name that a whole URI has
        except ValueError:
            path = ""
        name = PurePosixPath(unquote(path))
        if path == "/":
            self.path = "/index.html"
        elif path.endswith("/") or name.suffix not in SUFFIXES or "\0" in str(name):
            self.send_error(HTTPStatus.NOT_FOUND)
            return None
        else:
            self.path = path
        return super().send_head()

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, *_: object) -> None:
        return None
