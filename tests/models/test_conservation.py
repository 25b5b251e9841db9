"""Nothing is lost for any site: parts sum to what assets cost, watt-hours to what meters show, nothing is negative."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models import contracts, edge, gpu, owned_focus
from models.attribution import attribute
from models.owned_lines import lines
from models.ratecard import write_offs
from models.register import Asset, Contract, Staff
from tests.models.owned import DAY, SITES, edge_daily, gpu_hourly, server
from tests.models.test_attribution import kwh, meter, power, rows_of_a_card, share

NEXT = DAY + timedelta(days=1)
DAYS = {"dc1": (DAY, NEXT)}
NODES = ("n1", "n2", "n3")


@st.composite
def registers(draw: st.DrawFn) -> list[Asset]:
    """One to three nodes of 100 a day; each may be retired, be paid by use and have opex of its own."""
    return [
        server(
            asset=f"srv-{node}",
            node=node,
            units=draw(st.integers(1, 3)),
            retired=draw(st.sampled_from([None, NEXT])),
            contract=draw(st.sampled_from([None, "use"])),
            opex_month=30 * draw(st.integers(0, 5)),
        )
        for node in NODES[: draw(st.integers(1, 3))]
    ]


@st.composite
def samples(draw: st.DrawFn) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Hours of cards and of wall meters on both days, on registered nodes and on others."""
    cards: list[dict[str, Any]] = []
    walls: list[dict[str, Any]] = []
    for node in NODES:
        for day in (DAY, NEXT):
            later = day - DAY
            for card in draw(st.sets(st.sampled_from(["a", "b"]))):
                rows = draw(rows_of_a_card(f"{node}-{card}"))
                cards += [r | {"node": node, "day": day, "hour": r["hour"] + later} for r in rows]
            for start in range(draw(st.integers(0, 3))):
                row = meter(start, draw(kwh), energy_estimated_kwh=draw(kwh), coverage=draw(share))
                place = {"node": node, "meter": f"{node}/psu", "day": day, "hour": row["hour"] + later}
                walls.append(row | place)
    return cards, walls


def there(asset: Asset, day: date) -> bool:
    return asset.retired is None or day < asset.retired


@settings(deadline=None)
@given(
    registers(),
    samples(),
    st.builds(lambda cost, per: Staff(name="ops", cost_month=Decimal(30 * cost), currency="USD", per=per), st.integers(0, 9), st.integers(1, 3)),
    st.integers(0, 40),
)  # fmt: skip
def test_nothing_is_lost(
    assets: list[Asset],
    measured: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    staff: Staff,
    commitment: int,
) -> None:
    terms = {"use": Contract(rate=Decimal("0.5"), currency="USD", commitment_gpu_hours=Decimal(commitment))}
    hourly, meters = gpu_hourly(*measured[0]), power(*measured[1])
    found = attribute(hourly, meters, assets, SITES, DAYS)
    parts = gpu.daily_parts(found.hourly, assets, SITES, DAYS, staff=[staff], contracts=terms)

    # Each day's assets: 100 and a thirtieth of their opex; of staff as many as it takes for the nodes there.
    for day in (DAY, NEXT):
        present = [a for a in assets if there(a, day)]
        own = {a.node: 100 + a.opex_month / 30 for a in present}
        people = -(-len(present) // staff.per) * staff.cost_month / 30
        today = parts.filter(pl.col("day") == day)
        assert set(today["node"]) == set(own)
        assert today["fixed_cost"].sum() == sum(own.values(), people)
        for asset in present:
            rows = today.filter(pl.col("node") == asset.node)
            assert rows["fixed_cost"].sum() >= own[asset.node]
            # As many cards as are registered or were there at once: those that follow each other share a place.
            cards = rows["gpu_hours"].sum() / 24
            assert cards == pytest.approx(round(cards))
            assert asset.units <= round(cards) <= max(asset.units, rows["gpu"].n_unique())

    # Watt-hours of the meters of registered nodes, as they were put in.
    registered = {(a.node, day) for a in assets for day in (DAY, NEXT) if there(a, day)}
    shown = sum(
        r["energy_kwh"] + r["energy_estimated_kwh"]
        for r in measured[1]
        if (r["node"], r["day"]) in registered and (r["coverage"] > 0 or r["energy_estimated_kwh"] > 0)
    )
    assert found.balance["attributed_kwh"].sum() == pytest.approx(shown, abs=1e-9)
    assert (found.balance["difference_kwh"] < 1e-9).all()

    # The ledger: teams, idle and nobody's sum to the total that is counted without any split, in decimals.
    more = lines(write_offs(assets, DAYS), contracts.unused(parts, assets, terms, DAYS))
    ledger = owned_focus.rows(parts, edge.COSTS.to_frame(), SITES, more)
    whole = owned_focus.totals(
        found.hourly, edge_daily(), assets, SITES, DAYS, staff=[staff], contracts=terms, gpu_parts=parts
    )
    kinds = ledger.group_by("x_cost_kind").agg(pl.col("EffectiveCost").sum())
    assert set(kinds["x_cost_kind"]) <= {"direct", "idle", "unallocated"}
    assert kinds["EffectiveCost"].sum() == whole["total"].sum()

    amounts = (
        "fixed_cost",
        "energy_cost",
        "energy_estimated_cost",
        "contract_cost",
        "gpu_hours",
        "energy_kwh",
    )
    assert parts.filter(pl.any_horizontal(pl.col(amounts) < 0)).is_empty()
    assert ledger.filter(pl.col("EffectiveCost") < 0).is_empty()
