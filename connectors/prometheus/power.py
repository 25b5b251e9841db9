"""Hours of node power meters, from ipmi_exporter: mean power x hours covered; there is no counter to bridge gaps."""

from __future__ import annotations

import polars as pl

from connectors.prometheus.question import HALF_OPEN, Question, expected_samples, observed, one_replica

METRIC = "ipmi_dcmi_power_consumption_watts"
LABELS = ("instance", "node", "hostname", "Hostname")


def power_hours(question: Question, interval_s: float | None) -> pl.DataFrame:
    """Hours of meters, one an instance of the exporter.

    Args:
        question: The hours.
        interval_s: Seconds between scrapes, None to find out.

    Returns:
        hour, node, meter, energy_kwh, energy_estimated_kwh (0), coverage.
    """
    series = question.select(METRIC)
    watts = question.ask(f"avg_over_time({series}[{HALF_OPEN}])", LABELS)
    count = question.ask(f"count_over_time({series}[{HALF_OPEN}])", LABELS).rename({"value": "count"})
    on = [*LABELS, "replica", "hour"]
    frame = watts.filter(pl.col("value") > 0).join(count, on=on)
    frame = one_replica(frame, ["instance"])
    expected = expected_samples(frame, ["instance"], interval_s)
    return (
        frame.with_columns(covered=observed(expected, ["instance"]))
        .group_by("hour", meter="instance")
        .agg(
            node=pl.coalesce([pl.col(c).replace("", None) for c in ("node", "hostname", "Hostname")])
            .drop_nulls()
            .max(),
            energy_kwh=(pl.col("value") / 1000 * pl.col("covered")).sum(),
            energy_estimated_kwh=pl.lit(0.0),
            coverage=pl.col("covered").sum(),
        )
    )
