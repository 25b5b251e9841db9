"""How charts look: colours, order of series, fonts, rendering as SVG. Which charts there are: `charts.py`."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from importlib.metadata import version
from pathlib import Path
from typing import Any, ParamSpec

import polars as pl
import vl_convert

P = ParamSpec("P")

UP, DOWN = "#b3261e", "#00796b"
"""Money going up, money going down; red is used for nothing else."""

GREY, LIGHT_GREY = "#8c9196", "#c3c7cb"
PALETTE = ("#0072b2", "#e69f00", "#009e73", "#56b4e9", "#cc79a7", "#332288", "#999933", "#44aa99")
"""Colours that people with any colour vision can tell apart (Okabe-Ito and Tol, without their reds)."""

OTHER = "other"
FIXED: Mapping[str, str] = {
    "cloud": "#0072b2",
    "api": "#56b4e9",
    "onprem": "#009e73",
    "edge": "#e69f00",
    "used": "#0072b2",
    "idle": "#e69f00",
    "unallocated": GREY,
    "untagged": LIGHT_GREY,
    "unknown": LIGHT_GREY,
    OTHER: "#b8a99a",
}
"""Series that have the same colour in every chart."""

LAST = (OTHER, "untagged", "unallocated", "unknown")
"""Series that stand last, in this order, whatever their size."""

INK, MUTED, GRID = "#1f2933", "#52606d", "#e4e7eb"
_CONFIG: dict[str, Any] = {
    "background": "transparent",
    "aria": False,
    "font": "sans-serif",
    "view": {"stroke": None},
    "axis": {
        "labelColor": MUTED,
        "titleColor": MUTED,
        "labelFontSize": 11,
        "titleFontSize": 11,
        "titleFontWeight": "normal",
        "gridColor": GRID,
        "domain": False,
        "ticks": False,
        "labelPadding": 6,
        "labelLimit": 190,
    },
    "legend": {
        "orient": "top",
        "title": None,
        "labelColor": INK,
        "labelFontSize": 11,
        "symbolType": "square",
        "symbolSize": 90,
        "labelLimit": 130,
        "columnPadding": 34,
        "columns": 6,
        "padding": 0,
        "offset": 8,
    },
}


_KEPT: ContextVar[tuple[Path, set[Path]] | None] = ContextVar("kept", default=None)


@contextmanager
def kept_charts(folder: Path | None) -> Iterator[None]:
    """Keeps rendered charts in a folder, so that those of past months are not drawn again the next day.

    Args:
        folder: Made if absent; charts that were not asked for within the context are removed from it at its
            end. None keeps nothing.
    """
    if folder is None:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    used: set[Path] = set()
    token = _KEPT.set((folder, used))
    try:
        yield
    finally:
        _KEPT.reset(token)
    for file in set(folder.iterdir()) - used:
        file.unlink()


def kept(draw: Callable[P, str]) -> Callable[P, str]:
    """A chart that is drawn once for the same arguments, where charts are kept: to specify it costs more than to draw it."""

    @wraps(draw)
    def drawn(*args: P.args, **kwargs: P.kwargs) -> str:
        place = _KEPT.get()
        if place is None:
            return draw(*args, **kwargs)
        folder, used = place
        given = [*args, *sorted(kwargs.items())]
        told = [(a.schema, a.rows()) if isinstance(a, pl.DataFrame) else a for a in given]
        text = f"{_drawn_by()} {draw.__name__} {told!r}"
        file = folder / f"{hashlib.sha256(text.encode(errors='surrogatepass')).hexdigest()}.svg"
        used.add(file)
        if file.is_file():
            return file.read_text(encoding="utf-8")
        result = draw(*args, **kwargs)
        building = file.with_suffix(".building")
        building.write_text(result, encoding="utf-8")
        building.replace(file)
        return result

    return drawn


@cache
def _drawn_by() -> str:
    """Changes when the same arguments may give another picture."""
    code = [(Path(__file__).with_name(name)).read_bytes() for name in ("chart_style.py", "charts.py")]
    return f"{version('vl-convert-python')} {hashlib.sha256(b''.join(code)).hexdigest()}"


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


NAMES_PADDING = {"left": 30, "right": 5, "top": 5, "bottom": 5}
"""Of charts with names at the left: room for a reader's font that is wider than the one measured with."""


def svg(rows: Sequence[Mapping[str, Any]], chart: Mapping[str, Any], name: str) -> str:
    """A chart as one SVG element.

    Args:
        rows: What it draws: column -> text or number.
        chart: A Vega-Lite specification without its data.
        name: Unique on its page; prefixed to the ids inside, so that charts of one page do not share them.

    Returns:
        SVG text that loads nothing; the same for the same chart.
    """
    whole = {"data": {"values": [*rows]}, **chart}
    specification = json.dumps(_drawable(whole), sort_keys=True)
    text = str(vl_convert.vegalite_to_svg(specification, config=_CONFIG, allowed_base_urls=[]))
    numbers: dict[str, int] = {}  # the renderer goes on counting from one chart to the next

    def renamed(found: re.Match[str]) -> str:
        before, old, after = found.groups()
        return f"{before}{name}-{numbers.setdefault(old, len(numbers))}{after}"

    return re.sub(r"""(\bid="|url\(#)([^")]+)([")])""", renamed, text)


def _drawable(part: Any) -> Any:
    """The specification with a sign in place of every character that XML cannot hold: they stop the renderer."""
    if isinstance(part, str):
        return _NOT_XML.sub("\ufffd", part)
    if isinstance(part, dict):
        return {k: _drawable(v) for k, v in part.items()}
    if isinstance(part, list):
        return [_drawable(v) for v in part]
    return part


def colours(series: Sequence[str]) -> dict[str, str]:
    """Series in drawing order -> colour: fixed ones first, the others from the palette in turn."""
    used = {FIXED[s] for s in series if s in FIXED}
    free = [c for c in PALETTE if c not in used] or list(PALETTE)
    rest = [s for s in series if s not in FIXED]
    return {s: FIXED[s] if s in FIXED else free[rest.index(s) % len(free)] for s in series}


def ordered(frame: pl.DataFrame, order: Sequence[str] = (), top: int = 7) -> pl.DataFrame:
    """The frame with all but the greatest series folded into `other`.

    Args:
        frame: Any frame with the columns series and value.
        order: Series that come first, in this order; the others follow by absolute size.
        top: Series to keep, those of `LAST` apart.

    Returns:
        The frame with `series` renamed where folded, and `rank` (0 is the greatest; those of `LAST` last).
    """
    size = (
        frame.group_by("series")
        .agg(pl.col("value").cast(pl.Float64).sum().abs().alias("size"))
        .sort(["size", "series"], descending=[True, False])
    )
    names = [n for n in size["series"].to_list() if n not in LAST]
    names.sort(key=lambda n: order.index(n) if n in order else len(order))
    keep = names[:top] if len(names) > top + 1 else names
    kept = pl.col("series").is_in([*keep, *LAST])
    folded = frame.with_columns(pl.when(kept).then(pl.col("series")).otherwise(pl.lit(OTHER)).alias("series"))
    ranks = {n: i for i, n in enumerate([*keep, *LAST])}
    return folded.with_columns(pl.col("series").replace_strict(ranks, return_dtype=pl.Int64).alias("rank"))
