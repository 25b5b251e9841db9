"""A month is closed, changes, and is opened again, in whole runs."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from models.closing import KEY
from pipelines.closing import ClosingError, closings
from tests.pipelines import small

MONTH = (
    "SELECT team, effective_cost, published_cost, adjustment FROM marts.chargeback_monthly "
    "WHERE month = DATE '2026-10-01' ORDER BY team"
)
CLOSED = Decimal("30.300000000001")


def run(site: Path, *options: str) -> str:
    done = small.tierwise("run", "--config", site / "tierwise.yaml", "--date", "2026-11-05", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def close(site: Path, *arguments: str) -> small.Done:
    return small.tierwise("close", *arguments, "--config", site / "tierwise.yaml")


@pytest.mark.long
def test_a_month_from_its_close_to_its_adjustments(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    run(tmp_path)
    done = close(tmp_path, "2026-10")
    assert done.returncode == 0, done.stderr
    assert "2026-10 is closed at USD 30.30" in done.stdout
    run(tmp_path)
    assert {row[3] for row in small.query(tmp_path, MONTH)} == {0}
    ((month, cost),) = small.query(tmp_path, "SELECT month::TEXT, published_cost FROM ops.closings")
    assert (month, cost) == ("2026-10-01", CLOSED)
    page = tmp_path / "data" / "statements" / "2026-10" / "vision.html"
    assert "The month was closed at" in page.read_text(encoding="utf-8")

    # vision 10.10 -> 12.35, assist 20.20 is gone, search 3 is new: 15.350000000001, -14.95
    small.write_bill(
        tmp_path,
        "2026-10",
        [
            small.row("12.35", small.OCTOBER, 1, '{"team":"vision","workload":"train"}'),
            small.row("3", small.OCTOBER, 2, '{"team":"search"}'),
            small.OCTOBER_ROWS[2],
        ],
    )
    told = run(tmp_path)
    assert "changed_closed_months is 1" in told
    assert "2026-10 USD -14.950000000000" in told
    assert small.query(tmp_path, MONTH) == [
        ("assist", 0, Decimal("20.20"), Decimal("-20.20")),
        ("search", 3, 0, 3),
        ("untagged", Decimal("0.000000000001"), Decimal("0.000000000001"), 0),
        ("vision", Decimal("12.35"), Decimal("10.10"), Decimal("2.25")),
    ]
    changes = "SELECT team, difference, adjustment FROM ops.adjustments ORDER BY team"
    first = [
        ("assist", Decimal("-20.20"), Decimal("-20.20")),
        ("search", 3, 3),
        ("vision", Decimal("2.25"), Decimal("2.25")),
    ]
    assert small.query(tmp_path, changes) == first
    gone = page.with_name("assist.html").read_text(encoding="utf-8")
    assert "What changed since the month was closed" in gone
    assert re.search(
        r"When closed.*0\.00.*20\.20.*-20\.20|When closed.*0\.00.*20\.20.*\u221220\.20", gone, re.DOTALL
    )

    small.write_bill(tmp_path, "2026-10", small.OCTOBER_ROWS)  # as it was when it was closed
    assert "changed_closed_months is 1" not in run(tmp_path)
    assert {row[3] for row in small.query(tmp_path, MONTH)} == {0}
    assert len(small.query(tmp_path, changes)) == 6
    assert small.query(tmp_path, "SELECT sum(difference) FROM ops.adjustments") == [(0,)]

    assert close(tmp_path, "2026-10", "--reopen").returncode == 0
    run(tmp_path)
    assert {row[2:] for row in small.query(tmp_path, MONTH)} == {(None, None)}
    assert small.query(tmp_path, "SELECT count(*) FROM ops.closings") == [(0,)]
    assert len(list((tmp_path / "data" / "closings").glob("2026-10-opened-*.parquet"))) == 1


@pytest.mark.long
def test_what_cannot_be_closed_is_told_with_what_to_do(tmp_path: Path) -> None:
    small.write_site(tmp_path)
    assert "nothing is published yet; run `tierwise run` first" in close(tmp_path, "2026-10").stderr
    run(tmp_path)
    for month, words in (
        ("2026-11", "2026-11 is not over in what is published, which is as of 2026-11-05"),
        ("2026-09", "nothing is published of 2026-09; there are 2026-10, 2026-11"),
        ("9999-12", "9999-12 is not over in what is published"),
    ):
        done = close(tmp_path, month)
        assert (done.returncode, words in done.stderr) == (1, True), done.stderr
    assert close(tmp_path, "October").returncode == 2
    assert "2026-10 is not closed; no month is" in close(tmp_path, "2026-10", "--reopen").stderr
    assert close(tmp_path, "2026-10").returncode == 0
    again = close(tmp_path, "2026-10")
    assert again.returncode == 1
    assert "2026-10 was closed at" in again.stderr
    assert "--reopen` opens it again" in again.stderr
    (tmp_path / "data" / "closings" / "2026-10.parquet").write_bytes(b"PAR1")
    damaged = small.tierwise("run", "--config", tmp_path / "tierwise.yaml", "--date", "2026-11-05")
    assert damaged.returncode == 1
    assert "2026-10.parquet cannot be read" in damaged.stderr


def written(folder: Path, name: str, frame: pl.DataFrame) -> None:
    (folder / "closings").mkdir(exist_ok=True)
    frame.write_parquet(folder / "closings" / f"{name}.parquet")


CLOSING = pl.DataFrame(
    dict.fromkeys(KEY, "x")
    | {"month": date(2026, 10, 1), "sub_account": None, "published_cost": Decimal("30.30")}
    | {"closed_at": datetime(2026, 11, 5, tzinfo=UTC).replace(tzinfo=None), "run_id": "run"}
)


def test_what_close_wrote_is_read(tmp_path: Path) -> None:
    written(tmp_path, "2026-10", CLOSING)
    assert closings(tmp_path).select("month", "published_cost").rows() == [
        (date(2026, 10, 1), Decimal("30.30"))
    ]


@pytest.mark.parametrize(
    ("name", "frame", "words"),
    [
        (
            "2026-09",
            CLOSING,
            "2026-09.parquet cannot be read: it holds rows of 2026-10-01, not of 2026-09-01",
        ),
        ("2026-10", pl.concat([CLOSING, CLOSING]), "it holds a row twice"),
        ("2026-10", CLOSING.clear(), "it has no rows"),
        (
            "2026-10",
            CLOSING.with_columns(published_cost=None, team=None),
            "rows have no team, published_cost",
        ),
    ],
)
def test_a_closing_that_close_did_not_write_is_refused(
    tmp_path: Path, name: str, frame: pl.DataFrame, words: str
) -> None:
    # two files with the same month made two rows of each of its charges: 60.60 instead of 30.30 for October
    written(tmp_path, "2026-10", CLOSING)
    written(tmp_path, name, frame)
    with pytest.raises(ClosingError, match=words):
        closings(tmp_path)
