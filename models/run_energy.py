"""What energy a run used, by what its power meter read between its start and its end.

Method `window_mean`, the rule of MLPerf Power (power-dev, `check.py`): the mean of the readings strictly inside the
window whose power is over 0, times the length of the window. It suits a log with many readings a run, such as one a
second. Counters and trapezoids over whole hours, by which hardware is billed, are in `telemetry.power_hourly`; the part of
them that falls into a run, in `models/training.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from models.ownership import Names
from models.records import TrainingRun
from models.tables import RUN_ENERGY
from models.training import declared

METHOD = "window_mean"
J_PER_KWH = 3.6e6


def measured(runs: Sequence[TrainingRun], run_power_daily: pl.DataFrame, spelled: Names) -> pl.DataFrame:
    """The energy of every declared run, by each meter that read inside it.

    Args:
        runs: The runs.
        run_power_daily: `telemetry.run_power_daily`; rows of runs that are not declared are passed over.
        spelled: Spelling of workloads (`ownership.names(rules)["workload"]`).

    Returns:
        `marts.run_energy`, sorted by its key. A run that no meter read has one row without energy. Two meters of one
        run are two rows and are never added: they may see the same watts.
    """
    run, meter = ["run_id"], ["run_id", "source", "site", "meter"]
    listed = declared(runs, spelled).with_columns(duration_s=pl.col("hours") * 3600)
    days = run_power_daily.join(listed.select("run_id", "started_at", "ended_at"), on="run_id")
    last = pl.col("last_reading").forward_fill().over(meter, order_by="day")
    before = pl.coalesce(last.shift(1).over(meter, order_by="day"), "started_at")
    days = days.with_columns(
        from_before_s=_seconds(pl.col("first_reading") - before),
        to_end_s=_seconds(pl.col("ended_at") - pl.col("last_reading")),
    )
    read = days.group_by(meter).agg(
        pl.col("node").max(),
        pl.col("readings", "readings_dropped").sum(),
        mean_w=pl.col("sum_w").sort().sum() / pl.col("readings").sum(),
        longest_gap_s=pl.max_horizontal(
            pl.col("longest_gap_s").max(), pl.col("from_before_s").max(), pl.col("to_end_s").min()
        ),
    )
    seen = pl.col("readings") > 0
    return RUN_ENERGY.conform(
        listed.join(read, on=run, how="left")
        .with_columns(pl.col("readings", "readings_dropped").fill_null(0))
        .with_columns(
            mean_w=pl.when(seen).then("mean_w"),
            longest_gap_s=pl.when(seen).then("longest_gap_s"),
            method=pl.when(seen).then(pl.lit(METHOD)).otherwise(pl.lit("none")),
        )
        .with_columns(energy_kwh=pl.col("mean_w") * pl.col("duration_s") / J_PER_KWH)
        .with_columns(
            kwh_per_epoch=pl.col("energy_kwh") / pl.col("epochs"),
            kwh_per_1m_tokens=1e6 * pl.col("energy_kwh") / pl.col("tokens"),
            kwh_per_1m_samples=1e6 * pl.col("energy_kwh") / pl.col("samples"),
        )
    ).sort(RUN_ENERGY.key)


def _seconds(length: pl.Expr) -> pl.Expr:
    return length.dt.total_microseconds() / 1e6
