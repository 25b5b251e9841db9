"""What a workload's work costs per unit and day: money of the ledger by inferences and tokens of telemetry.

Money belongs to `models/chargeback.py`, energy of owned hardware to `models/gpu.py` and `models/edge.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from zoneinfo import ZoneInfo

import polars as pl

from models.config import TokenWeights
from models.edge import DEVICE
from models.gpu_slices import CARD
from models.latency import merge, quantile
from models.local_days import length_h
from models.ownership import UNTAGGED
from models.records import Price
from models.request_rate import with_rates
from models.tables import MONEY, UNIT_COST_DAILY
from models.token_split import unit_costs, with_weights

WORK = ("day", "workload", "tier")
PAYER = ("day", "workload", "tier", "team", "currency")
OWNED = ("onprem", "edge")
COUNTS = ("inferences", "tokens_in", "tokens_out")
HOURS_OF = ("day", "workload", "tier", "site")
QUANTILES = {"p50_ms": 0.5, "p95_ms": 0.95, "p99_ms": 0.99}
NO_CURRENCY = "XXX"
"""ISO 4217 code for no currency: of work that no charge names."""

COSTED = 0.99
"""Below this `cost_coverage` a day has no unit costs: its cost is of the hours with a holder, its requests may be of them all."""


def daily(
    chargeback_daily: pl.DataFrame,
    inference_hourly: pl.DataFrame,
    edge_daily: pl.DataFrame,
    gpu_parts: pl.DataFrame,
    edge_costs: pl.DataFrame,
    *,
    prices: Sequence[Price] = (),
    weights: TokenWeights | None = None,
    zones: Mapping[str | None, ZoneInfo] | None = None,
    rented_hours: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """Cost by day, workload, team, tier and currency, over the work of that workload on that day and tier.

    Basis `full` is effective cost, idle and shared included, unallocated not. Basis `marginal` is what one
    more unit costs: the direct cost of cloud and API; of owned hardware its energy, and hours used that a contract
    bills by use; there is no marginal row where that energy is not measured. Teams that share a workload each get its whole work as denominator, so
    their unit costs add up to the workload's. Where a workload serves several models in a day, their work is
    added and model is NULL, since its cost cannot be told apart. A count that a part of the work does not report
    is unknown. A device with a single report that day, whose counters have no base, is as one that was silent. Work that no
    charge names, and work of devices that no asset registers, has a `full` row with cost
    NULL and currency XXX.

    Args:
        chargeback_daily: `marts.chargeback_daily`.
        inference_hourly: `telemetry.inference_hourly` with owners from `ownership.label`.
        edge_daily: `telemetry.edge_daily` with owners from `ownership.label`.
        gpu_parts: `gpu.daily_parts`.
        edge_costs: `edge.daily_costs`.
        prices: The price list of model APIs, whose ratios split the cost over kinds of tokens.
        weights: Weights of models that it does not name.
        rented_hours: `gpu_hours.rented_hours`: hours used of cards whose cost is in a cloud's bill.
        zones: Site -> time zone, None -> the organisation's, for the hours of a day; 24 where a site is not in it.

    Returns:
        `marts.unit_cost_daily`, sorted by its key. Unit costs are Float64 quotients rounded to 12 decimals;
        NULL where the denominator is 0 or unknown, or the day is not `costed`. energy_kwh is the payer's, before PUE.
    """
    charges = chargeback_daily.filter(pl.col("workload") != UNTAGGED)
    untold = (pl.col("messages") == 1) & pl.col("inferences").is_null()
    silent, edge_daily = edge_daily.filter(untold), edge_daily.filter(~untold)
    energy = pl.concat([_gpu_energy(gpu_parts), _edge_energy(edge_costs.join(silent, on=DEVICE, how="anti"))])
    full = _sum(charges.filter(pl.col("cost_kind") != "unallocated"))
    rented = _sum(charges.filter((pl.col("cost_kind") == "direct") & ~pl.col("tier").is_in(OWNED)))
    marginal = pl.concat([rented, energy.filter(pl.col("cost").is_not_null()).select(rented.columns)])
    costs = pl.concat(
        [full.with_columns(basis=pl.lit("full")), marginal.with_columns(basis=pl.lit("marginal"))]
    )
    costs = (
        costs.join(energy.drop("cost"), on=PAYER, how="left")
        .join(_gpu_hours(gpu_parts, costs, rented_hours), on=PAYER, how="left")
        .join(_cost_coverage(gpu_parts), on=PAYER, how="left")
    )
    reports = _reports(inference_hourly, edge_daily, edge_costs)
    charged = full.with_columns(registered=True)
    work = _work(reports.join(charged, on=[*WORK, "registered"], how="semi"))
    unpaid = _work(reports.join(charged, on=[*WORK, "registered"], how="anti")).with_columns(
        basis=pl.lit("full"), currency=pl.lit(NO_CURRENCY), cost=pl.lit(None, dtype=MONEY)
    )
    rows = pl.concat([costs.join(work.drop("team"), on=WORK, how="left"), unpaid], how="diagonal")
    uptime = pl.concat([_uptime(inference_hourly, zones or {}), _edge_uptime(edge_costs)])
    rows = with_weights(rows.join(uptime, on=WORK, how="left"), prices, weights)
    rows = with_rates(rows, inference_hourly, edge_daily, zones or {})
    tokens, money = pl.col("tokens_in") + pl.col("tokens_out"), pl.col("cost").cast(pl.Float64)
    requests = pl.col("answered") + pl.col("failed")
    money, energy_kwh = (pl.when(costed()).then(amount) for amount in (money, pl.col("energy_kwh")))
    by_kind = unit_costs(money)
    quotients = {
        "cost_per_1m_inferences": _per_million(money, pl.col("inferences")),
        "cost_per_1m_tokens": _per_million(money, tokens),
        "cost_per_1m_tokens_in": by_kind["input"],
        "cost_per_1m_tokens_cached": by_kind["cached"],
        "cost_per_1m_tokens_out": by_kind["output"],
        "cost_per_gpu_hour_used": pl.when(pl.col("gpu_hours_used") > 0).then(
            pl.col("cost").cast(pl.Float64) / pl.col("gpu_hours_used")
        ),
    }
    return UNIT_COST_DAILY.conform(
        rows.with_columns(
            *(value.round(12).cast(MONEY).alias(name) for name, value in quotients.items()),
            kwh_per_1m_tokens=_per_million(energy_kwh, tokens),
            request_success=pl.when(requests > 0).then(pl.col("answered") / requests),
        )
    ).sort(UNIT_COST_DAILY.key)


def costed() -> pl.Expr:
    """Cost and energy of a row of `marts.unit_cost_daily` are those of its whole day: who held its GPUs is known."""
    return pl.col("cost_coverage").fill_null(1.0) >= COSTED


def _per_million(amount: pl.Expr, units: pl.Expr) -> pl.Expr:
    return pl.when(units > 0).then(1e6 * amount / units)


def _sum(charges: pl.DataFrame) -> pl.DataFrame:
    return charges.group_by(PAYER).agg(cost=pl.col("effective_cost").sum())


def _gpu_energy(parts: pl.DataFrame) -> pl.DataFrame:
    """Energy of hours held, with what a contract bills for those used; unknown for a workload as soon as energy of one of its hours is."""
    by_use = pl.when(pl.col("cost_kind") == "direct").then("contract_cost").otherwise(0)
    held = parts.filter(pl.col("state") == "allocated").with_columns(
        energy_kwh=pl.when("energy_known").then("energy_kwh"),
        energy_cost=(pl.col("energy_cost") + by_use).cast(MONEY),
    )
    return _energy(held, "onprem")


def _edge_energy(costs: pl.DataFrame) -> pl.DataFrame:
    """Energy of devices that reported; unknown for a workload as soon as one of its devices does not measure it."""
    return _energy(costs.filter("reported"), "edge")


def _energy(rows: pl.DataFrame, tier: str) -> pl.DataFrame:
    """Columns PAYER, cost and energy_kwh: what owned hardware costs by use, by payer; NULL where a part of the energy is unknown."""
    known = pl.col("energy_kwh").is_not_null().all()
    return (
        rows.filter(pl.col("workload").is_not_null())
        .with_columns(tier=pl.lit(tier), team=pl.col("team").fill_null(UNTAGGED))
        .group_by(PAYER)
        .agg(
            cost=pl.when(known).then((pl.col("energy_cost") + pl.col("energy_estimated_cost")).sum()),
            energy_kwh=pl.when(known).then(
                (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sort().sum()
            ),
        )
    )


def _gpu_hours(parts: pl.DataFrame, costs: pl.DataFrame, rented: pl.DataFrame | None) -> pl.DataFrame:
    """Columns PAYER and gpu_hours_used, of owned and rented cards; NULL as soon as the use of a held hour is unknown.

    Rented cards have no currency of their own: theirs are the payer's charges of tier cloud.
    """
    used = pl.col("gpu_hours").filter(pl.col("cost_kind") == "direct")
    owned = (
        parts.filter((pl.col("state") == "allocated") & pl.col("workload").is_not_null())
        .with_columns(tier=pl.lit("onprem"), team=pl.col("team").fill_null(UNTAGGED))
        .group_by(PAYER)
        .agg(gpu_hours_used=pl.when(pl.col("use_known").all()).then(used.sort().sum()))
    )
    if rented is None or rented.is_empty():
        return owned
    payers = costs.filter(pl.col("tier") == "cloud").select(PAYER).unique()
    hours = rented.with_columns(team=pl.col("team").fill_null(UNTAGGED))
    return pl.concat([owned, payers.join(hours, on=["day", "workload", "team"]).select(owned.columns)])


def _cost_coverage(parts: pl.DataFrame) -> pl.DataFrame:
    """Columns PAYER and cost_coverage: hours with a known holder / all hours of the day of the owned cards held at some time of it.

    A gap that a pod or a request bridges has a holder, who pays for it; that of others is in nobody's cost.
    """
    hours, unknown = pl.col("gpu_hours"), pl.col("state") == "unknown"
    cards = parts.group_by(CARD).agg(whole=hours.sort().sum(), unknown=hours.filter(unknown).sort().sum())
    return (
        parts.filter((pl.col("state") == "allocated") & pl.col("workload").is_not_null())
        .with_columns(tier=pl.lit("onprem"), team=pl.col("team").fill_null(UNTAGGED))
        .select(*PAYER, *(c for c in CARD if c != "day"))
        .unique()
        .join(cards, on=CARD)
        .group_by(PAYER)
        .agg(cost_coverage=1 - pl.col("unknown").sort().sum() / pl.col("whole").sort().sum())
    )


def _uptime(inference_hourly: pl.DataFrame, zones: Mapping[str | None, ZoneInfo]) -> pl.DataFrame:
    """Columns WORK and uptime: the part of the day in which some replica of the service reported, 0-1.

    A time without samples counts as down, whatever its cause; so does a whole day between others of the service, if
    another service that the same source tells of has samples that day. A log of requests knows no such thing: NULL for managed APIs. A
    service of several sites is up as long as the best of them.
    """
    served = inference_hourly.filter((pl.col("tier") != "api") & pl.col("workload").is_not_null())
    by_site = _up_hours(served).group_by(HOURS_OF).agg(pl.col("coverage").sort().sum())
    service = [name for name in HOURS_OF if name != "day"]
    silent = (
        served.group_by(*service, "source")
        .agg(first=pl.col("day").min(), last=pl.col("day").max())
        .join(served.select("site", "source", "day").unique(), on=["site", "source"])
        .filter(pl.col("day").is_between("first", "last"))
        .join(by_site, on=HOURS_OF, how="anti")
        .select(*HOURS_OF, coverage=pl.lit(0.0))
        .unique()
    )
    by_site = pl.concat([by_site, silent])
    hours = [
        24.0 if site not in zones else length_h(day, zones[site])
        for day, site in by_site.select("day", "site").iter_rows()
    ]
    return (
        by_site.with_columns(uptime=pl.col("coverage") / pl.Series(hours, dtype=pl.Float64))
        .group_by(WORK)
        .agg(pl.col("uptime").max())
    )


def _up_hours(served: pl.DataFrame) -> pl.DataFrame:
    """Columns HOURS_OF, hour and coverage: the part of each hour in which some replica reported.

    That of the replica that reported longest. Where replicas end in the hour and others begin in it, as in a rolling
    deployment, the longest of each side add up: they were there one after the other.
    """
    replica = [*(name for name in HOURS_OF if name != "day"), "source", "pod"]
    before = pl.col("hour") - pl.col("hour").shift(1).over(replica, order_by="hour")
    after = pl.col("hour").shift(-1).over(replica, order_by="hour") - pl.col("hour")
    hour = pl.duration(hours=1)
    begins, ends = ((step > hour).fill_null(value=True) for step in (before, after))
    longest = pl.col("coverage").max()
    both = pl.col("coverage").filter("begins").max() + pl.col("coverage").filter("ends").max()
    return (
        served.with_columns(begins=begins & ~ends, ends=ends & ~begins)
        .group_by(*HOURS_OF, "hour")
        .agg(coverage=pl.max_horizontal(longest, both.clip(upper_bound=1.0)))
    )


def _edge_uptime(edge_costs: pl.DataFrame) -> pl.DataFrame:
    """Columns WORK and uptime: hours online / hours of all its registered devices, silent ones included."""
    return (
        edge_costs.filter(pl.col("workload").is_not_null())
        .with_columns(tier=pl.lit("edge"))
        .group_by(WORK)
        .agg(uptime=pl.col("online_hours").sort().sum() / pl.col("device_hours").sort().sum())
    )


def _reports(
    inference_hourly: pl.DataFrame, edge_daily: pl.DataFrame, edge_costs: pl.DataFrame
) -> pl.DataFrame:
    """Columns WORK, team, model, counts, failed, latency_buckets, registered: what services and devices report."""
    assets = edge_costs.select(DEVICE).unique().with_columns(registered=True)
    edge = edge_daily.join(assets, on=DEVICE, how="left").with_columns(
        pl.col("registered").fill_null(value=False), tier=pl.lit("edge")
    )
    needed = [
        *WORK,
        "team",
        "model",
        *COUNTS,
        "answered",
        "tokens_cached",
        "failed",
        "latency_buckets",
        "registered",
    ]
    served = inference_hourly.with_columns(registered=pl.lit(value=True)).select(needed)
    return pl.concat([served, edge.select(c for c in needed if c in edge.columns)], how="diagonal").filter(
        pl.col("workload").is_not_null()
    )


def _work(reports: pl.DataFrame) -> pl.DataFrame:
    """Columns WORK, team, model, counts, quantiles: what each workload did a day and tier.

    A count is NULL where a report lacks it, quantiles where requests have no histogram.
    """
    requests = pl.col("inferences") + pl.col("failed").fill_null(0.0)
    answered = pl.coalesce("answered", "inferences")
    counted = reports.group_by(WORK).agg(
        _only("model"),
        _only("team").fill_null(UNTAGGED),
        *(
            pl.when(pl.col(name).is_not_null().all()).then(pl.col(name).sort().sum()).alias(name)
            for name in COUNTS
        ),
        tokens_cached=pl.when(pl.col("tokens_cached").is_not_null().all()).then(
            pl.col("tokens_cached").sort().sum()
        ),
        answered=pl.when(answered.is_not_null().all()).then(answered.sort().sum()),
        failed=pl.when(pl.col("failed").is_not_null().all()).then(pl.col("failed").sort().sum()),
        latency_buckets=pl.col("latency_buckets").filter(
            pl.col("latency_buckets").is_not_null() | requests.ne_missing(pl.lit(0.0))
        ),
    )
    merged = [merge(buckets) for buckets in counted["latency_buckets"]]
    quantiles = {
        name: pl.Series([_milliseconds(buckets, q) for buckets in merged], dtype=pl.Float64)
        for name, q in QUANTILES.items()
    }
    return counted.drop("latency_buckets").with_columns(**quantiles)


def _only(column: str) -> pl.Expr:
    """The one value of a group; NULL where there are several."""
    return pl.when(pl.col(column).n_unique() == 1).then(pl.col(column).first()).alias(column)


def _milliseconds(buckets: dict[str, float] | None, q: float) -> float | None:
    seconds = None if buckets is None else quantile(buckets, q)
    return None if seconds is None else 1000 * seconds
