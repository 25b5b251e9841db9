"""Hours of power meters whose energy counters stand still, count another unit or jump, by the rules of files.

Where a counter shows a tenth of its gauge, the gauge tells of the hour and of those beside it. Where it rises by more
than `JUMP_KWH` from one sample to the next, the samples of that time tell whether it jumps. Hours of a gap are judged
together, since its energy is spread over them: where it is a jump, they have no estimated energy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

import polars as pl

from connectors.meters import JUMP_KWH, LACKS, STILL, jumps
from connectors.telemetry import LESS, QUARTER_S, TOO_LOW

MORE = 0.1
"""A gauge that sees so many hours more of an hour than the counter does tells of it."""

NOISE = 1e-9
"""kWh that are only noise of floating point."""

_HOUR = pl.duration(hours=1)


@dataclass(frozen=True)
class Doubts:
    """How hours of counters are judged.

    Attributes:
        thing: Columns that name a meter.
        quarters: Columns of mean power, in order of time.
        near: What is farther away says nothing of an hour.
        samples: Meters and hours -> thing, hour, at and value (kWh) of the samples in these hours and some around them.
    """

    thing: Sequence[str]
    quarters: Sequence[str]
    near: timedelta
    samples: Callable[[pl.DataFrame], pl.DataFrame]

    def believed(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Takes out of hours what no load explains; the gauge tells what it can.

        Args:
            rows: thing, hour, energy_kwh, energy_estimated_kwh, coverage, the kW of quarters; `step`, the most that the
                counter rises by between two samples (kWh); and what the gauge tells, with `gauge_` before the names (without energy_estimated_kwh), NULL without one.

        Returns:
            The hours, without what is only there to judge; and hour and kWh of what was not believed.
        """
        judged = self._standing(rows)
        columns = ("energy_kwh", "coverage", *self.quarters)
        by_gauge = [pl.when("told").then(f"gauge_{c}").otherwise(c).alias(c) for c in columns]
        # of what neither sees the counter's estimate stands
        dark = pl.min_horizontal((1 - pl.col("gauge_coverage")) / (1 - pl.col("coverage")), 1.0)
        estimated = pl.when(pl.col("told") & (pl.col("energy_estimated_kwh") > 0)).then(dark).otherwise(1.0)
        known = judged.with_columns(
            *by_gauge, energy_estimated_kwh=pl.col("energy_estimated_kwh") * estimated
        )
        known = known.filter(pl.any_horizontal(pl.col("energy_kwh", "energy_estimated_kwh", "coverage") > 0))
        known, spans = self._without_spans(known)
        known, found = self._without_jumps(known)
        doubted = judged.filter("told", pl.col("coverage") > 0)
        wrong = [doubted.select("hour", kwh="energy_kwh"), spans, found]
        return known.select(*self.thing, "hour", "energy_estimated_kwh", *columns), pl.concat(wrong)

    def _standing(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Adds `told`, by the gauge: the counter stands still or counts a larger unit, or does so in an hour beside, or is not there.

        As in `connectors.telemetry_files.power.standing_sql`, by hours, of a counter that is no coarser than `JUMP_KWH`.
        """
        thing, tick = list(self.thing), LACKS * JUMP_KWH
        total = pl.col("energy_kwh") + pl.col("energy_estimated_kwh")
        judged = (
            rows.sort(*thing, "hour")
            .with_columns(
                counted=total,
                gauge=pl.col("gauge_energy_kwh") - tick,
                seen=pl.min_horizontal("coverage", "gauge_coverage"),
                less=(total * LESS < pl.col("gauge_energy_kwh")).fill_null(value=False),
            )
            .with_columns(run=((total > 0) & ~pl.col("less")).cast(pl.Int64).cum_sum().over(thing))
        )
        seconds = round(self.near.total_seconds())
        near = judged.filter("less").rolling(
            "hour", period=f"{2 * seconds}s", offset=f"-{seconds}s", closed="both", group_by=[*thing, "run"]
        ).agg(drawn=pl.col("gauge_energy_kwh").sum())  # fmt: skip
        judged = judged.join(near.drop("run"), on=[*thing, "hour"], how="left", maintain_order="left")
        low = pl.sql_expr(TOO_LOW) | (pl.col("drawn") > STILL * tick)
        gauged = pl.col("gauge_energy_kwh").is_not_null() & (pl.col("energy_estimated_kwh") == 0)
        judged = judged.with_columns(low=low.fill_null(value=False) & gauged)
        before, after = (
            (pl.col("low").shift(n) & ((pl.col("hour") - pl.col("hour").shift(n)).abs() <= _HOUR)).over(thing)
            for n in (1, -1)
        )
        beside = (before | after).fill_null(value=False) & gauged
        more = pl.col("gauge_coverage") > pl.col("coverage") + MORE
        return judged.with_columns(told=pl.col("low") | beside | more.fill_null(value=False))

    def _without_spans(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The hours without estimated energy of gaps that is a jump."""
        gap = pl.col("energy_estimated_kwh") > 0
        apart = ~gap | ~gap.shift(1) | (pl.col("hour").diff() != _HOUR)
        rows = rows.with_columns(span=apart.fill_null(value=True).cum_sum().over(self.thing))
        spans = rows.group_by(*self.thing, "span").agg(
            gap=gap.any(),
            silent=gap.any() & (pl.len() > 1),
            step_h=pl.len().cast(pl.Float64),
            until=pl.col("hour").max() + _HOUR,
            counted=(pl.col("energy_kwh") + pl.col("energy_estimated_kwh")).sum(),
        )
        found = jumps(spans.filter(pl.col("counted") > 0), self.thing, self.near).filter(
            "gap", ~pl.col("regained")
        )
        jumped = found.select(*self.thing, "span", jumped=pl.lit(value=True))
        rows = rows.join(jumped, on=[*self.thing, "span"], how="left", maintain_order="left")
        estimated = pl.when(pl.col("jumped").is_null()).then("energy_estimated_kwh").otherwise(0.0)
        wrong = found.select(hour=pl.col("until") - pl.duration(seconds=1), kwh="counted")
        return rows.with_columns(energy_estimated_kwh=estimated), wrong

    def _without_jumps(self, rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """The hours without steps between two samples that are jumps; the mean of the gauge stands for them."""
        key, nothing = [*self.thing, "hour"], rows.clear().select("hour", kwh="energy_kwh")
        kw = pl.col("gauge_energy_kwh") / pl.col("gauge_coverage")
        denied = (pl.col("energy_kwh") - kw * pl.col("coverage") > JUMP_KWH).fill_null(value=True)
        doubted = ~pl.col("told") & (pl.col("energy_estimated_kwh") == 0) & (pl.col("step") > JUMP_KWH)
        odd = rows.filter(doubted & denied).select(*key, gauge_kw=kw)
        if odd.is_empty():
            return rows, nothing
        found = jumps(self._rises(odd, rows), key, self.near)
        place = ((pl.col("until") - pl.col("hour")).dt.total_microseconds() - 1) // (QUARTER_S * 1_000_000)
        found = found.with_columns(place=place).filter(pl.col("place").is_between(0, 3))
        rows = self._regained(rows, found.filter("regained"))
        found = found.filter(~pl.col("regained")).with_columns(instead=pl.col("gauge_kw") * pl.col("step_h"))
        lost = found.group_by(key).agg(
            (pl.col("counted") - pl.col("instead").fill_null(0.0)).sum().alias("lost"),
            pl.col("place"),
            unseen=pl.col("step_h").filter(pl.col("instead").is_null()).sum(),
        )
        held = rows.join(lost, on=key, how="left").with_columns(
            energy_kwh=pl.col("energy_kwh") - pl.col("lost").fill_null(0.0),
            coverage=(pl.col("coverage") - pl.col("unseen").fill_null(0.0)).clip(lower_bound=0.0),
            **{
                q: pl.when(pl.col("place").list.contains(n).fill_null(value=False)).then(f"gauge_{q}").otherwise(q)
                for n, q in enumerate(self.quarters)
            },
        )  # fmt: skip
        # of an hour in which the counter also began anew nothing may be left that can be told
        left = held.filter(pl.col("energy_kwh") >= -NOISE)
        return left.with_columns(pl.col("energy_kwh").clip(lower_bound=0.0)), found.select(
            "hour", kwh="counted"
        )

    def _regained(self, rows: pl.DataFrame, found: pl.DataFrame) -> pl.DataFrame:
        """The hours, with what counters tell at once as an estimate of all the time since they rose."""
        key = [*self.thing, "hour"]
        risen = pl.col("until") - pl.duration(microseconds=pl.col("took_h") * 3.6e9)
        parts = rows.select(key).join(
            found.select(*self.thing, "until", "counted", risen=risen), on=list(self.thing)
        )
        inside = pl.min_horizontal("until", pl.col("hour") + _HOUR) - pl.max_horizontal("risen", "hour")
        parts = parts.with_columns(inside=inside.dt.total_microseconds() / 3.6e9).filter(pl.col("inside") > 0)
        whole = pl.col("inside").sum().over(*self.thing, "until")
        last = pl.col("until") <= pl.col("hour") + _HOUR
        sums = parts.with_columns(kwh=pl.col("counted") * pl.col("inside") / whole).group_by(key).agg(
            pl.col("kwh", "inside").sum(), moved=pl.col("counted").filter(last).sum()
        )  # fmt: skip
        held = rows.join(sums, on=key, how="left")
        left = (pl.col("coverage") - pl.col("inside").fill_null(0.0)).clip(lower_bound=0.0)
        return held.with_columns(
            energy_kwh=pl.col("energy_kwh") - pl.col("moved").fill_null(0.0),
            energy_estimated_kwh=pl.col("energy_estimated_kwh") + pl.col("kwh").fill_null(0.0),
            coverage=left,
            **{q: pl.when(pl.col("inside").is_null()).then(q) for q in self.quarters},
        ).drop("kwh", "inside", "moved")

    def _rises(self, odd: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
        """The rises between samples of some hours and around them, and of hours farther away: with hour, step_h, gauge_kw and gauge."""
        key = [*self.thing, "hour"]
        seen = self.samples(odd).sort(*key, "at")
        rise, before = pl.col("value").diff().over(key), pl.col("at").shift(1).over(key)
        sound = seen.filter(~nonsense("value", key))
        rises = sound.with_columns(
            counted=rise, step_h=(pl.col("at") - before).dt.total_microseconds() / 3.6e9
        )
        bounds = seen.group_by(key).agg(first=pl.col("at").min(), last=pl.col("at").max())
        told = pl.all_horizontal(pl.col(self.quarters).is_not_null())
        hours = rows.filter(~told, energy_estimated_kwh=0.0).select(
            *self.thing, at=pl.col("hour") + _HOUR, counted="energy_kwh", step_h=pl.lit(1.0)
        )
        quarters = [
            rows.filter(told).select(
                *self.thing,
                at=pl.col("hour") + (n + 1) * _HOUR / 4,
                counted=pl.col(q) / 4,
                step_h=pl.lit(0.25),
            )
            for n, q in enumerate(self.quarters)
        ]
        others = pl.concat([hours, *quarters])
        others = bounds.join(others, on=list(self.thing))
        others = others.filter(
            (pl.col("at") <= pl.col("first"))
            | (pl.col("at") - pl.duration(seconds=pl.col("step_h") * 3600) >= pl.col("last"))
        )
        rises = pl.concat([rises, others], how="diagonal_relaxed").filter(pl.col("counted") > 0)
        rises = rises.join(odd, on=key).sort(*key, "at")
        took = (pl.col("at") - pl.col("at").shift(1).over(key)).dt.total_microseconds() / 3.6e9
        return rises.with_columns(gauge=pl.col("gauge_kw") * took, silent=pl.lit(value=False)).rename(
            {"at": "until"}
        )


def nonsense(value: str, thing: Sequence[str]) -> pl.Expr:
    """Whether a sample lies between where its counter was and where it comes back to: it did not begin anew."""
    before = pl.col(value).cum_max().over(thing)
    return (pl.col(value) < before) & (pl.col(value).cum_max(reverse=True).over(thing) >= before)
