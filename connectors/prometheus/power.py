"""Hours of node and rack power meters: their values (`power_metrics.py`) become kWh.

Counters come first (their gaps are bridged), gauges else: mean power x hours covered. Which of several meters of a node
counts belongs to `connectors/meters.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import polars as pl

from connectors.counters import AROUND
from connectors.prometheus.counters import Grid, counter_hours
from connectors.prometheus.gpu import HOSTS
from connectors.prometheus.jumps import Doubts
from connectors.prometheus.pace import Pace, pace
from connectors.prometheus.power_hours import (
    DROPPED,
    HOURS,
    QUARTERS,
    THING,
    not_believed,
    summed,
    without_returns,
    without_zeros,
)
from connectors.prometheus.power_metrics import METERS, Meter
from connectors.prometheus.question import Question, blank, first_of, observed, one_replica
from connectors.telemetry import MAX_METER_KW

DEVICE = ("target", "instance", "bmc_id", "node_name", "nodename", *HOSTS)
"""Labels that name what a meter belongs to, best first."""


@dataclass(frozen=True)
class Wiring:
    """What the configuration says of meters.

    Attributes:
        methods: Methods to read.
        nodes: Meter or device -> node behind it.
        hosts: Address -> node, found in the series.
        interval_s: Seconds between scrapes, None to find out.
        bridge_h: Longer gaps of counters are not bridged.
        wrap_joules: Zone of RAPL (package, dram) -> value after which its counters start again at 0.
    """

    methods: Sequence[str]
    nodes: Mapping[str, str]
    hosts: Mapping[str, str]
    interval_s: float | None
    bridge_h: float
    wrap_joules: Mapping[str, float] = field(default_factory=dict)


def power_hours(question: Question, wiring: Wiring, there: set[str]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Hours of meters.

    Args:
        question: The hours.
        wiring: What the configuration says.
        there: Names of metrics that the server has.

    Returns:
        hour, node, meter, method, counter (it counts energy), energy_kwh, energy_estimated_kwh, coverage, kw_q1 to kw_q4; and hour, column_name, value, rows of
        what was dropped.
    """
    dropped, gauges = [pl.DataFrame(schema=DROPPED)], pl.DataFrame(schema=HOURS)
    rows = gauges
    asked = (m for m in METERS if m.method in wiring.methods and there.intersection(m.metrics))
    for meter in sorted(asked, key=lambda m: m.counter):
        found, wrong = Series(question, meter, wiring).hours(gauges.filter(method=meter.method))
        about = {"method": meter.method, "choice": meter.choice, "counter": meter.counter}
        found = found.with_columns(pl.lit(value).alias(name) for name, value in about.items())
        rows = pl.concat([rows, found.select(HOURS.names())], how="vertical_relaxed")
        gauges = rows.filter(~pl.col("counter"))
        dropped.append(wrong)
    best = pl.col("choice").min().over("method", "device")
    return rows.filter(pl.col("choice") == best).drop("device", "choice"), pl.concat(dropped)


@dataclass(frozen=True)
class Series:
    """The series of one kind of meter."""

    question: Question
    meter: Meter
    wiring: Wiring

    def hours(self, gauges: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Hours of each meter, and what was dropped.

        Args:
            gauges: Hours of gauges of the same meters, by which those of counters are judged.
        """
        seen = one_replica(
            self._ask("count_over_time", "[$w] offset 1ms", scaled=False).rename({"value": "count"}), THING
        )
        seen = seen.group_by(*THING, "node", "ha", "hour").agg(pl.col("count").max())
        scrapes = pace(seen, THING, self.wiring.interval_s)
        expected = scrapes.expected
        lit = self._lit() if self.meter.counter and self.meter.method != "rapl" else None
        if lit is not None:
            seen = seen.join(lit, on=[*THING, "hour"], how="left").with_columns(
                pl.col("count") * pl.col("lit").fill_null(1.0)
            )
        seen = (
            scrapes.even(seen, "count")
            .join(self.question.hours().drop("index"), on="hour")
            .with_columns(covered=observed(expected, THING, pl.col("length")))
        )
        cover = seen.group_by(*THING, "hour").agg(
            coverage=(pl.col("covered") / pl.col("length")).max().clip(0.0, 1.0),
            missing=(pl.col("length") - pl.col("covered")).min().clip(lower_bound=0.0),
        )
        energy, wrong = self._counted(cover, scrapes, lit) if self.meter.counter else self._averaged(seen)
        rows = energy.join(cover.drop("missing"), on=[*THING, "hour"], how="left")
        rows = rows.with_columns(pl.col("coverage").fill_null(0.0))
        rows = rows.join(self._quarters(scrapes), on=[*THING, "hour"], how="left")
        if self.meter.counter:
            rows = summed(rows)
            if lit is not None:
                rows, zeros = without_zeros(rows, lit)
                wrong = pl.concat([wrong, zeros])
            beside = gauges.select(
                *THING, "hour", pl.col("energy_kwh", "coverage", *QUARTERS).name.prefix("gauge_")
            )
            beside = beside.join(seen, on=THING, how="semi")
            rows = rows.join(beside, on=[*THING, "hour"], how="full", coalesce=True).with_columns(
                pl.col("energy_kwh", "energy_estimated_kwh", "coverage", "step").fill_null(0.0)
            )
            rows, doubted = self._doubts(scrapes).believed(rows)
            wrong = pl.concat([wrong, not_believed(doubted.rename({"kwh": "value"}), "energy_kwh")])
        about = seen.group_by(THING).agg(pl.col("node").drop_nulls().max())
        return rows.join(about, on=THING, how="left"), wrong

    def _lit(self) -> pl.DataFrame | None:
        """`THING`, hour, and lit: the part of hours of counters that show 0 in which they do not, and lo, the least they show then.

        A counter that shows 0 has been lost, or is new: that says nothing. None where none does.
        """
        by = [*THING, "hour"]
        dark = self._ask("min_over_time", "[$w]").filter(pl.col("value") == 0).select(by).unique()
        if dark.is_empty():
            return None

        def ask(function: str, limits: str, name: str) -> pl.DataFrame:
            value = pl.col("value").min() if function == "min_over_time" else pl.col("value").max()
            return self._ask(function, "[$w]", limits=limits).group_by(by).agg(value.alias(name))

        return (
            dark.join(ask("count_over_time", ">= 0", "all"), on=by)
            .join(ask("count_over_time", "> 0", "some"), on=by, how="left")
            .join(ask("min_over_time", "> 0", "lo"), on=by, how="left")
            .select(*by, "lo", lit=pl.col("some").fill_null(0.0) / pl.col("all"))
        )

    def _doubts(self, scrapes: Pace) -> Doubts:
        around = max(1.0, (AROUND + 1) / scrapes.expected)

        def samples(odd: pl.DataFrame) -> pl.DataFrame:
            return pl.concat(self._samples(hours, around) for hours in odd.sort("hour").partition_by("hour"))

        return Doubts(THING, QUARTERS, timedelta(hours=self.wiring.bridge_h), samples)

    def _samples(self, odd: pl.DataFrame, around: float) -> pl.DataFrame:
        """The samples of some meters in an hour and so many hours around it: `THING`, hour, at and value in kWh."""
        hour = odd["hour"][0]
        window = f"[{round(3600 * (1 + 2 * around))}s" + (":15s]" if self.meter.scale else "]")
        answers = [
            self.question.samples_of(self._inner(metric) + window, hour, 1 + around, self._labels)
            for metric in self.meter.metrics
        ]
        found = self._named(pl.concat(answers).filter(pl.col("value") > 0)).with_columns(
            pl.lit(hour, dtype=pl.Datetime("us")).alias("hour"), count=pl.lit(1.0)
        )
        found = one_replica(found.join(odd, on=[*THING, "hour"], how="semi"), THING)
        return found.group_by(*THING, "hour", "at").agg(pl.col("value").max() * self.meter.factor)

    def _quarters(self, scrapes: Pace) -> pl.DataFrame:
        """Mean power of each quarter of an hour: device, meter, hour, kw_q1 to kw_q4 (kW).

        Unknown where more than one sample is missing, where a quarter would not hold two, and where no meter shows
        such a value. A quarter of a counter is what `increase()` says, so as fine as the counter's unit.

        Args:
            scrapes: How often the meters are scraped.
        """
        cut, key = replace(self, question=self.question.quarters()), [*THING, "hour"]
        count = cut._ask("count_over_time", "[$w] offset 1ms", scaled=False).rename({"value": "count"})
        if self.meter.counter:
            power = cut._ask("increase", "[$w]")
            kw = pl.col("value") * self.meter.factor * 4
        else:
            power = cut._ask("avg_over_time", "[$w] offset 1ms")
            kw = pl.col("value") * self.meter.factor / 1000
        hours, quarter = self.question.hours().select("hour").sort("hour"), pl.col("full") / 4
        placed = one_replica(count, THING).rename({"hour": "start"}).sort("start")
        placed = placed.join_asof(hours, left_on="start", right_on="hour").drop_nulls("hour")
        whole = (pl.col("count") > quarter - 1.5) & (quarter >= 2)
        return (
            scrapes.with_full(placed).filter(whole).select(*key, "start", "ha").unique()
            .join(power.rename({"hour": "start"}), on=[*THING, "start", "ha"])
            .group_by(*key, "start").agg(kw=kw.max())
            .filter(pl.col("kw").is_between(0.0, MAX_METER_KW, closed="both" if self.meter.counter else "right"))
            .with_columns(place=(pl.col("start") - pl.col("hour")).dt.total_minutes() // 15)
            .group_by(key)
            .agg(pl.col("kw").filter(pl.col("place") == k).first().alias(n) for k, n in enumerate(QUARTERS))
        )  # fmt: skip

    def _selector(self, metric: str) -> str:
        return self.question.select(metric, *self.meter.matchers)

    def _inner(self, metric: str, *, scaled: bool = True) -> str:
        if self.meter.scale and scaled:
            return f"({self._selector(metric)} / 10 ^ {self._selector(self.meter.scale)})"
        return self._selector(metric)

    def _query(self, function: str, window: str, *, scaled: bool = True, limits: str = "") -> str:
        """PromQL of a function over a window; scaled or limited samples by a subquery."""
        parts = []
        for metric in self.meter.metrics:
            inner = self._inner(metric, scaled=scaled)
            if limits:
                inner = f"({inner} {limits})"
            range_ = window.replace("]", ":15s]") if limits or (self.meter.scale and scaled) else window
            parts.append(f"{function}({inner}{range_})")
        return " or ".join(parts)

    def _ask(
        self, function: str, window: str, aggregate: str = "max", *, scaled: bool = True, limits: str = ""
    ) -> pl.DataFrame:
        query = self._query(function, window, scaled=scaled, limits=limits)
        return self._named(self.question.ask(query, self._labels, aggregate))

    @property
    def _labels(self) -> list[str]:
        return list(dict.fromkeys((*DEVICE, *self.meter.sensors)))

    def _named(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Adds device (what has one total), meter (with its sensor) and node."""
        sensors = [blank(n) for n in self.meter.sensors]
        tag = [pl.lit(self.meter.tag)] if self.meter.tag else []
        named = frame.with_columns(device=first_of(DEVICE).fill_null("?")).with_columns(
            meter=pl.concat_str([pl.col("device"), *sensors, *tag], separator="/", ignore_nulls=True)
        )
        address = pl.col("instance").str.replace(r":\d+$", "")
        maps = (("meter", self.wiring.nodes), ("device", self.wiring.nodes))
        given = [pl.col(c).replace_strict(dict(m), default=None, return_dtype=pl.String) for c, m in maps]
        label = first_of([*HOSTS, "nodename", "node_name"])
        joined = address.replace_strict(dict(self.wiring.hosts), default=None, return_dtype=pl.String)
        return named.with_columns(node=pl.coalesce(*given, label, joined))

    def _averaged(self, seen: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Energy of a gauge; hours with values that no meter shows are asked again without them."""
        key = [*THING, "ha", "hour"]
        kw = pl.col("value") * self.meter.factor / 1000
        fine = kw.is_between(0.0, MAX_METER_KW, closed="right")
        values = self._ask("avg_over_time", "[$w] offset 1ms")
        wrong = values.filter(~fine)
        if wrong.height:
            limits = f"> 0 <= {MAX_METER_KW * 1000 / self.meter.factor:.0f}"
            again = self._ask("avg_over_time", "[$w] offset 1ms", limits=limits)
            values = pl.concat([values.filter(fine), again.join(wrong, on=key, how="semi")])
        means = values.group_by(key).agg(kw=kw.max())
        energy = seen.join(means, on=key).group_by(*THING, "hour").agg(
            energy_kwh=(pl.col("kw") * pl.col("covered")).sum(), energy_estimated_kwh=pl.lit(0.0)
        )  # fmt: skip
        return energy, not_believed(wrong, "power_w")

    def _counted(
        self, cover: pl.DataFrame, scrapes: Pace, lit: pl.DataFrame | None
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """Energy of a counter, gaps bridged, with step (kWh), which shows whether it can be believed.

        An hour that means more than any meter can show is dropped.
        """
        returned = pl.DataFrame(schema=DROPPED)
        if self.meter.method == "rapl":
            energy = self._wrapping().with_columns(step=0.0)
        else:
            grid = Grid(self.question.hours(), scrapes.expected, self.wiring.bridge_h)
            values = scrapes.even(self._values(cover, lit), "count")
            energy, returned = without_returns(counter_hours(values, THING, grid, self._rises), values)
            energy = energy.join(self._steps(scrapes), on=[*THING, "hour"], how="left")
        energy = energy.select(
            *THING, "hour",
            energy_kwh=pl.col("measured") * self.meter.factor,
            energy_estimated_kwh=pl.col("estimated") * self.meter.factor,
            step=pl.col("step").fill_null(0.0) * self.meter.factor,
        )  # fmt: skip
        fine = (pl.col("energy_kwh") + pl.col("energy_estimated_kwh")) <= MAX_METER_KW
        wrong = energy.filter(~fine).with_columns(value="energy_kwh")
        return energy.filter(fine), pl.concat([not_believed(wrong, "energy_kwh"), returned])

    def _values(self, cover: pl.DataFrame, lit: pl.DataFrame | None) -> pl.DataFrame:
        def ask(function: str, aggregate: str, name: str) -> pl.DataFrame:
            found = self._ask(function, "[$h]", aggregate).group_by(*THING, "hour")
            value = pl.col("value")
            return found.agg((value.max() if aggregate == "max" else value.min()).alias(name))

        by = [*THING, "hour"]
        found = (
            ask("max_over_time", "max", "hi")
            .join(ask("min_over_time", "min", "lo"), on=by)
            .join(ask("count_over_time", "max", "count"), on=by)
            .join(cover.select(*by, "missing"), on=by, how="left")
            .with_columns(pl.col("missing").fill_null(1.0))
        )
        if lit is None:
            return found
        least = lit.select(*by, least="lo")
        return found.filter(pl.col("hi") > 0).join(least, on=by, how="left").with_columns(
            lo=pl.coalesce("least", "lo")
        ).drop("least")  # fmt: skip

    def _steps(self, scrapes: Pace) -> pl.DataFrame:
        """`THING`, hour, and step: the most that a counter rises by from one sample to the next."""
        longest = 3600 / scrapes.expected
        fastest = 3600 / max([scrapes.expected, *scrapes.fuller["full"]])
        parts = []
        for metric in self.meter.metrics:
            step = f"idelta({self._selector(metric)}[{round(4 * longest)}s])"
            if self.meter.scale:
                step = f"({step} / 10 ^ {self._selector(self.meter.scale)})"
            parts.append(f"max_over_time({step}[$h:{max(1, int(fastest / 2))}s])")
        found = self._named(self.question.ask(" or ".join(parts), self._labels))
        return found.group_by(*THING, "hour").agg(step=pl.col("value").max())

    def _rises(self, hour: datetime, length: float) -> pl.DataFrame:
        found = self.question.ask_at(self._query("increase", "[$w]"), hour, length, self._labels)
        return self._named(found).group_by(THING).agg(pl.col("value").max())

    def _wrapping(self) -> pl.DataFrame:
        """A counter that starts again many times an hour: increase(), and what wraps swallow.

        At a wrap increase() takes what the counter shows since 0 and loses what was left to the range. With the range
        known the energy is the last value less the one before the hour, and as many ranges as there were wraps: what
        increase() shows beyond that difference, in ranges. That is no whole number where the host restarted; then, and
        where the range is not known, each wrap has lost half of what one scrape shows, which is estimated.
        """
        by = [*THING, "hour"]

        def ask(function: str, window: str, name: str) -> pl.DataFrame:
            return self._ask(function, window).group_by(by).agg(pl.col("value").max().alias(name))

        zone = (
            pl.when(pl.col("meter").str.contains("/dram")).then(pl.lit("dram")).otherwise(pl.lit("package"))
        )
        rows = (
            ask("increase", "[$w]", "measured")
            .join(ask("last_over_time", "[$h]", "last"), on=by)
            .join(ask("resets", "[$w]", "wraps"), on=by)
            .join(ask("count_over_time", "[$h]", "count"), on=by)
            .join(self.question.hours(), on="hour")
            .sort(*THING, "index")
            .with_columns(
                range=zone.replace_strict(
                    dict(self.wiring.wrap_joules), default=None, return_dtype=pl.Float64
                ),
                rise=pl.col("last").diff().over(THING),
                adjacent=pl.col("index").cast(pl.Int64).diff().over(THING) == 1,
            )
            .with_columns(ranges=(pl.col("measured") - pl.col("rise")) / pl.col("range"))
            .with_columns(exact=pl.col("rise") + pl.col("ranges").round() * pl.col("range"))
        )
        sure = (
            pl.col("adjacent")
            & ((pl.col("ranges") - pl.col("ranges").round()).abs() < 0.25)
            & (pl.col("exact") >= 0)
        )
        sure = sure.fill_null(value=False)
        lost = pl.col("wraps") / 2
        return rows.select(
            *by,
            measured=pl.when(sure).then("exact").otherwise("measured"),
            estimated=pl.when(sure | (pl.col("wraps") == 0))
            .then(0.0)
            .otherwise(pl.col("measured") * lost / (pl.col("count") - lost)),
        )
