"""Charges of several currencies in the organisation's; figures by hand."""

from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from dashboards.conversion import conversion
from dashboards.statements import render_all
from dashboards.store import Store
from models.tables import MONEY
from tests.dashboards import conftest as made

DAYS = {"day": pl.Date, "currency": pl.String, "effective_cost": MONEY, "converted_cost": MONEY}


def daily(*rows: tuple[int, str, str, str | None]) -> pl.DataFrame:
    values = [(date(2026, 9, d), c, Decimal(e), None if k is None else Decimal(k)) for d, c, e, k in rows]
    return pl.DataFrame(values, schema=DAYS, orient="row")


def test_what_is_shown_sums_to_the_total() -> None:
    """1.004 + 2.004 + 3.004 USD are 6.012, shown as 6.01: one of the three shows a cent more."""
    found = conversion(
        daily((1, "USD", "1.004", "1.004"), (1, "EUR", "2", "2.004"), (2, "GBP", "2.5", "3.004")), "USD"
    )
    assert found is not None
    assert found.total == Decimal("6.01")
    assert [line.currency for line in found.lines] == ["EUR", "GBP", "USD"]
    assert sum(line.shown or 0 for line in found.lines) == Decimal("6.01")
    assert not any(line.unrated or line.unrated_days for line in found.lines)


def test_a_missing_rate_leaves_the_line_and_the_total_unknown_and_is_named() -> None:
    """10 EUR of the 1st and -4 of the 3rd have no rate; 5 of the 7th have one."""
    rows = [(1, "EUR", "10", None), (3, "EUR", "-4", None), (7, "EUR", "5", "6"), (7, "USD", "1", "1")]
    found = conversion(daily(*rows), "USD")
    assert found is not None
    assert found.total is None
    eur, usd = found.lines
    assert (eur.cost, eur.shown, eur.unrated) == (Decimal(11), None, Decimal(6))
    assert eur.unrated_days == (date(2026, 9, 1), date(2026, 9, 3))
    assert (usd.shown, usd.unrated) == (Decimal(1), Decimal(0))


def test_one_currency_needs_no_conversion() -> None:
    assert conversion(daily((1, "USD", "1", "1")), "USD") is None
    assert conversion(daily(), "USD") is None
    assert conversion(daily((1, "USD", "1", None)), "EUR") is not None


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two teams: 100 USD, and 10 EUR and 5 GBP, of which EUR alone has a rate (1.10)."""
    folder = tmp_path_factory.mktemp("currencies")
    charges = [
        made.charge(date(2026, 9, 2), "vision", "100", converted_cost=Decimal(100)),
        made.charge(date(2026, 9, 3), "speech", "10", currency="EUR", converted_cost=Decimal(11)),
        made.charge(date(2026, 9, 4), "speech", "5", currency="GBP", converted_cost=None),
    ]
    with Store(made.build(folder / "w.duckdb", charges, [], [], [], [])) as store:
        render_all(store, folder / "out")
    return folder / "out"


def test_pages_say_which_rate_is_missing(pages: Path) -> None:
    says = (
        "5.00 GBP on 1 day: <code>rates</code> has none of GBP dated 4 Sep 2026 or before",
        "<td>not known while a rate is missing</td>",
        '<td>EUR</td><td class="n">10.00</td><td class="n">11.00</td>',
    )
    for name in ("index.html", "2026-09/speech.html"):
        page = (pages / name).read_text()
        assert [text for text in says if text not in page] == []
    assert "All of it in" not in (pages / "2026-09" / "vision.html").read_text()
