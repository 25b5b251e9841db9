"""Files that each hold the month so far: the latest state counts where rows and names prove it, else nothing is left out."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.azure.rows import row as azure
from tests.connectors.bills.helpers import facts, focus, load, write
from tests.connectors.bills.redelivery import Site
from tests.connectors.bills.so_far import GUIDS, MONTH, SEPTEMBER, left_out, until
from tests.connectors.gcp.rows import row as gcp
from tests.connectors.oci.rows import row as oci

pytestmark = pytest.mark.long


def repeats(loaded: Loaded) -> list[str]:
    return [r for r in loaded.issues["rule"] if r.startswith("repeated_")]


def test_the_file_of_the_latest_day_counts(tmp_path: Path) -> None:
    """3 days are 6 USD, 5 days 15, 6 days 21, of which the fourth was corrected by 0.25 meanwhile: 21.25."""
    bills = tmp_path / "bills"
    last = until(6)
    last[3]["BilledCost"] = "4.25"
    for name, rows in (
        ("costs-2026-09-03", until(3)),
        ("costs-2026-09-05", until(5)),
        ("costs-2026-09-06", last),
    ):
        write(bills / f"{name}.csv", rows)
    write(bills / "other-2026-09-05.csv", until(2, SubAccountId="008"))  # another export: 1 + 2
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("24.25")}
    assert facts(loaded)["BilledCost"].sum() == Decimal("24.25")
    assert left_out(loaded) == [
        ("costs-2026-09-03.csv", 3, Decimal(6)),
        ("costs-2026-09-05.csv", 5, Decimal(15)),
    ]
    assert repeats(loaded) == []
    assert "costs-2026-09-06.csv counts, 2 earlier ones are left out" in loaded.note


def test_a_month_so_far_that_grows_day_by_day_is_as_if_only_the_last_were_there(tmp_path: Path) -> None:
    site = Site(tmp_path, "focus")
    for day in (3, 4, 5):
        site.bill.mkdir(exist_ok=True)
        pl.DataFrame(until(day)).write_parquet(site.bill / f"2026-09-{day:02}.parquet")
        found = site.load()
        assert found.totals == {"USD": Decimal(day * (day + 1) // 2)}
        assert site.picture(found) == site.picture(site.load(afresh=True))


@pytest.mark.parametrize(
    ("share", "total", "rule"),
    [
        ("1.01", "15.06", ""), ("0.9", "14.4", ""), ("1.5", "18", ""),
        ("0.8", "19.8", "repeated_bill"), ("0.3", "16.8", "repeated_rows"),
    ],
)  # fmt: skip
def test_days_that_are_computed_anew(share: str, total: str, rule: str, tmp_path: Path) -> None:
    """3 days of 6 USD, then those times a share and 4 + 5; with 0.3 it may be what comes late: 6 + 1.8 + 9."""
    anew = [
        r | {c: str(Decimal(r[c]) * Decimal(share)) for c in ("BilledCost", "EffectiveCost")}
        for r in until(3)
    ]
    write(tmp_path / "bills" / "2026-09-03.csv", until(3))
    write(tmp_path / "bills" / "2026-09-05.csv", [*anew, *until(5)[3:]])
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(total)}
    assert (len(left_out(loaded)), repeats(loaded)) == ((0, [rule]) if rule else (1, []))
    loaded = load("focus", tmp_path / "bills", tmp_path, month_so_far=False)[SEPTEMBER]
    assert loaded.totals == {"USD": 6 * (1 + Decimal(share)) + 9}
    assert {"superseded_file", "repeated_bill"}.isdisjoint(loaded.issues["rule"])


def test_months_are_read_apart(tmp_path: Path) -> None:
    """3 days of September are 6 USD, 5 days 15; 2 of October 3, 4 days 10, of which one file has the last of September, too."""
    october = {
        "BillingPeriodStart": "2026-10-01T00:00:00Z",
        "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    }
    later = [
        {k: v.replace("2026-09", "2026-10") if k.startswith("ChargePeriod") else v for k, v in r.items()}
        for r in until(4, **october)
    ]
    for name, rows in (
        ("2026-09-03", until(3)),
        ("2026-09-05", until(5)),
        ("2026-10-02", [*until(5), *later[:2]]),
        ("2026-10-04", later),
    ):
        write(tmp_path / "bills" / f"{name}.csv", rows)
    found = load("focus", tmp_path / "bills", tmp_path)
    assert {m.month: one.totals["USD"] for m, one in found.items()} == {9: 15, 10: 10}
    assert {m.month: len(left_out(one)) for m, one in found.items()} == {9: 2, 10: 1}


def test_one_row_a_thing_that_ends_later_and_costs_more(tmp_path: Path) -> None:
    """Things of 1, 2 and 3 USD a day: 12 after 2 days, 30 after 5, in files of a browser."""
    for day, name in ((2, "costs.csv"), (5, "costs (1).csv")):
        rows = [
            focus(
                BilledCost=str(n * day),
                ResourceId=f"r-{n}",
                ChargePeriodEnd=f"2026-09-{day + 1:02}T00:00:00Z",
            )
            for n in (1, 2, 3)
        ]
        write(tmp_path / "bills" / name, rows)
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, left_out(loaded)) == ({"USD": Decimal(30)}, [("costs.csv", 3, Decimal(12))])


def test_runs_of_several_files_give_way_together(tmp_path: Path) -> None:
    """Shards as BigQuery writes them; the second run has them in another order: 1 + 2 + 3, then 1 + 2 + 3 + 4."""
    for day, parts in ((3, [[1, 3], [2]]), (4, [[2, 4], [1, 3]])):
        for n, hours in enumerate(parts):
            rows = [
                gcp(
                    cost=h,
                    usage_start_time=f"2026-09-0{h} 00:00:00 UTC",
                    usage_end_time=f"2026-09-0{h} 01:00:00 UTC",
                )
                for h in hours
            ]
            path = tmp_path / "bills" / f"bill-2026090{day}-{n:012}.json"
            path.parent.mkdir(exist_ok=True)
            path.write_text("\n".join(map(json.dumps, rows)))
    loaded = load("gcp_billing_export", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(10)}
    assert [(name[-6:], n, cost) for name, n, cost in left_out(loaded)] == [
        ("0.json", 2, Decimal(4)),
        ("1.json", 1, Decimal(2)),
    ]


def test_exports_of_azure_that_add_a_file_a_run(tmp_path: Path) -> None:
    """The later of two files with a GUID is the one that reaches further, whichever comes first by name: 10 + 20 + 5.

    Once the month is over both reach as far: the one with more charges is later. Whose amounts differ alone is not known.
    """
    bills = tmp_path / "bills" / MONTH
    third = azure(Cost="5", Date="09/06/2026")
    first = [azure(), azure(Cost="20", Date="09/05/2026")]
    for last in ([*first, third], [*first, azure(Cost="5", MeterName="disk")]):
        write(bills / f"daily_{GUIDS[0]}.csv", first)
        write(bills / f"daily_{GUIDS[1]}.csv", last)
        loaded = load("azure_export", tmp_path / "bills", tmp_path)[SEPTEMBER]
        assert (loaded.totals, left_out(loaded)) == (
            {"USD": Decimal(35)},
            [(f"daily_{GUIDS[0]}.csv", 2, Decimal(30))],
        )
    write(bills / f"daily_{GUIDS[1]}.csv", [first[0], first[1] | {"Cost": "21"}])
    with pytest.raises(SourceError, match=r"neither a manifest nor their rows say which is the latest"):
        load("azure_export", tmp_path / "bills", tmp_path)


def test_actual_and_amortized_exports_that_each_hold_the_month_so_far(tmp_path: Path) -> None:
    """10 USD a day are in both; the amortized one alone has 1 USD a month of a reservation that nobody uses."""
    idle = azure(PricingModel="Reservation", ReservationId="r", ChargeType="UnusedReservation", Cost="1")
    for day in (5, 6):
        rows = [azure(Date=f"09/{n:02}/2026") for n in range(4, day + 1)]
        write(tmp_path / "bills" / "actual" / f"2026-09-0{day}.csv", rows)
        write(tmp_path / "bills" / "amortized" / f"2026-09-0{day}.csv", [*rows, idle])
    loaded = load("azure_export", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, len(left_out(loaded))) == ({"USD": Decimal(30)}, 2)
    assert facts(loaded)["EffectiveCost"].sum() == Decimal(31)
    assert {"exports_disagree", "repeated_bill"}.isdisjoint(loaded.issues["rule"])


def test_oracle_and_a_day_that_a_later_name_does_not_reach(tmp_path: Path) -> None:
    """32 USD an hour: 1 hour, then 2 hours; a file of the day after that has the first hour alone is no later state."""
    hours = [
        oci(
            lineItem__intervalUsageStart=f"2026-09-01T0{h}:00Z",
            lineItem__intervalUsageEnd=f"2026-09-01T0{h + 1}:00Z",
        )
        for h in (0, 1)
    ]
    write(tmp_path / "bills" / "20260901.csv.gz", hours[:1])
    write(tmp_path / "bills" / "20260902.csv.gz", hours)
    loaded = load("oci_cost_report", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, len(left_out(loaded))) == ({"USD": Decimal(64)}, 1)
    write(
        tmp_path / "bills" / "20260903.csv.gz", [hours[0], oci(cost__myCost="1", product__service="STORAGE")]
    )
    loaded = load("oci_cost_report", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, len(left_out(loaded))) == ({"USD": Decimal(97)}, 1)
    assert repeats(loaded) == ["repeated_bill"]


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (("sub1.csv", "sub2.csv"), [until(3), until(5)]),  # names of different things
        (("costs-2026-09-05.csv", "costs-2026-09-03.csv"), [until(3), until(5)]),  # the other way round
        (("2026-09-03.csv", "2026-09-05.csv"), [[*until(3), focus(ServiceName="gone")], until(5)]),
        (("2026-09-03.csv", "2026-09-05.csv"), [[*until(3), focus(BilledCost="0", EffectiveCost="0", ServiceName="free, and gone")], until(5)]),
        (("2026-09-08.csv", "2026-09-15.csv"), [[focus(BilledCost=cost, ChargePeriodEnd=f"2026-09-{day}T00:00:00Z")] for cost, day in (("100", "08"), ("60", "15"))]),  # a week's each
        (("2026-09-03.csv", "2026-09-05.csv"), [until(3), [*until(2), *until(5)[3:], until(3)[2] | {"BilledCost": "x"}]]),  # the third is not read
        ((f"{GUIDS[0]}.csv", f"{GUIDS[1]}.csv"), [until(3, SubAccountId=""), until(5, SubAccountId="")]),  # of two accounts?
        (("201912315555.csv", "201912315556.csv"), [until(3, SubAccountId=""), until(5, SubAccountId="")]),  # accounts, not 31.12.2019 at 55:55
    ],
)  # fmt: skip
def test_what_is_not_proven_is_not_left_out(
    names: tuple[str, str], rows: list[list[dict[str, str]]], tmp_path: Path
) -> None:
    for name, of in zip(names, rows, strict=True):
        write(tmp_path / "bills" / name, of)
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert left_out(loaded) == []
    assert repeats(loaded) == ["repeated_bill"]


def test_what_comes_late_or_is_corrected_is_no_later_state(tmp_path: Path) -> None:
    """A file of a day that corrects each charge of the day before: 1 + 2 - 0.1 - 0.2 + 3."""
    bills = tmp_path / "bills"
    write(bills / "2026-09-02.csv", until(2))
    corrections = [
        r | {"BilledCost": c, "EffectiveCost": c} for r, c in zip(until(2), ("-0.1", "-0.2"), strict=True)
    ]
    write(bills / "2026-09-03.csv", [*corrections, until(3)[2]])
    loaded = load("focus", bills, tmp_path)[SEPTEMBER]
    assert (loaded.totals, left_out(loaded), repeats(loaded)) == ({"USD": Decimal("5.7")}, [], [])


def test_a_month_that_is_exported_again_unchanged(tmp_path: Path) -> None:
    """The same bytes under another day: 1 + 2 + 3 = 6 once. A month whose charges are all of one moment is not known to be one."""
    for rows, total in ((until(3), 6), (until(1), 2)):
        for day in (3, 4):
            write(tmp_path / "bills" / f"2026-10-0{day}.csv", rows)
        loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
        assert loaded.totals == {"USD": Decimal(total)}
        assert repeats(loaded) == (["repeated_bill"] if total == 2 else [])


@pytest.mark.parametrize("amounts", [("1", "1"), ("1", "2")])
def test_a_fee_of_each_day_under_the_dates_of_the_month_is_no_later_state(
    amounts: tuple[str, str], tmp_path: Path
) -> None:
    """Daily files whose rows all have the month's start and end: two days are two charges."""
    for day, cost in enumerate(amounts, 3):
        row = focus(BilledCost=cost, EffectiveCost=cost, ChargePeriodEnd="2026-10-01T00:00:00Z")
        write(
            tmp_path / "bills" / f"2026-09-0{day}.csv",
            [row, row | {"ServiceName": "Disks", "Tags": str(day)}],
        )
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert left_out(loaded) == []
    assert loaded.totals == {"USD": Decimal(2 * sum(map(int, amounts)))}


def test_charges_without_a_resource_are_told_apart_by_their_tags(tmp_path: Path) -> None:
    """Exports of two teams with machines of one kind, 1 + ... + 5 USD each, and one tax of 3 in both: nothing of it is left out."""
    for guid, team in zip(GUIDS, ("vision", "speech"), strict=True):
        tax = focus(BilledCost="3", EffectiveCost="3", ChargeCategory="Tax", ServiceName="Tax", Tags="")
        write(tmp_path / "bills" / f"{guid}.csv", [*until(5, Tags=f'{{"team": "{team}"}}'), tax])
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert (loaded.totals, left_out(loaded)) == ({"USD": Decimal(36)}, [])
    assert repeats(loaded) == ["repeated_rows"]


def test_tags_may_be_written_anew_where_names_say_which_is_later(tmp_path: Path) -> None:
    """1 + 2 + 3, and with a tag that was switched on since 1 + ... + 5 = 15."""
    write(tmp_path / "bills" / "2026-09-03.csv", until(3, Tags=""))
    write(tmp_path / "bills" / "2026-09-05.csv", until(5))
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(15)}
    assert left_out(loaded) == [("2026-09-03.csv", 3, Decimal(6))]


def test_rows_of_an_earlier_state_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    """1 + 2 + 3 are in the later file; of the rest 77 can be read as what was billed, `ten` cannot."""
    bad = [focus(BilledCost="ten"), focus(BilledCost="77", EffectiveCost="x")]
    write(tmp_path / "bills" / "2026-09-03.csv", [*until(3), *bad])
    write(tmp_path / "bills" / "2026-09-05.csv", until(5))
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(15)}
    assert left_out(loaded) == [("2026-09-03.csv", 3, Decimal(6)), ("2026-09-03.csv", 2, Decimal(77))]
    assert [("cannot be read" in v) for v in loaded.issues["value"]] == [False, True]


@pytest.mark.parametrize(
    ("names", "rows", "total", "counts"),
    [
        (("bill (1).csv", "bill (2).csv"), (until(4), until(5)), "15", "bill (2).csv"),
        (("bill (2).csv", "bill (1).csv"), (until(4), until(5)), "15", "bill (1).csv"),  # it reaches further
        (("bill.csv", "bill (2).csv"), (until(5)[1:], until(5)), "15", "bill (2).csv"),
        (("bill (1).csv", "bill (2).csv"), (until(5), until(5)), "15", "bill (2).csv"),
        (("bill (1).csv", "bill (2).csv"), (until(5), until(5)[1:]), "29", None),
        (("bill.csv", "bill (1).csv"), (until(5), until(5)[1:]), "29", None),
        (("bill (2).csv", "bill (10).csv"), (until(5), until(5)[1:]), "29", None),
    ],
)
def test_downloads_of_a_browser(
    names: tuple[str, str],
    rows: tuple[list[dict[str, str]], ...],
    total: str,
    counts: str | None,
    tmp_path: Path,
) -> None:
    """Without a day in the name: a later download with fewer charges is no earlier state, and nobody chooses silently."""
    for name, of in zip(names, rows, strict=True):
        write(tmp_path / "bills" / name, of)
    loaded = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(total)}
    if counts:
        assert f"{counts} counts" in loaded.note or rows[0] == rows[1]
        return
    assert left_out(loaded) == []
    assert {*repeats(loaded)} == {"repeated_bill"}
    assert any("which is the newest is not known: keep the newest" in v for v in loaded.issues["value"])
    with pytest.raises(SourceError, match="which is the newest is not known; put the day"):
        load("focus", tmp_path / "bills", tmp_path, month_so_far=True)
