"""What switching idle machines off would have saved: a policy played over the hours that telemetry has.

Telemetry is by the hour, so only whole idle hours count: shorter idle times within busy hours are not seen, which
makes the figures too small; the little use that `max_utilisation` allows an idle hour makes them too great. Of owned
hardware energy is saved, its fixed cost is not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta

import polars as pl

from models.config import IdlePolicy, Ownership, Site
from models.energy import cost_by_site
from models.gpu_slices import CARD, TOLERANCE, placed, weighted
from models.local_days import with_capacity, with_hour_length
from models.ownership import NOBODY, platform_team
from models.ratecard import Days, asset_days
from models.register import Asset
from models.tables import IDLE_POLICY, MONEY
from models.waste import WINDOW_DAYS

RESOLUTION_MINUTES = 60.0
NODE = ["site", "node"]
HOLDER = [*NODE, "team", "workload", "state"]


def simulate(
    hourly: pl.DataFrame,
    gpu_parts: pl.DataFrame,
    assets: Sequence[Asset],
    sites: Mapping[str, Site],
    days: Days,
    *,
    as_of: date,
    ownership: Ownership,
    policy: IdlePolicy,
    currency: str,
) -> pl.DataFrame:
    """Hours, energy and money of the last 30 days for which machines would have been off, by machine and holder.

    A machine is idle in an hour if the use of each of its cards is known and at most `max_utilisation`: all cards of
    the register, or of a rented machine all that are seen that day. Idle hours in a row are a run. It is off from
    `after_minutes` after the run's start to `restart_minutes` before its end, if that is at least `min_off_minutes`.
    A gap ends a run: nothing is known of it.

    Args:
        hourly: `telemetry.gpu_hourly` with owners, its energy as `attribution.attribute` shares it out.
        gpu_parts: `gpu.daily_parts`.
        assets: The register.
        sites: The configuration's sites.
        days: Site -> first and last day.
        as_of: Last day of the window.
        ownership: The `ownership` settings.
        policy: The `idle` settings.
        currency: The organisation's, of rented sites without their own.

    Returns:
        `marts.idle_policy`, sorted by its key. Standby power of machines that are off is not taken off the saving.
    """
    begin = as_of - timedelta(days=WINDOW_DAYS - 1)
    window = {
        site: (max(first, begin), min(last, as_of))
        for site, (first, last) in days.items()
        if first <= as_of and last >= begin
    }
    machines = _machines(hourly, assets, sites, window)
    rows = _rows(hourly, machines, sites)
    if rows.is_empty():
        return IDLE_POLICY.empty()
    off = _off(rows, policy)
    fixed = gpu_parts.group_by(CARD).agg(
        pl.col("currency").first(), fixed_rate=pl.col("fixed_cost").sum().cast(pl.Float64) / pl.col("gpu_hours").sum()
    )  # fmt: skip
    money = {name: (s.currency or currency, s.rented_gpu_hour) for name, s in sites.items() if s.rented}
    price = pl.DataFrame(
        [(name, code, None if rate is None else float(rate)) for name, (code, rate) in money.items()],
        schema={"site": pl.String, "rented_currency": pl.String, "price": pl.Float64}, orient="row",
    )  # fmt: skip
    held = pl.col("state") == "allocated"
    rented = pl.col("rented_currency").is_not_null()
    part, hours = pl.col("off") / pl.col("length"), pl.col("hours")
    known = rows.filter("known").join(off, on=[*NODE, "hour"], how="left", nulls_equal=True)
    known = known.join(fixed, on=CARD, how="left", nulls_equal=True).join(price, on="site", how="left")
    known = known.with_columns(
        pl.col("off").fill_null(0.0),
        team=pl.when(held).then(pl.col("team").fill_null(NOBODY["team"])).otherwise(pl.lit(platform_team(ownership))),
        workload=pl.when(held).then(pl.col("workload")).fill_null(NOBODY["workload"]),
        tier=pl.when(rented).then(pl.lit("cloud")).otherwise(pl.lit("onprem")),
        currency=pl.coalesce("rented_currency", "currency"),
        paid=pl.when(rented).then(hours * pl.col("price")).otherwise(pl.col("energy_cost").cast(pl.Float64)),
    )  # fmt: skip

    def whole(value: pl.Expr, which: pl.Expr) -> pl.Expr:
        """The sum; NULL where a value of the rows that count is."""
        return pl.when(value.filter(which).is_not_null().all()).then(value.filter(which).sort().sum())

    ever, stopped = pl.lit(value=True), pl.col("off") > 0
    grouped = known.group_by(*HOLDER, "tier", "currency").agg(
        gpu_hours=hours.sort().sum(),
        gpu_hours_unused=(hours - pl.col("used")).clip(lower_bound=0.0).sort().sum(),
        gpu_hours_off=(hours * part).sort().sum(),
        stops=pl.col("run").filter(stopped & (hours > 0)).n_unique().cast(pl.Int64),
        energy_saved_kwh=whole(pl.col("energy_kwh") * part, stopped),
        saving=whole(pl.col("paid") * part, stopped),
        cost=whole(pl.col("paid"), ever),
        fixed_cost_off=pl.when(~rented.any()).then((hours * part * pl.col("fixed_rate")).fill_null(0.0).sum()),
    )  # fmt: skip
    seen = rows.group_by(NODE).agg(known=hours.filter(pl.col("known")).sum())
    span = (
        machines.pipe(with_capacity, sites)
        .group_by(NODE)
        .agg(span=(pl.col("capacity") * pl.col("units")).sum())
    )
    return IDLE_POLICY.conform(
        grouped.join(seen, on=NODE, nulls_equal=True)
        .join(span, on=NODE, nulls_equal=True)
        .with_columns(
            *(pl.col(name).round(12).cast(MONEY) for name in ("saving", "cost", "fixed_cost_off")),
            coverage=(pl.col("known") / pl.col("span")).clip(upper_bound=1.0),
            resolution_minutes=pl.lit(RESOLUTION_MINUTES),
            after_minutes=pl.lit(float(policy.after_minutes)),
        )
    ).sort(IDLE_POLICY.key)


def _machines(
    hourly: pl.DataFrame, assets: Sequence[Asset], sites: Mapping[str, Site], window: Mapping[str, tuple[date, date]]
) -> pl.DataFrame:  # fmt: skip
    """Day, site, node and units (cards): registered machines on all their days, others of rented sites when seen."""
    key = ["day", *NODE]
    servers = asset_days([a for a in assets if a.kind == "gpu_server"], window)
    registered = servers.select(*key, pl.col("units").cast(pl.Int64))
    rented = pl.any_horizontal(
        pl.lit(value=False),
        *((pl.col("site") == name) & pl.col("day").is_between(*span) for name, span in window.items() if sites[name].rented),
    )  # fmt: skip
    seen = hourly.filter(rented).group_by(key).agg(units=pl.col("gpu").n_unique().cast(pl.Int64))
    return pl.concat([registered, seen.join(registered, on=key, how="anti", nulls_equal=True)])


def _rows(hourly: pl.DataFrame, machines: pl.DataFrame, sites: Mapping[str, Site]) -> pl.DataFrame:
    """Rows of the machines' cards: hours and used of a whole card, known, length of the hour, units of the machine.

    Slices that do not exist while others do are a row that nobody holds and uses. Energy is what is measured and what
    is estimated, together.
    """
    rows = hourly.join(machines, on=["day", *NODE], nulls_equal=True)
    rows = placed(weighted(cost_by_site(rows, sites))).pipe(with_hour_length, sites)
    rows = rows.with_columns(
        pl.col("energy_kwh") + pl.col("energy_estimated_kwh"),
        pl.col("energy_cost") + pl.col("energy_estimated_cost"),
    )
    nobody = rows.filter(pl.col("absent") > TOLERANCE).unique([*CARD, "hour"])
    nothing = {"energy_kwh": pl.lit(0.0), "energy_cost": pl.lit(0).cast(MONEY)}
    nobody = nobody.with_columns(hours="absent", used=pl.lit(0.0), state=pl.lit("unallocated"), **nothing)
    empty = (pl.col("hours") <= TOLERANCE) & pl.col("weight").is_not_null()
    rows = rows.with_columns(
        pl.when(empty).then(pl.col(name).fill_null(nil)).otherwise(name).alias(name)
        for name, nil in (nothing | {"used": pl.lit(0.0)}).items()
    )
    rows = pl.concat([rows, nobody])
    taken = pl.col("hours").sum().over(*CARD, "hour")
    scale = pl.when(taken > pl.col("length")).then(pl.col("length") / taken).otherwise(1.0)
    return rows.with_columns(
        pl.col("hours", "used") * scale,
        known=(pl.col("state") != "unknown") & pl.col("used").is_not_null(),
    )


def _off(rows: pl.DataFrame, policy: IdlePolicy) -> pl.DataFrame:
    """Idle hours of machines: site, node, hour, run, and off, the hours of it in which the machine is off."""
    hours, used = (pl.col(name).filter(pl.col("known")).sum() for name in ("hours", "used"))
    empty = (pl.col("hours") <= TOLERANCE) & pl.col("weight").is_not_null()
    cards = rows.group_by(*NODE, "hour", "gpu").agg(
        pl.col("length", "units").first(),
        idle=(pl.col("known") | empty).all() & (hours >= policy.min_observed * pl.col("length").first() - TOLERANCE)
        & (used <= policy.max_utilisation * hours + TOLERANCE),
    )  # fmt: skip
    machines = (
        cards.group_by(*NODE, "hour")
        .agg(pl.col("length").first(), idle=pl.col("idle").all() & (pl.len() >= pl.col("units").first()))
        .filter("idle")
        .sort(*NODE, "hour")
        .with_columns(end=pl.col("hour") + pl.duration(seconds=pl.col("length") * 3600))
    )
    follows = (pl.col("hour") == pl.col("end").shift()) & pl.all_horizontal(
        pl.col(name).eq_missing(pl.col(name).shift()) for name in NODE
    )
    begin, end = policy.after_minutes / 60, pl.col("length").sum().over("run") - policy.restart_minutes / 60
    at = pl.col("length").cum_sum().over("run") - pl.col("length")
    worth = (end - begin > 0) & (end - begin >= policy.min_off_minutes / 60 - TOLERANCE)
    inside = pl.min_horizontal(at + pl.col("length"), end) - pl.max_horizontal(at, pl.lit(begin))
    return machines.with_columns(run=follows.not_().fill_null(value=True).cum_sum()).select(
        *NODE, "hour", "run", off=pl.when(worth).then(inside.clip(lower_bound=0.0)).otherwise(0.0)
    )
