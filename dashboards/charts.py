"""Charts as SVG text: Altair specifications rendered by vl-convert, without network, browser or clock.

A chart takes a small frame of fixed columns and returns one `<svg>`. What is drawn is decided by the pages;
its looks, in `chart_style.py`. Amounts are doubles here: charts show, tables state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date

import altair as alt
import polars as pl

from dashboards.chart_style import DOWN, INK, NAMES_PADDING, UP, colours, kept, ordered, svg


def _rows(frame: pl.DataFrame) -> alt.InlineData:
    return alt.InlineData(values=frame.to_dicts())


def _names(frame: pl.DataFrame) -> list[str]:
    return frame.select("series", "rank").unique().sort("rank")["series"].to_list()


def _colour(names: Sequence[str], legend: alt.Legend | None = None) -> alt.Color:
    scale = alt.Scale(domain=list(names), range=list(colours(names).values()))
    return alt.Color("series:N", sort=None, scale=scale, legend=legend or alt.Legend())


def _label(day: date) -> str:
    return f"{day.day}"


def _days(frame: pl.DataFrame, days: Sequence[date]) -> tuple[pl.DataFrame, alt.X]:
    axis = alt.Axis(title=None, labelAngle=0, grid=False, labelOverlap="greedy")
    scale = alt.Scale(domain=[_label(d) for d in days], paddingInner=0.2)
    x = alt.X("label:O", sort=None, scale=scale, axis=axis)
    return frame.with_columns(pl.col("day").map_elements(_label, return_dtype=pl.String).alias("label")), x


def _axis() -> alt.Axis:
    return alt.Axis(title=None, format=",~f", tickCount=5)


def _summed(frame: pl.DataFrame, by: str, order: Sequence[str] = ()) -> pl.DataFrame:
    """Values by `by`, series and rank: added exactly, then rounded, so that no order of adding shows."""
    added = ordered(frame, order).group_by(by, "series", "rank").agg(pl.col("value").sum())
    return added.with_columns(pl.col("value").cast(pl.Float64).round(6)).sort(by, "rank")


@kept
def stacked_days(frame: pl.DataFrame, days: Sequence[date], name: str, order: Sequence[str] = ()) -> str:
    """Values per day, stacked by series, the greatest at the bottom and grey ones on top.

    Args:
        frame: day, series, value; several rows of a day and series are added.
        days: Every day of the axis, of one month.
        name: Unique on its page.
        order: Series to stack first, in this order.
    """
    small, x = _days(_summed(frame, "day", order), days)
    chart = (
        alt.Chart(_rows(small.drop("day")))
        .mark_bar()
        .encode(
            x=x,
            y=alt.Y("value:Q", axis=_axis(), stack="zero"),
            color=_colour(_names(small)),
            order=alt.Order("rank:Q", sort="ascending"),
        )
        .properties(width=930, height=185)
    )
    return svg(chart, name)


@kept
def stacked_months(frame: pl.DataFrame, name: str, order: Sequence[str] = ()) -> str:
    """Values per month, stacked by series.

    Args:
        frame: label (the month, in order of time), series, value.
        name: Unique on its page.
        order: Series to stack first, in this order.
    """
    labels = frame["label"].unique(maintain_order=True).to_list()
    small = _summed(frame, "label", order)
    chart = (
        alt.Chart(_rows(small))
        .mark_bar(size=20)
        .encode(
            y=alt.Y("label:O", sort=None, scale=alt.Scale(domain=labels), axis=alt.Axis(title=None)),
            x=alt.X("value:Q", axis=_axis(), stack="zero"),
            color=_colour(_names(small)),
            order=alt.Order("rank:Q", sort="ascending"),
        )
        .properties(width=830, height=30 * len(labels), padding=NAMES_PADDING)
    )
    return svg(chart, name)


@kept
def changes(frame: pl.DataFrame, name: str) -> str:
    """Signed bars of what went up (red) and down, in the order in which they come.

    Args:
        frame: series, value (the change, Float64), text (how the change is written).
        name: Unique on its page.
    """
    low, high = min(0.0, *frame["value"]), max(0.0, *frame["value"])
    room = 0.2 * (high - low)
    scale = alt.Scale(domain=[low - room * (low < 0), high + room * (high > 0)], nice=False)
    base = alt.Chart(_rows(frame)).encode(
        y=alt.Y("series:N", sort=frame["series"].to_list(), axis=alt.Axis(title=None)),
    )
    x = alt.X("value:Q", axis=_axis(), scale=scale)
    bars = base.mark_bar(size=13).encode(
        x=x, color=alt.condition(alt.datum.value > 0, alt.value(UP), alt.value(DOWN))
    )
    texts = [
        base.transform_filter(alt.datum.value > 0).mark_text(align="left", dx=5, fontSize=11, color=INK),
        base.transform_filter(alt.datum.value <= 0).mark_text(align="right", dx=-5, fontSize=11, color=INK),
    ]
    chart = alt.layer(bars, *(t.encode(x=x, text="text:N") for t in texts))
    return svg(chart.properties(width=720, height=22 * frame.height, padding=NAMES_PADDING), name)


@kept
def heat_map(frame: pl.DataFrame, days: Sequence[date], name: str) -> str:
    """One row of cells per card, darker where more was lost; rows in the order in which they come.

    Args:
        frame: card, day, value; at most one row a card and day. A day without a row stays blank.
        days: Every day of the axis, of one month.
        name: Unique on its page.
    """
    cards = frame["card"].unique(maintain_order=True).to_list()
    small, x = _days(frame.with_columns(pl.col("value").cast(pl.Float64)), days)
    legend = alt.Legend(format=",~f", gradientLength=160, gradientThickness=9)
    chart = (
        alt.Chart(_rows(small.drop("day")))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=x,
            y=alt.Y("card:N", sort=cards, axis=alt.Axis(title=None, labelFontSize=10)),
            color=alt.Color("value:Q", scale=alt.Scale(scheme="purples", domainMin=0), legend=legend),
        )
        .properties(width=830, height=15 * len(cards), padding=NAMES_PADDING)
    )
    return svg(chart, name)


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@kept
def week(frame: pl.DataFrame, name: str) -> str:
    """Cells by weekday and hour of the day, darker where more was lost.

    Args:
        frame: weekday (1 is Monday), hour (0-23), value; at most one row a cell. A cell without a row stays blank.
        name: Unique on its page.
    """
    days = pl.col("weekday").replace_strict(dict(enumerate(WEEKDAYS, 1)), return_dtype=pl.String)
    small = frame.select(days.alias("label"), "hour", pl.col("value").cast(pl.Float64).round(6))
    legend = alt.Legend(format=",~f", gradientLength=100, gradientThickness=9)
    chart = (
        alt.Chart(_rows(small))
        .mark_rect(stroke="white", strokeWidth=1)
        .encode(
            x=alt.X(
                "hour:O", scale=alt.Scale(domain=list(range(24))), axis=alt.Axis(title=None, labelAngle=0)
            ),
            y=alt.Y("label:O", sort=None, scale=alt.Scale(domain=list(WEEKDAYS)), axis=alt.Axis(title=None)),
            color=alt.Color("value:Q", scale=alt.Scale(scheme="purples", domainMin=0), legend=legend),
        )
        .properties(width=830, height=126, padding=NAMES_PADDING)
    )
    return svg(chart, name)


def is_wide(values: pl.Series) -> bool:
    """Positive values spread more than tenfold, so that a logarithmic axis shows them better."""
    positive = values.cast(pl.Float64).filter(values > 0)
    return positive.len() > 0 and bool((positive.max() / positive.min()) > 10)  # type: ignore[operator]


def _powers(values: pl.Series) -> list[float]:
    logs = values.log10()
    return [10.0**n for n in range(math.floor(logs.min()), math.ceil(logs.max()) + 1)]  # type: ignore[arg-type]


@kept
def lines(frame: pl.DataFrame, days: Sequence[date], name: str) -> str:
    """One line per series over the days of a month; a logarithmic axis where values are wide apart.

    Args:
        frame: day, series, value; one row a day and series, of few series. A logarithmic axis omits 0.
        days: Every day of the axis, of one month.
        name: Unique on its page.
    """
    log = is_wide(frame["value"])
    small = ordered(frame.filter(pl.col("value") > 0) if log else frame, top=frame["series"].n_unique())
    small, x = _days(small.with_columns(pl.col("value").cast(pl.Float64).round(6)).sort("rank", "day"), days)
    scale = alt.Scale(type="log", nice=True) if log else alt.Scale(zero=True)
    axis = alt.Axis(title=None, format=",~f", values=_powers(small["value"])) if log else _axis()
    colour = _colour(_names(small), alt.Legend(columns=3, labelLimit=270))
    chart = (
        alt.Chart(_rows(small.drop("day")))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=22, filled=True))
        .encode(x=x, y=alt.Y("value:Q", scale=scale, axis=axis), color=colour)
        .properties(width=930, height=185)
    )
    return svg(chart, name)


PARTS: Mapping[str, str] = {
    "hardware": "#332288",
    "usage": "#0072b2",
    "energy": "#e69f00",
    "operation": "#009e73",
    "data transfer": "#56b4e9",
    "migration": "#cc79a7",
}
"""Parts of an option's cost -> colour."""


@kept
def option_costs(frame: pl.DataFrame, name: str) -> str:
    """Cost of each option over the horizon with its parts stacked, in the order in which options come.

    Args:
        frame: option, part (a key of `PARTS`), value.
        name: Unique on its page.
    """
    options = frame["option"].unique(maintain_order=True).to_list()
    parts = [p for p in PARTS if p in frame["part"].unique().to_list()]
    ranks = {p: i for i, p in enumerate(parts)}
    rows = frame.with_columns(
        pl.col("value").cast(pl.Float64),
        pl.col("part").alias("series"),
        pl.col("part").replace_strict(ranks, return_dtype=pl.Int64).alias("rank"),
    )
    chart = (
        alt.Chart(_rows(rows))
        .mark_bar(size=16)
        .encode(
            y=alt.Y("option:N", sort=options, axis=alt.Axis(title=None)),
            x=alt.X("value:Q", axis=_axis(), stack="zero"),
            color=alt.Color(
                "series:N", sort=None, scale=alt.Scale(domain=parts, range=[PARTS[p] for p in parts])
            ),
            order=alt.Order("rank:Q", sort="ascending"),
        )
        .properties(width=760, height=26 * len(options), padding=NAMES_PADDING)
    )
    return svg(chart, name)
