"""What lies beside the files of a bill: named once, and never read; and dates that a spreadsheet wrote anew."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.aws import exports as cur2
from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import WINDOW, csv_bytes, cur, deliver, facts, focus, load, reader
from tests.connectors.gcp import rows as gcp
from tests.connectors.test_bad_bills import KINDS, NAMES

pytestmark = pytest.mark.long

OCTOBER = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
}


@NAMES
def test_files_that_are_no_bills_are_named(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "b"
    folder.mkdir()
    (folder / "a.csv").write_bytes(csv_bytes([dict(KINDS[name].row)]))
    for other in ("bill.pdf", "bill.xlsx", "c.csv.part", "d", "e.csv.bak", "f.doc", "_SUCCESS", ".hidden"):
        (folder / other).write_bytes(b"x")
    words = (
        "no bill files by their names, left alone: bill.pdf, bill.xlsx, c.csv.part, d, e.csv.bak and 1 more"
    )
    (loaded,) = load(name, folder, tmp_path).values()
    assert words in loaded.note.split("; ")
    assert reader(name, folder, tmp_path).check().endswith(words)


def test_they_are_named_in_the_newest_month_alone(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes([focus(), focus(**OCTOBER)]))
    (tmp_path / "b" / "a.pdf").write_bytes(b"x")
    notes = {
        s.period.month: s.detail["note"] for s in reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)
    }
    assert (notes[9], "a.pdf" in notes[10]) == ("", True)


def by_manifest(kind: str, root: Path) -> None:
    """Two deliveries of a month, of which the second counts."""
    if kind == "azure_export":
        for run, at in (("old", "2026-09-02T01:00:00Z"), ("new", "2026-09-03T01:00:00Z")):
            azure.run_export(root, f"e/x/20260901-20260930/{run}", {"a.csv": [azure.row()]}, submitted=at)
    elif kind == "aws_cur2":
        for execution in ("20260902T000000Z-e", "20260903T000000Z-e"):
            cur2.export(root, {"a.csv.gz": [cur2.row()]}, execution=execution)
    else:
        deliver(root, "old", {"a.csv.gz": [cur()]})
        deliver(root, "new", {"a.csv.gz": [cur()]})


@pytest.mark.parametrize("kind", ["aws_cur", "aws_cur2", "azure_export"])
def test_files_beside_deliveries_are_named_and_former_deliveries_are_not(kind: str, tmp_path: Path) -> None:
    by_manifest(kind, tmp_path / "b")
    for other in ("manual.csv", "more/credit.csv.gz", "bill.pdf"):
        path = tmp_path / "b" / other
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    words = [
        "no bill files by their names, left alone: bill.pdf",
        "bill files that no manifest names, left alone: manual.csv, more/credit.csv.gz",
    ]
    (loaded,) = load(kind, tmp_path / "b", tmp_path).values()
    assert loaded.totals == {"USD": 10}
    assert {*words} <= {*loaded.note.split("; ")}
    assert reader(kind, tmp_path / "b", tmp_path).check().endswith("; ".join(words))


def day_of(moment: str, form: str) -> str:
    """A moment such as 2026-09-01T00:00:00Z as a spreadsheet shows it."""
    at = datetime.fromisoformat(moment)
    return form.format(m=at.month, d=at.day, y=at.year, at=at)


SPAN = {"lineItem__UsageStartDate": "2026-09-13T05:00:00Z", "lineItem__UsageEndDate": "2026-09-13T06:00:00Z"}


@pytest.mark.parametrize(
    "form", ["{m}/{d}/{y} {at.hour}:{at:%M}", "{d}.{m}.{y} {at:%H:%M}", "{at:%Y-%m-%d %H:%M}"]
)
def test_dates_of_aws_that_a_spreadsheet_wrote(form: str, tmp_path: Path) -> None:
    rows = [cur(), cur(**SPAN)]
    rows = [{k: day_of(v, form) if k.endswith("Date") else v for k, v in row.items()} for row in rows]
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "a.csv").write_bytes(csv_bytes(rows))
    ((month, loaded),) = load("aws_cur", tmp_path / "b", tmp_path).items()
    assert month == date(2026, 9, 1)
    found = facts(loaded).select("ChargePeriodStart", "ChargePeriodEnd", "BillingPeriodEnd").rows()
    assert [tuple(f"{at:%m-%d %H:%M}" for at in row) for row in found] == [
        ("09-01 00:00", "09-01 01:00", "10-01 00:00"),
        ("09-13 05:00", "09-13 06:00", "10-01 00:00"),
    ]
    assert loaded.issues.is_empty() or set(loaded.issues["action"]) == {"flagged"}
    assert ("dates read as" in loaded.note) == ("-" not in form)


def test_dates_of_oci_that_a_spreadsheet_wrote(tmp_path: Path) -> None:
    span = {"lineItem/intervalUsageStart": "9/13/2026 5:00", "lineItem/intervalUsageEnd": "9/13/2026 6:00"}
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "a.csv"
    path.write_bytes(csv_bytes([dict(KINDS["oci_cost_report"].row) | span]))
    (loaded,) = load("oci_cost_report", tmp_path / "b", tmp_path).values()
    assert [f"{at:%m-%d %H:%M}" for at in facts(loaded)["ChargePeriodStart"]] == ["09-13 05:00"]


def test_dates_of_gcp_that_a_spreadsheet_wrote(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    path = tmp_path / "b" / "a.csv"
    rows = [
        gcp.flat(gcp.row(usage_start_time=f"{day}/09/2026 23:00", usage_end_time=f"{day}/09/2026 23:30"))
        for day in ("01", "13")
    ]
    path.write_bytes(csv_bytes(rows))
    (loaded,) = load("gcp_billing_export", tmp_path / "b", tmp_path).values()
    starts = [f"{at:%m-%d %H:%M}" for at in facts(loaded)["ChargePeriodStart"]]
    assert starts == ["09-01 23:00", "09-13 23:00"]
    path.write_bytes(csv_bytes(rows[:1]))
    with pytest.raises(
        SourceError, match=r"a\.csv: its dates, such as '01/09/2026 23:00', may be month/day/year or"
    ):
        load("gcp_billing_export", tmp_path / "b", tmp_path)
