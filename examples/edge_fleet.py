"""The edge fleet at plant2: 40 inspection cameras that each send a JSON line every fifteen minutes.

A file `<day of arrival>.jsonl.gz` a day, local to the plant, where work goes on from 06:00 to 22:00, Monday to
Saturday. Lines come twice, late (in the next day's file), or not at all; counters restart with a new `boot_id`.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from pathlib import Path

import polars as pl

from examples.company import DEVICE_MODEL, DEVICES, LINE_INSPECTION, PLANT2_ZONE
from examples.faults import DARK_DEVICE, Moments
from examples.noise import SECONDS, noise

STEP_S = 900
MODEL = "weld-check-3"
LATENCY = {"0.02": 410, "0.03": 830, "0.05": 975, "0.1": 998, "+Inf": 1000}
"""Upper bound in seconds -> permille of the inferences within it."""


@dataclass(frozen=True)
class Fleet:
    """What is known of the fleet: (device, local day) -> inferences, and how many lines are wrong."""

    inferences: Mapping[tuple[str, date], int]
    duplicates: int
    late: int
    dark_after: datetime


def _reports(start: date, end: date, seed: int, broken: Moments) -> pl.DataFrame:
    """Every report a device would have sent, with the work of the fifteen minutes before it."""
    first = int(datetime.combine(start, time(0), tzinfo=PLANT2_ZONE).timestamp())
    last = int(datetime.combine(end + timedelta(days=1), time(0), tzinfo=PLANT2_ZONE).timestamp())
    slots = pl.int_range(first, last, STEP_S, eager=True).alias("slot").to_frame()
    devices = pl.DataFrame({"device": range(len(DEVICES)), "device_id": DEVICES})
    epoch = pl.col("slot") + (pl.col("device") * 37) % STEP_S
    local = (
        pl.from_epoch("epoch", time_unit="s")
        .dt.replace_time_zone("UTC")
        .dt.convert_time_zone(str(PLANT2_ZONE))
    )
    device_day = pl.col("device") * SECONDS + pl.col("day").cast(pl.Int32).cast(pl.Int64)
    key = pl.col("device") * SECONDS + pl.col("epoch")
    shift = pl.col("hour").is_between(6, 21) & (pl.col("weekday") < 7)
    dark = (pl.col("device_id") == DARK_DEVICE) & (pl.col("day") > broken.dark_day)
    return (
        devices.join(slots, how="cross", maintain_order="left_right")
        .with_columns(epoch=epoch)
        .with_columns(
            ts=local.dt.strftime("%Y-%m-%dT%H:%M:%S+05:30"),
            day=local.dt.date(),
            hour=local.dt.hour(),
            weekday=local.dt.weekday(),
        )
        .filter(~dark)
        .with_columns(
            restarts=(noise(device_day, "edge/boot", seed, 25) == 0) & (pl.col("hour") == 3),
            work=pl.when(shift).then(380 + noise(key, "edge/work", seed, 140)).otherwise(0),
            milliwatt_hours=pl.when(shift).then(3_300).otherwise(1_450) + noise(key, "edge/power", seed, 200),
            lost=(noise(device_day, "edge/gap", seed, 50) == 0) & pl.col("hour").is_between(10, 12),
            late=(noise(device_day, "edge/late", seed, 25) == 0)
            & (pl.col("hour") >= 18)
            & (pl.col("day") < end),
            twice=noise(key, "edge/twice", seed, 120) == 0,
        )
        .with_columns(
            failed=(pl.col("work") * 3 + noise(key, "edge/failed", seed, 1000)) // 1000 * (pl.col("work") > 0)
        )
        .with_columns(
            boot=(pl.col("restarts") & ~pl.col("restarts").shift(1, fill_value=False).over("device"))
            .cast(pl.Int64)
            .cum_sum()
            .over("device")
        )
    )


def _lines(reports: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Adds `line`, the report as JSON: counters since the device started."""
    since = ("device", "boot")
    before = pl.when(pl.col("boot") == 0).then(1_200_000 + pl.col("device") * 9_001).otherwise(0)
    counted = reports.with_columns(
        seq=pl.int_range(pl.len()).over(since),
        inferences=pl.col("work").cum_sum().over(since) + before,
        failures=pl.col("failed").cum_sum().over(since),
        energy=pl.col("milliwatt_hours").cum_sum().over(since),
    )
    boot_id = noise(pl.col("device") * SECONDS + pl.col("boot"), "edge/boot-id", seed, 10**15)
    within = [
        part
        for bound, share in LATENCY.items()
        for part in (
            pl.lit(f'{"{" if bound == "0.02" else ","}"{bound}":'),
            (pl.col("inferences") * share // 1000).cast(pl.String),
        )
    ]
    owner = LINE_INSPECTION
    about = (
        f'"device_model":"{DEVICE_MODEL}","model":"{MODEL}","workload":"{owner.workload}","team":"{owner.team}",'
        f'"project":"{owner.project}","environment":"{owner.environment}","workload_type":"{owner.workload_type}"'
    )
    number = pl.String
    return counted.with_columns(
        line=pl.concat_str(
            pl.lit('{"device_id":"'),
            "device_id",
            pl.lit('","ts":"'),
            "ts",
            pl.lit('","boot_id":"'),
            boot_id.cast(number).str.zfill(15),
            pl.lit('","seq":'),
            pl.col("seq").cast(number),
            pl.lit(',"inferences_total":'),
            pl.col("inferences").cast(number),
            pl.lit(',"failed_total":'),
            pl.col("failures").cast(number),
            pl.lit(',"energy_wh_total":'),
            (pl.col("energy") // 1000).cast(number),
            pl.lit("."),
            (pl.col("energy") % 1000).cast(number).str.zfill(3),
            pl.lit(',"latency_seconds_buckets":'),
            *within,
            pl.lit("}," + about + "}"),
        )
    )


def write(root: Path, start: date, end: date, seed: int, broken: Moments) -> Fleet:
    """Writes `root/<day>.jsonl.gz`.

    Args:
        root: Folder of the source.
        start: First local day.
        end: Last local day; nothing of it arrives later.
        seed: Seed of the demo.
        broken: When telemetry breaks.

    Returns:
        What is known of it.
    """
    reports = _reports(start, end, seed, broken)
    sent = _lines(reports, seed).filter(~pl.col("lost"))
    arrived = pl.concat([sent, sent.filter("twice")]).with_columns(
        arrival=pl.col("day") + pl.duration(days=pl.col("late").cast(pl.Int64))
    )
    root.mkdir(parents=True, exist_ok=True)
    ordered = arrived.select("arrival", "epoch", "device", "line").sort("arrival", "epoch", "device")
    for (day,), part in ordered.partition_by("arrival", as_dict=True).items():
        text = "\n".join(part["line"].to_list()) + "\n"
        (root / f"{day}.jsonl.gz").write_bytes(gzip.compress(text.encode(), compresslevel=1, mtime=0))
    daily = reports.group_by("device_id", "day").agg(pl.sum("work")).sort("device_id", "day")
    last = sent.filter(pl.col("device_id") == DARK_DEVICE)["ts"].to_list()[-1]
    return Fleet(
        inferences={(device, day): work for device, day, work in daily.iter_rows()},
        duplicates=sent.filter("twice").height,
        late=arrived.filter("late").height,
        dark_after=datetime.fromisoformat(last),
    )
