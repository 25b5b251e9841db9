"""Statements over HTTP, asked for by a real client: what is served, and to whom."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.server import is_loopback, server


@pytest.fixture
def port(tmp_path: Path) -> Iterator[int]:
    """A server of a published folder beside a secret, of which `statements` is a link as in a data folder."""
    published = tmp_path / "publications" / "one"
    (published / "2026-10").mkdir(parents=True)
    (published / "index.html").write_text("<p>all teams")
    (published / "2026-10" / "vision team.html").write_text("<p>vision")
    (published / "2026-10" / "vision team.csv").write_text("team,cost\n")
    (published / "inputs.json").write_text("{}")
    (published / "folder.html").mkdir()
    (published / "folder.html" / "secret.html").write_text("secret")
    (tmp_path / "secret.html").write_text("secret")
    (tmp_path / "statements").symlink_to(published)
    with server(tmp_path / "statements", "127.0.0.1", 0) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield listening.server_port
        listening.shutdown()
        thread.join()


def get(port: int, path: str, host: str | None = None) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("GET", path, skip_host=host is not None)
    if host is not None:
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.getheader("X-Content-Type-Options") == "nosniff"
    return answer.status, text


def test_pages_and_their_csv_are_served(port: int) -> None:
    assert get(port, "/") == (200, "<p>all teams")
    assert get(port, "/2026-10/vision%20team.html?x=1") == (200, "<p>vision")
    assert get(port, "/2026-10/vision%20team.csv") == (200, "team,cost\n")
    assert get(port, "http://localhost/2026-10/vision%20team.html") == (200, "<p>vision")


@pytest.mark.parametrize(
    "path",
    ["/2026-10/", "/2026-10", "/inputs.json", "/absent.html", "/../secret.html", "/%2e%2e/secret.html", "/..%2fsecret.html", "//secret.html", "/folder.html/", "/%00.html", "/inputs.json%00.html", "http://[/"],
)  # fmt: skip
def test_nothing_else_is(port: int, path: str) -> None:
    status, text = get(port, path, "localhost")
    assert status == 404
    assert "secret" not in text.replace(path, "")


def test_another_publication_shows_at_once(port: int, tmp_path: Path) -> None:
    other = tmp_path / "publications" / "two"
    other.mkdir()
    (other / "index.html").write_text("<p>newer")
    (tmp_path / "new").symlink_to(other)
    (tmp_path / "new").replace(tmp_path / "statements")
    assert get(port, "/") == (200, "<p>newer")


def test_a_name_that_another_site_points_here_is_refused(port: int) -> None:
    assert get(port, "/", f"localhost:{port}")[0] == 200
    for name in ("evil.example", f"evil.example:{port}", "", "[", "127.0.0.1.evil.example"):
        status, text = get(port, "/", name)
        assert (status, "all teams" in text) == (403, False), name


def test_which_addresses_are_of_this_machine_alone() -> None:
    assert [is_loopback(h) for h in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(h) for h in ("0.0.0.0", "::", "10.0.0.5", "costs.example")] == [False] * 4
