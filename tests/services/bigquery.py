"""A server that speaks BigQuery's REST API (`crucible-emulator`, DuckDB behind it), in an environment of its own."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.services.environments import environment

PACKAGE = "crucible-emulator[server]==0.1.0a2"


@pytest.fixture(scope="module")
def bigquery_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server."""
    folder = environment("crucible-emulator-0.1.0a2", sys.executable, (PACKAGE,))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = tmp_path_factory.mktemp("bigquery") / "log"
    with log.open("w") as file:
        command = [folder / "bin" / "crucible", "serve", "--dialect", "bigquery", "--port", str(port)]
        server = subprocess.Popen(command, stdout=file, stderr=file)
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def _wait(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(240):
        assert server.poll() is None, log.read_text()
        try:
            requests.get(f"{url}/bigquery/v2/projects/acme/datasets", timeout=5)
        except requests.RequestException:
            time.sleep(0.25)
        else:
            return
    raise AssertionError(log.read_text())
