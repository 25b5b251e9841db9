"""A full disk, folders that cannot be written, and two runs at once: a clear message, exit code 1, nothing lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.pipelines import small

pytestmark = pytest.mark.service

DATE = ("--date", "2026-11-05")


@contextmanager
def mounted(folder: Path, options: str) -> Iterator[None]:
    """A file system in memory of its own below a folder; skips where this user may not mount."""
    folder.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"a file system cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def run(site: Path) -> small.Done:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", *DATE)
    assert "Traceback" not in done.stdout + done.stderr
    return done


def fill(data: Path, leave: int) -> None:
    """Leaves so many bytes free."""
    state = os.statvfs(data)
    (data / "filler").write_bytes(b"x" * max(0, state.f_bavail * state.f_frsize - leave))


def test_a_full_disk_says_so_and_the_next_run_with_room_completes(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    data = tmp_path / "data"
    with mounted(data, "size=64m"):
        assert run(tmp_path).returncode == 0
        before = small.fingerprint(tmp_path)
        small.write_bill(tmp_path, "2026-11", [small.row("7", small.NOVEMBER, 3, '{"team":"vision"}')])
        fill(data, 300_000)
        done = run(tmp_path)
        assert done.returncode == 1
        assert f"the disk is full; make room for {data}" in done.stderr
        assert "stand" in done.stderr
        assert small.fingerprint(tmp_path) == before
        (data / "filler").unlink()
        assert run(tmp_path).returncode == 0
        assert small.totals(tmp_path)["vision"] == "17.100000000000"  # 10.10 + 7


def test_inputs_may_be_read_only_and_a_data_folder_may_not(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    rows = {f.name: f.read_bytes() for f in (tmp_path / "bills").iterdir()}
    with mounted(tmp_path / "bills", "size=1m"):
        for name, content in rows.items():
            (tmp_path / "bills" / name).write_bytes(content)
        subprocess.run(["mount", "-o", "remount,ro", str(tmp_path / "bills")], check=True)
        for folder in (tmp_path / "data", tmp_path / "data" / "publications"):
            with mounted(folder, "size=64m,ro"):
                done = run(tmp_path)
                assert done.returncode == 1
                assert f"{folder} cannot be written (Read-only file system)" in done.stderr
                assert "data_dir" in done.stderr
        assert run(tmp_path).returncode == 0
    assert small.totals(tmp_path)["vision"] == "13.600000000000"


WAIT = """
import pathlib, time, pipelines.publication as p
original = p.build
def wait(*arguments):
    pathlib.Path({started!r}).touch()
    while not pathlib.Path({go!r}).exists():
        time.sleep(0.05)
    original(*arguments)
p.build = wait
"""


def test_the_second_of_two_runs_is_refused_and_the_first_completes(tmp_path: Path) -> None:
    file = small.write_site(tmp_path)
    started, go = tmp_path / "started", tmp_path / "go"
    prelude = WAIT.format(started=str(started), go=str(go))
    code = f"{prelude}\nimport sys; from pipelines.cli import main; sys.argv[0] = 'tierwise'; main()"
    first = subprocess.Popen(
        [sys.executable, "-c", code, "run", "--config", str(file), *DATE],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until = time.monotonic() + 300
        while not started.exists() and first.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        assert started.exists()
        second = run(tmp_path)
        assert second.returncode == 1
        assert f"another run is using {tmp_path / 'data'}" in second.stderr
        go.touch()
        assert first.wait(300) == 0
    finally:
        first.kill()
        first.wait()
    assert small.totals(tmp_path)["vision"] == "13.600000000000"
    assert run(tmp_path).returncode == 0
