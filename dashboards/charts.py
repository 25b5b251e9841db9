"""Charts as SVG text: Vega-Lite specifications rendered by vl-convert, without network, browser or clock.

A chart takes a small frame of fixed columns and returns one `<svg>`. What is drawn is decided by the pages;
its looks, in `chart_style.py`. Amounts are doubles here: charts show, tables state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import polars as pl

from dashboards.chart_style import DOWN, INK, NAMES_PADDING, UP, colours, kept, ordered, svg

AMOUNTS = {"title": None, "format": ",~f", "tickCount": 5}
"""An axis of amounts."""

STACKED = {"field": "value", "type": "quantitative", "axis": AMOUNTS, "stack": "zero"}
"""Amounts that add up, drawn in the order of `BY_RANK`."""

BY_RANK = {"field": "rank", "type": "quantitative", "sort": "ascending"}

CELL = {"type": "rect", "stroke": "white", "strokeWidth": 1}


def _names(frame: pl.DataFrame) -> list[str]:
    return frame.select("series", "rank").unique().sort("rank")["series"].to_list()


def _colour(of: Mapping[str, str], **legend: Any) -> dict[str, Any]:
    scale = {"domain": [*of], "range": [*of.values()]}
    return {"field": "series", "type": "nominal", "sort": None, "scale": scale, "legend": legend}


def _shade(length: int) -> dict[str, Any]:
    """Darker where more was lost."""
    legend = {"format": ",~f", "gradientLength": length, "gradientThickness": 9}
    return {
        "field": "value",
        "type": "quantitative",
        "scale": {"scheme": "purples", "domainMin": 0},
        "legend": legend,
    }


def _named(field: str, names: Sequence[str], **axis: Any) -> dict[str, Any]:
    """An axis of names, in the order in which they come."""
    return {"field": field, "type": "nominal", "sort": [*names], "axis": {"title": None, **axis}}


def _listed(field: str, values: Sequence[Any], **axis: Any) -> dict[str, Any]:
    """An axis of all these values, also of those without a mark."""
    return {
        "field": field,
        "type": "ordinal",
        "sort": None,
        "scale": {"domain": [*values]},
        "axis": {"title": None, **axis},
    }


def _label(day: date) -> str:
    return f"{day.day}"


def _days(frame: pl.DataFrame, days: Sequence[date]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The rows with a label in place of the day, and the axis of days."""
    x = _listed("label", [_label(d) for d in days], labelAngle=0, grid=False, labelOverlap="greedy")
    x["scale"]["paddingInner"] = 0.2
    label = pl.col("day").map_elements(_label, return_dtype=pl.String).alias("label")
    return frame.with_columns(label).drop("day").to_dicts(), x


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
    small = _summed(frame, "day", order)
    rows, x = _days(small, days)
    encoding = {"x": x, "y": STACKED, "color": _colour(colours(_names(small))), "order": BY_RANK}
    return svg(rows, {"mark": "bar", "encoding": encoding, "width": 930, "height": 185}, name)


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
    chart = {
        "mark": {"type": "bar", "size": 20},
        "encoding": {
            "y": _listed("label", labels),
            "x": STACKED,
            "color": _colour(colours(_names(small))),
            "order": BY_RANK,
        },
        "width": 830,
        "height": 30 * len(labels),
        "padding": NAMES_PADDING,
    }
    return svg(small.to_dicts(), chart, name)


@kept
def changes(frame: pl.DataFrame, name: str) -> str:
    """Signed bars of what went up (red) and down, in the order in which they come.

    Args:
        frame: series, value (the change, Float64), text (how the change is written).
        name: Unique on its page.
    """
    low, high = min(0.0, *frame["value"]), max(0.0, *frame["value"])
    room = 0.2 * (high - low)
    domain = [low - room * (low < 0), high + room * (high > 0)]
    y = _named("series", frame["series"].to_list())
    x = {
        "field": "value",
        "type": "quantitative",
        "axis": AMOUNTS,
        "scale": {"domain": domain, "nice": False},
    }
    up = "datum.value > 0"
    colour = {"condition": {"test": up, "value": UP}, "value": DOWN}
    text = {"type": "text", "fontSize": 11, "color": INK}
    written = {"x": x, "y": y, "text": {"field": "text", "type": "nominal"}}
    chart = {
        "layer": [
            {"mark": {"type": "bar", "size": 13}, "encoding": {"x": x, "y": y, "color": colour}},
            {
                "transform": [{"filter": up}],
                "mark": {**text, "align": "left", "dx": 5},
                "encoding": written,
            },
            {
                "transform": [{"filter": f"!({up})"}],
                "mark": {**text, "align": "right", "dx": -5},
                "encoding": written,
            },
        ],
        "width": 720,
        "height": 22 * frame.height,
        "padding": NAMES_PADDING,
    }
    return svg(frame.to_dicts(), chart, name)


@kept
def heat_map(frame: pl.DataFrame, days: Sequence[date], name: str) -> str:
    """One row of cells per card, darker where more was lost; rows in the order in which they come.

    Args:
        frame: card, day, value; at most one row a card and day. A day without a row stays blank.
        days: Every day of the axis, of one month.
        name: Unique on its page.
    """
    cards = frame["card"].unique(maintain_order=True).to_list()
    rows, x = _days(frame.with_columns(pl.col("value").cast(pl.Float64)), days)
    chart = {
        "mark": CELL,
        "encoding": {"x": x, "y": _named("card", cards, labelFontSize=10), "color": _shade(160)},
        "width": 830,
        "height": 15 * len(cards),
        "padding": NAMES_PADDING,
    }
    return svg(rows, chart, name)


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
    chart = {
        "mark": CELL,
        "encoding": {
            "x": _listed("hour", range(24), labelAngle=0),
            "y": _listed("label", WEEKDAYS),
            "color": _shade(100),
        },
        "width": 830,
        "height": 126,
        "padding": NAMES_PADDING,
    }
    return svg(small.to_dicts(), chart, name)


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
    small = small.with_columns(pl.col("value").cast(pl.Float64).round(6)).sort("rank", "day")
    rows, x = _days(small, days)
    y: dict[str, Any] = {"field": "value", "type": "quantitative", "scale": {"zero": True}, "axis": AMOUNTS}
    if log:
        y["scale"] = {"type": "log", "nice": True}
        y["axis"] = {"title": None, "format": ",~f", "values": _powers(small["value"])}
    chart = {
        "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 22, "filled": True}},
        "encoding": {"x": x, "y": y, "color": _colour(colours(_names(small)), columns=3, labelLimit=270)},
        "width": 930,
        "height": 185,
    }
    return svg(rows, chart, name)


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
    chart = {
        "mark": {"type": "bar", "size": 16},
        "encoding": {
            "y": _named("option", options),
            "x": STACKED,
            "color": _colour({part: PARTS[part] for part in parts}),
            "order": BY_RANK,
        },
        "width": 760,
        "height": 26 * len(options),
        "padding": NAMES_PADDING,
    }
    return svg(rows.to_dicts(), chart, name)
