"""Lines after the rows of a bill: named, and never counted; a row that was cut off is no such line."""

from __future__ import annotations

import gzip
import random
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.base import SourceError
from connectors.bills import footer, texts, unpack
from tests.connectors.azure.rows import row as azure_row
from tests.connectors.bills.forms import TITLE, archive, separated, utf_16
from tests.connectors.bills.helpers import CUR_ROW, csv_bytes, cur, deliver, facts, focus, load
from tests.connectors.oci.rows import row as oci_row

pytestmark = pytest.mark.long

ROWS = [focus(BilledCost="1.5"), focus(BilledCost="2.25", ChargeDescription="x\nTotal,9\ny")]
"""1.5 + 2.25 = 3.75; one has a line within it that looks like a footer."""
FIELDS = len(ROWS[0])

# separator, what stands after the rows, and the lines of it that say something
FOOTERS = [
    (",", b"Total,,,,1234.56\r\n", ["Total,,,,1234.56"]),
    (",", b'"Grand Total (USD)",' + b"," * (FIELDS - 3) + b'"$1,234.56"\r\n', None),
    (",", b"\r\nSubtotal,3.75,USD\r\nTotal Cost:,3.75\r\n\r\n", ["Subtotal,3.75,USD", "Total Cost:,3.75"]),
    (";", b"Total;4", ["Total;4"]),
    (";", b"Summe;;;12,5\r\n", ["Summe;;;12,5"]),
    ("\t", b"\r\n(2 rows affected)\r\n\x1a", ["(2 rows affected)"]),
    (",", b"," * (FIELDS - 1) + b"\r\n" + b"," * (FIELDS - 1) + b"\r\n", []),
    (",", b"\x1a", []),
    (",", b" \r\n\r\n", []),
]


def test_lines_after_the_rows_are_named_and_not_counted(tmp_path: Path) -> None:
    """Each in a file of its own of one bill: 3.75 of each."""
    (tmp_path / "bills").mkdir()
    for number, (sign, after, _) in enumerate(FOOTERS):
        (tmp_path / "bills" / f"{number:02}.csv").write_bytes(separated(sign, ROWS) + after)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    n = len(FOOTERS)
    assert (loaded.rows_read, loaded.rows_loaded, loaded.totals) == (
        2 * n,
        2 * n,
        {"USD": n * Decimal("3.75")},
    )
    assert sorted(facts(loaded)["ChargeDescription"]) == ["GPU hours"] * n + ["x\nTotal,9\ny"] * n
    found = {i["location"]: i for i in loaded.issues.filter(rule="footer").iter_rows(named=True)}
    assert {*loaded.issues["rule"]} == {"footer", "total_contradicts", "repeated_bill"}
    for number, (_, _, said) in enumerate(FOOTERS):
        issue = found.pop(str(tmp_path / "bills" / f"{number:02}.csv"), None)
        if issue is None:
            assert said == []
            continue
        assert (issue["action"], issue["billed_cost"]) == ("flagged", None)
        if said is not None:
            assert (issue["value"], issue["rows"]) == ("; ".join(said), len(said))
    assert found == {}


TOTALLED = [
    focus(BilledCost="1.5", BillingCurrency="EUR"),
    focus(BilledCost="2.254"),
    focus(BilledCost="3", BillingCurrency="usd", ListCost="4.5", EffectiveCost="0"),
]
"""1.5 EUR and 5.254 USD, 6.754 together; list 8.5, in effect 2.5; BilledCost is the second column, ListCost the twentieth."""
AT = [*TOTALLED[0]].index("ListCost")

# what stands after the rows, and the lines of it that contradict them
TOTALS: list[tuple[str, list[str]]] = [
    ("Total USD,5.25\r\nTotal EUR,1.50\r\n", []),
    ("Total USD,5.25\r\nTotal EUR,1.60\r\n", ["Total EUR,1.60"]),
    ("Total,5.254,USD\r\n", []),
    ("Total,5.27,USD\r\n", ["Total,5.27,USD"]),
    ("Total,6.754\r\n", []),
    ("Total,6.75\r\n", []),  # cut at its last digit
    ("Total,7\r\n", []),
    ("Total,5\r\n", []),  # US dollars, without decimals
    ("Total,9\r\n", ["Total,9"]),
    ("Total,3\r\n", []),  # rows
    ("Total,3,9.99\r\n", []),
    ("Subtotal,2.25\r\nTotal,6.75\r\n", []),
    ("Subtotal,9.99\r\n", []),
    ("Total,3.75\r\nTotal,3.004\r\n", []),  # of two parts
    ("Total,3.75\r\nTotal,3.04\r\n", ["Total,3.75", "Total,3.04"]),
    ("Grand total:,6.754\r\nTotal usage,1\r\n", []),
    ("Total" + "," * AT + "8.5\r\n", []),
    ("Total" + "," * AT + "6.754\r\n", ["Total" + "," * AT + "6.754"]),  # of another column
    ("Total" + "," * AT + '"8,500.00"\r\n', ["Total" + "," * AT + '"8,500.00"']),
    ("Total,,,5.25\r\n", []),  # below a column of names
    ("(3 rows affected)\r\n", []),
]


def test_a_total_that_contradicts_the_rows_is_named(tmp_path: Path) -> None:
    """Each in a file of its own of one bill."""
    (tmp_path / "bills").mkdir()
    for number, (after, _) in enumerate(TOTALS):
        (tmp_path / "bills" / f"{number:02}.csv").write_bytes(separated(",", TOTALLED) + after.encode())
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    found = loaded.issues.filter(rule="total_contradicts")
    assert {*found.select("location", "value", "rows").rows()} == {
        (
            str(tmp_path / "bills" / f"{n:02}.csv"),
            f"{'; '.join(wrong)}: the rows are EUR 1.5, USD 5.254",
            len(wrong),
        )
        for n, (_, wrong) in enumerate(TOTALS)
        if wrong
    }
    assert found.height == sum(bool(wrong) for _, wrong in TOTALS)


def test_totals_with_a_decimal_comma_and_of_a_bill_of_two_months(tmp_path: Path) -> None:
    """1.234,50 + 2,25 = 1.236,75 in two months; 1.236 alone is neither, and is named once, in the first month."""
    period = {"BillingPeriodStart": "2026-10-01T00:00:00Z", "BillingPeriodEnd": "2026-11-01T00:00:00Z"}
    rows = [focus(BilledCost="1.234,50"), focus(BilledCost="2,25", **period)]
    rows = [r | dict.fromkeys(("EffectiveCost", "ListCost", "ContractedCost"), "0,5") for r in rows]
    (tmp_path / "bills").mkdir()
    path = tmp_path / "bills" / "a.csv"
    for total, wrong in (("1.236,75", []), ("1.234,50", ["2026-09-01"])):
        path.write_bytes(separated(";", rows) + f"Summe;{total}\r\n".encode())
        loaded = load("focus", tmp_path / "bills", tmp_path)
        found = [str(m) for m, of in loaded.items() if of.issues.filter(rule="total_contradicts").height]
        assert (len(loaded), found) == (2, wrong)


SEMICOLONS = separated(";", ROWS) + b"Total;3.75\r\n"
PACKED = {
    "gzip": ("a.csv.gz", gzip.compress(SEMICOLONS)),
    "utf-16": ("a.csv", utf_16(SEMICOLONS)),
    "title": ("a.csv", TITLE + SEMICOLONS),
    "archive": ("a.zip", archive(("a.csv", SEMICOLONS))),
    "archive of parts": (
        "a.zip",
        archive(*((f"{n}.csv", separated(";", [ROWS[n]]) + b"Total;9\r\n") for n in range(2))),
    ),
}


@pytest.mark.parametrize("form", PACKED)
def test_in_every_packing(form: str, tmp_path: Path) -> None:
    name, content = PACKED[form]
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / name).write_bytes(content)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, loaded.totals) == (2, {"USD": Decimal("3.75")})
    assert loaded.issues.filter(rule="total_contradicts").height == (form == "archive of parts")
    said = "Total;9; Total;9" if form == "archive of parts" else "Total;3.75"
    assert loaded.issues.filter(rule="footer")["value"].to_list() == [said]


@pytest.mark.parametrize(
    ("kind", "native"),
    [
        ("aws_cur", CUR_ROW),
        ("azure_export", azure_row(Cost="10")),
        ("oci_cost_report", oci_row(cost__myCost="10")),
    ],
)
def test_of_other_kinds(kind: str, native: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(csv_bytes([native]) + b"Total,10\n")
    (loaded,) = load(kind, tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, [*loaded.totals.values()]) == (1, [Decimal(10)])
    assert loaded.issues.filter(rule="footer")["value"].to_list() == ["Total,10"]


LAST = separated(",", ROWS[:1]).splitlines()[1]
# a last row that was cut off, or a footer that says more than a footer does
CUT = {
    "in a date": LAST[: LAST.index(b"09-01") + 3],
    "after an amount": b",1.5",
    "an account that is called a total": b",1.5,0012,Total",
    "a word and no amount": b"Total",
    "a word and a name": b"Total,Acme Corp",
    "a word and a date": b"Total,2026-09-01T00:00:00Z",
    "within quotes": LAST[: LAST.index(b"GPU")] + b'"GPU\r\nTotal,4\r\n',
}


@pytest.mark.parametrize("case", CUT)
def test_a_row_that_was_cut_off_is_no_footer(case: str, tmp_path: Path) -> None:
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(separated(",", ROWS[:1]) + CUT[case])
    with pytest.raises(SourceError, match=r"a\.csv"):
        load("focus", tmp_path / "bills", tmp_path)


def test_a_row_cut_off_after_a_name_that_is_a_word_of_total(tmp_path: Path) -> None:
    """An account called Total, in the first column: what comes last is its row."""
    row = {"BillingAccountName": "Total", **{k: v for k, v in focus().items() if k != "BillingAccountName"}}
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv").write_bytes(separated(",", [row]) + b"Total,,1.5")
    with pytest.raises(SourceError, match=r"a\.csv"):
        load("focus", tmp_path / "bills", tmp_path)


def test_a_file_longer_than_what_is_looked_at(tmp_path: Path) -> None:
    """0.25 x 1,000 = 250; a footer within the rows stops the file."""
    whole = separated(",", [focus(BilledCost="0.25", ChargeDescription="x" * 200)] * 1000)
    (tmp_path / "bills").mkdir()
    path = tmp_path / "bills" / "a.csv"
    path.write_bytes(whole + b"Total,250\r\n")
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, loaded.totals) == (1000, {"USD": Decimal(250)})
    path.write_bytes(whole + b"Total,250\r\n" + whole.splitlines(keepends=True)[1])
    with pytest.raises(SourceError, match=r"a\.csv"):
        load("focus", tmp_path / "bills", tmp_path)


def test_a_gzip_of_more_than_a_megabyte(tmp_path: Path) -> None:
    """0.25 x 1,000 = 250; what cannot be packed well is larger than what is read at once, unpacked twice as large."""
    noise = random.Random(0)
    rows = [focus(BilledCost="0.25", ChargeDescription=noise.randbytes(1200).hex()) for _ in range(1000)]
    (tmp_path / "bills").mkdir()
    packed = gzip.compress(separated(",", rows) + b"Total,250\r\n", 1)
    assert len(packed) > 1 << 20
    (tmp_path / "bills" / "a.csv.gz").write_bytes(packed)
    (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
    assert (loaded.rows_read, loaded.totals) == (1000, {"USD": Decimal(250)})
    assert loaded.issues["rule"].to_list() == ["footer"]


def test_a_gzip_too_large_to_be_looked_at_is_where_a_row_names_no_month(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.25 x 1,000 = 250, also in a run that has the months of the file from an earlier one; without totals nothing is copied."""
    monkeypatch.setattr(texts, "MOST_PACKED", 100)
    monkeypatch.setattr(unpack, "MOST_PACKED", 100)
    monkeypatch.setattr(texts, "MOST_UNPACKED", 100)
    rows = separated(",", [focus(BilledCost="0.25")] * 1000)
    path = tmp_path / "bills" / "a.csv.gz"
    path.parent.mkdir()
    for said in (b"", b"Total,250\r\n", b"\r\n(1000 rows affected)\r\n"):
        path.write_bytes(gzip.compress(rows + said))
        for _ in range(2):
            (loaded,) = load("focus", tmp_path / "bills", tmp_path).values()
            assert (loaded.rows_read, loaded.totals) == (1000, {"USD": Decimal(250)})
            assert loaded.issues.filter(rule="footer")["value"].to_list() == [
                t for t in [said.decode().strip()] if t
            ]
    path.write_bytes(gzip.compress(rows + b"Total,250\r\n" + rows.splitlines(keepends=True)[1]))
    with pytest.raises(SourceError, match=r"a\.csv\.gz"):
        load("focus", tmp_path / "bills", tmp_path)


@pytest.mark.parametrize("said", [b"", b"Total,50\n", b"ALIGNED", b"(50 rows affected)\n"])
def test_totals_below_a_large_gzip_that_a_manifest_names(
    said: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """50 lines of 1 USD; a total that stands below its column was rejected as a row of 50, and others refused."""
    monkeypatch.setattr(texts, "MOST_PACKED", 100)
    monkeypatch.setattr(unpack, "MOST_PACKED", 100)
    rows = [cur(lineItem__UnblendedCost="1", identity__LineItemId=str(n)) for n in range(50)]
    deliver(tmp_path / "b", "a1", {"x.csv.gz": rows})
    (path,) = (tmp_path / "b").rglob("x.csv.gz")
    names = list(rows[0])
    aligned = ",".join({names[0]: "Total", "lineItem/UnblendedCost": "50"}.get(c, "") for c in names)
    below = said.replace(b"ALIGNED", aligned.encode())
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + below))
    for _ in range(2):
        (loaded,) = load("aws_cur", tmp_path / "b", tmp_path).values()
        assert (loaded.rows_read, loaded.totals) == (50, {"USD": Decimal(50)})
        assert facts(loaded)["BilledCost"].sum() == 50
        assert loaded.issues["rule"].to_list() == (["footer"] if said else [])
    path.write_bytes(gzip.compress(csv_bytes(rows) + b"Total,50\n" + csv_bytes(rows[:1]).splitlines()[1]))
    with pytest.raises(SourceError, match=r"x\.csv\.gz"):
        load("aws_cur", tmp_path / "b", tmp_path)


def test_a_gzip_that_holds_much_and_a_field_that_is_long_are_not_looked_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [footer.lines_after([f"Total;{'9' * n}"], ";") for n in (9, 200)] == [1, 0]
    monkeypatch.setattr(texts, "MOST_UNPACKED", 100)
    (tmp_path / "bills").mkdir()
    (tmp_path / "bills" / "a.csv.gz").write_bytes(gzip.compress(SEMICOLONS))
    with pytest.raises(SourceError, match=r"a\.csv\.gz"):
        load("focus", tmp_path / "bills", tmp_path)
