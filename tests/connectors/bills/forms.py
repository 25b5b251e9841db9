"""A small bill of two months, and how it is written and packed in other forms."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Sequence

from tests.connectors.bills.helpers import focus

NEXT = {
    "BillingPeriodStart": "2026-10-01T00:00:00Z",
    "BillingPeriodEnd": "2026-11-01T00:00:00Z",
    "ChargePeriodStart": "2026-10-01T00:00:00Z",
    "ChargePeriodEnd": "2026-10-02T00:00:00Z",
}
ROWS = [
    focus(BilledCost="0.100000000004", ChargeDescription='a;b,c\t"d"|é\u2028€'),
    focus(BilledCost="-2.5", Tags='{"team": "a;b,c"}'),
    focus(BilledCost="7", **NEXT),
]
"""0.100000000004 - 2.5 = -2.399999999996 in September, 7 in October."""


def separated(sign: str, rows: Sequence[dict[str, str]] = ROWS, blanks: str = "") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign, lineterminator="\r\n")
    writer.writerow([f"{blanks}{name}{blanks}" for name in rows[0]])
    writer.writerows(row.values() for row in rows)
    return out.getvalue().encode()


def archive(*files: tuple[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files:
            packed.writestr(name, content)
    return out.getvalue()


def json_rows(natives: Sequence[dict[str, str]] = ROWS) -> list[dict[str, object]]:
    """As a program writes them: numbers as numbers, no key for null, tags as an object."""
    rows: list[dict[str, object]] = []
    for native in natives:
        row: dict[str, object] = {k: v for k, v in native.items() if v}
        rows.append(row | {"Tags": json.loads(native["Tags"]), "ListCost": 2})
    return rows


def utf_16(content: bytes, code: str = "utf-16") -> bytes:
    return content.decode().encode(code)


TITLE = b'Report "generated on 2026-10-01, 09:00\r\nAccount;0086\r\n\r\nBillingPeriodStart,2026-09-01\r\n'
"""Lines of a portal: a quote that is not closed, a blank line, a name of a column."""
