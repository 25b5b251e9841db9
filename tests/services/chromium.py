"""A real Chromium for tests marked `service`: the installed one, or Debian's where this may install it.

Without one a test is skipped with the reason; in CI (environment variable CI) it fails instead.
"""

import os
import shutil
import subprocess

import pytest

from dashboards.pdf import chromium as installed


def _install() -> str | None:
    """Installs Debian's package; returns why it could not, or None."""
    if shutil.which("apt-get") is None:
        return "there is no apt-get"
    if os.geteuid() != 0:
        return "only root may install it"
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "chromium"]):
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=600,
            env=os.environ | {"DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        if result.returncode != 0:
            return f"`{' '.join(command)}` failed: {result.stderr.strip()[-300:]}"
    return None


@pytest.fixture(scope="session")
def chromium_binary() -> str:
    """The path of a Chromium that can be run."""
    try:
        return installed()
    except ValueError as missing:
        reason = f"{missing}; installing it here: {_install() or 'done'}"
    try:
        return installed()
    except ValueError:
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
