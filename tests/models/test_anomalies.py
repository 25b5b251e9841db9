"""Unusual days, by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from models.anomalies import daily
from models.config import Anomalies
from models.tables import CHARGEBACK_DAILY

FIRST = date(2026, 6, 1)  # a Monday
EVERY = Anomalies(min_impact=Decimal(0))

Charge = tuple[int, Any, dict[str, Any]]


def charges(*rows: Charge) -> pl.DataFrame:
    """Days from the first on, cost, and what differs."""
    texts = {c.name: "x" for c in CHARGEBACK_DAILY.columns if c.type == "text"} | {"currency": "USD"}
    return CHARGEBACK_DAILY.conform(
        pl.DataFrame(
            [
                texts
                | {"day": (day := FIRST + timedelta(n)), "billing_month": day.replace(day=1)}
                | dict.fromkeys(("billed_cost", "effective_cost"), Decimal(cost))
                | other
                for n, cost, other in rows
            ]
        )
    )


def every_day(days: int, cost: Callable[[int], Any], **other: Any) -> Iterable[Charge]:
    return ((n, cost(n), other) for n in range(days) if cost(n) is not None)


def found(frame: pl.DataFrame, settings: Anomalies = EVERY, last: int = 400) -> list[tuple[Any, ...]]:
    rows = daily(frame, FIRST + timedelta(last), settings)
    return [
        ((day - FIRST).days, direction, cost, expected, impact, (since - FIRST).days)
        for day, direction, cost, expected, impact, since in rows.select(
            "day", "direction", "cost", "expected", "impact", "since"
        ).iter_rows()
    ]


def test_a_cost_that_doubles_is_told_day_by_day_until_it_is_usual() -> None:
    # 100 a day, 200 from the 30th day on. The median of the 28 days before stays 100 until 14 of them are 200, the fences
    # until 8 are, a quarter: then 200 is within them, and from the 8th day on the weekday before was 200, too.
    rows = found(charges(*every_day(60, lambda n: 200 if n >= 30 else 100)))
    assert rows == [(n, "high", 200, 100, 100, 30) for n in range(30, 37)]


def test_a_day_without_charges_is_low_but_for_the_last_two_of_the_source() -> None:
    other = list(every_day(40, lambda _: 1, service_name="steady"))
    gone = every_day(40, lambda n: None if n in (30, 38, 39) else 100)
    assert found(charges(*other, *gone)) == [(30, "low", 0, 100, -100, 30)]


def test_what_comes_weekly_or_monthly_is_no_surprise_the_second_time() -> None:
    weekly = every_day(90, lambda n: 70 if n % 7 == 2 else None, service_name="weekly job")
    # on the 1st of June, July and August: days 0, 30 and 61
    monthly = every_day(90, lambda n: 300 if n in (0, 30, 61) else None, service_name="support")
    steady = every_day(90, lambda _: 5, service_name="steady")
    assert found(charges(*weekly, *monthly, *steady)) == []
    larger = every_day(
        90, lambda n: (900 if n == 61 else 300) if n in (0, 30, 61) else None, service_name="support"
    )
    assert found(charges(*larger, *every_day(90, lambda _: 5, service_name="steady"))) == [
        (61, "high", 900, 300, 600, 61)
    ]


def test_noise_is_within_the_fences() -> None:
    # quartiles of 90, 95, 100, 105, 110 in turn are 95 and 105: fences at 65 and 135
    wave = (90, 95, 100, 105, 110)
    assert found(charges(*every_day(60, lambda n: 134 if n == 50 else wave[n % 5]))) == []
    assert found(charges(*every_day(60, lambda n: 138 if n == 50 else wave[n % 5]))) == [
        (50, "high", 138, 110, 28, 50)
    ]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (Anomalies(min_impact=Decimal(100), min_share=1.0), True),
        (Anomalies(min_impact=Decimal("100.01")), False),
        (Anomalies(min_impact=Decimal(0), min_share=1.01), False),
        (
            Anomalies(),
            True,
        ),  # an ordinary day of all teams costs 10,100: a hundredth is 101, and 102.01 are more
    ],
)
def test_what_is_too_little_is_not_told(settings: Anomalies, told: bool) -> None:
    cost = "202.01" if settings == Anomalies() else "200"
    others = every_day(60, lambda _: 10_000, service_name="large")
    one = every_day(60, lambda n: cost if n == 40 else 100)
    assert bool(found(charges(*others, *one), settings)) is told


def test_too_little_is_a_hundredth_of_an_ordinary_day() -> None:
    others = every_day(60, lambda _: 10_000, service_name="large")
    assert found(charges(*others, *every_day(60, lambda n: 200 if n == 40 else 100)), Anomalies()) == []


def test_fewer_than_two_weeks_tell_nothing() -> None:
    assert found(charges(*every_day(14, lambda n: 900 if n == 13 else 100))) == []
    assert len(found(charges(*every_day(15, lambda n: 900 if n == 14 else 100)))) == 1


def test_a_fee_of_the_first_is_not_the_first_day_of_its_source() -> None:
    # the fee is dated the 1st, charges begin on the 27th: those are not held against 26 days without any
    teams = [list(every_day(45, lambda n: 100 if n >= 26 else None, team=t)) for t in ("a", "b", "c")]
    fee: Charge = (0, 50, {"service_name": "support"})
    assert found(charges(fee, *(row for rows in teams for row in rows))) == []


def test_demand_of_a_site_is_left_out_and_days_to_come_are_not_looked_at() -> None:
    peak = every_day(40, lambda n: 500 if n == 30 else None, service_name="Site electricity")
    assert found(charges(*peak, *every_day(40, lambda _: 5))) == []
    spike = charges(*every_day(40, lambda n: 500 if n == 35 else 5))
    assert found(spike, last=34) == []
    assert len(found(spike, last=35)) == 1


def test_what_moved_most() -> None:
    # train costs 60 of 100 on each of the 28 days before and 90 now; eval 40, and 310 now: +270
    train = every_day(41, lambda n: 90 if n == 40 else 60, workload="train")
    evals = every_day(41, lambda n: 310 if n == 40 else 40, workload="eval", sub_account=None)
    rows = daily(charges(*train, *evals), FIRST + timedelta(40), EVERY)
    assert rows.select("impact", "driver", "driver_impact").rows() == [(300, "eval · x · x", 270)]
    assert daily(CHARGEBACK_DAILY.empty(), FIRST, EVERY).is_empty()


def test_what_moved_has_no_name_where_nothing_names_it() -> None:
    nameless = dict.fromkeys(("workload", "project", "environment"), "untagged") | {"sub_account": None}
    rows = daily(
        charges(*every_day(41, lambda n: 400 if n == 40 else 100, **nameless)), FIRST + timedelta(40), EVERY
    )
    assert rows.select("driver", "driver_impact").rows() == [(None, 300)]


def test_what_moved_is_held_against_the_days_that_there_are() -> None:
    # the 28th day of its source: 27 days at 100 before it, whose mean is 100
    rows = daily(charges(*every_day(28, lambda n: 900 if n == 27 else 100)), FIRST + timedelta(27), EVERY)
    assert rows.select("impact", "driver_impact").rows() == [(800, 800)]
