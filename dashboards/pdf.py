"""A page as a PDF, printed by an installed Chromium. What the page looks like on paper is in `templates/page.css`."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

BINARIES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""Names looked for on PATH, in this order."""

VARIABLE = "TIERWISE_CHROMIUM"
"""Environment variable that names another binary."""

TIMEOUT_S = 120
QUIET = (
    "--headless",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--disable-dev-shm-usage",
)
"""Flags under which Chromium draws and calls nobody."""


def chromium() -> str:
    """The Chromium to use: the one of `TIERWISE_CHROMIUM`, else the first of `BINARIES` on PATH.

    Raises:
        ValueError: There is none.
    """
    named = os.environ.get(VARIABLE)
    if named:
        if (found := shutil.which(named)) is None:
            msg = f"{VARIABLE} is {named!r}, which is no program that can be run; name the Chromium binary"
            raise ValueError(msg)
        return found
    found = next((path for name in BINARIES if (path := shutil.which(name))), None)
    if found is None:
        msg = (
            f"PDF needs Chromium, and none of {', '.join(BINARIES)} is on PATH; install one "
            f"(Debian, Ubuntu: `apt-get install chromium`) or set {VARIABLE} to its binary"
        )
        raise ValueError(msg)
    return found


def html_to_pdf(html: Path, pdf: Path) -> None:
    """Prints a self-contained page on A4.

    Args:
        html: The page.
        pdf: The file to write; its folder must exist.

    Raises:
        ValueError: There is no Chromium, or it did not print the page.
    """
    root = ["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="tierwise-chromium-") as profile:
        command = [
            chromium(), *QUIET, *root, f"--user-data-dir={profile}", "--no-pdf-header-footer",
            f"--print-to-pdf={pdf.resolve()}", html.resolve().as_uri(),
        ]  # fmt: skip
        try:
            result = subprocess.run(  # noqa: S603 - our own arguments, no shell
                command, capture_output=True, text=True, errors="replace", timeout=TIMEOUT_S, check=False
            )
        except subprocess.TimeoutExpired as error:
            msg = f"{command[0]} did not print {html} within {TIMEOUT_S} s"
            raise ValueError(msg) from error
    if result.returncode != 0 or not pdf.is_file():
        msg = f"{command[0]} did not print {html} (exit code {result.returncode}): {result.stderr.strip()[-500:]}"
        raise ValueError(msg)
