"""Lines that add up, and the period they are compared over."""

from datetime import date
from decimal import Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from dashboards.figures import lines, period, team_lines
from models.tables import MONEY

AUGUST, SEPTEMBER = date(2026, 8, 1), date(2026, 9, 1)
KINDS = ("direct", "shared", "idle", "unallocated")


def charges(rows: list[tuple[str, str, Decimal]]) -> pl.DataFrame:
    """team, cost_kind and amount, all of one source."""
    return pl.DataFrame(
        rows, schema={"team": pl.String, "cost_kind": pl.String, "effective_cost": MONEY}, orient="row"
    ).with_columns(source=pl.lit("bills"))


def test_a_month_that_is_over_is_compared_with_the_whole_month_before() -> None:
    over = period(SEPTEMBER, [SEPTEMBER, AUGUST], date(2026, 9, 30))
    assert (over.complete, over.cut, over.against) == (True, date(2026, 8, 31), "Aug 2026")


def test_a_month_under_way_is_compared_with_as_many_days() -> None:
    so_far = period(SEPTEMBER, [SEPTEMBER, AUGUST], date(2026, 9, 20))
    assert (so_far.complete, so_far.cut, so_far.against) == (False, date(2026, 8, 20), "1–20 Aug 2026")
    days = pl.DataFrame({"day": [date(2026, 8, 20), date(2026, 8, 21)]})
    assert so_far.before(days)["day"].to_list() == [date(2026, 8, 20)]


def test_the_first_month_of_all_is_told_with_how_many_of_its_days_have_charges() -> None:
    months = [SEPTEMBER, AUGUST]
    days = [
        date(2026, 7, 31),
        AUGUST,
        *(date(2026, 8, n) for n in range(27, 32)),
    ]  # a fee of the 1st, all from the 27th on
    assert period(SEPTEMBER, months, date(2026, 9, 30), days).against == "Aug 2026 (6 of 31 days)"
    assert period(SEPTEMBER, months, date(2026, 9, 28), days).against == "1–28 Aug 2026 (3 of 28 days)"
    every = [date(2026, 8, n) for n in range(1, 32)]
    assert period(SEPTEMBER, months, date(2026, 9, 30), every).against == "Aug 2026"
    assert period(SEPTEMBER, [*months, date(2026, 7, 1)], date(2026, 9, 30), days).against == "Aug 2026"


def test_a_month_within_which_charges_begin_is_nothing_to_compare_with() -> None:
    # of 31 days of August 15 have charges, of 30 of September all: less than half; 16 are more. A bill of one charge a
    # month has 1 of 31 and 1 of 30.
    every = [date(2026, 9, n) for n in range(1, 31)]
    for days, own, compared in ((15, every, None), (16, every, AUGUST), (1, every[:1], AUGUST)):
        first = [date(2026, 8, n) for n in range(32 - days, 32)]
        found = period(SEPTEMBER, [SEPTEMBER, AUGUST], date(2026, 9, 30), first, own)
        assert (found.previous, found.compared) == (AUGUST, compared)
    assert (
        period(SEPTEMBER, [SEPTEMBER, AUGUST], date(2026, 9, 30), first, every).against
        == "no whole month before"
    )


def test_a_month_that_has_not_begun_has_nothing_to_compare() -> None:
    # charges of October that are there on 30 September, and on the 20th
    october = date(2026, 10, 1)
    for day in (30, 20):
        at = period(october, [SEPTEMBER, october], date(2026, 9, day), [date(2026, 9, 1)], [october])
        assert (at.compared, at.cut) == (None, None)


def test_a_longer_month_is_not_compared_past_the_end_of_the_shorter() -> None:
    # 30 March: February has only 28 days
    march = period(date(2026, 3, 1), [date(2026, 2, 1), date(2026, 3, 1)], date(2026, 3, 30))
    assert march.cut == date(2026, 2, 28)


def test_without_a_month_before_there_is_no_comparison() -> None:
    first = period(AUGUST, [AUGUST], date(2026, 9, 20))
    assert (first.previous, first.cut, first.against) == (None, None, "no whole month before")


def test_lines_keep_what_only_the_month_before_had() -> None:
    now = charges([("a", "direct", Decimal(1))])
    before = charges([("b", "direct", Decimal(5))])
    table = lines(now, before, ["team"], "USD", {})
    assert [(line.labels, line.shown, line.before) for line in table.lines] == [
        (("a",), Decimal("1.00"), Decimal("0.00")),
        (("b",), Decimal("0.00"), Decimal("5.00")),
    ]
    assert (table.total.shown, table.total.before) == (Decimal("1.00"), Decimal("5.00"))


def test_what_does_not_fit_becomes_one_line() -> None:
    now = charges([(f"t{n}", "direct", Decimal(n)) for n in range(1, 6)])
    table = lines(now, None, ["team"], "USD", {}, top=3)
    # 5 and 4 stand, 3 + 2 + 1 are together
    assert [(line.labels[0], line.shown) for line in table.lines] == [
        ("t5", Decimal(5)), ("t4", Decimal(4)), ("3 other lines", Decimal(6)),
    ]  # fmt: skip


ROWS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(KINDS),
        st.decimals(min_value=-(10**6), max_value=10**6, places=12),
    ),
    max_size=20,
)


@given(ROWS, ROWS)
def test_an_overview_adds_up_in_rows_and_columns(
    now: list[tuple[str, str, Decimal]], before: list[tuple[str, str, Decimal]]
) -> None:
    table = team_lines(charges(now), charges(before), "USD", {})
    rows = [*table.lines, *([table.rounding] if table.rounding else [])]
    assert sum((r.shown for r in rows), Decimal(0)) == table.total.shown
    assert sum((r.before or Decimal(0) for r in rows), Decimal(0)) == table.total.before
    for n in range(len(KINDS)):
        assert sum((r.kinds[n] for r in rows), Decimal(0)) == table.total.kinds[n]
    for row in (*rows, table.total):
        assert sum(row.kinds) == row.shown
    for row in table.lines:
        exact = sum((a for t, _, a in now if t == row.team), Decimal(0))
        assert abs(row.shown - exact) <= Decimal("0.005")


def test_the_cent_that_rounding_leaves_has_its_own_line() -> None:
    # three teams at 0.004 show 0.00 each, and together 0.012 show 0.01
    table = team_lines(charges([(t, "direct", Decimal("0.004")) for t in "abc"]), None, "USD", {})
    assert table.rounding is not None
    assert table.rounding.shown == Decimal("0.01")
    assert table.rounding.kinds == (Decimal("0.01"), Decimal(0), Decimal(0), Decimal(0))
