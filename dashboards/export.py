"""Statements for people who asked for a file: CSV, spreadsheet, HTML or PDF of one team and month, or of all teams.

The content is that of `statements.py`; here it only changes its form.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Literal

import polars as pl
import xlsxwriter

from dashboards import statements
from dashboards.format import file_names, month_name
from dashboards.pdf import html_to_pdf
from dashboards.store import Store

Format = Literal["csv", "xlsx", "html", "pdf"]
OVERVIEW = "overview"


def export(store: Store, team: str | None, month: date | None, form: Format, out: Path) -> list[Path]:
    """Writes one statement, or those of all teams with their overview, into a folder.

    Args:
        store: The store of all teams.
        team: The team; None for every team of the month and the overview.
        month: First day of the month; None for the latest.
        form: csv and xlsx hold the charges, html and pdf the page.
        out: The folder; created if absent.

    Returns:
        The files written: `YYYY-MM-TEAM.ENDING`, and `YYYY-MM-overview.ENDING`.

    Raises:
        ValueError: There are no charges of that team or month, or PDF is asked for and there is no Chromium.
    """
    months = store.months()
    month = _known_month(months, month)
    teams = store.teams(month)
    if team is not None and team not in teams:
        msg = f"team {team!r} has no charges in {month_name(month)}; those that have: {', '.join(teams)}"
        raise ValueError(msg)
    out.mkdir(parents=True, exist_ok=True)
    names = file_names(store.teams())
    at = store.period(month)
    subjects: list[str | None] = [None, *teams] if team is None else [team]
    written = []
    for subject in subjects:
        path = out / f"{month:%Y-%m}-{OVERVIEW if subject is None else names[subject]}.{form}"
        if form in ("html", "pdf"):
            page = (
                statements.overview_html(store, at, names, alone=True)
                if subject is None
                else statements.statement_html(store, subject, at, names, alone=True)
            )
            _write_page(page, path)
        elif form == "csv":
            frame = _charges(store, subject, month)
            path.write_text(statements.csv_text(frame), encoding="utf-8", newline="\n")
        else:
            _write_xlsx(store, subject, month, path)
        written.append(path)
    return written


def _known_month(months: list[date], month: date | None) -> date:
    if not months:
        msg = "the warehouse holds no charges; publish some with `tierwise run`"
        raise ValueError(msg)
    if month is None:
        return months[0]
    if month not in months:
        msg = (
            f"there are no charges in {month_name(month)}; there are in {', '.join(map(month_name, months))}"
        )
        raise ValueError(msg)
    return month


def _charges(store: Store, team: str | None, month: date) -> pl.DataFrame:
    if team is None:
        return statements.overview_frame(store, month)
    return statements.statement_frame(store, team, month)


def _write_page(page: str, path: Path) -> None:
    html = path.with_suffix(".html")
    html.write_text(page, encoding="utf-8", newline="\n")
    if path.suffix == ".pdf":
        try:
            html_to_pdf(html, path)
        finally:
            html.unlink()


def _write_xlsx(store: Store, team: str | None, month: date, path: Path) -> None:
    """Writes a workbook of a few sheets; text is never a formula or a link, amounts are numbers (doubles)."""
    own = store if team is None else store.for_team(team)
    sheets: Mapping[str, pl.DataFrame] = {
        "charges": _charges(store, team, month),
        "gpu_daily": own.gpu_daily(month),
        "unit_cost_daily": own.unit_cost_daily(month),
        "placement": own.placement(),
        "placement_options": own.placement_options(),
    }
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(str(path), plain) as workbook:
        workbook.set_properties({"created": store.publication()["published_at"], "title": month_name(month)})
        for name, frame in sheets.items():
            frame.write_excel(
                workbook,
                worksheet=name,
                dtype_formats={pl.Decimal(38, 12): "#,##0.00####", pl.Float64: "#,##0.00####"},
                autofit=True,
            )
