"""Commands that are told to write where nothing can be written: which place, why, exit code 1, no traceback."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipelines.cli import main


@pytest.mark.parametrize(
    ("command", "place"),
    [
        ("bench --case load --rows 1000 --keep taken/kept", "taken/kept"),
        ("demo --to taken/demo", "taken/demo"),
    ],
)
def test_a_folder_below_a_file_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    place: str,
) -> None:
    (tmp_path / "taken").write_text("a file")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["tierwise", *command.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert ended.value.code == 1
    assert place in said
    assert "Not a directory" in said
