"""Hardware that is paid by use: rate x max(GPU-hours, commitment) a calendar month.

Which hours there were belongs to `models/gpu.py`. The charge of a month is known when it is over; until then, and for
a month of which only some days are billed, the commitment counts by days.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import polars as pl

from models.money import SCALE, split
from models.ratecard import Days, month_length
from models.register import Asset, Contract
from models.tables import MONEY

UNUSED = pl.Schema(
    {"contract": pl.String(), "site": pl.String(), "day": pl.Date(), "currency": pl.String()}
    | {"gpu_hours": MONEY, "cost": MONEY}
)
_KEY = {"contract": pl.String(), "site": pl.String(), "month": pl.Date()}
MONTH = tuple(_KEY)


def with_contract_cost(
    parts: pl.DataFrame, assets: Sequence[Asset], contracts: Mapping[str, Contract]
) -> pl.DataFrame:
    """Adds `contract_cost`: hours that a contract's meter counts, at its rate; 0 where none does.

    The parts of a month sum to rate x its hours, rounded to 12 decimals.

    Args:
        parts: Columns asset, site, day, state, cost_kind, gpu_hours, in a stable order.
        assets: The register.
        contracts: Name -> contract.
    """
    metered = _metered(parts, assets, contracts)
    rows = [(*key, _charge(contracts[key[0]], hours)) for key, hours in _hours(metered).items()]
    schema = pl.Schema({**_KEY, "usage": MONEY})
    usage = pl.DataFrame(rows, schema=schema, orient="row")
    priced = metered.join(usage, on=MONTH, how="left", maintain_order="left").with_columns(
        pl.col("usage").fill_null(pl.lit(0).cast(MONEY))
    )
    return split(priced, MONTH, "usage", "metered", "contract_cost").drop(
        "contract", "month", "metered", "usage"
    )


def unused(
    parts: pl.DataFrame, assets: Sequence[Asset], contracts: Mapping[str, Contract], days: Days
) -> pl.DataFrame:
    """What commitments cost beyond the hours that were counted, spread evenly over the days that are billed.

    Args:
        parts: As for `with_contract_cost`.
        assets: The register.
        contracts: Name -> contract.
        days: Site -> first and last day.

    Returns:
        `UNUSED`: one row a contract and day in which something of it is not used, sorted.
    """
    rows = [
        (
            contract,
            site,
            month,
            contracts[contract].currency,
            billed,
            round(Decimal(committed - used), SCALE),
            cost,
        )
        for (contract, site, month), billed, used, committed in _months(parts, assets, contracts, days)
        if (cost := _charge(contracts[contract], max(used, committed)) - _charge(contracts[contract], used))
    ]
    schema = pl.Schema(
        {**_KEY, "currency": pl.String(), "day": pl.List(pl.Date()), "hours": MONEY, "whole": MONEY}
    )
    daily = pl.DataFrame(rows, schema=schema, orient="row").explode("day").with_columns(one=pl.lit(1.0))
    daily = split(daily, MONTH, "hours", "one", "gpu_hours")
    return split(daily, MONTH, "whole", "one", "cost").select(UNUSED.names()).sort("site", "contract", "day")


def total(
    parts: pl.DataFrame, assets: Sequence[Asset], contracts: Mapping[str, Contract], days: Days
) -> pl.DataFrame:
    """The whole charge of each month, without any split: site, day (the first that is billed), total."""
    rows = [
        (site, billed[0], _charge(contracts[contract], max(used, committed)))
        for (contract, site, _), billed, used, committed in _months(parts, assets, contracts, days)
    ]
    return pl.DataFrame(rows, schema={"site": pl.String, "day": pl.Date, "total": MONEY}, orient="row")


def _months(
    parts: pl.DataFrame, assets: Sequence[Asset], contracts: Mapping[str, Contract], days: Days
) -> Iterator[tuple[tuple[str, str, date], list[date], float, float]]:
    """For each contract, site and month: days that are billed, hours counted, hours committed."""
    hours = _hours(_metered(parts, assets, contracts))
    for key, billed in _billed(assets, days).items():
        whole = float(contracts[key[0]].commitment_gpu_hours)
        yield key, billed, hours.get(key, 0.0), whole * len(billed) / month_length(key[2])


def _charge(contract: Contract, hours: float) -> Decimal:
    return round(contract.rate * Decimal(hours), SCALE)


def _metered(parts: pl.DataFrame, assets: Sequence[Asset], contracts: Mapping[str, Contract]) -> pl.DataFrame:
    """Adds contract, month and metered: the hours that the contract's meter counts, 0 where there is none."""
    names = {a.asset: a.contract for a in assets if a.contract is not None}
    of = {name: terms.of for name, terms in contracts.items()}
    contract = pl.col("asset").replace_strict(names, default=None, return_dtype=pl.String)
    held = pl.col("state") == "allocated"
    counted = pl.when(pl.col("of") == "used").then(held & (pl.col("cost_kind") == "direct")).otherwise(held)
    return (
        parts.with_columns(contract=contract, month=pl.col("day").dt.truncate("1mo"))
        .with_columns(of=pl.col("contract").replace_strict(of, default=None, return_dtype=pl.String))
        .with_columns(metered=pl.when(pl.col("of").is_not_null() & counted).then("gpu_hours").otherwise(0.0))
        .drop("of")
    )


def _hours(metered: pl.DataFrame) -> dict[tuple[str, str, date], float]:
    """(contract, site, month) -> hours that its meter counted; the same sum for the same hours in any order."""
    months = metered.drop_nulls("contract").group_by(MONTH).agg(pl.col("metered").sort().sum())
    return {(contract, site, month): hours for contract, site, month, hours in months.iter_rows()}


def _billed(assets: Sequence[Asset], days: Days) -> dict[tuple[str, str, date], list[date]]:
    """(contract, site, month) -> its days that are billed: asked for, with an asset of the contract in service."""
    found: dict[tuple[str, str, date], set[date]] = {}
    for asset in assets:
        if asset.contract is None or asset.site not in days:
            continue
        day, last = max(days[asset.site][0], asset.in_service), days[asset.site][1]
        last = last if asset.retired is None else min(last, asset.retired - timedelta(days=1))
        while day <= last:
            found.setdefault((asset.contract, asset.site, day.replace(day=1)), set()).add(day)
            day += timedelta(days=1)
    return {key: sorted(billed) for key, billed in found.items()}
