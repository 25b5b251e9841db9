"""The live organisation API, against an HTTP server on the loopback that pages and fails as the documented one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.base import Context, Loaded, SourceError
from connectors.llm.openai import OpenAIReader, Options
from tests.connectors.bills.helpers import WINDOW, facts
from tests.connectors.llm.api_server import KEY, Api, serving
from tests.connectors.llm.helpers import bucket, cost, everything, hours, usage
from tests.engine import Session

FULL, HOUR = 86400, 3600
FIRST = int(datetime(2026, 9, 1, tzinfo=UTC).timestamp())


@pytest.fixture
def api() -> Iterator[Api]:
    signed = {"Authorization": f"Bearer {KEY}"}
    with serving(Api("organization", ("start_time", "start_time"), signed)) as server:
        yield server


def source(api: Api, tmp: Path, **changes: Any) -> OpenAIReader:
    options = {"kind": "openai", "url": api.url, "admin_key": KEY, "since": "2026-09-01"} | changes
    return OpenAIReader(Options.model_validate(options), Context("bills", tmp, tmp / "cache", {}))


def load(api: Api, tmp: Path) -> dict[date, Loaded]:
    reader = source(api, tmp)
    with Session() as engine:
        return {r.slice.period: r for r in reader.load(reader.slices(WINDOW), tmp / "work", engine)}


def days(*amounts: Any) -> list[dict[str, Any]]:
    """A bucket a day from 1 September; None is a day without costs."""
    return [
        bucket(FIRST + n * FULL, FIRST + (n + 1) * FULL, *([] if a is None else [cost(a, "gpt-4o, input")]))
        for n, a in enumerate(amounts)
    ]


def total(loaded: dict[date, Loaded]) -> dict[int, Decimal]:
    return {day.day: one.totals["USD"] for day, one in loaded.items() if one.totals}


def test_all_pages_become_the_days_that_files_would_give(api: Api, tmp_path: Path) -> None:
    api.data = {
        "costs": days(0.06, 2, None, "1.000000000001", 0.1),
        "usage/completions": [bucket(FIRST + HOUR, FIRST + 2 * HOUR, usage(1000, 400, 50, 3))],
    }
    found = load(api, tmp_path)
    assert total(found) == {
        1: Decimal("0.06"),
        2: Decimal(2),
        4: Decimal("1.000000000001"),
        5: Decimal("0.1"),
    }
    assert facts(found[date(2026, 9, 4)])["BilledCost"].to_list() == [Decimal("1.000000000001")]
    row = hours(found[date(2026, 9, 1)]).row(0, named=True)
    assert (row["hour"].hour, row["tokens_in"], row["tokens_cached"], row["inferences"]) == (1, 1000, 400, 3)
    # five buckets, two a page: three pages of costs, one each of the two kinds of usage
    assert [e for e, _ in api.asked] == ["costs"] * 3 + ["usage/completions", "usage/embeddings"]
    first, second = api.asked[0][1], api.asked[1][1]
    assert (first["group_by"], first["start_time"]) == (["project_id", "line_item"], [str(FIRST)])
    assert ("page" in first, second["page"]) == (False, ["page_2"])
    assert KEY not in everything(found)
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and KEY.encode() in p.read_bytes()]


def test_only_the_last_week_is_asked_again_and_a_changed_day_alone_is_new(api: Api, tmp_path: Path) -> None:
    api.data, api.per_page = {"costs": days(*range(1, 21))}, 30
    before = {s.period: s.fingerprint for s in source(api, tmp_path).slices(WINDOW)}
    api.data["costs"] = days(*range(1, 18), 99, None, 20)
    api.asked.clear()
    after = {s.period: s.fingerprint for s in source(api, tmp_path).slices(WINDOW)}
    # 20 September is the newest day: from the 13th on
    assert api.asked[0][1]["start_time"] == [str(FIRST + 12 * FULL)]
    assert [d.day for d in after if after[d] != before[d]] == [18, 19]
    found = total(load(api, tmp_path))
    assert (found[18], found.get(19, 0), sum(found.values())) == (99, 0, 210 - 18 - 19 + 99)


def test_slow_down_and_half_a_page_are_asked_for_again(api: Api, tmp_path: Path) -> None:
    api.data = {"costs": days(1, 2, 3)}
    api.failures = ["429", "half", "", "error", "429"]
    assert total(load(api, tmp_path)) == {1: 1, 2: 2, 3: 3}
    assert len([e for e, _ in api.asked if e == "costs"]) == 2 + 4


def test_what_never_comes_whole_changes_nothing(
    api: Api, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.llm.organisation_api.ATTEMPTS", 2)
    api.data = {"costs": days(1, 2, 3)}
    assert len(source(api, tmp_path).slices(WINDOW)) == 3
    api.data = {"costs": days(5, 6, 7)}
    for failures, said in (
        (["", "half", "half"], "gave no whole answer, 2 times"),
        (["429", "429"], "HTTP 429"),
        (["lost"], "leads nowhere"),
    ):
        api.failures = list(failures)
        with pytest.raises(SourceError, match=said):
            source(api, tmp_path).slices(WINDOW)
        saved = sorted((tmp_path / "cache").rglob("2026-09-*.json"))
        assert [json.loads(p.read_text())["data"][0]["results"][0]["amount"]["value"] for p in saved] == [1, 2, 3]  # fmt: skip
    assert total(load(api, tmp_path)) == {1: 5, 2: 6, 3: 7}


def test_a_refused_key_is_said_and_never_shown(api: Api, tmp_path: Path) -> None:
    api.signed = {"Authorization": "Bearer another"}
    with pytest.raises(SourceError, match=r"refuses admin_key \(HTTP 401\)") as refused:
        source(api, tmp_path).check()
    api.signed, api.failures = {}, ["400"]
    with pytest.raises(SourceError, match=r"HTTP 400.*you sent") as wrong:
        source(api, tmp_path).check()
    assert KEY not in f"{refused.value}{wrong.value}{source(api, tmp_path).options!r}"


def test_check_says_what_is_there(api: Api, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no buckets; is since right"):
        source(api, tmp_path).check()
    api.data = {"costs": days(1, 2)}
    assert source(api, tmp_path).check() == "2 files of pages, 2026-09-01 to 2026-09-02 (UTC)"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"location": "pages"}, "give location"),
        ({"url": None, "admin_key": None, "since": None}, "give location"),
        ({"admin_key": ""}, "go together"),
        ({"since": None}, "go together"),
        ({"url": None, "location": "pages"}, "go together"),
        ({"url": "http://api.openai.com/v1"}, "https only"),
        ({"url": "api.openai.com"}, "https only"),
    ],
)
def test_options_that_cannot_be_right(api: Api, tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        source(api, tmp_path, **changes)
