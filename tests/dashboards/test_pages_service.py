"""Pages in a real Chromium: they draw, print on A4, and the console stays silent."""

import re
import struct
import subprocess
from pathlib import Path

import pytest

from dashboards.pdf import QUIET, html_to_pdf
from dashboards.statements import render_all
from dashboards.store import Store
from tests.dashboards.conftest import HOSTILE
from tests.services.chromium import chromium_binary

__all__ = ["chromium_binary"]
pytestmark = pytest.mark.service
PAGES = ("index.html", "2026-09/vision.html")


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything rendered once."""
    out = tmp_path_factory.mktemp("pages")
    render_all(store, out)
    return out


def screenshot(binary: str, page: Path, png: Path, profile: Path) -> str:
    """Draws the page and returns what Chromium logged."""
    command = [
        binary, *QUIET, "--no-sandbox", "--hide-scrollbars", "--enable-logging=stderr", "--log-level=0",
        f"--user-data-dir={profile}", "--window-size=1180,1800", f"--screenshot={png}", page.as_uri(),
    ]  # fmt: skip
    result = subprocess.run(
        command, capture_output=True, text=True, errors="replace", timeout=120, check=True
    )
    return result.stderr


@pytest.mark.parametrize("name", PAGES)
def test_a_page_draws_without_a_word_in_the_console(
    chromium_binary: str, folder: Path, tmp_path: Path, name: str
) -> None:
    png = tmp_path / "page.png"
    log = screenshot(chromium_binary, folder / name, png, tmp_path / "profile")
    assert "CONSOLE" not in log
    header = png.read_bytes()[:24]
    assert struct.unpack(">II", header[16:]) == (1180, 1800)
    # a blank page of this size compresses to some 10 kB
    assert png.stat().st_size > 40_000


def test_hostile_names_do_nothing_in_a_browser(chromium_binary: str, folder: Path, tmp_path: Path) -> None:
    """A script that ran, or that the page's policy had to stop, would be heard in the console."""
    pages = sorted((folder / "2026-09").glob("*.html"))
    assert len(pages) >= len(HOSTILE) + 3  # a page for each team, and the month's overview
    for page in pages:
        log = screenshot(chromium_binary, page, tmp_path / "page.png", tmp_path / "profile")
        assert "CONSOLE" not in log, page.name
        assert (tmp_path / "page.png").stat().st_size > 40_000, page.name


def test_the_console_is_heard(chromium_binary: str, tmp_path: Path) -> None:
    page = tmp_path / "bad.html"
    policy = "<meta http-equiv='Content-Security-Policy' content=\"default-src 'none'\">"
    page.write_text(f"<html><head>{policy}</head><body><script>1</script></body></html>")
    log = screenshot(chromium_binary, page, tmp_path / "page.png", tmp_path / "profile")
    assert "CONSOLE" in log


@pytest.mark.parametrize("name", PAGES)
def test_a_page_prints_on_a_few_sheets_of_a4(
    chromium_binary: str, folder: Path, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TIERWISE_CHROMIUM", chromium_binary)
    pdf = tmp_path / "page.pdf"
    html_to_pdf(folder / name, pdf)
    content = pdf.read_bytes()
    assert content.startswith(b"%PDF-")
    sheets = re.findall(rb"/MediaBox\s*\[\s*0\s+0\s+([\d.]+)\s+([\d.]+)\s*\]", content)
    assert 2 <= len(sheets) <= 10
    assert {(round(float(w)), round(float(h))) for w, h in sheets} == {(595, 842)}
