"""Deliveries of small bills in every format, laid out as their providers do, whole or half-written.

One charge a cost, on different days; the cost `BAD` stands for an amount that cannot be read.
"""

from __future__ import annotations

import gzip
import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from tests.connectors.aws import exports as cur2
from tests.connectors.azure import rows as azure
from tests.connectors.bills.helpers import csv_bytes, cur, focus
from tests.connectors.gcp import rows as gcp
from tests.connectors.llm import anthropic_pages as claude
from tests.connectors.llm import helpers as llm
from tests.connectors.oci.test_reader import row as oci_row

BAD = "ten"

Row = dict[str, Any]
Deliver = Callable[[Path, str, Sequence[str], int], None]
"""Delivers a month (YYYY-MM) of these costs into a folder; the number says which delivery it is, from 1."""


@dataclass(frozen=True)
class Format:
    """One way in which a kind of bill is delivered.

    Attributes:
        kind: Kind of source.
        deliver: A whole delivery, over what the last one left there.
        half: What there is while a delivery is being written.
        empty: A delivery without rows says that the month is empty.
        options: Of the source.
    """

    kind: str
    deliver: Deliver
    half: Callable[[Path, str, int], None]
    empty: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


def span(month: str) -> tuple[str, str]:
    """The period folder's days of September or October 2026, as YYYYMMDD."""
    digits = month.replace("-", "")
    return f"{digits}01", f"{digits}{'30' if month.endswith('09') else '31'}"


def put(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def packed(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


def split(rows: Sequence[Row], turn: int) -> list[Sequence[Row]]:
    """One file, or two: a delivery is not always cut alike."""
    return [rows[:1], rows[1:]] if turn % 2 and len(rows) > 1 else [rows]


def plain(
    rows: Callable[[str, Sequence[str]], list[Row]], encode: Callable[[Sequence[Row]], bytes], suffix: str
) -> tuple[Deliver, Callable[[Path, str, int], None]]:
    """Files without manifest: a delivery replaces those of the month."""

    def deliver(root: Path, month: str, costs: Sequence[str], turn: int) -> None:
        shutil.rmtree(root / month, ignore_errors=True)
        for n, part in enumerate(split(rows(month, costs), turn)):
            put(root / month / f"part-{n}{suffix}", packed(encode(part)))

    def half(root: Path, month: str, turn: int) -> None:
        whole = packed(encode(rows(month, [str(n / 7) for n in range(400)])))
        put(root / month / f"part-0{suffix}", whole[: len(whole) // 2])

    return deliver, half


def day(month: str, n: int) -> str:
    return f"{month}-{n % 28 + 1:02}"


def focus_rows(month: str, costs: Sequence[str]) -> list[Row]:
    end = "2026-10-01" if month.endswith("09") else "2026-11-01"
    period = {"BillingPeriodStart": f"{month}-01T00:00:00Z", "BillingPeriodEnd": f"{end}T00:00:00Z"}
    return [
        focus(**period, BilledCost=c, ResourceId=f"r-{n}", ChargePeriodStart=f"{day(month, n)}T00:00:00Z",
              ChargePeriodEnd=f"{day(month, n)}T12:00:00Z")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def gcp_rows(month: str, costs: Sequence[str]) -> list[Row]:
    return [
        gcp.row(cost=c, invoice__month=month.replace("-", ""), usage_start_time=f"{day(month, n)} 00:00:00 UTC",
                usage_end_time=f"{day(month, n)} 01:00:00 UTC")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def oci_rows(month: str, costs: Sequence[str]) -> list[Row]:
    return [
        oci_row(cost__myCost=c, lineItem__referenceNo=f"{month}-{n}", lineItem__intervalUsageStart=f"{day(month, n)}T00:00Z",
                lineItem__intervalUsageEnd=f"{day(month, n)}T01:00Z")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def azure_rows(month: str, costs: Sequence[str]) -> list[Row]:
    (_, last), (year, number) = span(month), month.split("-")
    return [
        azure.row(Cost=c, Date=f"{number}/{n % 28 + 1:02}/{year}", BillingPeriodStartDate=f"{number}/01/{year}",
                  BillingPeriodEndDate=f"{number}/{last[-2:]}/{year}", MeterName=f"m-{n}")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def cur_rows(month: str, costs: Sequence[str]) -> list[Row]:
    end = "2026-10-01" if month.endswith("09") else "2026-11-01"
    return [
        cur(lineItem__UnblendedCost=c, bill__BillingPeriodStartDate=f"{month}-01T00:00:00Z", bill__BillingPeriodEndDate=f"{end}T00:00:00Z",
            lineItem__UsageStartDate=f"{day(month, n)}T00:00:00Z", lineItem__UsageEndDate=f"{day(month, n)}T01:00:00Z")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def lines(rows: Sequence[Row]) -> bytes:
    return "".join(json.dumps(r) + "\n" for r in rows).encode()


def legacy(*, versioned: bool) -> tuple[Deliver, Callable[[Path, str, int], None]]:
    """A legacy report: each delivery in a folder of its own (assembly), or over the last one."""

    def names(month: str, count: int, turn: int) -> tuple[str, list[str]]:
        first, _ = span(month)
        after = "20261001" if month.endswith("09") else "20261101"
        folder = f"cur/gpu/{first}-{after}"
        inside = f"{folder}/a{turn}" if versioned else folder
        return folder, [f"{inside}/gpu-{n:05}.csv.gz" for n in range(1, count + 1)]

    def manifest(root: Path, month: str, keys: Sequence[str], folder: str, turn: int) -> None:
        content = {
            "assemblyId": f"a{turn}", "account": "000111122223", "reportName": "gpu", "reportKeys": keys,
            "billingPeriod": {"start": f"{span(month)[0]}T000000.000Z"},
        }  # fmt: skip
        for place in (folder, f"{folder}/a{turn}")[: 2 if versioned else 1]:
            put(root / place / "gpu-Manifest.json", json.dumps(content).encode())

    def deliver(root: Path, month: str, costs: Sequence[str], turn: int) -> None:
        parts = split(cur_rows(month, costs), turn)
        folder, keys = names(month, len(parts), turn)
        for key, part in zip(keys, parts, strict=True):
            put(root / key, packed(csv_bytes(part, header=list(cur()))))
        manifest(root, month, keys, folder, turn)

    def half(root: Path, month: str, turn: int) -> None:
        folder, keys = names(month, 3, turn)
        put(root / keys[0], packed(csv_bytes(cur_rows(month, ["55"]))))
        manifest(root, month, keys, folder, turn)

    return deliver, half


def data_export(*, versioned: bool) -> tuple[Deliver, Callable[[Path, str, int], None]]:
    """CUR 2.0 through Data Exports, Parquet: each delivery in a folder of its own, or over the last one."""

    def rows(month: str, costs: Sequence[str]) -> list[Row]:
        at = datetime.fromisoformat(f"{month}-01")
        end = datetime.fromisoformat("2026-10-01" if month.endswith("09") else "2026-11-01")
        return [
            cur2.row(line_item_unblended_cost=float("nan") if c == BAD else float(c), line_item_usage_amount=float(n),
                     bill_billing_period_start_date=at, bill_billing_period_end_date=end,
                     line_item_usage_start_date=at, line_item_usage_end_date=at.replace(hour=1))
            for n, c in enumerate(costs)
        ]  # fmt: skip

    def deliver(root: Path, month: str, costs: Sequence[str], turn: int) -> None:
        parts = split(rows(month, costs), turn)
        files = {f"gpu-{n:05}.snappy.parquet": part for n, part in enumerate(parts)}
        cur2.export(root, files, month=month, execution=f"2026110{turn}T000000Z-e" if versioned else "")

    def half(root: Path, month: str, turn: int) -> None:
        deliver(root, month, ["55", "66"], turn)
        newest = f"**/BILLING_PERIOD={month}/2026110{turn}*" if versioned else f"**/BILLING_PERIOD={month}"
        for folder in root.glob(newest):
            for file in sorted(folder.glob("*.parquet"))[:1]:
                file.unlink()

    return deliver, half


def focus_export(root: Path, month: str, costs: Sequence[str], turn: int) -> None:
    """FOCUS through Data Exports, Parquet, over the last delivery."""
    parts = split(focus_rows(month, costs), turn)
    data, meta = (f"focus/gpu/{kind}/BILLING_PERIOD={month}" for kind in ("data", "metadata"))
    for n, part in enumerate(parts):
        put(root / data / f"gpu-{n}.snappy.parquet", b"")
        frame = pl.DataFrame(part, schema=dict.fromkeys([*focus(), "ResourceId"], pl.String))
        frame.write_parquet(root / data / f"gpu-{n}.snappy.parquet")
    names = [f"s3://acme/{data}/gpu-{n}.snappy.parquet" for n in range(len(parts))]
    content = {"columns": [{"name": c} for c in focus()], "dataFiles": names}
    put(root / meta / "gpu-Manifest.json", json.dumps(content).encode())


def half_focus_export(root: Path, month: str, turn: int) -> None:
    focus_export(root, month, ["55"], turn)
    file = root / f"focus/gpu/data/BILLING_PERIOD={month}/gpu-0.snappy.parquet"
    file.write_bytes(file.read_bytes()[:-200])


def azure_run(root: Path, month: str, costs: Sequence[str], turn: int) -> None:
    """A partitioned export: each run in a folder of its own, with a manifest."""
    parts = split(azure_rows(month, costs), turn)
    folder = f"exports/daily/{'-'.join(span(month))}/2026110{turn}0100/run"
    azure.run_export(
        root, folder, {f"part_{n}.csv": part for n, part in enumerate(parts)}, dataset="ActualCost"
    )
    for n, part in enumerate(parts):
        if not part:
            put(root / folder / f"part_{n}.csv", csv_bytes([], header=list(azure.row())))


def half_azure_run(root: Path, month: str, turn: int) -> None:
    azure_run(root, month, ["55", "66"], turn)
    (root / f"exports/daily/{'-'.join(span(month))}/2026110{turn}0100/run/part_0.csv").unlink()


def requests(month: str, costs: Sequence[str]) -> list[Row]:
    return [
        llm.request(n, request_id=f"{month}-{n}", spend=c, startTime=f"{month}-01 {n % 24:02}:00:00.000", endTime=f"{month}-01 {n % 24:02}:00:01.000")
        for n, c in enumerate(costs)
    ]  # fmt: skip


def buckets(month: str, costs: Sequence[str]) -> list[Row]:
    start = int(datetime.fromisoformat(f"{month}-01").replace(tzinfo=UTC).timestamp())
    found = [llm.cost(c, f"gpt-4o, meter {n}") for n, c in enumerate(costs)]
    return [llm.bucket(start, start + 86400, *found)]


def cents(cost: str) -> str:
    """100 times an amount; what is none as it is."""
    return str(100 * Decimal(cost)) if re.fullmatch(r"-?[0-9.]+", cost) else cost


def claude_buckets(month: str, costs: Sequence[str]) -> list[Row]:
    start, end = (f"{month}-{day}T00:00:00Z" for day in ("01", "02"))
    found = [claude.cost(cents(c), f"kind_{n}_tokens") for n, c in enumerate(costs)]
    return [{"starting_at": start, "ending_at": end, "results": found}]


def page_bytes(rows: Sequence[Row]) -> bytes:
    return json.dumps(llm.page(*rows)).encode()


def _csv(rows: Sequence[Row]) -> bytes:
    return csv_bytes(rows)


FORMATS = {
    "aws_cur, assemblies": Format("aws_cur", *legacy(versioned=True), empty=True),
    "aws_cur, overwritten": Format("aws_cur", *legacy(versioned=False), empty=True),
    "aws_cur2, overwritten": Format("aws_cur2", *data_export(versioned=False)),
    "aws_cur2, executions": Format("aws_cur2", *data_export(versioned=True)),
    "focus, plain": Format("focus", *plain(focus_rows, _csv, ".csv.gz")),
    "focus, data export": Format("focus", focus_export, half_focus_export, empty=True),
    "gcp": Format("gcp_billing_export", *plain(gcp_rows, lines, ".jsonl.gz")),
    "azure, plain": Format("azure_export", *plain(azure_rows, _csv, ".csv.gz")),
    "azure, runs": Format("azure_export", azure_run, half_azure_run, empty=True),
    "oci": Format("oci_cost_report", *plain(oci_rows, _csv, ".csv.gz")),
    "litellm": Format("litellm", *plain(requests, lines, ".jsonl.gz"), options={"bill": True}),
    "openai": Format("openai", *plain(buckets, page_bytes, ".json.gz")),
    "anthropic": Format("anthropic", *plain(claude_buckets, page_bytes, ".json.gz")),
}
