"""What a training run cost: its part of what its workload was charged, by measured GPU-hours or by time.

Which runs there are is declared (`training_runs`); what the workload was charged belongs to `models/chargeback.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import polars as pl

from models.gpu_slices import CARD, weighted
from models.local_days import day_bounds
from models.money import split
from models.ownership import UNTAGGED, Names
from models.records import TrainingRun
from models.tables import GPU_HOURLY, MONEY, TRAINING_RUNS

NO_CURRENCY = "XXX"
"""ISO 4217 code for no currency: of a run that no charge falls into."""

PAYER = ["day", "workload", "team", "tier", "currency"]
HOLDER = ["day", "workload", "team", "site"]


def costs(
    runs: Sequence[TrainingRun],
    chargeback_daily: pl.DataFrame,
    gpu_hourly: pl.DataFrame,
    spelled: Names,
    zones: Mapping[str, ZoneInfo] | None = None,
) -> pl.DataFrame:
    """The cost of every declared run, idle cost of its workload included, unallocated not.

    On owned GPUs that telemetry covers, a run gets the day's cost of its workload by its part of the GPU-hours
    that the workload held that day: what was held outside every run belongs to none. Elsewhere a run gets it by
    its part of the time of all runs of the workload that day: the whole, where it is the only one. An hour that
    two runs of one workload share is split evenly between them.

    Args:
        runs: The runs.
        chargeback_daily: `marts.chargeback_daily`.
        gpu_hourly: From `rows_of`.
        spelled: Spelling of workloads (`ownership.names(rules)["workload"]`).
        zones: Site (`sub_account` of tier onprem and edge) -> time zone; a day of other charges is UTC's.

    Returns:
        `marts.training_runs`, sorted by its key: a row for each team, tier and currency that the run was charged
        in; one row without cost for a run that no charge falls into.
    """
    listed = declared(runs, spelled)
    charges = chargeback_daily.filter(
        (pl.col("cost_kind") != "unallocated") & pl.col("workload").is_in(listed["workload"].implode())
    ).with_columns(zone=pl.when(pl.col("tier").is_in(["onprem", "edge"])).then("sub_account"))
    hours = _gpu_hours(listed, gpu_hourly).rename({"site": "zone"})
    holder = ["day", "workload", "team", "zone"]
    times = _times(listed, charges, zones or {})
    keys = [*PAYER, "zone"]
    paid = charges.group_by(keys).agg(cost=pl.col("effective_cost").sum())
    measured = pl.col("held_hours").is_not_null()
    shares = (
        paid.join(times, on=["day", "workload", "zone"], nulls_equal=True)
        .join(hours.select(*holder, "held_hours").unique(), on=holder, how="left", nulls_equal=True)
        .join(hours.drop("held_hours"), on=[*holder, "run_id"], how="left", nulls_equal=True)
        .with_columns(by_hours=(pl.col("tier") == "onprem") & measured)
        .with_columns(
            weight=pl.when("by_hours").then(pl.col("run_hours").fill_null(0.0)).otherwise("seconds")
        )
        .sort(*keys, "run_id")
    )
    outside = (
        shares.filter("by_hours")
        .group_by(keys)
        .agg(
            pl.col("cost").first(),
            weight=pl.col("held_hours").max() - pl.col("run_hours").sum(),
            by_hours=pl.lit(value=True),
        )
        .filter(pl.col("weight") > 1e-9)
    )
    parts = split(
        pl.concat([shares, outside], how="diagonal").sort(*keys, "run_id", nulls_last=True),
        keys, "cost", "weight", "part",
    ).filter(pl.col("run_id").is_not_null() & (pl.col("weight") > 0))  # fmt: skip
    charged = parts.group_by("run_id", "team", "tier", "currency").agg(
        cost=pl.col("part").sum(),
        gpu_hours=pl.when(pl.col("by_hours").all()).then(pl.col("run_hours").sort().sum()),
        energy_kwh=pl.when(pl.col("by_hours").all() & pl.col("energy_kwh").is_not_null().all()).then(
            pl.col("energy_kwh").sort().sum()
        ),
        method=pl.when(pl.col("by_hours").all()).then(pl.lit("gpu_hours")).otherwise(pl.lit("time")),
    )
    epochs = pl.col("epochs")
    return TRAINING_RUNS.conform(
        listed.join(charged, on="run_id", how="left").with_columns(
            team=pl.col("team").fill_null(UNTAGGED),
            tier=pl.col("tier").fill_null("unknown"),
            currency=pl.col("currency").fill_null(NO_CURRENCY),
            method=pl.col("method").fill_null("none"),
            hours_per_epoch=pl.col("hours") / epochs,
            cost_per_epoch=(pl.col("cost").cast(pl.Float64) / epochs).round(12).cast(MONEY),
        )
    ).sort(TRAINING_RUNS.key)


def declared(runs: Sequence[TrainingRun], spelled: Names) -> pl.DataFrame:
    """The runs as a frame: run_id, workload, model, started_at, ended_at (UTC), epochs, tokens, samples, hours.

    Args:
        runs: The runs.
        spelled: Spelling of workloads.
    """

    def utc(at: datetime) -> datetime:
        return at.astimezone(UTC).replace(tzinfo=None)

    rows = [
        (
            r.run_id,
            spelled.one(r.workload),
            r.model,
            utc(r.started_at),
            utc(r.ended_at),
            r.epochs,
            r.tokens,
            r.samples,
        )
        for r in runs
    ]
    schema = pl.Schema(
        {
            "run_id": pl.String(), "workload": pl.String(), "model": pl.String(), "started_at": pl.Datetime("us"),
            "ended_at": pl.Datetime("us"), "epochs": pl.Float64(), "tokens": pl.Float64(), "samples": pl.Float64(),
        }
    )  # fmt: skip
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return frame.with_columns(
        hours=(pl.col("ended_at") - pl.col("started_at")).dt.total_microseconds() / 3.6e9
    )


def _overlap_h(start: pl.Expr, end: pl.Expr) -> pl.Expr:
    """Hours of a run inside an interval."""
    inside = pl.min_horizontal("ended_at", end) - pl.max_horizontal("started_at", start)
    return inside.dt.total_microseconds() / 3.6e9


def rows_of(runs: Sequence[TrainingRun], gpu_hourly: pl.DataFrame, spelled: Names) -> pl.DataFrame:
    """The hours of cards that a workload with runs held at some time, with whoever else was on the card then.

    Args:
        runs: The runs.
        gpu_hourly: `telemetry.gpu_hourly` with owners from `ownership.label` and energy from `attribution.attribute`.
        spelled: Spelling of workloads.
    """
    workloads = pl.col("workload").is_in(declared(runs, spelled)["workload"].implode())
    card_hour = [*CARD, "hour"]
    mine = gpu_hourly.filter(pl.col("allocated") & workloads).select(card_hour).unique()
    rows = gpu_hourly.join(mine, on=card_hour, how="semi", nulls_equal=True)
    return rows.select(GPU_HOURLY.schema.names())


def _gpu_hours(listed: pl.DataFrame, gpu_hourly: pl.DataFrame) -> pl.DataFrame:
    """Columns HOLDER, held_hours (of the workload that day), run_id, run_hours, energy_kwh (the run's); hours of whole cards.

    A day on which no run holds a card has one row without a run.
    Of an hour in which a run begins or ends, the time that a card or slice was held is the run's as far as it fits.
    """
    held = weighted(gpu_hourly).filter(
        (pl.col("state") == "allocated") & pl.col("workload").is_in(listed["workload"].implode())
    )
    held = held.with_columns(
        pl.col("team").fill_null(UNTAGGED), hours=pl.col("observed_hours") * pl.col("weight")
    )
    all_hours = held.group_by(HOLDER).agg(held_hours=pl.col("hours").sort().sum())
    cell = ["day", "workload", "site", "hour"]
    parts = (
        held.select(cell)
        .unique()
        .join(listed.select("run_id", "workload", "started_at", "ended_at"), on="workload")
        .with_columns(part=_overlap_h(pl.col("hour"), pl.col("hour").dt.offset_by("1h")))
        .filter(pl.col("part") > 0)
        .with_columns(total=pl.col("part").sum().over(cell))
        .with_columns(share=pl.col("part") / pl.col("total"), inside=pl.min_horizontal("total", 1.0))
    )
    slot = pl.col("observed_hours").sum().over(*cell, "node", "gpu", "mig_id")
    inside = held.with_columns(slot=slot).join(parts.select(*cell, "run_id", "share", "inside"), on=cell)
    inside = inside.filter(pl.col("slot") > 0).with_columns(
        part=pl.min_horizontal("slot", "inside") / pl.col("slot") * pl.col("share")
    )
    energy = (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")) * pl.col("part")
    mine = inside.group_by(*HOLDER, "run_id").agg(
        run_hours=(pl.col("hours") * pl.col("part")).sort().sum(),
        energy_kwh=pl.when(pl.col("energy_kwh").is_not_null().all()).then(energy.sort().sum()),
    )
    return all_hours.join(mine, on=HOLDER, how="left")


def _times(listed: pl.DataFrame, charges: pl.DataFrame, zones: Mapping[str, ZoneInfo]) -> pl.DataFrame:
    """Columns day, workload, zone, run_id, seconds: the time of each run in each local day with charges."""
    days = charges.select("day", "zone").unique()
    utc = ZoneInfo("UTC")
    bounds = [
        (d, z, *day_bounds(d, zones.get(z, utc) if z is not None else utc)) for d, z in days.iter_rows()
    ]
    schema = pl.Schema(
        {"day": pl.Date(), "zone": pl.String(), "start": pl.Datetime("us"), "end": pl.Datetime("us")}
    )
    table = pl.DataFrame(bounds, schema=schema, orient="row")
    return (
        charges.select("day", "workload", "zone").unique()
        .join(table, on=["day", "zone"], nulls_equal=True)
        .join(listed, on="workload")
        .with_columns(seconds=3600 * _overlap_h(pl.col("start"), pl.col("end")))
        .filter(pl.col("seconds") > 0)
        .select("day", "workload", "zone", "run_id", "seconds")
    )  # fmt: skip
