"""Statements: one self-contained HTML page and CSV per team and month, and an overview of all teams.

Everything comes from a `Store` and nothing from a clock or a network, so the same warehouse gives the same
bytes; pages whose figures are those of an earlier publication stay as they are (`kept_pages.py`). What a page holds is decided in `sections.py`; PDF and spreadsheets are in `pdf.py` and `export.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from dashboards import charts, format, usage
from dashboards.chart_style import kept_charts, ordered
from dashboards.conversion import conversion
from dashboards.economics import KINDS as KINDS_OF_WASTE
from dashboards.economics import economics
from dashboards.figures import KINDS, Period
from dashboards.frames import collect
from dashboards.kept_pages import INPUTS, KeptPages
from dashboards.sections import section
from dashboards.store import Store

METHODS = {
    "tag": "Tag on the charge",
    "alias": "Tag, spelling put right",
    "account": "Default of the account",
    "namespace": "Default of the namespace",
    "telemetry": "Telemetry of the hardware",
    "untagged": "No owner was found",
}
KIND_WORDS = {
    "direct": "Direct: the team's own use",
    "shared": "Shared: the team's part of common cost",
    "idle": "Idle: held and not used",
    "unallocated": "Unallocated: held by nobody",
}

LONGEST_WORD = 24
"""A longer word may break anywhere in its table cell."""


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("dashboards"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {
        "amount": format.amount,
        "day": format.day_name,
        "days": format.days_of_month,
        "exact": lambda value: f"{value.normalize():f}" if value else "0",
        "money": format.money,
        "money_or_amount": lambda value, currency: "–" if value is None else (
            format.money(value, currency) if currency else f"{value:,.2f}"
        ),
        "month": format.month_name,
        "number": format.number,
        "percent": format.percent,
        "signed": format.signed,
        "signed_percent": format.signed_percent,
        "unit_price": format.unit_price,
        "wraps": lambda text: max(map(len, text.split()), default=0) > LONGEST_WORD,
    }  # fmt: skip
    return environment


def _css() -> Markup:
    text = (Path(__file__).parent / "templates" / "page.css").read_text(encoding="utf-8")
    return Markup(text)  # noqa: S704 - our own file


def _header(store: Store, month: date, currencies: list[str]) -> dict[str, Any]:
    publication, quality = store.publication(), store.quality()
    shares = [(c, *store.ownerless_share(month, c)) for c in currencies]

    def written(position: int) -> str:
        several = len(shares) > 1
        return " · ".join(f"{s[0]} " * several + format.percent(s[position]) for s in shares) or "–"  # type: ignore[arg-type]

    published = str(publication["published_at"])
    return {
        "as_of": publication["as_of"],
        "run_id": publication["run_id"],
        "version": publication["version"],
        "published_at": published[:16],
        "gates": quality.height,
        "gates_passed": int(quality["passed"].sum()),
        "warnings": quality.filter(~pl.col("passed") & (pl.col("severity") == "warning")).height,
        "untagged": written(1),
        "unallocated": written(2),
        "stale": [
            {
                "source": r["source"],
                "since": f"{r['stale_since']:%Y-%m-%d %H:%M} UTC" if r["stale_since"] else "an unknown time",
                "error": r["error"],
            }
            for r in store.stale_sources().iter_rows(named=True)
        ],
    }


def _placement(store: Store) -> list[dict[str, Any]]:
    options = store.placement_options()
    result = []
    for n, row in enumerate(store.placement().sort("workload").iter_rows(named=True)):
        own = options.filter(pl.col("workload") == row["workload"]).sort(
            pl.col("feasible"), pl.col("cost_36m"), pl.col("option"), descending=[True, False, False],
            nulls_last=True,
        )  # fmt: skip
        parts = usage.option_parts(own, row["current_option"], row["recommended_option"])
        svg = charts.option_costs(parts, f"p-{n}") if parts.height else ""
        result.append(row | {"options": own.to_dicts(), "chart": Markup(svg)})  # noqa: S704 - SVG of vl-convert
    return result


def _page(template: str, store: Store, at: Period, **content: Any) -> str:
    frames = collect(store, at)
    sections = [section(frames, at, c, teams=store.team is None) for c in frames.currencies]
    return (
        _environment()
        .get_template(template)
        .render(
            css=_css(),
            header=_header(store, at.month, frames.currencies),
            period=at,
            sections=sections,
            stale=frames.stale,
            conversion=conversion(frames.daily, store.publication()["currency"]),
            placement=_placement(store) if at.latest else [],
            economics=economics(store, at),
            waste_kinds=KINDS_OF_WASTE,
            quarantine=store.quarantine_counts(at.month).to_dicts(),
            methods=METHODS,
            kinds=KIND_WORDS,
            **content,
        )
    )


def statement_html(
    store: Store, team: str, at: Period, files: Mapping[str, str], *, alone: bool = False
) -> str:
    """The page of one team and month.

    Args:
        store: The store of all teams.
        team: The team.
        at: The month.
        files: Team -> file name.
        alone: The page stands by itself and links to no other file.
    """
    earlier = not alone and at.previous is not None and team in store.teams(at.previous)
    return _page(
        "statement.html.j2", store.for_team(team), at,
        team=team, file="" if alone else files[team], earlier=f"{at.previous:%Y-%m}" if earlier else "",
    )  # fmt: skip


def statement_frame(store: Store, team: str, month: date) -> pl.DataFrame:
    """The exact charges of one team and month: the rows of `marts.chargeback_monthly`."""
    return store.for_team(team).chargeback_monthly(month)


def overview_html(
    store: Store, at: Period, files: Mapping[str, str], *, top: bool = False, alone: bool = False
) -> str:
    """The page of all teams of a month.

    Args:
        store: The store of all teams.
        at: The month.
        files: Team -> file name.
        top: The page stands above the folders of the months, not in one of them.
        alone: The page stands by itself and links to no other file.
    """
    up = "" if top else "../"
    return _page(
        "overview.html.j2", store, at,
        files={} if alone else {t: files[t] for t in store.teams(at.month)},
        prefix=f"{at.month:%Y-%m}/" if top else "",
        alone=alone,
        months=[] if alone else [{"month": m, "href": f"{up}{m:%Y-%m}/index.html"} for m in store.months()],
        trends=_trends(store, at.month),
        reconciliation=store.reconciliation(at.month).to_dicts(),
        apis=_apis(store, at.month),
        sources=store.sources().to_dicts(),
        quality=store.quality().sort("passed", "gate").to_dicts(),
    )  # fmt: skip


_TOKEN_KINDS = ("all", "input", "cached", "output")


def _apis(store: Store, month: date) -> list[dict[str, Any]]:
    """Models that at least two of gateway, provider and bill know, with a line for each kind of token they count."""
    frame = store.api_reconciliation(month).filter(pl.col("token_kind").is_in(_TOKEN_KINDS))
    two = (
        frame.filter(~pl.col("missing").str.contains(", ").fill_null(value=False))
        .select("provider", "model")
        .unique()
    )
    order = pl.col("token_kind").cast(pl.Enum(_TOKEN_KINDS))
    return frame.join(two, on=["provider", "model"], how="semi").sort("provider", "model", order).to_dicts()


def _trends(store: Store, month: date) -> Mapping[str, Markup]:
    """A chart a currency of the last twelve months by team; empty where there is one month only."""
    rows = store.chargeback_monthly().filter(pl.col("month") <= month)
    grey = pl.when(pl.col("cost_kind") == "unallocated").then(pl.lit("unallocated")).otherwise(pl.col("team"))
    result = {}
    for currency in rows["currency"].unique().sort():
        own = rows.filter(pl.col("currency") == currency)
        last = own["month"].unique().sort().tail(12)
        summed = (
            own.filter(pl.col("month").is_in(last.implode()))
            .group_by("month", grey.alias("series"))
            .agg(pl.col("effective_cost").sum().alias("value"))
            .sort("month", "series")
            .with_columns(
                pl.col("month").map_elements(format.month_name, return_dtype=pl.String).alias("label")
            )
        )
        now = ordered(summed.filter(pl.col("month") == month)).sort("rank")["series"].to_list()
        svg = charts.stacked_months(
            summed.drop("month"), f"t-{currency.lower()}", now
        )  # colours as of the days
        result[currency] = Markup(svg if last.len() > 1 else "")  # noqa: S704 - SVG of vl-convert
    return result


def overview_frame(store: Store, month: date) -> pl.DataFrame:
    """Exact amounts by team, currency and kind of cost: month, team, currency, one column a kind, totals."""
    return (
        store.chargeback_monthly(month)
        .group_by("month", "team", "currency")
        .agg(
            *(
                pl.col("effective_cost").filter(pl.col("cost_kind") == k).sum().alias(f"{k}_cost")
                for k in KINDS
            ),
            pl.col("effective_cost").sum(),
            pl.col("billed_cost").sum(),
        )
        .sort("currency", "team")
    )


def csv_text(frame: pl.DataFrame) -> str:
    """The frame as CSV, amounts exact, text that a spreadsheet would run disarmed."""
    return format.csv_safe(frame).write_csv()


def render_all(
    store: Store, out: Path, charts_folder: Path | None = None, earlier: Path | None = None
) -> list[Path]:
    """Writes every statement and overview of the warehouse, and an index of them.

    Args:
        store: The store of all teams.
        out: The folder to write into; created if absent.
        charts_folder: Where rendered charts are kept for the next time; None for nowhere.
        earlier: Statements of an earlier publication, from which teams' pages are linked that stay the same;
            None to write all.

    Returns:
        The files: `YYYY-MM/TEAM.html` and `.csv`, `YYYY-MM/index.html`, `YYYY-MM/overview.csv`, `index.html`
        (the overview of the latest month), `index.json` (month and team -> files) and `inputs.json`.
    """
    with kept_charts(charts_folder):
        return list(_render_all(store, out, KeptPages(store, earlier)))


def _render_all(store: Store, out: Path, kept: KeptPages) -> Iterator[Path]:
    def write(path: Path, text: str) -> Path:
        path.write_text(text, encoding="utf-8", newline="\n")
        return path

    out.mkdir(parents=True, exist_ok=True)
    months, files = store.months(), format.file_names(store.teams())
    index = []
    for month in months:
        at, folder = store.period(month), out / f"{month:%Y-%m}"
        folder.mkdir(exist_ok=True)
        yield write(folder / "index.html", overview_html(store, at, files))
        yield write(folder / "overview.csv", csv_text(overview_frame(store, month)))
        teams = store.teams(month)
        names = [f"{files[team]}{suffix}" for team in teams for suffix in (".html", ".csv")]
        if not kept.taken(at, names, folder):
            with kept.noted(at, names, folder):
                for team in teams:
                    write(folder / f"{files[team]}.html", statement_html(store, team, at, files))
                    write(folder / f"{files[team]}.csv", csv_text(statement_frame(store, team, month)))
        yield from (folder / name for name in names)
        index += [
            {"month": folder.name, "team": t}
            | {kind: f"{folder.name}/{files[t]}.{kind}" for kind in ("html", "csv")}
            for t in teams
        ]
    if months:
        yield write(out / "index.html", overview_html(store, store.period(months[0]), files, top=True))
    yield write(out / "index.json", json.dumps(index, indent=1, ensure_ascii=False) + "\n")
    yield write(out / INPUTS, kept.text())
