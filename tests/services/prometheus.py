"""A real Prometheus for tests: the Debian package unpacked without root, backfilled by promtool, on loopback.

The package is kept in `$TIERWISE_TEST_CACHE`, or `.cache/` of the repository. Where it cannot be had, tests are
skipped with the reason; with `$CI` set they fail.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _unavailable(reason: str) -> None:
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def binaries() -> Path:
    """The folder with prometheus and promtool, downloaded on first use."""
    found = shutil.which("prometheus")
    if found and shutil.which("promtool"):
        return Path(found).parent
    cache = Path(os.environ.get("TIERWISE_TEST_CACHE") or ROOT / ".cache") / "prometheus"
    folder = cache / "x" / "usr" / "bin"
    if (folder / "promtool").is_file():
        return folder
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        _unavailable(
            "Prometheus cannot be had: there is neither a prometheus on the PATH nor apt-get and dpkg"
        )
    cache.mkdir(parents=True, exist_ok=True)
    got = subprocess.run(
        ["apt-get", "download", "-qq", "prometheus"], cwd=cache, capture_output=True, text=True, check=False
    )
    packages = sorted(cache.glob("prometheus_*.deb"))
    if got.returncode or not packages:
        _unavailable(f"Prometheus cannot be had: apt-get download prometheus: {got.stderr.strip()[-300:]}")
    subprocess.run(["dpkg", "-x", packages[-1].name, "x"], cwd=cache, check=True, capture_output=True)
    packages[-1].unlink()
    return folder


def free_port() -> int:
    """A port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def prometheus(openmetrics: Path, folder: Path) -> Iterator[str]:
    """Starts a Prometheus that holds a file of series; yields its URL."""
    bin_ = binaries()
    tsdb, log = folder / "tsdb", folder / "prometheus.log"
    subprocess.run(
        [bin_ / "promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", openmetrics, tsdb, "-q"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (folder / "prometheus.yml").write_text("global: {scrape_interval: 1m}\n")
    url = f"http://127.0.0.1:{free_port()}"
    with log.open("w") as output:
        server = subprocess.Popen(
            [
                bin_ / "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={tsdb}",
                "--storage.tsdb.retention.time=100y", f"--web.listen-address={url.removeprefix('http://')}", "--log.level=warn",
            ],
            stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
    try:
        _await(url, server, log)
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


def _await(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(300):
        with contextlib.suppress(URLError, ConnectionError), urlopen(f"{url}/-/ready", timeout=2) as answer:
            if answer.status == 200:
                return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"Prometheus did not start: {log.read_text()[-2000:]}")
