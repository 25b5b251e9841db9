"""Statements of the small warehouse, against figures worked out by hand."""

import csv
import html
import io
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from dashboards.statements import render_all
from dashboards.store import Store
from tests.dashboards.conftest import HOSTILE, SCRIPT


@pytest.fixture(scope="module")
def folder(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything rendered once."""
    out = tmp_path_factory.mktemp("statements")
    render_all(store, out)
    return out


@pytest.fixture(scope="module")
def files(folder: Path) -> dict[tuple[str, str], Path]:
    """(month, team) -> page, from the index."""
    index = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    return {(e["month"], e["team"]): folder / e["html"] for e in index}


def text(page: str) -> str:
    """What a reader sees, charts left out, blanks put together."""
    body = re.sub(r"<(svg|style|head)\b.*?</\1>", " ", page, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]+>", " ", body)))


def column(page: str, caption: str, position: int) -> list[Decimal]:
    """The numbers of a column, counted from the first numeric one, of the first table with this caption."""
    table = page.split(f"<caption>{caption}</caption>", 1)[1].split("</table>", 1)[0]
    rows = re.findall(r"<tr[^>]*>(.*?)</tr>", table.split("<tbody>", 1)[1], flags=re.DOTALL)
    cells = [re.findall(r'<td class="n[^"]*">([^<]*)</td>', r) for r in rows]
    return [Decimal(c[position].replace(",", "")) for c in cells]


def test_every_team_and_month_has_a_page_and_a_csv(
    folder: Path, files: Mapping[tuple[str, str], Path]
) -> None:
    assert len(files) == 2 + 4 + len(HOSTILE)
    for page in files.values():
        assert page.is_file()
        assert page.with_suffix(".csv").is_file()
        assert page.parent.parent == folder
    assert len(set(files.values())) == len(files)
    assert (folder / "index.html").is_file()
    assert (folder / "2026-08" / "index.html").is_file()


def test_the_five_figures(files: Mapping[tuple[str, str], Path]) -> None:
    page = text(files["2026-09", "vision"].read_text(encoding="utf-8"))
    # 100.004 + 10.004 + 20.004 = 130.012, against 80.10 of 1-20 August (the 10 of the 25th are later)
    assert "Total effective cost stale $130.01 ▲ +49.91 (+62.3%) vs 1–20 Aug 2026 (3 of 20 days)" in page
    assert "Idle cost stale $20.00 ▲ +20.00 vs 1–20 Aug 2026 (3 of 20 days)" in page
    # used 12 + 6 of the 48 h for which it is known; the third card-day is unknown
    assert (
        "GPU-hours used stale 18 h 37.5% of 48 of 72 GPU-hours allocated (use known); 100.0% measured" in page
    )
    # (15 + 25) / 0.1 M; the day without a count is left out, cost and all
    assert "Cost per 1M inferences $400.00 chat (onprem)" in page
    assert "Placement saving possible $1,234.50" in page


def test_cents_shown_sum_to_the_total_shown(files: Mapping[tuple[str, str], Path]) -> None:
    page = files["2026-09", "vision"].read_text(encoding="utf-8")
    for caption in ("By kind of cost", "By service", "By workload, project and environment"):
        *lines, total = column(page, caption, 0)
        assert total == Decimal("130.01")
        assert sum(lines) == total
        *before, total_before = column(page, caption, 2)
        assert sum(before) == total_before == Decimal("80.10")
    # 110.008 direct, 20.004 idle: floors 110.00 + 20.00, one cent missing, direct lost most
    assert column(page, "By kind of cost", 0)[:2] == [Decimal("110.01"), Decimal("20.00")]


def test_the_csv_has_the_exact_charges(files: Mapping[tuple[str, str], Path]) -> None:
    rows = list(
        csv.DictReader(io.StringIO(files["2026-09", "vision"].with_suffix(".csv").read_text("utf-8")))
    )
    usd = [Decimal(r["effective_cost"]) for r in rows if r["currency"] == "USD"]
    assert sum(usd) == Decimal("130.012")
    assert [r["effective_cost"] for r in rows if r["currency"] == "EUR"] == ["7.000000000000"]


def test_currencies_stand_apart(files: Mapping[tuple[str, str], Path]) -> None:
    page = text(files["2026-09", "vision"].read_text(encoding="utf-8"))
    assert "Total effective cost €7.00" in page
    assert "137.01" not in page


def test_unit_costs_full_and_marginal_side_by_side(files: Mapping[tuple[str, str], Path]) -> None:
    page = text(files["2026-09", "vision"].read_text(encoding="utf-8"))
    # full 40 / 0.1 M, marginal 8 / 0.1 M; per 1M tokens 65 / 12,000 and 8 / 8,000; 6 kWh / 12,000 tokens
    assert "100,000 12,000 $400.00 $80.00 $5,416.67 $1,000.00 500.00 210 – 2 of 3" in page


def test_placement_lists_what_is_not_feasible(files: Mapping[tuple[str, str], Path]) -> None:
    page = text(files["2026-09", "vision"].read_text(encoding="utf-8"))
    assert "cloud-spot plan $1,234.50 $1,100.00 month 7 high cheaper from month 7" in page
    assert "far-api api no – – residency: data must stay in gr" in page


def test_the_header_says_how_far_the_figures_can_be_trusted(files: Mapping[tuple[str, str], Path]) -> None:
    page = text(files["2026-09", "vision"].read_text(encoding="utf-8"))
    assert "Data as of 20 Sep 2026" in page
    assert "Run run-2" in page
    assert "Gates passed 1 of 2 (1 warning)" in page
    assert "Cost untagged USD 2.8% · EUR 0.0%" in page
    assert "dc1-files: stale since 2026-09-18 06:00 UTC" in page
    assert "dc1 stale since 18 Sep 2026 Owned GPUs" in page
    assert "stale" not in text(files["2026-09", "speech"].read_text(encoding="utf-8"))


def test_a_team_sees_nothing_of_the_others(files: Mapping[tuple[str, str], Path]) -> None:
    page = files["2026-09", "vision"].read_text(encoding="utf-8") + files["2026-08", "vision"].read_text(
        "utf-8"
    )
    for foreign in (
        "speech",
        "41.77",
        "50.00",
        "12.35",
        "12.345",
        "5.56",
        "platform",
        "kws",
        "passwd",
        "197.46",
    ):
        assert foreign not in page
    rows = csv.DictReader(
        io.StringIO(files["2026-09", "vision"].with_suffix(".csv").read_text(encoding="utf-8"))
    )
    assert {r["team"] for r in rows} == {"vision"}


def test_the_overview_adds_up_and_links_every_team(folder: Path) -> None:
    source = (folder / "2026-09" / "index.html").read_text(encoding="utf-8")
    page = text(source)
    # 130.01 + 41.77 + 5.56 + 12.35 + 7 x 1.11 = 197.46, and 197.459 is 197.46: no line for rounding
    assert "Total 197.46 100.0%" in page
    assert "Rounding 0" not in page
    assert "vision stale 130.01 65.8% 110.01 0.00 20.00 0.00 80.10 +49.91 +62.3%" in page
    assert "bills USD 200.50 200.50 0.00 200.50 0" in page
    assert "speech broke it" in page
    assert "August 2026" in page
    for href in re.findall(r'href="([^"]+)"', source):
        assert (folder / "2026-09" / href).is_file(), href
    for href in re.findall(r'href="([^"]+)"', (folder / "index.html").read_text(encoding="utf-8")):
        assert (folder / href).is_file(), href


def test_the_overview_csv_sums_exactly(folder: Path) -> None:
    rows = list(
        csv.DictReader(io.StringIO((folder / "2026-09" / "overview.csv").read_text(encoding="utf-8")))
    )
    usd = [r for r in rows if r["currency"] == "USD"]
    assert sum(Decimal(r["effective_cost"]) for r in usd) == Decimal("197.459")
    kinds = ("direct_cost", "shared_cost", "idle_cost", "unallocated_cost")
    assert all(sum(Decimal(r[k]) for k in kinds) == Decimal(r["effective_cost"]) for r in rows)


@pytest.mark.long
def test_the_same_warehouse_gives_the_same_bytes(warehouse: Path, folder: Path, tmp_path: Path) -> None:
    with Store(warehouse) as again:
        written = render_all(again, tmp_path)
    assert sorted(p.relative_to(tmp_path) for p in written) == sorted(
        p.relative_to(folder) for p in folder.rglob("*") if p.is_file()
    )
    for path in written:
        assert path.read_bytes() == (folder / path.relative_to(tmp_path)).read_bytes(), path


def test_pages_load_nothing_and_run_nothing(folder: Path) -> None:
    for path in folder.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        addresses = re.findall(r"\w+://[^\s\"'<)]+", re.sub(r'\bxmlns(:\w+)?="[^"]*"', "", page))
        assert addresses == [], path
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
        assert not re.search(
            r"<script|<img|<link|<iframe|\bon\w+\s*=|@import|@font-face|src=", page, re.IGNORECASE
        )
        ids = re.findall(r'\bid="([^"]+)"', page)
        assert len(ids) == len(set(ids))


def test_hostile_names_are_shown_as_they_are_and_do_nothing(
    folder: Path, files: Mapping[tuple[str, str], Path]
) -> None:
    for name in HOSTILE:
        page = files["2026-09", name].read_text(encoding="utf-8")
        assert name in text(page)
        assert html.escape("<b>x</b>") in page
        assert "<b>x" not in page
    overview = text((folder / "index.html").read_text(encoding="utf-8"))
    assert all(name in overview for name in HOSTILE)
    assert html.escape(SCRIPT) in (folder / "index.html").read_text(encoding="utf-8")


def test_no_cell_of_a_csv_is_a_formula(folder: Path, files: Mapping[tuple[str, str], Path]) -> None:
    for path in folder.rglob("*.csv"):
        for row in csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))):
            for name, value in row.items():
                assert value[:1] not in ("=", "+", "-", "@", "\t", "\r") or name.endswith("_cost"), (
                    path,
                    name,
                )
    rows = csv.DictReader(
        io.StringIO(files["2026-09", "=cmd()"].with_suffix(".csv").read_text(encoding="utf-8"))
    )
    row = next(rows)
    assert (row["team"], row["service_name"]) == ("'=cmd()", "'-1+cmd|' /C calc'!A0")


def test_a_month_before_which_there_is_none_has_nothing_to_compare(
    files: Mapping[tuple[str, str], Path],
) -> None:
    page = text(files["2026-08", "speech"].read_text(encoding="utf-8"))
    assert "Total effective cost $50.00 no whole month before to compare with" in page
    assert "August 2026 · to" not in page
    assert date(2026, 8, 1).isoformat() not in page
