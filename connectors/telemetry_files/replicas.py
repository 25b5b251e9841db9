"""Samples of a pair of Prometheus servers in one file: of each thing one replica counts at a time.

Both replicas show one counter, at other moments and by other clocks: side by side it seems to fall and to rise again. So
of each card, meter or service, in each `_INTERVALS` intervals, the replica with the most samples counts, the first by
name of equals. The interval is what most samples show where that is longer than the configuration says. Where another one takes over, half an interval is left out, so that clocks that differ by less do not
make a counter fall; the step over it is no gap.
"""

from __future__ import annotations

from collections.abc import Sequence

from connectors.telemetry_files.columns import has
from connectors.telemetry_files.labels import Layout
from connectors.telemetry_files.rows import stamp_sql, texts

THING = {
    "gpu": "x_gpu",
    "power": "COALESCE(x_meter, x_node, x_run_id)",
    "inference": "COALESCE(x_workload, x_model)",
}
"""Kind of samples -> SQL of what a row is of."""

_INTERVALS = 15
"""Sample intervals for which one replica is chosen."""

_MARKS = ("x_ts", "x_bucket", "x_us", "x_thing", "x_replica")


def with_replicas(dataset: str, layouts: Sequence[Layout]) -> list[Layout]:
    """The layouts whose files tell replicas apart."""
    return [(scan, types) for scan, types in layouts if has(dataset, "replica", types)]


def paces_sql(dataset: str, layouts: Sequence[Layout], interval_us: int) -> str:
    """SQL: the table `paces`: the interval (us) of each thing, half of whose steps are no longer; arguments of `chosen_sql`."""
    rows = " UNION ".join(
        f"SELECT x_thing, x_replica, x_ts FROM ({_named(dataset, layout)})" for layout in layouts
    )
    return f"""
        SELECT thing, GREATEST({interval_us}, MIN(us)) AS us FROM (
            SELECT x_thing AS thing, MEDIAN(us)::BIGINT AS us FROM (
                SELECT x_thing, x_replica, date_diff('microsecond', LAG(x_ts) OVER (PARTITION BY x_thing, x_replica ORDER BY x_ts), x_ts) AS us
                FROM ({rows}) WHERE x_thing IS NOT NULL AND x_ts IS NOT NULL AND x_replica IS NOT NULL
            ) WHERE us IS NOT NULL GROUP BY x_thing, x_replica
        ) GROUP BY thing"""


def chosen_sql(dataset: str, layouts: Sequence[Layout], interval_us: int) -> str:
    """SQL: the table `chosen`: which replica of a thing counts in a bucket of time, and since when.

    Args:
        dataset: gpu, inference or power.
        layouts: Those `with_replicas`.
        interval_us: Time between samples.
    """
    rows = " UNION ALL ".join(
        f"SELECT x_thing, x_bucket, x_us, x_replica FROM ({_marked(dataset, layout, interval_us)})"
        for layout in layouts
    )
    return f"""
        SELECT *, bucket + CASE WHEN replica <> LAG(replica) OVER (PARTITION BY thing ORDER BY bucket)
                                THEN to_microseconds(us // 2) ELSE INTERVAL 0 SECOND END AS since
        FROM (
            SELECT x_thing AS thing, x_bucket AS bucket, x_replica AS replica, any_value(x_us) AS us FROM ({rows})
            WHERE x_thing IS NOT NULL AND x_bucket IS NOT NULL AND x_replica IS NOT NULL
            GROUP BY x_thing, x_bucket, x_replica
            QUALIFY row_number() OVER (PARTITION BY x_thing, x_bucket ORDER BY COUNT(*) DESC, x_replica) = 1)"""


def kept(dataset: str, layout: Layout, interval_us: int) -> Layout:
    """A layout without the rows of other replicas; those that name no replica, thing or time stay."""
    if not has(dataset, "replica", layout[1]):
        return layout
    judged = _judged(dataset, layout, interval_us)
    return (
        f"SELECT * EXCLUDE ({', '.join((*_MARKS, 'other'))}) FROM ({judged}) WHERE other IS NOT TRUE",
        layout[1],
    )


def others_sql(dataset: str, layouts: Sequence[Layout], interval_us: int) -> str:
    """SQL: the table `others`: file, ts and replica of rows that do not count."""
    parts = [
        f"SELECT filename AS file, x_ts AS ts, x_replica AS replica FROM ({_judged(dataset, layout, interval_us)}) WHERE other"
        for layout in layouts
    ]
    nothing = "SELECT '' AS file, CAST(NULL AS TIMESTAMP) AS ts, '' AS replica WHERE FALSE"
    return " UNION ALL ".join([nothing, *parts])


def _judged(dataset: str, layout: Layout, interval_us: int) -> str:
    return (
        f"SELECT m.*, x_replica <> c.replica OR x_ts < c.since AS other FROM ({_marked(dataset, layout, interval_us)}) AS m "
        "LEFT JOIN chosen AS c ON m.x_thing = c.thing AND m.x_bucket = c.bucket AND m.x_replica IS NOT NULL"
    )


def _marked(dataset: str, layout: Layout, interval_us: int) -> str:
    bucket = f"time_bucket(to_microseconds({_INTERVALS} * x_us), x_ts)"
    return (
        f"SELECT *, {bucket} AS x_bucket FROM (SELECT n.*, COALESCE(us, {interval_us}) AS x_us "
        f"FROM ({_named(dataset, layout)}) AS n LEFT JOIN paces ON n.x_thing = paces.thing)"
    )


def _named(dataset: str, layout: Layout) -> str:
    scan, types = layout
    named = [f"{sql} AS x_{name}" for sql, name in (text.rsplit(" AS ", 1) for text in texts(dataset, types))]
    return (
        f"SELECT r.*, x_ts, {THING[dataset]} AS x_thing, x_replica "
        f"FROM (SELECT s AS r, {stamp_sql(types)} AS x_ts, {', '.join(named)} FROM ({scan}) AS s)"
    )
