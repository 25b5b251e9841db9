"""GPU hours from the metrics of dcgm-exporter.

Rules:
- A card is its UUID. Scrapes by two jobs and the pods that share a card repeat its values: the maximum by label set
  counts. A label that is renamed (Hostname, hostname) or a pod that changes cuts a counter in two: parts are summed.
- Energy: increase() of the counter in mJ; for hours without the counter, mean power x hours covered; else NULL.
- Every MIG instance repeats the energy of its card: the card's energy is that of the instance that shows most, shared
  by compute slices x energy seen (slices/7 for a fully partitioned H100).
- Utilisation: mean of GR_ENGINE_ACTIVE, else of GPU_UTIL / 100, over the samples of the hour.
- Gaps: the counter over the whole local day, less the hours' sum, is spread over the hours' missing parts as an
  estimate, in rows that nobody holds. A gap across local midnight is not bridged.
"""

from __future__ import annotations

import polars as pl

from connectors.prometheus.question import (
    HALF_OPEN,
    PODS,
    Question,
    expected_samples,
    holders,
    observed,
    one_replica,
)

ENERGY = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION"
POWER = "DCGM_FI_DEV_POWER_USAGE"
ACTIVE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
UTIL = "DCGM_FI_DEV_GPU_UTIL"
MJ_PER_KWH = 3.6e9
MAX_CARD_KW = 10.0
"""No GPU draws more; what says so is dropped."""

CARD = ("UUID", "GPU_I_ID", "GPU_I_PROFILE", "modelName", "Hostname", "hostname", "node")
KEYS = ("gpu", "mig_id", "hour", "namespace", "pod")
GAP_SAMPLES = 2.5
"""An hour lacks energy where it lacks more samples than this."""


def gpu_hours(
    question: Question, interval_s: float | None, exporter_pods: str
) -> tuple[pl.DataFrame, float, pl.DataFrame]:
    """Hours of cards and MIG instances under their holders.

    Args:
        question: The hours.
        interval_s: Seconds between scrapes, None to find out.
        exporter_pods: Regular expression of the exporter's own pods.

    Returns:
        hour, gpu, node, gpu_model, mig_profile, mig_id, namespace, pod, allocated, observed_hours, used_hours,
        energy_kwh (NULL unknown); the samples of a full hour; and the values dropped: hour, column_name, value.
    """
    labels = (*CARD, *PODS)
    s = question.select
    counted = " or ".join(f"count_over_time({s(m)}[{HALF_OPEN}])" for m in (ENERGY, POWER, ACTIVE, UTIL))
    asked = {
        "count": counted,
        "kwh": f"increase({s(ENERGY)}[1h]) / {MJ_PER_KWH:.0f}",
        "kw": f"avg_over_time({s(POWER)}[{HALF_OPEN}]) / 1000",
        "utilisation": f"avg_over_time({s(ACTIVE)}[{HALF_OPEN}]) or avg_over_time({s(UTIL)}[{HALF_OPEN}]) / 100",
    }
    on = [*labels, "replica", "hour"]
    frame = question.ask(asked["count"], labels).rename({"value": "count"})
    for name in ("kwh", "kw", "utilisation"):
        frame = frame.join(
            question.ask(asked[name], labels).rename({"value": name}), on=on, how="full", coalesce=True
        )
    frame = frame.filter(pl.col("UUID") != "").with_columns(pl.col("count").fill_null(0.0))
    frame, dropped = _plausible(frame)
    frame = holders(frame, exporter_pods).with_columns(
        gpu="UUID",
        mig_id=_blank("GPU_I_ID"),
        mig_profile=_blank("GPU_I_PROFILE"),
        gpu_model=_blank("modelName"),
        node=pl.coalesce(_blank("node"), _blank("hostname"), _blank("Hostname")),
    )
    frame = one_replica(frame, ["gpu"])
    known = pl.col("utilisation").is_not_null()
    merged = frame.group_by(*KEYS).agg(
        pl.col("node", "gpu_model", "mig_profile").drop_nulls().max(),
        pl.col("count").sum(),
        utilisation=(pl.col("utilisation") * pl.col("count")).sum() / pl.col("count").filter(known).sum(),
        kwh=_sum("kwh"),
        kw=pl.col("kw").mean(),
    )
    instance = ["gpu", "mig_id"]
    expected = expected_samples(merged, instance, interval_s)
    hours = merged.with_columns(observed_hours=observed(expected, instance)).with_columns(
        kwh=pl.coalesce("kwh", pl.col("kw") * pl.col("observed_hours"))
    )
    return (
        _share_mig(hours).with_columns(
            allocated=pl.col("pod").is_not_null(),
            used_hours=pl.col("utilisation").fill_nan(None) * pl.col("observed_hours"),
        ),
        expected,
        dropped,
    )


def _blank(column: str) -> pl.Expr:
    return pl.col(column).replace("", None)


def _sum(column: str) -> pl.Expr:
    return pl.when(pl.col(column).is_not_null().any()).then(pl.col(column).sum())


def _plausible(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Drops values that no card can have (blanks of DCGM are near 2^63), and lists them."""
    good = {
        "kwh": pl.col("kwh").is_between(0, MAX_CARD_KW),
        "kw": (pl.col("kw") > 0) & (pl.col("kw") <= MAX_CARD_KW),
        "utilisation": pl.col("utilisation").is_between(0, 1),
    }
    dropped = pl.concat(
        frame.filter(pl.col(n).is_not_null() & ~e).select("hour", column_name=pl.lit(n), value=n)
        for n, e in good.items()
    )
    return frame.with_columns(pl.when(e).then(pl.col(n)).alias(n) for n, e in good.items()), dropped


def _share_mig(hours: pl.DataFrame) -> pl.DataFrame:
    """Turns the energy that instances repeat into their shares of the card's."""
    slices = pl.col("mig_profile").str.extract(r"(\d+)g").cast(pl.Float64).fill_null(1.0)
    card = ["gpu", "hour"]
    shown = pl.col("kwh").sum().over("gpu", "mig_id", "hour").max().over(card)
    weight = pl.col("kwh") * slices
    whole = weight.sum().over(card)
    split = pl.col("mig_id").is_not_null().all().over(card) & (whole > 0)
    return hours.with_columns(
        energy_kwh=pl.when(split).then(shown * weight / whole).otherwise(pl.col("kwh"))
    ).drop("kwh", "kw")


def day_energy_query(question: Question, seconds: int) -> str:
    """PromQL: kWh of each card over the last `seconds`, gaps, resets and changes of holder bridged."""
    return f"increase(max by (UUID) ({question.select(ENERGY)})[{seconds}s:60s]) / {MJ_PER_KWH:.0f}"


def gap_hours(
    hours: pl.DataFrame, daily: pl.DataFrame, day_hours: pl.Series, expected: float
) -> tuple[pl.DataFrame, int]:
    """Energy of gaps of one day.

    Args:
        hours: Result of `gpu_hours`, that day's.
        daily: UUID and value: kWh of the whole day.
        day_hours: The hours of the day, UTC.
        expected: Samples of a full hour.

    Returns:
        hour, gpu, node, gpu_model, observed_hours 0, energy_kwh 0, energy_estimated_kwh; and the number of cards
        whose daily energy was dropped because the gap would have had more than `MAX_CARD_KW`.
    """
    cards = hours.group_by("gpu").agg(
        pl.col("node", "gpu_model").drop_nulls().max(), measured=pl.col("energy_kwh").sum()
    )
    covered = (
        hours.group_by("gpu", "hour", "mig_id").agg(pl.col("observed_hours").sum())
        .group_by("gpu", "hour").agg(covered=pl.col("observed_hours").max())
    )  # fmt: skip
    gaps = (
        daily.select(gpu="UUID", whole="value").join(cards, on="gpu", how="left")
        .join(day_hours.alias("hour").to_frame(), how="cross")
        .join(covered, on=["gpu", "hour"], how="left")
        .with_columns(missing=1 - pl.col("covered").fill_null(0.0), gap=pl.col("whole") - pl.col("measured").fill_null(0.0))
        .filter((pl.col("missing") > GAP_SAMPLES / expected) & (pl.col("gap") > 0))
        .with_columns(length=pl.col("missing").sum().over("gpu"))
    )  # fmt: skip
    wrong = gaps.filter(pl.col("gap") > pl.col("length") * MAX_CARD_KW)["gpu"].n_unique()
    good = gaps.filter(pl.col("gap") <= pl.col("length") * MAX_CARD_KW)
    return (
        good.select(
            "hour", "gpu", "node", "gpu_model",
            observed_hours=pl.lit(0.0), energy_kwh=pl.lit(0.0),
            energy_estimated_kwh=pl.col("gap") * pl.col("missing") / pl.col("length"),
        ),
        wrong,
    )  # fmt: skip
