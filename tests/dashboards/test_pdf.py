"""Which Chromium prints, and what is said when it cannot. Printing itself is tested in test_pages_service.py."""

from pathlib import Path

import pytest

from dashboards import pdf


def program(path: Path, script: str) -> Path:
    """A program that can be run."""
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_environment_names_the_binary_before_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_path = program(tmp_path / "chromium", "exit 0")
    named = program(tmp_path / "mine", "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(pdf.VARIABLE, raising=False)
    assert pdf.chromium() == str(on_path)
    monkeypatch.setenv(pdf.VARIABLE, str(named))
    assert pdf.chromium() == str(named)


def test_without_chromium_the_error_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(pdf.VARIABLE, raising=False)
    with pytest.raises(ValueError, match=r"apt-get install chromium.*TIERWISE_CHROMIUM"):
        pdf.chromium()
    monkeypatch.setenv(pdf.VARIABLE, str(tmp_path / "gone"))
    with pytest.raises(ValueError, match=r"TIERWISE_CHROMIUM is .*gone"):
        pdf.chromium()


def test_a_chromium_that_fails_is_reported_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(pdf.VARIABLE, str(program(tmp_path / "bad", "echo no display >&2; exit 3")))
    with pytest.raises(ValueError, match=r"exit code 3\): no display"):
        pdf.html_to_pdf(tmp_path / "page.html", tmp_path / "page.pdf")
