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

KNOWN = 5
"""So many rises beside one say what is usual."""

OTHERS = 2
"""So many other jumps may be beside one that is read often: only what takes more than these is a load."""

BUSIER = 3
"""A silence of hours may be so many times as busy as any hour around it."""

LACKS = 1.5
"""A counter that lacks no more than so many of its smallest rises (or of `JUMP_KWH`) does not stand still."""

STILL = 2
"""One that shows less than a tenth all the while in which its gauge has more than so many times that does, however small the load."""


def jumps(rises: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Rises of energy counters that no load explains, and those in which a counter tells at once of the time in which it stood still.

    A jump (another meter took its place, or a reading is wrong) is one of more than `JUMP_KWH` that means more than
    `UNUSUAL` times the power of any of the `AROUND` rises before and after it; of a step of up to `OFTEN_US`, of any but
    the `OTHERS` largest; of one over a silence of hours, `BUSIER` times any hour near it. A rise counts for the time since the one before, so that neither whole kWh nor a counter that
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
        The rows of `rises` that are jumps, or regained, with `regained` and took_h, the time since the rise before.
    """
    until = pl.col("until")
    took = (until - until.shift(1)).over(key)
    rated = rises.sort(*key, "until").with_columns(
        took_h=pl.when(took <= near).then(took.dt.total_microseconds() / 3.6e9)
    )
    rated = rated.with_columns(kw=pl.col("counted") / pl.col("took_h"))
    rated = rated.with_columns(usual=pl.when(pl.col("kw") <= MAX_METER_KW).then("kw"))

    def beside(column: str) -> pl.Expr:
        return pl.concat_list(
            pl.when((until.shift(n).over(key) - until).abs() <= near).then(pl.col(column).shift(n).over(key))
            for n in range(-AROUND, AROUND + 1)
            if n
        ).list.drop_nulls()

    rated = rated.with_columns(beside=beside("usual"), least=beside("counted").list.min())
    often = pl.col("step_h") * 3.6e9 <= OFTEN_US
    most = pl.col("beside").list.sort(descending=True)
    usual, third = (
        most.list.get(n, null_on_oob=True) for n in (pl.when(often).then(OTHERS).otherwise(0), OTHERS)
    )
    jump = pl.col("kw") > UNUSUAL * usual
    gauge = pl.col("gauge") if "gauge" in rises.columns else pl.lit(None, dtype=pl.Float64)
    shown = pl.col("counted") <= LESS * gauge
    denied = ~shown & often & (pl.col("kw") > UNUSUAL * pl.col("beside").list.median())
    jump = (jump | denied.fill_null(value=False)) & ~shown.fill_null(value=False)
    regained = (
        gauge.is_null()
        & (pl.col("kw") <= MAX_METER_KW)
        & (pl.col("took_h") > pl.col("step_h"))
        & (pl.col("counted") > LACKS * pl.col("least"))
        & (pl.col("counted") / pl.col("step_h") > UNUSUAL * third)
    )
    rated = rated.join(_busiest(rated, key, near), on=[*key, "until"], how="left")
    jump = pl.when("silent").then(pl.col("kw") > BUSIER * pl.col("busiest")).otherwise(jump)
    known = (pl.col("beside").list.len() >= KNOWN) & (pl.col("counted") > JUMP_KWH)
    told = rated.with_columns(jump=jump.fill_null(value=False)).with_columns(
        regained=regained & ~pl.col("jump")
    )
    return told.filter(known, pl.col("jump") | pl.col("regained")).drop(
        "kw", "usual", "beside", "least", "jump"
    )


def _busiest(rises: pl.DataFrame, key: Sequence[str], near: timedelta) -> pl.DataFrame:
    """Key, until and busiest: the most that a meter counts in an hour near each of its silences, without what they count."""
    flow = rises.with_columns(flow=pl.when("silent").then(0.0).otherwise("counted"))
    flow = flow.with_columns(flow=pl.col("flow").rolling_sum_by("until", "1h").over(key))
    seconds = round(near.total_seconds())
    around = flow.join(rises.filter("silent").select(key).unique(), on=list(key), how="semi").sort(
        *key, "until"
    )
    return around.rolling(
        "until", period=f"{2 * seconds}s", offset=f"-{seconds}s", closed="both", group_by=list(key)
    ).agg(busiest=pl.col("flow").max())  # fmt: skip


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
