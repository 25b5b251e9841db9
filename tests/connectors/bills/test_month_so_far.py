"""The option `month_so_far`: the newest of several files counts alone, or the month is refused."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.azure.rows import row as azure
from tests.connectors.bills.helpers import focus, load, write
from tests.connectors.bills.so_far import GUIDS, MONTH, SEPTEMBER, left_out, until

pytestmark = pytest.mark.long

TWINS = [until(1)[0]] * 2
TOLD = [
    # 3 days of 6 USD, then 0.5 each, with 4 and 5: 1.5 + 9
    (
        ("2026-09-03.csv", "2026-09-05.csv"),
        (until(3), [*(r | {"BilledCost": "0.5"} for r in until(3)), *until(5)[3:]]),
        "10.5",
        3,
    ),
    # a charge twice, then once and another day
    (("2026-09-01.csv", "2026-09-02.csv"), (TWINS, until(2)), "3", 2),
    # a charge that was taken back; without days in the names the file that reaches further is the later
    ((f"{GUIDS[0]}.csv", f"{GUIDS[1]}.csv"), ([*until(3), focus(ServiceName="gone")], until(4)), "10", 4),
]


@pytest.mark.parametrize(("names", "files", "total", "rows"), TOLD)
def test_the_option_says_that_the_newest_file_counts(
    names: tuple[str, str],
    files: tuple[list[dict[str, str]], list[dict[str, str]]],
    total: str,
    rows: int,
    tmp_path: Path,
) -> None:
    for name, of in zip(names, files, strict=True):
        write(tmp_path / "bills" / name, of)
    alone = load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert left_out(alone) == []
    told = load("focus", tmp_path / "bills", tmp_path, month_so_far=True)[SEPTEMBER]
    assert told.totals == {"USD": Decimal(total)}
    assert [(name, n) for name, n, _ in left_out(told)] == [(names[0], rows)]
    assert told.slice.fingerprint != alone.slice.fingerprint


def test_the_option_does_not_say_which_of_two_files_is_the_newest(tmp_path: Path) -> None:
    """Neither names nor rows do, where a charge of as many was taken back and another came: Azure's are refused."""
    for guid, meter in zip(GUIDS, ("disk", "tape"), strict=True):
        rows = [azure(), azure(Date="09/05/2026", MeterName=meter)]
        write(tmp_path / "bills" / MONTH / f"daily_{guid}.csv", rows)
    with pytest.raises(SourceError, match="which is the later is not known"):
        load("azure_export", tmp_path / "bills", tmp_path, month_so_far=True)


def test_files_of_which_none_is_the_newest_do_not_both_count(tmp_path: Path) -> None:
    """Each cost is another in the second file, and a service of 4 USD is in the first, one of 5 in the second alone."""
    for guid, service, cost in zip(GUIDS, ("disk", "tape"), ("4", "5"), strict=True):
        rows = [focus(BilledCost=cost), focus(BilledCost=cost, ServiceName=service)]
        write(tmp_path / "bills" / f"{guid}.csv", rows)
    assert load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(18)}
    with pytest.raises(
        SourceError, match=r"which is the later is not known: .*put the day of each into its name"
    ):
        load("focus", tmp_path / "bills", tmp_path, month_so_far=True)


def test_what_came_late_beside_the_next_month_does_not_count_alone(tmp_path: Path) -> None:
    """3 days are 6 USD; the file of October has a charge of 7 of the third, too."""
    write(tmp_path / "bills" / "2026-09-30.csv", until(3))
    late = until(3)[2] | {"ServiceName": "late", "BilledCost": "7"}
    write(tmp_path / "bills" / "2026-10-02.csv", [late])
    with pytest.raises(SourceError, match=r"2026-10-02.csv .* lacks most of its charges"):
        load("focus", tmp_path / "bills", tmp_path, month_so_far=True)
    assert load("focus", tmp_path / "bills", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(13)}


def test_files_of_single_days_are_not_what_the_option_says(tmp_path: Path) -> None:
    for day in (1, 2):
        write(tmp_path / "bills" / f"2026-09-0{day}.csv", [until(2)[day - 1]])
    with pytest.raises(SourceError, match=r"2026-09-02.csv begins on a later day than .*2026-09-01.csv"):
        load("focus", tmp_path / "bills", tmp_path, month_so_far=True)
