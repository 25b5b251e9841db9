"""Power meters: how they measure, what they see, and which of several meters of one node counts.

Never are two methods of one node added up: they see the same watts. What a meter says belongs to the connectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta

import polars as pl

from connectors.counters import AROUND, UNUSUAL
from connectors.telemetry import LESS, MAX_METER_KW

SCOPES: Mapping[str, str] = {
    "pdu_outlet": "wall",
    "redfish": "wall",
    "ipmi_dcmi": "wall",
    "ipmi_sensor": "wall",
    "kepler_platform": "wall",
    "acpi": "wall",
    "file": "wall",
    "pdu": "rack",
    "kepler": "components",
    "rapl": "components",
}
"""Method -> scope, the best first of each scope: a meter in the socket sees what the supplies lose, a processor's
counter sees the processor alone."""

SEEN = ("wall", "components")
"""Scopes of a node, the best first: a gauge at the wall is off by its sampling, a counter of parts by all the others."""

ALONE = ("acpi",)
"""Methods whose meters of one node lie within each other, unlabelled: NVIDIA Grace has one each of module, CPU and I/O."""

TOGETHER = 1.5
"""So many meters an hour of a day are there together; a meter that has another name since an hour of it is one."""

METHODS = tuple(SCOPES)

WHOLE = "(?i).*(total|system|sys[ _]|pwr consumption|power meter|node power|instantaneous).*"
"""Regular expression: names of IPMI sensors of a whole node's power."""

SUPPLIES, NO_SUPPLY = "(?i).*(ps|psu|power supply|pwr supply).*", "(?i).*(out|total).*"
"""Regular expressions: names of sensors of what supplies draw, and of those that are none though they match."""

METER = "COALESCE(meter, node, run_id)"
"""SQL: a meter in a file; without a name it is called after its node, or after the run that its log is of."""


JUMP_KWH = 1.0
"""A counter may be no finer than this; what rises by less is believed."""

OFTEN_US = 150_000_000
"""A gauge that is read in longer steps may miss a load, and denies none."""

FAR = 2
"""So many times `bridge_hours` around a day have a say in it: a gap over midnight may end that far away, and what ends it is judged by as much around it."""

KNOWN = 5
"""So many rises beside one say what is usual."""

OTHERS, MOSTLY_US = 2, 330_000_000
"""So many other jumps may be beside one that is read every five minutes or more often: only what takes more is a load."""

BUSIER = 3
"""A silence of hours may be so many times as busy as any hour around it; a step of more than `MOSTLY_US`, as any other rise near it."""

LACKS = 1.5
"""A counter that lacks no more than so many of its smallest rises (or of `JUMP_KWH`) does not stand still."""

STILL = 2
"""One that shows less than a tenth all the while in which its gauge has more than so many times that does, however small the load."""


def jumps(rises: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Rises of energy counters that no load explains, and those in which a counter tells at once of the time in which it stood still.

    A jump (another meter took its place, or a reading is wrong) is one of more than `JUMP_KWH` that means more than
    `UNUSUAL` times the power of any of the `AROUND` rises before and after it; of a step of up to `MOSTLY_US`, of any but
    the `OTHERS` largest; of a longer one, also `BUSIER` times any other rise near it, since a job may run for one step a
    night; of one over a silence of hours, `BUSIER` times any hour near it. A rise counts for the time since the one before, so that neither whole kWh nor a counter that
    stood still while its meter was busy makes a jump. Where a gauge is known, what it shows a tenth of is a load, and
    what it denies within `OFTEN_US` is a jump beside more of them, too, if half of the rises around it mean less than a tenth.

    A counter without a gauge regains what it missed in a rise that is no jump since the one before, but would be one for its own step,
    and is of more than `LACKS` of the smallest rises around it.

    Args:
        rises: key, `until` (where the rise is seen), counted (kWh, above 0), step_h (hours since the sample before),
            silent (that is a gap of an hour or more) and, if there are gauges, `gauge` (kWh since the rise before, NULL unknown).
        key: Columns that name a meter.
        near: What is farther away says nothing, so that a day has one result, whatever is read with it.

    Returns:
        The rows of `rises` that are jumps, or regained, with `regained` and took_h, the time since the rise before, or `near`.
    """
    until = pl.col("until")
    took = (until - until.shift(1)).over(key)
    rated = rises.sort(*key, "until").with_columns(
        took_h=pl.when(took <= near).then(took.dt.total_microseconds() / 3.6e9)
    )
    rated = rated.with_columns(kw=pl.col("counted") / pl.col("took_h")).with_row_index("row")
    rated = rated.join(_beside(rated, key, near), on="row", how="left", maintain_order="left")
    rated = rated.join(_busiest(rated, key, near), on="row", how="left", maintain_order="left")
    rated = rated.join(_other(rated, key, near), on="row", how="left", maintain_order="left")
    step_us = pl.col("step_h") * 3.6e9
    usual, third = (
        pl.col("beside").list.get(n, null_on_oob=True)
        for n in (pl.when(step_us <= MOSTLY_US).then(OTHERS).otherwise(0), OTHERS)
    )
    jump = pl.col("kw") > UNUSUAL * usual
    jump &= (step_us <= MOSTLY_US) | (pl.col("kw") > BUSIER * pl.col("other"))
    gauge = pl.col("gauge") if "gauge" in rises.columns else pl.lit(None, dtype=pl.Float64)
    shown = pl.col("counted") <= LESS * gauge
    denied = ~shown & (step_us <= OFTEN_US) & (pl.col("kw") > UNUSUAL * pl.col("beside").list.median())
    jump = (jump | denied.fill_null(value=False)) & ~shown.fill_null(value=False)
    jump = pl.when("silent").then(pl.col("kw") > BUSIER * pl.col("busiest")).otherwise(jump)
    near_h = near.total_seconds() / 3600
    stood = pl.col("took_h").fill_null(near_h)
    regained = (
        gauge.is_null()
        & (pl.col("counted") <= MAX_METER_KW * stood)
        & (stood > pl.col("step_h"))
        & (pl.col("counted") > LACKS * pl.col("least"))
        & (pl.col("counted") / pl.col("step_h") > UNUSUAL * third)
    )
    told = rated.filter(pl.col("beside").list.len() >= KNOWN).with_columns(
        jump=jump.fill_null(value=False), regained=regained.fill_null(value=False)
    )
    told = told.filter(pl.col("jump") | pl.col("regained")).with_columns(
        regained=pl.col("regained") & ~pl.col("jump"), took_h=stood
    )
    return told.drop("row", "kw", "beside", "least", "busiest", "other", "jump")


def _beside(rated: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Row, beside (kW of the rises around, the largest first) and least (kWh), of rises that may be jumps or regained.

    That is no row whose step means less than `UNUSUAL` times the power of all rises around it.
    """
    smallest = pl.col("kw").rolling_min(2 * AROUND + 1, center=True, min_samples=1).over(key)
    fast = pl.max_horizontal("kw", pl.col("counted") / pl.col("step_h")) > UNUSUAL * smallest
    asked = rated.filter((pl.col("counted") > JUMP_KWH) & (fast | pl.col("silent")))
    others = pl.DataFrame({"off": [n for n in range(-AROUND, AROUND + 1) if n]}, schema={"off": pl.Int64})
    pairs = asked.select("row", *key, "until").join(others, how="cross")
    pairs = pairs.with_columns(other=pl.col("row").cast(pl.Int64) + pl.col("off"))
    beside = rated.select(*key, "kw", "counted", other=pl.col("row").cast(pl.Int64), at="until")
    pairs = pairs.join(beside, on=[*key, "other"]).filter((pl.col("at") - pl.col("until")).abs() <= near)
    usual = pl.col("kw").filter(pl.col("kw") <= MAX_METER_KW)
    return pairs.group_by("row").agg(beside=usual.sort(descending=True), least=pl.col("counted").min())


def _busiest(rated: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Row and busiest: the most that a meter counts in an hour near each of its silences."""
    hours = rated.filter(~pl.col("silent")).group_by(*key, at=pl.col("until").dt.truncate("1h")).agg(
        busiest=pl.col("counted").sum()
    )  # fmt: skip
    silent = rated.filter(pl.col("silent") & (pl.col("counted") > JUMP_KWH)).select("row", *key, "until")
    pairs = silent.join(hours, on=list(key)).filter((pl.col("at") - pl.col("until")).abs() <= near)
    return pairs.group_by("row").agg(pl.col("busiest").max())


def _other(rated: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Row and other: the greatest power of the other rises near each that may be a jump, of steps of more than `MOSTLY_US`."""
    slow = rated.filter(
        (pl.col("counted") > JUMP_KWH) & (pl.col("step_h") * 3.6e9 > MOSTLY_US) & ~pl.col("silent")
    ).select("row", *key, "until")
    others = rated.filter(pl.col("kw") <= MAX_METER_KW).select(*key, "kw", at="until")
    pairs = slow.join(others, on=list(key)).filter(
        pl.col("at") != pl.col("until"), (pl.col("at") - pl.col("until")).abs() <= near
    )
    return pairs.group_by("row").agg(other=pl.col("kw").max())


def with_counts(meters: pl.DataFrame, order: Sequence[str] | None = None) -> pl.DataFrame:
    """Adds `scope` and `counts`: whether a meter stands for its node.

    For each node and day one method that has energy that day counts, with all of its meters (two supplies on two sockets
    are one node): the first in order; without an order one at the wall before one of components, of these one all of whose
    meters count energy before one that shows power, then as in `SCOPES`. A rack's meter stands for no node, nor do
    several meters of a method of `ALONE`, nor a method whose counters show less than a tenth of what another one of their
    scope does in an hour, and lack more than `LACKS` of `JUMP_KWH` there.

    Args:
        meters: a row a meter and hour, with hour, day, node, method, counter (it counts energy), energy_kwh,
            energy_estimated_kwh, coverage.
        order: Methods, best first; others come after them.

    Returns:
        The frame with scope and counts (NULL where the node is not known, or for a rack), without counter.
    """
    first = order or ()
    rank = {method: i for i, method in enumerate([*first, *(m for m in METHODS if m not in first)])}
    energy = pl.col("energy_kwh") + pl.col("energy_estimated_kwh")
    by = ["day", "node", "method"]
    place = pl.col("method").replace_strict(rank, return_dtype=pl.Int64)
    if not first:
        scope = pl.col("method").replace_strict(
            {m: SEEN.index(s) for m, s in SCOPES.items() if s in SEEN}, default=9
        )
        place += 100 * (~pl.col("counter").all().over(by)).cast(pl.Int64) + 1000 * scope
    nested = pl.col("method").is_in(ALONE) & (
        pl.len().over(by) > TOGETHER * pl.col("hour").n_unique().over(by)
    )
    shown = energy.sum().over(*by, "hour")
    most = shown.max().over("day", "node", "scope", "hour")
    low = pl.col("counter") & (pl.col("coverage") >= 0.25) & (shown * LESS < most - LACKS * JUMP_KWH)
    denied = pl.col("low").any().over(by)
    usable = pl.when((pl.col("scope") != "rack") & (energy > 0) & ~nested & ~denied).then(place)
    return (
        meters.with_columns(scope=pl.col("method").replace_strict(SCOPES, return_dtype=pl.String))
        .with_columns(low=low)
        .with_columns(
            counts=pl.when(pl.col("node").is_not_null() & (pl.col("scope") != "rack")).then(
                (place == usable.min().over("day", "node")).fill_null(value=False)
            )
        )
        .drop("counter", "low")
    )
