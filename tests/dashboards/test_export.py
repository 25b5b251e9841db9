"""Files for people who ask for one: their names, their content, and what they refuse."""

import zipfile
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dashboards.export import export
from dashboards.store import Store
from tests.dashboards.conftest import AUGUST, HOSTILE

SHEET = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"


def test_one_team_of_one_month(store: Store, tmp_path: Path) -> None:
    (path,) = export(store, "vision", AUGUST, "csv", tmp_path)
    assert path == tmp_path / "2026-08-vision.csv"
    assert "90.100000000000" in path.read_text(encoding="utf-8")


@pytest.mark.long
def test_all_teams_of_the_latest_month_and_their_overview(store: Store, tmp_path: Path) -> None:
    files = export(store, None, None, "html", tmp_path / "new")
    assert files[0].name == "2026-09-overview.html"
    assert len(files) == 1 + 4 + len(HOSTILE)
    for file in files:
        assert "href=" not in file.read_text(encoding="utf-8")


def test_a_workbook_holds_text_as_text(store: Store, tmp_path: Path) -> None:
    (path,) = export(store, "=cmd()", None, "xlsx", tmp_path)
    with zipfile.ZipFile(path) as book:
        sheets = [n for n in book.namelist() if n.startswith("xl/worksheets/sheet")]
        trees = [ElementTree.fromstring(book.read(n)) for n in sheets]
        strings = "".join(ElementTree.fromstring(book.read("xl/sharedStrings.xml")).itertext())
        assert not any("hyperlinks" in n for n in book.namelist())
    assert len(sheets) == 5
    assert not any(tree.findall(f".//{SHEET}f") for tree in trees)
    assert "=cmd()" in strings
    numbers = [c.findtext(f"{SHEET}v") for c in trees[0].iter(f"{SHEET}c") if c.get("t") != "s"]
    assert 1.111 in [float(n) for n in numbers if n]


def test_the_same_workbook_twice(store: Store, tmp_path: Path) -> None:
    (first,) = export(store, "vision", None, "xlsx", tmp_path / "a")
    (again,) = export(store, "vision", None, "xlsx", tmp_path / "b")
    assert first.read_bytes() == again.read_bytes()


def test_a_team_or_month_without_charges_is_refused_with_those_that_have(
    store: Store, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=r"team 'nobody' has no charges in August 2026.*: speech, vision"):
        export(store, "nobody", AUGUST, "csv", tmp_path)
    with pytest.raises(ValueError, match=r"no charges in May 2020; there are in September 2026, August 2026"):
        export(store, None, date(2020, 5, 1), "csv", tmp_path)
    assert list(tmp_path.iterdir()) == []
