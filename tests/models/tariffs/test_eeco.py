"""Our bills against those of eeco, to the cent: on its own examples and on 200 random tariffs and loads."""

from __future__ import annotations

import csv
import os
import random
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from tests.models.tariffs.eeco_form import eeco_cost, our_cost, row

REAL = Path(os.environ.get("TIERWISE_REAL_DATA", "absent")) / "telemetry" / "tariffs"
NUMBERS = ("month_start", "month_end", "weekday_start", "weekday_end", "hour_start", "hour_end")


def read_rates(text: str) -> list[dict[str, Any]]:
    """eeco's rate file in the form of `row`, whichever of its two generations of columns it has."""
    rows = []
    for line in csv.DictReader(text.lstrip("\ufeff").splitlines()):
        if line["utility"] != "electric" or line["type"] == "export":
            continue
        limit = line.get("basic_charge_limit (metric)", line.get("basic_charge_limit")) or 0
        rows.append(
            row(
                line["type"],
                line.get("charge (metric)") or line["charge"],
                name=line.get("name") or line.get("period") or "",
                **{"basic_charge_limit (metric)": float(limit)},
                **{n: float(line[n]) for n in NUMBERS if line[n]},
            )
        )
    return rows


@pytest.mark.long
def test_own_example_of_eeco() -> None:
    data = resources.files("eeco") / "data"
    with (data / "tariff.csv").open() as file:
        rows = read_rates(file.read())
    with (data / "consumption.csv").open() as file:
        kw = [line["Load [kW]"] for line in csv.DictReader(file)]
    start = datetime.fromisoformat("2023-04-09")
    assert len(kw) == 2 * 24 * 60
    expected = eeco_cost(rows, start, kw, 1)
    assert float(our_cost(rows, start, kw, 1)) == pytest.approx(expected, abs=0.005)
    assert expected > 666.65


@pytest.mark.skipif(not REAL.is_dir(), reason="TIERWISE_REAL_DATA has no tariffs")
@pytest.mark.parametrize("month", [2, 7, 12])
@pytest.mark.parametrize("name", ["eeco_billing.csv", "eeco_billing_pge.csv", "eeco_tariff.csv"])
def test_real_tariffs(name: str, month: int) -> None:
    rows = read_rates((REAL / name).read_text(encoding="utf-8"))
    dice, start = random.Random(month), datetime.fromisoformat(f"2026-{month:02}-01")
    kw = [f"{dice.uniform(50, 900):.3f}" for _ in range(28 * 48)]
    assert float(our_cost(rows, start, kw, 30)) == pytest.approx(eeco_cost(rows, start, kw, 30), abs=0.005)


QUICK = 12
"""Of the 200 random tariffs; `make quick` leaves out the others."""


@pytest.mark.parametrize(
    "seed", [*range(QUICK), *(pytest.param(n, marks=pytest.mark.long) for n in range(QUICK, 200))]
)
def test_random_tariffs_and_loads(seed: int) -> None:
    dice = random.Random(seed)
    start = datetime.fromisoformat(f"2026-{dice.randint(1, 12):02}-01")
    minutes = dice.choice([15, 30, 60, 60, 60, 60])
    rows = random_rates(dice, minutes)
    kw = [f"{max(0.0, dice.gauss(40, 25)):.3f}" for _ in range(28 * 24 * 60 // minutes)]
    assert float(our_cost(rows, start, kw, minutes)) == pytest.approx(
        eeco_cost(rows, start, kw, minutes), abs=0.005
    )


def random_rates(dice: random.Random, minutes: int) -> list[dict[str, Any]]:
    """Seasons, weekdays and hours that cover the year once, tiers, demand charges by month or day, a fixed charge.

    Hours change on the grid of the load, and tiers are wider than what one interval can use: eeco passes over a
    tier that lies inside one interval.
    """
    hour = 60 / minutes
    rows = [row("customer", f"{dice.uniform(0, 500):.2f}")]
    tiers = sorted({0, *(dice.randrange(500, 20_000, 250) for _ in range(dice.randint(0, 2)))})
    for season, months in enumerate(_ranges(dice, 1, 12, 2)):
        for part, weekdays in enumerate(dice.choice([[(0, 6)], [(0, 4), (5, 6)]])):
            for span, hours in enumerate(_hours(dice, hour)):
                window = {"months": months, "weekdays": weekdays, "hours": hours}
                for tier in tiers:
                    rows.append(
                        row(
                            "energy", f"{dice.uniform(0.01, 0.4):.5f}", window,
                            name=f"e{season}x{part}x{span}", **{"basic_charge_limit (metric)": tier},
                        )
                    )  # fmt: skip
    for place in range(dice.randint(0, 3)):
        price, assessed = f"{dice.uniform(0.5, 30):.2f}", dice.choice(["monthly", "monthly", "daily"])
        spans = _hours(dice, hour)
        months, weekdays = dice.choice([(1, 12), (1, 6), (5, 10)]), dice.choice([(0, 6), (0, 4), (5, 6)])
        for hours in spans[:: 2 if len(spans) > 2 else 1]:
            window = {"months": months, "weekdays": weekdays, "hours": hours}
            rows.append(row("demand", price, window, name=f"d{place}", assessed=assessed))
    return rows


def _ranges(dice: random.Random, first: int, last: int, most: int) -> list[tuple[int, int]]:
    cuts = sorted({first, *(dice.randint(first + 1, last) for _ in range(dice.randint(0, most - 1)))})
    return [(a, b - 1) for a, b in zip(cuts, [*cuts[1:], last + 1], strict=True)]


def _hours(dice: random.Random, per_hour: float) -> list[tuple[float, float]]:
    steps = round(24 * per_hour)
    cuts = sorted({0, *(dice.randint(1, steps - 1) for _ in range(dice.randint(0, 2)))})
    return [(a / per_hour, b / per_hour) for a, b in zip(cuts, [*cuts[1:], steps], strict=True)]
