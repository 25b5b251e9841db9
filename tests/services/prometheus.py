"""A real Prometheus and VictoriaMetrics for tests: the Debian packages unpacked without root, backfilled by promtool, on loopback.

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
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest
from filelock import FileLock

from tests.services.environments import ROOT, unavailable


def unpacked(package: str, *commands: str) -> Path:
    """The folder with the commands of a Debian package, downloaded on first use."""
    found = shutil.which(commands[0])
    if found and all(shutil.which(c) for c in commands):
        return Path(found).parent
    cache = Path(os.environ.get("TIERWISE_TEST_CACHE") or ROOT / ".cache") / package
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(cache / ".lock"):  # other workers want it at the same time
        return _fetched(package, cache)


def _fetched(package: str, cache: Path) -> Path:
    folder, ready = cache / "x" / "usr" / "bin", cache / ".ready"
    if ready.is_file():
        return folder
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        unavailable(f"{package} cannot be had: it is not on the PATH, and there is no apt-get and dpkg")
    got = subprocess.run(
        ["apt-get", "download", "-qq", package], cwd=cache, capture_output=True, text=True, check=False
    )
    packages = sorted(cache.glob(f"{package}_*.deb"))
    if got.returncode or not packages:
        unavailable(f"{package} cannot be had: apt-get download {package}: {got.stderr.strip()[-300:]}")
    subprocess.run(["dpkg", "-x", packages[-1].name, "x"], cwd=cache, check=True, capture_output=True)
    packages[-1].unlink()
    ready.touch()
    return folder


def binaries() -> Path:
    """The folder with prometheus and promtool."""
    return unpacked("prometheus", "prometheus", "promtool")


def free_port() -> int:
    """A port on loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def prometheus(
    openmetrics: Path,
    folder: Path,
    web_config: str = "",
    scheme: str = "http",
    flags: Sequence[str] = (),
    more_config: str = "",
) -> Iterator[str]:
    """Starts a Prometheus that holds a file of series; yields its URL.

    Args:
        openmetrics: The series.
        folder: Where it works.
        web_config: Its web configuration (TLS, users); "" for none.
        scheme: http or https.
        flags: More flags.
        more_config: More of its configuration.
    """
    bin_ = binaries()
    tsdb = folder / "tsdb"
    subprocess.run(
        [bin_ / "promtool", "tsdb", "create-blocks-from", "--max-block-duration=744h", "openmetrics", openmetrics, tsdb, "-q"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1m}}\n{more_config}")
    (folder / "web.yml").write_text(web_config)
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        bin_ / "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={tsdb}",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=warn",
        f"--web.config.file={folder / 'web.yml'}", *flags,
    ]  # fmt: skip
    with _running(command, address, folder / "prometheus.log", "/-/ready" if scheme == "http" else ""):
        yield f"{scheme}://{address}"


@contextlib.contextmanager
def receiver(folder: Path, out_of_order: str) -> Iterator[str]:
    """Starts an empty Prometheus that takes remote writes; yields its URL.

    Args:
        folder: Where it works.
        out_of_order: How late samples may be (`out_of_order_time_window`).
    """
    (folder / "prometheus.yml").write_text(
        f"storage: {{tsdb: {{out_of_order_time_window: {out_of_order}}}}}\n"
    )
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        binaries() / "prometheus", f"--config.file={folder / 'prometheus.yml'}", f"--storage.tsdb.path={folder / 'tsdb'}",
        "--storage.tsdb.retention.time=100y", f"--web.listen-address={address}", "--log.level=warn",
        "--web.enable-remote-write-receiver",
    ]  # fmt: skip
    with _running(command, address, folder / "prometheus.log", "/-/ready"):
        yield f"http://{address}"


@contextlib.contextmanager
def victoria_metrics(openmetrics: Path, folder: Path) -> Iterator[str]:
    """Starts a VictoriaMetrics that holds a file of series; yields its URL."""
    bin_ = unpacked("victoria-metrics", "victoria-metrics")
    address = f"127.0.0.1:{free_port()}"
    command: list[str | Path] = [
        bin_ / "victoria-metrics", f"-storageDataPath={folder / 'vm'}", "-retentionPeriod=100y", f"-httpListenAddr={address}",
    ]  # fmt: skip
    with _running(command, address, folder / "vm.log", "/health"):
        url = f"http://{address}"
        with openmetrics.open() as file:
            lines = (line.rstrip() + "000\n" for line in file if not line.startswith("#"))
            for batch in _batches(lines, 200_000):
                _post(f"{url}/api/v1/import/prometheus", "".join(batch).encode())
        _post(f"{url}/internal/force_flush", b"")
        yield url


def _batches(lines: Iterable[str], size: int) -> Iterator[list[str]]:
    source = iter(lines)
    while batch := list(islice(source, size)):
        yield batch


def _post(url: str, data: bytes) -> None:
    with urlopen(Request(url, data=data, method="POST"), timeout=60) as answer:
        answer.read()


@contextlib.contextmanager
def _running(command: Sequence[str | Path], address: str, log: Path, ready: str) -> Iterator[None]:
    with log.open("w") as output:
        server = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _await(address, ready, server, log)
        yield
    finally:
        server.terminate()
        server.wait(timeout=20)


def _await(address: str, ready: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Waits for the path to answer, or without one for the port to open."""
    host, port = address.split(":")
    for _ in range(300):
        with contextlib.suppress(URLError, ConnectionError, OSError):
            if not ready:
                socket.create_connection((host, int(port)), timeout=2).close()
                return
            with urlopen(f"http://{address}{ready}", timeout=2) as answer:
                if answer.status == 200:
                    return
        if server.poll() is not None:
            break
        time.sleep(0.1)
    pytest.fail(f"the server did not start: {log.read_text()[-2000:]}")
