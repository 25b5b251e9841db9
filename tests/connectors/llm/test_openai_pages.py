"""Saved pages of OpenAI's organisation API that another follows, and buckets that lie over midnight."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.bills.helpers import WINDOW, counted, facts, load, reader
from tests.connectors.llm.helpers import bucket, cost, hours, page, usage
from tests.connectors.llm.test_openai import DAY, FULL, HOUR, START, costs, save


@pytest.mark.parametrize("more", [True, "true"])
def test_a_page_that_another_follows_is_flagged_until_that_is_there(more: object, tmp_path: Path) -> None:
    """What `limit` cut off: a page of two days of costs says has_more, and the third day comes in another file."""
    two = page(*(bucket(START + n * FULL, START + (n + 1) * FULL, cost("1.5", "web search")) for n in (0, 1)))
    save(tmp_path, "1.json", two | {"has_more": more, "next_page": "page_2"})
    save(tmp_path, "u.json", page(bucket(START + 2 * FULL, START + 2 * FULL + HOUR, usage(1, 0, 1, 1))))
    second = date(2026, 9, 2)
    got = load("openai", tmp_path / "api", tmp_path)
    assert counted(got[DAY]) == counted(got[date(2026, 9, 3)]) == {}
    assert counted(got[second]) == {("flagged", "page_missing", "has_more"): 1}
    before = {s.period: s.fingerprint for s in reader("openai", tmp_path / "api", tmp_path).slices(WINDOW)}
    save(tmp_path, "2.json", costs(start=START + 2 * FULL))
    after = {s.period: s.fingerprint for s in reader("openai", tmp_path / "api", tmp_path).slices(WINDOW)}
    assert (before[DAY] == after[DAY], before[second] == after[second]) == (True, False)
    assert counted(load("openai", tmp_path / "api", tmp_path)[second]) == {}


@pytest.mark.parametrize("code", ["utf-16-le", "utf-16-be"])
def test_a_page_that_powershell_saved(code: str, tmp_path: Path) -> None:
    """Its `>` writes UTF-16 with a byte order mark."""
    text = json.dumps(costs(cost("1.5", "recherche – é")), ensure_ascii=False)
    save(tmp_path, "c.json", ("\ufeff" + text).encode(code))
    (loaded,) = load("openai", tmp_path / "api", tmp_path).values()
    assert loaded.totals == {"USD": Decimal("1.5")}
    assert facts(loaded)["ChargeDescription"].to_list() == ["recherche – é"]


@pytest.mark.parametrize("width", [FULL, 7 * FULL])
def test_a_bucket_over_the_end_of_a_month_stands_where_it_starts_and_is_flagged(
    tmp_path: Path, width: int
) -> None:
    start = START + 30 * FULL - HOUR  # 2026-09-30 23:00
    save(tmp_path, "c.json", page(bucket(start, start + width, cost("7", "web search"))))
    got = load("openai", tmp_path / "api", tmp_path)
    assert list(got) == [date(2026, 9, 30)]
    assert counted(got[date(2026, 9, 30)]) == {("flagged", "crosses_midnight", "end_time"): 1}
    row = facts(got[date(2026, 9, 30)])
    assert row.select("x_billing_month", "BilledCost").rows() == [(DAY, Decimal(7))]


def test_results_without_a_word_of_what_they_are(tmp_path: Path) -> None:
    """An amount is a cost, counts of tokens and requests are usage; what has neither is set aside."""
    bare = [
        {k: v for k, v in r.items() if k != "object"} for r in (cost("1.5", "web search"), usage(7, 2, 3, 4))
    ]
    save(tmp_path, "c.json", page(bucket(START, START + FULL, bare[0])))
    save(tmp_path, "u.json", page(bucket(START, START + HOUR, bare[1])))
    save(tmp_path, "x.json", page(bucket(START, START + HOUR, {"seconds": 3})))
    got = load("openai", tmp_path / "api", tmp_path)[DAY]
    assert got.totals == {"USD": Decimal("1.5")}
    assert hours(got).select("tokens_in", "tokens_cached", "tokens_out", "inferences").rows() == [
        (7, 2, 3, 4)
    ]
    assert counted(got) == {("rejected", "kind_not_read", "object"): 1}


@pytest.mark.parametrize("value", ["1e999999999", "1e99999999999999999999"])
def test_numbers_of_json_beyond_all_numbers(value: str, tmp_path: Path) -> None:
    """The first is set aside; of the second Python has no number, so the page is refused."""
    good, bad = cost("1.5", "web search"), cost("HERE", "web search")
    text = json.dumps(page(bucket(START, START + FULL, good, bad))).replace('"HERE"', value)
    (tmp_path / "api").mkdir()
    (tmp_path / "api" / "c.json").write_text(text)
    if len(value) > 12:
        with pytest.raises(SourceError, match=r"c\.json is not JSON"):
            load("openai", tmp_path / "api", tmp_path)
    else:
        got = load("openai", tmp_path / "api", tmp_path)[DAY]
        assert got.totals == {"USD": Decimal("1.5")}
        assert counted(got) == {("rejected", "not_a_number", "amount.value"): 1}
