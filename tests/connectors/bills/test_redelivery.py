"""A month delivered again: only days that differ are read, and the result is that of reading everything."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from polars import selectors as cs

from connectors.base import Loaded
from connectors.parts import current_rows
from models import tables
from pipelines.facts import FactStore, SliceFacts
from pipelines.reduce import daily_costs, focus_counts
from tests.connectors.bills.deliveries import FORMATS
from tests.connectors.bills.helpers import CUR_ROW, WINDOW, cur, deliver, focus, reader
from tests.engine import Session

pytestmark = pytest.mark.long

SEPTEMBER = date(2026, 9, 1)
FOCUS = "focus.cost_and_usage"
Rows = Sequence[Mapping[str, str]]
NUMBERS = ("lineItem/UnblendedCost", "lineItem/UsageAmount", "pricing/publicOnDemandCost")
COLUMNS = (*CUR_ROW, "splitLineItem/ParentResourceId", "lineItem/AvailabilityZone")


def row(day: int, **changes: str) -> dict[str, str]:
    start, end = f"2026-09-{day:02}T00:00:00Z", f"2026-09-{day:02}T01:00:00Z"
    return cur(lineItem__UsageStartDate=start, lineItem__UsageEndDate=end, **changes)


def write_parquet(root: Path, rows: Rows) -> None:
    """Replaces what is there by one Parquet file, costs as doubles, moments as timestamps."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    frame = pl.DataFrame(
        [{c: r.get(c, "") or None for c in COLUMNS} for r in rows], schema=dict.fromkeys(COLUMNS, pl.String)
    )
    moments = [c for c in COLUMNS if c.endswith("Date")]
    frame.with_columns(
        pl.col(NUMBERS).cast(pl.Float64, strict=False),
        pl.col(moments).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", strict=False),
    ).write_parquet(root / "a.parquet")


class Site:
    """A location and the facts read from it."""

    def __init__(self, root: Path, kind: str = "aws_cur") -> None:
        self.root = root
        self.kind = kind
        self.bill = root / "bill"
        self.store = FactStore(root / "facts")
        self.current: SliceFacts | None = None
        self.last: Loaded | None = None
        (root / "reduced").mkdir()

    def deliver(self, rows: Rows, form: str, number: int) -> None:
        if form == "parquet":
            write_parquet(self.bill, rows)
        else:
            shutil.rmtree(self.bill, ignore_errors=True)
            half = len(rows) // 2
            halves = {"a.csv.gz": rows[:half], "b.csv.gz": rows[half:]} if half else {"a.csv.gz": rows}
            filled = {name: [{c: r.get(c, "") for c in COLUMNS} for r in of] for name, of in halves.items()}
            deliver(self.bill, f"assembly-{number}", filled)

    def load(self, *, afresh: bool = False) -> SliceFacts:
        """Reads the month as `pipelines.ingest` does."""
        shutil.rmtree(self.root / "cache", ignore_errors=True)
        source = reader(self.kind, self.bill, self.root)
        (item,) = source.slices(WINDOW)
        store = FactStore(self.root / "afresh") if afresh else self.store
        if afresh:
            shutil.rmtree(store.root, ignore_errors=True)
        found = store.find("bills", item.period, item.fingerprint)
        if found is None:
            if self.current and not afresh:
                object.__setattr__(item, "earlier", self.current.earlier)
            with Session() as engine:
                (loaded,) = source.load([item], self.root / "work", engine)
            self.last = self.last if afresh else loaded
            found = store.commit(
                "bills", self.kind, loaded, datetime(2026, 10, 1, tzinfo=UTC).replace(tzinfo=None)
            )
        if not afresh:
            self.current = found
        return found  # fmt: skip

    def picture(self, facts: SliceFacts, *, full: bool = True) -> dict[str, Any]:
        """Everything that is known of a month, rows in a fixed order."""
        with Session() as engine:
            rows = engine.query(f"SELECT * FROM {current_rows(tables.FOCUS, facts.parts(FOCUS))}").select(
                ~cs.starts_with("__")
            )
        issues = self.store.issues(facts)
        costs = daily_costs([facts], {}, self.root / "reduced")
        return {
            "rows": rows.sort(rows.columns).rows(),
            "totals": facts.totals,
            "counts": facts.rows,
            "note": facts.note,
            "issues": [] if issues is None or not full else sorted(map(repr, issues.rows())),
            "daily": costs.sort(costs.columns).rows(),
        }  # fmt: skip


ODD = [
    {"lineItem__UnblendedCost": "abc"},
    {"lineItem__UnblendedCost": ""},
    {"lineItem__CurrencyCode": ""},
    {"lineItem__CurrencyCode": "EUR"},
    {"lineItem__UsageEndDate": "soon"},
    {"lineItem__UsageStartDate": "yesterday"},
    {"splitLineItem__ParentResourceId": "i-1"},
    {"product__region": "NULL"},
    {"lineItem__AvailabilityZone": "12.5"},
    {"lineItem__AvailabilityZone": "11"},
    {"lineItem__LineItemType": "Mystery"},
    {"lineItem__LineItemType": "Tax"},
    {"lineItem__LineItemType": "DiscountedUsage"},
    {"resourceTags__user:team": 'a "team", {odd}'},
    {"bill__PayerAccountId": ""},
    {},
]
ROWS = st.builds(
    lambda day, cost, odd: {**row(day, lineItem__UnblendedCost=f"{cost / 8}"), **{k.replace("__", "/"): v for k, v in odd.items()}},
    st.just(1), st.integers(-80, 8000), st.sampled_from(ODD),
)  # fmt: skip
PLAIN = st.integers(1, 800).map(lambda n: {"lineItem/UnblendedCost": f"{n / 16}"})
DAYS = 6


@st.composite
def deliveries(draw: st.DrawFn) -> list[tuple[str, list[dict[str, str]]]]:
    """Deliveries of one month, of which each changes up to three days of the one before."""

    def of_day(day: int) -> list[dict[str, str]]:
        made = [row(day) | r for r in draw(st.lists(PLAIN, max_size=3))]
        odd = draw(st.lists(ROWS, max_size=1 if draw(st.booleans()) else 0))
        for r in odd:
            placed = (
                r
                if r["lineItem/UsageStartDate"] == "yesterday"
                else r | {"lineItem/UsageStartDate": f"2026-09-{day:02}T00:00:00Z"}
            )
            made += [
                placed
                | (
                    {"lineItem/UsageEndDate": f"2026-09-{day:02}T02:00:00Z"}
                    if r["lineItem/UsageEndDate"] != "soon"
                    else {}
                )
            ]
        return made + made[: draw(st.integers(0, 1))]  # fmt: skip

    month = {day: [row(day), *of_day(day)] for day in range(1, DAYS + 1)}
    form = draw(st.sampled_from(["parquet", "csv"]))
    result = []
    for _ in range(draw(st.integers(2, 5))):
        rows = [r for rows in month.values() for r in rows]
        result.append((form, draw(st.permutations(rows))))
        for day in draw(st.sets(st.integers(1, DAYS), max_size=3)):
            month[day] = of_day(day)
        if draw(st.integers(0, 9)) == 0:
            form = draw(st.sampled_from(["parquet", "csv"]))
    return result


@settings(
    max_examples=settings.default.max_examples // 4,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],  # shrinking would take minutes
)
@given(deliveries())
def test_any_sequence_of_deliveries_gives_what_a_fresh_load_of_the_last_gives(
    given_: list[tuple[str, list[dict[str, str]]]],
) -> None:
    with TemporaryDirectory() as folder:
        site = Site(Path(folder))
        for number, (form, rows) in enumerate(given_):
            site.deliver(rows, form, number)
            mine = site.load()
            found, wanted = site.picture(mine), site.picture(site.load(afresh=True))
            assert [k for k in wanted if found[k] != wanted[k]] == []


def month(**changes: dict[str, str]) -> list[dict[str, str]]:
    """Ten days of two charges; `d3={...}` changes those of day 3."""
    return [
        row(day, lineItem__UnblendedCost=f"{cost}") | changes.get(f"d{day}", {})
        for day in range(1, 11)
        for cost in (day, day + 0.5)
    ]


def test_only_a_day_that_changed_is_read_and_the_files_outlive_the_version_they_came_from(
    tmp_path: Path,
) -> None:
    """Ten days cost 2 x (1 + ... + 10) + 10 x 0.5 = 115; day 3 cost 6.5, and then 2 x 100."""
    for form in ("parquet", "csv"):
        (tmp_path / form).mkdir()
        site = Site(tmp_path / form)
        site.deliver(month(), form, 1)
        first = site.load()
        assert first.totals == {"USD": Decimal(115)}
        site.deliver(month(d3={"lineItem/UnblendedCost": "100"}), form, 2)
        second = site.load()
        assert site.last is not None
        assert pl.read_parquet(site.last.kept[0].file).height == 20
        (old, new) = second.parts(FOCUS)
        assert (old.without, new.without) == ((date(2026, 9, 3),), ())
        assert pl.read_parquet(new.file)["BilledCost"].to_list() == [Decimal(100), Decimal(100)]
        assert second.totals == {"USD": Decimal("308.5")}
        assert second.rows == {"read": 20, "loaded": 20, "rejected": 0, "repaired": 0}
        FactStore(site.store.root).prune({second.folder})
        assert not first.folder.exists()
        assert sum(r[0] for r in _costs(second)) == Decimal("308.5")
        assert daily_costs([second], {}, site.root / "reduced")["billed_cost"].sum() == Decimal("308.5")


def test_only_the_file_of_the_day_that_changed_is_reduced_again(tmp_path: Path) -> None:
    """As above: of 115 day 3 cost 6.5, then 200. Its second charge, said twice, ends before it starts: two rows of one
    rule, one repeated row."""
    reductions: dict[str, Callable[[SliceFacts], pl.DataFrame]] = {
        "costs": lambda facts: daily_costs([facts], {}, tmp_path / "costs"),
        "counts": lambda facts: focus_counts([facts], tmp_path / "counts"),
        "zone": lambda facts: daily_costs([facts], {"bills": "America/Los_Angeles"}, tmp_path / "zone"),
    }
    for name in reductions:
        (tmp_path / name).mkdir()
    site, days = Site(tmp_path), [date(2026, 9, n) for n in range(1, 11)]
    site.deliver(month(), "parquet", 1)
    first = site.load()
    found = {name: of(first) for name, of in reductions.items()}
    assert sorted(found["costs"]["day"]) == days
    assert found["costs"]["billed_cost"].sum() == Decimal(115)
    assert found["counts"].select("ChargePeriod order", "duplicate").sum().row(0) == (0, 0)
    hour = "2026-09-03T00:00:00Z"
    odd = {"lineItem/UnblendedCost": "100", "lineItem/UsageStartDate": hour, "lineItem/UsageEndDate": hour}
    site.deliver(month(d3=odd), "parquet", 2)
    second = site.load()
    assert len(second.parts(FOCUS)) == 2
    before = {name: set((tmp_path / name).glob("*.parquet")) for name in reductions}
    found = {name: of(second) for name, of in reductions.items()}
    new = {
        name: [pl.read_parquet(file) for file in set((tmp_path / name).glob("*.parquet")) - before[name]]
        for name in reductions
    }
    assert [frame["day"].unique().to_list() for frame in new["costs"]] == [[date(2026, 9, 3)]]
    assert [frame["day"].unique().to_list() for frame in new["counts"]] == [[date(2026, 9, 3)]]
    assert found["costs"]["billed_cost"].sum() == Decimal("308.5")
    assert found["costs"].filter(pl.col("day") == date(2026, 9, 3))["billed_cost"].sum() == Decimal(200)
    assert found["counts"].select("ChargePeriod order", "duplicate").sum().row(0) == (2, 1)
    assert found["zone"]["billed_cost"].sum() == Decimal("308.5")
    counted = {name: len(set((tmp_path / name).glob("*.parquet"))) for name in reductions}
    for of in reductions.values():
        of(first), of(second)
    assert {name: len(set((tmp_path / name).glob("*.parquet"))) for name in reductions} == counted, (
        "nothing was read again, the version that was replaced included"
    )


def test_reductions_that_nobody_asked_for_in_a_week_go(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "parquet", 1)
    facts = site.load()
    old, young = tmp_path / "reduced/old.parquet", tmp_path / "reduced/young.parquet"
    now = time.time()
    for file, days in ((old, 7.1), (young, 6.9)):
        file.touch()
        os.utime(file, (now - days * 86400, now - days * 86400))
    assert daily_costs([facts], {}, tmp_path / "reduced")["billed_cost"].sum() == Decimal(115)
    (mine,) = set((tmp_path / "reduced").glob("*.parquet")) - {old, young}
    assert (old.exists(), young.exists()) == (False, True)
    os.utime(mine, (now - 8 * 86400, now - 8 * 86400))
    daily_costs([facts], {}, tmp_path / "reduced")
    assert mine.exists(), "asked for just now"


@pytest.mark.parametrize("name", ["azure, runs", "focus, data export"])
def test_other_exports_with_a_manifest_are_read_by_day_too(name: str, tmp_path: Path) -> None:
    """1 + ... + 10 = 55 on ten days in two files; then the third day costs 100: 55 - 3 + 100."""
    form, costs = FORMATS[name], [f"{n}" for n in range(1, 11)]
    site = Site(tmp_path, form.kind)
    form.deliver(site.bill, "2026-09", costs, 1)
    assert site.load().totals == {"USD": Decimal(55)}
    form.deliver(site.bill, "2026-09", [*costs[:2], "100", *costs[3:]], 3)
    second = site.load()
    assert second.totals == {"USD": Decimal(152)}
    (old, new) = second.parts(FOCUS)
    assert (old.without, new.without) == ((date(2026, 9, 3),), ())
    assert pl.read_parquet(new.file)["BilledCost"].to_list() == [Decimal(100)]
    assert site.picture(second) == site.picture(site.load(afresh=True))


@pytest.mark.parametrize("name", ["azure, plain", "gcp", "oci", "focus, plain"])
def test_several_files_without_a_manifest_are_read_by_day_too(name: str, tmp_path: Path) -> None:
    """1 + ... + 10 = 55, day 1 in a file of its own; then the third day costs 100: 55 - 3 + 100."""
    form, costs = FORMATS[name], [f"{n}" for n in range(1, 11)]
    site = Site(tmp_path, form.kind)
    for turn, third, total in ((1, "3", 55), (3, "100", 152)):
        form.deliver(site.bill, "2026-09", [*costs[:2], third, *costs[3:]], turn)
        assert list(site.load().totals.values()) == [Decimal(total)]
    second = site.current
    assert second is not None
    (old, new) = second.parts(FOCUS)
    assert (old.without, new.without) == ((date(2026, 9, 3),), ())
    assert pl.read_parquet(new.file)["BilledCost"].to_list() == [Decimal(100)]
    assert site.picture(second) == site.picture(site.load(afresh=True))


@pytest.mark.parametrize("packed", ["csv", "parquet"])
def test_rows_that_two_files_repeat_are_found_on_days_that_are_not_read_again(
    packed: str, tmp_path: Path
) -> None:
    """Nine days of 1, 2 ... 9 = 45 USD are in both files, the tenth day in one: it costs 10, then 20. Then the copy goes."""

    def deliver(tenth: str, *, copied: bool) -> None:
        shutil.rmtree(site.bill, ignore_errors=True)
        made = [
            focus(BilledCost=cost, ChargePeriodStart=f"2026-09-{n:02}T00:00:00Z", ChargePeriodEnd=f"2026-09-{n:02}T12:00:00Z")
            for n, cost in enumerate([*map(str, range(1, 10)), tenth], 1)
        ]  # fmt: skip
        for name, rows in {"a": made, **({"b": made[:9][::-1]} if copied else {})}.items():
            site.bill.mkdir(exist_ok=True)
            frame = pl.DataFrame(rows).with_columns(pl.col("BilledCost").cast(pl.Float64))
            frame.write_csv(site.bill / f"{name}.csv") if packed == "csv" else frame.write_parquet(
                site.bill / f"{name}.parquet"
            )

    def repeats(facts: SliceFacts) -> list[tuple[int, Decimal]]:
        issues = site.store.issues(facts)
        return [] if issues is None else issues.filter(rule="repeated_rows")["rows", "billed_cost"].rows()

    site = Site(tmp_path, "focus")
    deliver("10", copied=True)
    assert repeats(site.load()) == [(9, Decimal(45))]
    deliver("20", copied=True)
    second = site.load()
    assert [pl.read_parquet(p.file).height for p in second.parts(FOCUS)] == [19, 1]
    assert second.totals == {"USD": Decimal(110)}
    assert repeats(second) == [(9, Decimal(45))]
    assert site.picture(second) == site.picture(site.load(afresh=True))
    deliver("20", copied=False)
    third = site.load()
    assert (repeats(third), third.totals) == ([], {"USD": Decimal(65)})


def _costs(facts: SliceFacts) -> list[tuple[Decimal]]:
    with Session() as engine:
        return engine.query(
            f'SELECT "BilledCost" FROM {current_rows(tables.FOCUS, facts.parts(FOCUS))}'
        ).rows()


def test_the_same_rows_in_other_files_are_not_read_again(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "parquet", 1)
    first = site.load()
    site.deliver(month()[::-1], "parquet", 2)
    second = site.load()
    assert second.folder != first.folder
    assert site.last is not None
    assert not site.last.facts
    assert [
        p.file.samefile(q.file) for p, q in zip(second.parts(FOCUS), first.parts(FOCUS), strict=True)
    ] == [True]
    assert site.picture(second) == site.picture(first)


def test_a_row_there_once_more_changes_its_day(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "csv", 1)
    site.load()
    site.deliver([*month(), month()[0]], "csv", 2)
    assert site.load().totals == {"USD": Decimal(116)}
    assert site.last is not None
    assert site.last.kept[0].without == (date(2026, 9, 1),)


def test_a_day_that_is_gone_counts_no_longer(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "csv", 1)
    site.load()
    site.deliver(month()[:-2], "csv", 2)  # without day 10: 10 + 10.5 less
    second = site.load()
    assert second.totals == {"USD": Decimal("94.5")}
    assert sum(r[0] for r in _costs(second)) == Decimal("94.5")
    assert site.last is not None
    assert not site.last.facts


def test_days_with_rejected_rows_are_read_again_since_their_place_is_shown(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(d4={"lineItem/UnblendedCost": "abc"}), "csv", 1)
    site.load()
    site.deliver(month(d4={"lineItem/UnblendedCost": "abc"}, d5={"lineItem/UnblendedCost": "1"}), "csv", 2)
    second = site.load()
    issues = site.store.issues(second)
    assert issues is not None
    assert issues.filter(action="rejected")["location"].str.contains("assembly-2").all()
    assert second.rows["rejected"] == 2
    assert second.parts(FOCUS)[0].without == (date(2026, 9, 4), date(2026, 9, 5))


def test_more_than_half_changed_or_another_mapping_is_a_full_load(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.deliver(month(), "csv", 1)
    site.load()
    site.deliver(month(**{f"d{n}": {"lineItem/UnblendedCost": "7"} for n in range(1, 7)}), "csv", 2)
    (part,) = site.load().parts(FOCUS)
    assert part.without == ()
    site.deliver(
        month(**{f"d{n}": {"lineItem/UnblendedCost": "7"} for n in range(1, 7)}), "parquet", 3
    )  # same, other form
    assert len(site.load().parts(FOCUS)) == 1
    assert site.last is not None
    assert not site.last.kept


def test_a_commitment_whose_cost_is_not_stated_makes_the_whole_month_be_read(tmp_path: Path) -> None:
    """What such a commitment cost depends on all rows of the month, so no day can stand for itself."""
    for form in ("parquet", "csv"):
        (tmp_path / form).mkdir()
        site = Site(tmp_path / form)
        site.deliver(month(), form, 1)
        site.load()
        site.deliver(month(d3={"lineItem/LineItemType": "DiscountedUsage"}), form, 2)
        assert site.picture(site.load()) == site.picture(site.load(afresh=True))
        assert site.last is not None
        assert not site.last.kept
        assert site.last.rows_loaded == 20
        site.deliver(month(), form, 3)
        site.load()
        assert not site.last.kept
