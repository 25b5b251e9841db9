"""The command `dashboard`: what it says where it cannot serve."""

from __future__ import annotations

import socket
from pathlib import Path

from tests.pipelines import small


def test_nothing_is_published(tmp_path: Path) -> None:
    done = small.tierwise("dashboard", "--config", small.write_site(tmp_path))
    assert (done.returncode, "nothing is published yet; run `tierwise run` first" in done.stderr) == (1, True)


def test_a_port_that_is_taken(tmp_path: Path) -> None:
    file = small.write_site(tmp_path)
    (tmp_path / "data" / "statements").mkdir(parents=True)
    (tmp_path / "data" / "statements" / "index.html").touch()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = small.tierwise("dashboard", "--config", file, "--port", port)
    assert done.returncode == 1
    assert (
        f"127.0.0.1 port {port} cannot be listened at: Address already in use; give another --port"
        in done.stderr
    )


def test_an_empty_host_is_no_address() -> None:
    done = small.tierwise("dashboard", "--host", "")
    assert done.returncode == 2
    assert "give one, such as 127.0.0.1" in done.stderr
