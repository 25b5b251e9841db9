"""The GPU site dc1: one sample a minute of every card and MIG slice, as a collector on each node writes them.

A file `gpu/<local day>.parquet` a day. The energy counter is in millijoules since the driver was loaded;
every MIG slice repeats power and energy of its whole card, as DCGM reports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from examples.company import DC1_ZONE, GPU_MODEL, HOLDERS, Owner, gpu_uuid, node_of
from examples.faults import GAP_NODE, RESET_NODE, Moments
from examples.noise import SECONDS, noise

STEP_S = 60
IDLE_W, FULL_W = 72, 610

OFFICE = (2, 1, 1, 1, 1, 2, 4, 8, 14, 18, 20, 20, 19, 18, 19, 20, 19, 17, 14, 12, 10, 8, 5, 3)
"""Work by local hour of day, 20 at the busiest; shared by people and the services they use."""


def times(start: date, end: date) -> pl.DataFrame:
    """One row a sample: ts (UTC), epoch (s), day, hour and weekday (Monday 1) at dc1."""
    first = datetime.combine(start, time(0), tzinfo=DC1_ZONE)
    last = datetime.combine(end + timedelta(days=1), time(0), tzinfo=DC1_ZONE)
    epoch = pl.int_range(int(first.timestamp()), int(last.timestamp()), STEP_S, eager=True).alias("epoch")
    ts = pl.from_epoch("epoch", time_unit="s").dt.replace_time_zone("UTC")
    local = ts.dt.convert_time_zone(str(DC1_ZONE))
    return epoch.to_frame().select(
        "epoch",
        ts=ts.dt.cast_time_unit("us"),
        day=local.dt.date(),
        hour=local.dt.hour(),
        weekday=local.dt.weekday(),
    )


def _work(load: str, seed: int, key: pl.Expr) -> pl.Expr:
    """Utilisation in percent for a shape of load."""
    curve = pl.col("hour").replace_strict(dict(enumerate(OFFICE)), return_dtype=pl.Int64)
    jitter = noise(key, f"gpu/{load}", seed, 21) - 10
    weekend = pl.when(pl.col("weekday") > 5).then(2).otherwise(3)
    shapes = {
        "chat": 14 + curve * weekend + jitter,
        "steady": 22 + curve + jitter,
        "half": pl.when(pl.col("weekday") < 6).then(curve * 2 + jitter).otherwise(0),
        "training": pl.when(noise(pl.col("epoch") // 21600, "gpu/run", seed, 7) == 0)
        .then(0)
        .otherwise(pl.when(pl.col("epoch") % 7200 < 300).then(18).otherwise(91) + jitter // 2),
        "held": pl.lit(0),
        "free": pl.lit(0),
    }
    return shapes[load].clip(0, 100).cast(pl.Int64)


def _cards(clock: pl.DataFrame, seed: int, broken: Moments) -> pl.DataFrame:
    """card, slice, ts, day, boot, percent (used of the slice), watts (of the card, the minute to ts)."""
    frames = []
    for index, holder in enumerate(HOLDERS):
        on_card = [
            _work(h.load, seed, pl.lit(h.card * 8 + i) * SECONDS + pl.col("epoch"))
            for i, h in enumerate(HOLDERS)
            if h.card == holder.card
        ]
        mean = pl.sum_horizontal(on_card) * (FULL_W - IDLE_W) // (100 * len(on_card))
        wobble = noise(pl.lit(holder.card) * SECONDS + pl.col("epoch"), "gpu/power", seed, 9) - 4
        restarted = node_of(holder.card) == RESET_NODE
        frames.append(
            clock.select(
                "ts",
                "day",
                card=pl.lit(holder.card, dtype=pl.Int64),
                slice=pl.lit(index, dtype=pl.Int64),
                boot=pl.col("ts") >= broken.reset_at if restarted else pl.lit(value=False),
                percent=_work(holder.load, seed, pl.lit(holder.card * 8 + index) * SECONDS + pl.col("epoch")),
                watts=IDLE_W + wobble + mean,
            )
        )
    return pl.concat(frames)


def _counters(samples: pl.DataFrame) -> pl.DataFrame:
    """Adds energy_mj: millijoules since the driver was loaded; after a restart, what was used since."""
    before = 3_000_000_000_000 + pl.col("card") * 41_000_000_000
    joules = pl.col("watts") * STEP_S
    return samples.with_columns(
        energy_mj=joules.cum_sum().over("slice", "boot") * 1000
        + pl.when(pl.col("boot")).then(0).otherwise(before)
    )


def _holders() -> pl.DataFrame:
    rows = []
    for index, holder in enumerate(HOLDERS):
        owner = holder.owner or Owner()
        rows.append(
            {
                "slice": index,
                "node": node_of(holder.card),
                "gpu": gpu_uuid(holder.card),
                "gpu_model": GPU_MODEL,
                "mig_profile": holder.mig_profile or None,
                "mig_id": holder.mig_id or None,
                "namespace": holder.namespace or None,
                "pod": holder.pod or None,
                "team": owner.team or None,
                "project": owner.project or None,
                "environment": owner.environment or None,
                "workload": owner.workload or None,
                "workload_type": owner.workload_type or None,
            }
        )
    return pl.DataFrame(rows, schema_overrides={"mig_profile": pl.String, "mig_id": pl.String})


def _energy(samples: pl.DataFrame) -> Mapping[tuple[str, date], float]:
    """(GPU, local day) -> kWh. A minute belongs to the day in which it starts."""
    daily = (
        samples.filter(pl.col("slice") == pl.col("slice").min().over("card"))
        .with_columns(begun=pl.col("day").shift(1).over("card"))
        .drop_nulls("begun")
        .group_by("card", "begun")
        .agg(joules=(pl.col("watts") * STEP_S).sum())
        .sort("card", "begun")
    )
    return {(gpu_uuid(card), day): joules / 3_600_000 for card, day, joules in daily.iter_rows()}


def write(root: Path, start: date, end: date, seed: int, broken: Moments) -> Mapping[tuple[str, date], float]:
    """Writes `root/gpu/<day>.parquet`.

    Args:
        root: Folder of the site.
        start: First local day.
        end: Last local day.
        seed: Seed of the demo.
        broken: When telemetry breaks.

    Returns:
        (GPU UUID, local day) -> energy in kWh, as the truth defines it.
    """
    samples = _counters(_cards(times(start, end), seed, broken))
    truth = _energy(samples)
    holders = _holders()
    silent = [i for i, h in enumerate(HOLDERS) if node_of(h.card) == GAP_NODE]
    kept = samples.filter(
        ~(
            pl.col("slice").is_in(silent)
            & pl.col("ts").is_between(broken.gap_start, broken.gap_end, closed="left")
        )
    )
    folder = root / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    for (day,), part in kept.partition_by("day", as_dict=True).items():
        part.join(holders, on="slice", how="left", maintain_order="left").select(
            "ts",
            "node",
            "gpu",
            "gpu_model",
            "mig_profile",
            "mig_id",
            utilisation=pl.col("percent") / 100,
            power_w=pl.col("watts").cast(pl.Float64),
            energy_mj="energy_mj",
            namespace="namespace",
            pod="pod",
            team="team",
            project="project",
            environment="environment",
            workload="workload",
            workload_type="workload_type",
        ).write_parquet(folder / f"{day}.parquet")
    return truth
