"""Tools for tests, each in a virtual environment of its own, so that none of their dependencies is one of ours.

The environments are kept in `$TIERWISE_TEST_CACHE`, or `.cache/` of the repository. Where one cannot be had, tests
are skipped with the reason; with `$CI` set they fail.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from filelock import FileLock

ROOT = Path(__file__).resolve().parents[2]


def unavailable(reason: str) -> None:
    """Skips the test, or fails it where `$CI` is set."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def _pythons(versions: Sequence[str]) -> Iterator[str]:
    """Interpreters that may be of these versions; a shim of pyenv may not run."""
    yield sys.executable
    for version in versions:
        found = shutil.which(f"python{version}")
        if found:
            yield found
        pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
        yield from map(str, sorted(pyenv.glob(f"{version}.*/bin/python")))


def python_of(tool: str, versions: Sequence[str]) -> str:
    """An interpreter of one of the versions, which the tool's dependencies have wheels for."""
    for python in _pythons(versions):
        asked = subprocess.run(
            [python, "-c", "import sys; print('{}.{}'.format(*sys.version_info[:2]))"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if asked.stdout.strip() in versions:
            return python
    unavailable(
        f"{tool} cannot be had: it needs Python {' or '.join(versions)}, and none is on the PATH or in pyenv"
    )
    raise AssertionError


def environment(name: str, python: str, packages: Sequence[str]) -> Path:
    """The folder of a virtual environment with the packages; made on first use."""
    cache = Path(os.environ.get("TIERWISE_TEST_CACHE") or ROOT / ".cache") / "tools"
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name
    ready = folder / ".ready"
    with FileLock(cache / f"{name}.lock"):
        if not ready.is_file():
            shutil.rmtree(folder, ignore_errors=True)
            for command in (
                [python, "-m", "venv", folder],
                [
                    folder / "bin" / "python",
                    "-m",
                    "pip",
                    "install",
                    "--quiet",
                    "--disable-pip-version-check",
                    *packages,
                ],
            ):
                done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
                if done.returncode:
                    unavailable(f"{packages[0]} cannot be had: {done.stderr.strip()[-300:]}")
            ready.touch()
    return folder
