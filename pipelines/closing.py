"""Months that are closed: what they were published at stays, and what comes later is an adjustment.

A closing is a file below `closings/` of the data folder. It follows from nothing else there: whoever removes it opens the month.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl

from models import closing, tables
from pipelines.run import Run
from pipelines.settings import Config
from pipelines.warehouse import Warehouse

FOLDER, PATTERN = "closings", "????-??.parquet"


class ClosingError(Exception):
    """A month cannot be closed or opened, or a closing cannot be read; the message says why and what to do."""


def closings(data_dir: Path) -> pl.DataFrame:
    """The rows of all closed months: the key of `marts.chargeback_monthly`, published_cost, closed_at, run_id.

    Raises:
        ClosingError: A file cannot be read.
    """
    frames = [_schema().to_frame()]
    for file in sorted((data_dir / FOLDER).glob(PATTERN)):
        try:
            frames.append(_read(file))
        except (OSError, ValueError, pl.exceptions.PolarsError) as error:
            msg = f"{file} cannot be read: {error}. Put it back from a copy; if there is none, remove it and close the month again"
            raise ClosingError(msg) from error
    return pl.concat(frames)


def closed_months(data_dir: Path) -> list[tuple[str, int]]:
    """Which closings there are: the name of each file, and what changes when it is another one."""
    files = sorted((data_dir / FOLDER).glob(PATTERN))
    return [(file.stem, file.stat().st_mtime_ns) for file in files]


def close(config: Config, month: date) -> dict[str, Decimal]:
    """Closes a month at what is published of it.

    Args:
        config: The configuration.
        month: Its first day.

    Returns:
        currency -> what it was closed at.

    Raises:
        ClosingError: It is closed already, not over, or nothing is published of it.
    """
    before = closings(config.data_dir).filter(pl.col("month") == month)
    if before.height:
        at = f"{before['closed_at'][0]:%Y-%m-%d %H:%M} UTC"
        msg = f"{month:%Y-%m} was closed at {at}; `tierwise close {month:%Y-%m} --reopen` opens it again"
        raise ClosingError(msg)
    warehouse = Warehouse(config.data_dir)
    publication, rows = warehouse.publication, warehouse.read(_of(month))
    if publication is None or rows is None:
        msg = f"{warehouse.path}: nothing is published yet; run `tierwise run` first"
        raise ClosingError(msg)
    last = month.replace(day=monthrange(month.year, month.month)[1])
    if date.fromisoformat(publication["as_of"]) < last:
        msg = f"{month:%Y-%m} is not over in what is published, which is as of {publication['as_of']}; run `tierwise run` after {last}"
        raise ClosingError(msg)
    if rows.is_empty():
        months = warehouse.read(f"SELECT DISTINCT month FROM {tables.CHARGEBACK_MONTHLY.name} ORDER BY month")
        there = [f"{m:%Y-%m}" for m in months["month"]] if months is not None else []
        msg = f"nothing is published of {month:%Y-%m}; there are {', '.join(there) or 'no months'}"
        raise ClosingError(msg)
    closed = rows.with_columns(
        closed_at=pl.lit(datetime.now(UTC).replace(tzinfo=None)), run_id=pl.lit(publication["run_id"])
    )
    file = _file(config, month)
    file.parent.mkdir(parents=True, exist_ok=True)
    building = file.with_name(f".{file.name}")
    closed.select(_schema().names()).write_parquet(building)
    building.replace(file)
    sums = closed.group_by("currency").agg(pl.col("published_cost").sum()).sort("currency")
    return dict(sums.iter_rows())


def reopen(config: Config, month: date) -> Path:
    """Opens a closed month again.

    Returns:
        Where the closing is kept.

    Raises:
        ClosingError: It is not closed.
    """
    file = _file(config, month)
    if not file.exists():
        closed = ", ".join(f.stem for f in sorted(file.parent.glob(PATTERN)))
        msg = f"{month:%Y-%m} is not closed; {f'closed are {closed}' if closed else 'no month is'}"
        raise ClosingError(msg)
    kept = file.with_name(f"{file.stem}-opened-{datetime.now(UTC):%Y%m%dT%H%M%S}.parquet")
    return file.rename(kept)


def doubts(config: Config, month: date) -> list[str]:
    """Why what is published of a month may still change, in words."""
    found = Warehouse(config.data_dir).read(f"""
        SELECT source || ' is stale: ' || coalesce(error, 'its last figures stand') AS doubt FROM ops.sources WHERE status = 'stale'
        UNION ALL
        SELECT source || ' is ' || note FROM ops.ingests WHERE current AND period = DATE '{month}' AND note LIKE 'not final%'
        ORDER BY doubt""")
    return [] if found is None else found["doubt"].to_list()


def write_tables(run: Run, monthly: pl.DataFrame) -> pl.DataFrame:
    """Keeps `ops.closings` and `ops.adjustments` of a run for later steps.

    Args:
        run: The run.
        monthly: `marts.chargeback_monthly` without closings.

    Returns:
        It, with them.
    """
    closed = closings(run.config.data_dir)
    told = closing.with_published(monthly, closed)
    of_month = closed.group_by("month", "currency", "closed_at", "run_id").agg(pl.col("published_cost").sum())
    run.write_frame(tables.CLOSINGS.name, tables.CLOSINGS.conform(of_month).sort(tables.CLOSINGS.key))
    before = run.warehouse.read(
        f"SELECT {', '.join(closing.BY)}, effective_cost FROM {tables.CHARGEBACK_MONTHLY.name}"
    )
    earlier = run.warehouse.carried(tables.ADJUSTMENTS)
    if before is not None:
        new = closing.changed(told, before).with_columns(run_id=pl.lit(run.id))
        earlier = pl.concat([earlier, tables.ADJUSTMENTS.conform(new)])
    run.write_frame(tables.ADJUSTMENTS.name, earlier)
    return told


def _read(file: Path) -> pl.DataFrame:
    """One closing; a copy under the name of another month would count all of it twice.

    Raises:
        ValueError: It is not what `close` writes: each row of its month once, and nothing absent.
    """
    rows = pl.read_parquet(file).select(pl.col(n).cast(t) for n, t in _schema().items())
    may_lack = {c.name for c in tables.CHARGEBACK_MONTHLY.columns if c.nullable} - {"published_cost"}
    absent = [name for name in rows.columns if name not in may_lack and rows[name].null_count()]
    others = sorted({f"{m}" for m in rows["month"].drop_nulls()} - {f"{file.stem}-01"})
    if others:
        msg = f"it holds rows of {', '.join(others)}, not of {file.stem}-01"
    elif rows.is_empty():
        msg = "it has no rows"
    elif absent:
        msg = f"rows have no {', '.join(absent)}"
    elif rows.select(closing.KEY).is_duplicated().any():
        msg = "it holds a row twice"
    else:
        return rows
    raise ValueError(msg)


def _schema() -> pl.Schema:
    schema = tables.CHARGEBACK_MONTHLY.schema
    names = [*closing.KEY, "published_cost"]
    return pl.Schema(
        {name: schema[name] for name in names} | {"closed_at": pl.Datetime("us"), "run_id": pl.String()}
    )


def _file(config: Config, month: date) -> Path:
    return config.data_dir / FOLDER / f"{month:%Y-%m}.parquet"


def _of(month: date) -> str:
    return (
        f"SELECT {', '.join(closing.KEY)}, effective_cost AS published_cost FROM {tables.CHARGEBACK_MONTHLY.name} "
        f"WHERE month = DATE '{month}'"
    )
