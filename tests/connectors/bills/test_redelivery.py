"""A month delivered again: only days that differ are read, and the result is that of reading everything."""

from __future__ import annotations

import shutil
from datetime import date
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from connectors.parts import current_rows
from models import tables
from pipelines.facts import FactStore, SliceFacts
from pipelines.reduce import daily_costs
from tests.connectors.bills.deliveries import FORMATS
from tests.connectors.bills.helpers import focus
from tests.connectors.bills.redelivery import FOCUS, Site, month, row
from tests.engine import Session

pytestmark = pytest.mark.long

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
        return [] if issues is None else issues.filter(rule="repeated_bill")["rows", "billed_cost"].rows()

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
