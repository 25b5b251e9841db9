"""Charts: valid, self-contained, deterministic SVG that shows what it was given."""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl

from dashboards import chart_style, charts

DAYS = [date(2026, 9, 1) + timedelta(n) for n in range(30)]
HOSTILE = "<script>alert('1')</script>&\"http://x"


def texts(svg: str) -> list[str]:
    """Every text drawn."""
    return [e.text or "" for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def spend(names: list[str]) -> pl.DataFrame:
    """A series each, the first the greatest, on every day."""
    return pl.DataFrame(
        [(d, n, float(100 - i)) for d in DAYS for i, n in enumerate(names)],
        schema={"day": pl.Date, "series": pl.String, "value": pl.Float64},
        orient="row",
    )


def test_every_day_of_the_month_has_its_label() -> None:
    drawn = texts(charts.stacked_days(spend(["a"]), DAYS, "c"))
    assert [t for t in drawn if t.isdigit()][:30] == [str(n) for n in range(1, 31)]


def test_small_series_are_folded_and_nobodys_come_last_in_grey() -> None:
    frame = chart_style.ordered(spend(["unallocated", *(f"t{n}" for n in range(12))]))
    order = frame.select("series", "rank").unique().sort("rank")["series"].to_list()
    assert order == [*(f"t{n}" for n in range(7)), "other", "unallocated"]
    assert chart_style.colours(order)["unallocated"] == chart_style.GREY
    kept = frame.filter(pl.col("series") == "other").height
    assert kept == 5 * len(DAYS)


def test_red_means_money_going_up_and_nothing_else() -> None:
    rows = pl.DataFrame({"series": ["a", "b"], "value": [2.0, -1.0], "text": ["+2.00", "-1.00"]})
    svg = charts.changes(rows, "c")
    assert svg.count(f'fill="{chart_style.UP}"') == 1
    assert svg.count(f'fill="{chart_style.DOWN}"') == 1
    assert chart_style.UP not in {*chart_style.PALETTE, *chart_style.FIXED.values(), *charts.PARTS.values()}
    assert {"+2.00", "-1.00"} <= set(texts(svg))


def test_names_are_text_whatever_they_hold() -> None:
    svg = charts.stacked_days(spend([HOSTILE]), DAYS, "c")
    assert any(t.startswith("<script>alert") for t in texts(svg))
    assert "<script" not in svg


def test_ids_carry_the_charts_name_and_the_same_data_gives_the_same_text() -> None:
    cells = pl.DataFrame({"card": ["a", "a"], "day": DAYS[:2], "value": [1.0, 2.0]})
    first, again, other = (charts.heat_map(cells, DAYS, n) for n in ("x", "x", "y"))
    assert first == again
    assert 'id="x-' in first
    assert "url(#x-" in first
    assert first.replace("x-gradient", "y-gradient").replace('"x-', '"y-').replace("#x-", "#y-") == other


def test_unit_costs_more_than_tenfold_apart_are_drawn_on_a_log_axis() -> None:
    near, far = spend(["a", "b"]), spend(["a", "b"]).with_columns(pl.col("value") ** pl.lit(1.0))
    far = far.with_columns(
        pl.when(pl.col("series") == "b").then(5.0).otherwise(pl.col("value")).alias("value")
    )
    assert not charts.is_wide(near["value"])
    assert charts.is_wide(far["value"])
    assert "0" in texts(charts.lines(near, DAYS, "c"))
    assert "0" not in texts(charts.lines(far, DAYS, "c"))


def test_a_month_and_an_option_are_one_bar_each() -> None:
    months = charts.stacked_months(
        pl.DataFrame({"label": ["August 2026", "September 2026"], "series": ["a", "a"], "value": [1.0, 2.0]}),
        "c",
    )
    assert {"August 2026", "September 2026"} <= set(texts(months))
    options = charts.option_costs(
        pl.DataFrame({"option": ["x", "x"], "part": ["usage", "energy"], "value": [1.0, 2.0]}), "c"
    )
    assert {"x", "usage", "energy"} <= set(texts(options))


def test_months_take_the_order_and_so_the_colours_of_the_days() -> None:
    """`a` is greater over all months, `b` in the one that the page is about."""
    frame = pl.DataFrame(
        {"label": ["Aug", "Sep", "Sep"], "series": ["a", "a", "b"], "value": [9.0, 1.0, 2.0]}
    )
    legend = [
        [t for t in texts(charts.stacked_months(frame, "c", order)) if t in ("a", "b")]
        for order in (["b", "a"], [])
    ]
    assert legend == [["b", "a"], ["a", "b"]]


def test_kept_charts_are_not_drawn_again_and_unused_ones_go(tmp_path: Path) -> None:
    drawn: list[str] = []

    @chart_style.kept
    def draw(frame: pl.DataFrame, name: str, order: Sequence[str] = ()) -> str:
        drawn.append(f"{frame['x'].to_list()} {name} {order}")
        return f"<svg>{len(drawn)}</svg>"

    one, other = (pl.DataFrame({"x": [Decimal(x)]}) for x in ("0.10", "0.1000001"))
    with chart_style.kept_charts(tmp_path):
        assert draw(one, "a") == "<svg>1</svg>"
        assert draw(other, "a") == "<svg>2</svg>"
        assert draw(one, "b") == "<svg>3</svg>"
        assert draw(one, "a", order=["z"]) == "<svg>4</svg>"
        assert draw(pl.DataFrame({"x": [0.1]}), "a") == "<svg>5</svg>"
    with chart_style.kept_charts(tmp_path):
        assert draw(one.clone(), "a") == "<svg>1</svg>"
        assert draw(one, "a", order=["z"]) == "<svg>4</svg>"
    assert len(drawn) == 5
    with chart_style.kept_charts(tmp_path):
        assert draw(one, "b") == "<svg>6</svg>"
    assert draw(one, "b") == "<svg>7</svg>", "nothing is kept"


def test_characters_that_xml_cannot_hold_are_shown_as_a_sign() -> None:
    drawn = texts(charts.stacked_days(spend(["a\0b\b\uffff", "c"]), DAYS, "c"))
    assert "a\ufffdb\ufffd\ufffd" in drawn
