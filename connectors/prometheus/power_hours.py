"""Hours of counters of power meters: what they show that cannot be is taken out, and counted.

What stands still or jumps belongs to `jumps.py`, the questions to `power.py`.
"""

from __future__ import annotations

import polars as pl

REGAINED = 10
"""A counter that shows more than so many times what it counts in an hour cannot regain that in one."""

AGREED = 0.1
"""Quarters that sum to the hour, up to such a part (and 0.1 kWh), tell the same."""

QUARTERS = ("kw_q1", "kw_q2", "kw_q3", "kw_q4")
THING = ["device", "meter"]
HOURS = pl.Schema(
    {"hour": pl.Datetime("us"), "device": pl.String(), "meter": pl.String(), "node": pl.String(),
     "energy_kwh": pl.Float64(), "energy_estimated_kwh": pl.Float64(), "coverage": pl.Float64()}
    | dict.fromkeys(QUARTERS, pl.Float64())
    | {"method": pl.String(), "choice": pl.Int32(), "counter": pl.Boolean()}
)  # fmt: skip
DROPPED = pl.Schema(
    {"hour": pl.Datetime("us"), "column_name": pl.String(), "value": pl.String(), "rows": pl.Float64()}
)


def summed(rows: pl.DataFrame) -> pl.DataFrame:
    """Hours whose quarters are unknown where they do not sum to the hour, as in one in which the counter shows nonsense for a while."""
    total = pl.sum_horizontal(QUARTERS) / len(QUARTERS)
    slack = AGREED * (1 + pl.col("energy_kwh"))
    whole = pl.all_horizontal(pl.col(QUARTERS).is_not_null())
    right = (total <= pl.col("energy_kwh") + slack) & (~whole | (total >= pl.col("energy_kwh") - slack))
    return rows.with_columns(pl.when(right).then(q).alias(q) for q in QUARTERS)


def without_zeros(rows: pl.DataFrame, lit: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours whose quarters are unknown where the counter shows 0; and `DROPPED`, but of an outlet that nobody uses."""
    dark = lit.filter(pl.col("lit") < 1).select(*THING, "hour", dark=pl.lit(value=True))
    zeros = dark.join(rows, on=THING, how="semi").with_columns(value=0.0)
    rows = rows.join(dark, on=[*THING, "hour"], how="left")
    return (
        rows.with_columns(pl.when(pl.col("dark").is_null()).then(q).alias(q) for q in QUARTERS).drop("dark"),
        not_believed(zeros, "energy_kwh"),
    )


def without_returns(energy: pl.DataFrame, values: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Energy without what a counter seems to count that fell and came back within an hour: its whole life.

    It did not begin anew: a reading of 0, or of another counter, lies between. A counter that is ten times what it counts in
    an hour cannot regain all of that in it.

    Args:
        energy: `THING`, hour, measured and estimated.
        values: `THING`, hour and hi.

    Returns:
        The energy, and `DROPPED`.
    """
    before = values.sort("hour").select(*THING, "hour", "hi", before=pl.col("hi").shift(1).over(THING))
    judged = energy.join(before, on=[*THING, "hour"], how="left")
    rise = pl.col("hi") - pl.col("before")
    back = (pl.col("measured") > pl.col("before")) & (rise >= 0) & (pl.col("before") > REGAINED * rise)
    wrong = judged.filter(back).with_columns(value="measured")
    told = judged.with_columns(measured=pl.when(back).then(rise).otherwise("measured"))
    return told.select(energy.columns), not_believed(wrong, "energy_kwh")


def not_believed(wrong: pl.DataFrame, column: str) -> pl.DataFrame:
    """`DROPPED` of rows with hour and value."""
    return wrong.select(
        "hour", column_name=pl.lit(column), value=pl.col("value").cast(pl.String), rows=pl.lit(1.0)
    )
