"""Files with samples of GPUs to hours, table by table in DuckDB; the SQL belongs to the modules beside it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import polars as pl

from connectors.base import Engine
from connectors.steps import Clock
from connectors.telemetry_files.bundles import (
    CANDIDATES,
    SPANS,
    added_sql,
    bundles_sql,
    singles_sql,
    twinned_sql,
    twins_sql,
)
from connectors.telemetry_files.columns import has
from connectors.telemetry_files.gpu import (
    HELD,
    MERGED,
    TOLD,
    bridged_sql,
    cards_sql,
    gpu_hourly_sql,
    readings_sql,
    steps_sql,
    sums_sql,
)
from connectors.telemetry_files.labels import NAMES, Layout, labels_sql

LEFT = ("labels", "bundles", "twins", "merged", "readings", "names", "steps", "sums")
"""Tables that are left, beside `samples`, for findings."""

_EPOCH = datetime.fromisoformat("1970-01-01")


def gpu_hours(
    layouts: Sequence[Layout],
    clock: Clock,
    engine: Engine,
    *,
    interval_us: int,
    max_step_us: int,
    bridge_us: int,
    same: str,
) -> pl.DataFrame:
    """The hours of files. Most samples are only added up to `bundles`; those read one by one are in `samples`.

    Args:
        layouts: The files.
        clock: Where the hours of the site lie.
        engine: Runs the SQL.
        interval_us: Time between samples.
        max_step_us: Longer steps between samples are gaps.
        bridge_us: Longer gaps are not bridged by the counter.
        same: SQL of what has one sample at a time.
    """
    counter = any(has("gpu", "energy_kwh_total", types) for _, types in layouts)

    def make(name: str, sql: str) -> None:
        engine.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    make("labels", labels_sql(layouts, same))
    make("added", added_sql(layouts, clock, interval_us, counter=counter))
    make("bundles", bundles_sql("added", interval_us, max_step_us, counter=counter))
    make("candidates", CANDIDATES)
    make("twins", twins_sql(layouts, clock, interval_us))
    if engine.rows("SELECT label FROM twins LIMIT 1"):
        make("bundles", twinned_sql(interval_us, max_step_us, counter=counter))
    for name, sql, *done in (
        ("samples", singles_sql(layouts, clock, interval_us), "added", "candidates"),
        ("told", TOLD),
        ("merged", MERGED),
        ("readings", readings_sql(interval_us), "told"),
        ("names", NAMES),
        ("spans", SPANS),
        ("cards", cards_sql(max_step_us)),
        ("held", HELD, "spans"),
        ("bridged", bridged_sql(bridge_us)),
        ("steps", steps_sql(bridge_us, clock), "cards"),
        ("sums", sums_sql(clock), "held", "bridged"),
    ):
        make(name, sql)
        for table in done:
            engine.execute(f"DROP TABLE {table}")
    weeks = engine.query(
        "SELECT DISTINCT date_trunc('week', hour)::TIMESTAMP AS week FROM sums ORDER BY week"
    )
    return pl.concat(engine.query(gpu_hourly_sql(week)) for week in weeks["week"].to_list() or [_EPOCH])
