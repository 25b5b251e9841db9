"""A legacy Cost and Usage Report bucket: manifests, cumulative deliveries, gzipped CSV parts.

Every month is delivered three times. Each delivery holds the month so far; the last one restates what the
earlier ones estimated (storage), and in a closed month adds tax, credit and the invoice number. Only the
delivery that the month's top manifest names is current. The line items themselves come from `bills_aws.py`.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import polars as pl

from examples import amounts, bills_aws
from examples.bills_aws import COVERED, NEGATION, PLAN_ARN, PLAN_FEE
from examples.company import PAYER
from examples.noise import SECONDS, noise
from examples.truth import Bill

BUCKET, PREFIX, REPORT = "lumen-orchard-billing", "cur", "ml-cost"
PART_ROWS = 10_000
CLOSED_AFTER = timedelta(days=3)
"""An invoice comes three days after the month."""

TAGS = ("team", "project", "environment", "workload", "workload-type")
LATER_TAG = "workload-type"
"""This tag was activated after the first month; its column is absent before."""


def _epoch(day: date) -> int:
    return int(datetime.combine(day, time(0), tzinfo=UTC).timestamp())


def _iso(column: str) -> pl.Expr:
    return pl.from_epoch(column, time_unit="s").dt.strftime("%Y-%m-%dT%H:%M:%SZ")


def _native(
    lines: pl.DataFrame, month: date, following: date, invoice: str, tags: tuple[str, ...]
) -> pl.DataFrame:
    """Line items in the columns of the report, all text."""
    fee = pl.col("line_type") == PLAN_FEE
    covered = pl.col("line_type").is_in([COVERED, NEGATION])
    used = pl.col("line_type").is_in(["Usage", COVERED])
    cost = amounts.text(pl.col("cost"))
    rate = amounts.text(pl.col("rate"), 7)
    key = pl.int_range(pl.len()) * SECONDS + pl.col("begin")
    identifier = [noise(key, f"aws/id/{n}", 0, 10**15).cast(pl.String).str.zfill(15) for n in range(2)]
    columns = {
        "identity/LineItemId": pl.concat_str(identifier),
        "identity/TimeInterval": pl.concat_str(_iso("begin"), pl.lit("/"), _iso("until")),
        "bill/InvoiceId": pl.lit(invoice),
        "bill/BillingEntity": pl.lit("AWS"),
        "bill/BillType": pl.lit("Anniversary"),
        "bill/PayerAccountId": pl.lit(PAYER),
        "bill/BillingPeriodStartDate": pl.lit(f"{month}T00:00:00Z"),
        "bill/BillingPeriodEndDate": pl.lit(f"{following}T00:00:00Z"),
        "lineItem/UsageAccountId": pl.col("account"),
        "lineItem/LineItemType": pl.col("line_type"),
        "lineItem/UsageStartDate": _iso("begin"),
        "lineItem/UsageEndDate": _iso("until"),
        "lineItem/ProductCode": pl.col("code"),
        "lineItem/UsageType": pl.col("usage_type"),
        "lineItem/Operation": pl.col("operation"),
        "lineItem/AvailabilityZone": pl.when(pl.col("family") == "Compute Instance").then(
            pl.col("region") + "a"
        ),
        "lineItem/ResourceId": pl.col("resource"),
        "lineItem/UsageAmount": amounts.text(pl.col("usage"), 3),
        "lineItem/NormalizationFactor": pl.lit(None, dtype=pl.String),
        "lineItem/CurrencyCode": pl.lit("USD"),
        "lineItem/UnblendedRate": pl.when(~fee).then(rate),
        "lineItem/UnblendedCost": cost,
        "lineItem/BlendedRate": pl.when(~fee).then(rate),
        "lineItem/BlendedCost": cost,
        "lineItem/LineItemDescription": pl.when(fee)
        .then(pl.lit("1 year No Upfront Compute Savings Plan"))
        .when(pl.col("line_type") == NEGATION)
        .then(pl.lit("SavingsPlanNegation used by AccountId"))
        .when(used)
        .then(pl.concat_str(pl.lit("$"), rate, pl.lit(" per "), "unit", pl.lit(" "), "usage_type"))
        .when(pl.col("line_type") == "Tax")
        .then(pl.lit("Tax for product code AmazonEC2"))
        .otherwise(pl.lit("Start-up programme credit")),
        "lineItem/TaxType": pl.when(pl.col("line_type") == "Tax").then(pl.lit("VAT")),
        "lineItem/LegalEntity": pl.lit("Amazon Web Services EMEA SARL"),
        "product/ProductName": pl.col("product"),
        "product/instanceType": pl.col("instance"),
        "product/productFamily": pl.col("family"),
        "product/region": pl.col("region"),
        "product/servicecode": pl.col("code"),
        "product/sku": pl.when(used).then(
            pl.concat_str(pl.lit("SKU"), (pl.col("meter") + 1_000_000).cast(pl.String))
        ),
        "pricing/publicOnDemandCost": pl.when(used | (pl.col("line_type") == NEGATION)).then(cost),
        "pricing/publicOnDemandRate": pl.when(used).then(rate),
        "pricing/term": pl.when(used).then(pl.lit("OnDemand")),
        "pricing/unit": pl.col("unit"),
        "reservation/ReservationARN": pl.lit(None, dtype=pl.String),
        "reservation/EffectiveCost": pl.lit(None, dtype=pl.String),
        "reservation/UnusedAmortizedUpfrontFeeForBillingPeriod": pl.lit(None, dtype=pl.String),
        "reservation/UnusedRecurringFee": pl.lit(None, dtype=pl.String),
        "savingsPlan/SavingsPlanARN": pl.when(fee | covered).then(pl.lit(PLAN_ARN)),
        "savingsPlan/SavingsPlanRate": pl.when(pl.col("line_type") == COVERED).then(
            amounts.text(pl.col("plan_rate"), 7)
        ),
        "savingsPlan/SavingsPlanEffectiveCost": amounts.text(pl.col("plan_cost")),
        "savingsPlan/TotalCommitmentToDate": amounts.text(pl.col("plan_total")),
        "savingsPlan/UsedCommitment": amounts.text(pl.col("plan_used")),
        "savingsPlan/OfferingType": pl.when(fee | covered).then(pl.lit("ComputeSavingsPlans")),
        "savingsPlan/PaymentOption": pl.when(fee | covered).then(pl.lit("No Upfront")),
        **{f"resourceTags/user:{tag}": pl.col(tag.replace("-", "_")) for tag in tags},
    }
    blank = pl.lit(None, dtype=pl.String)
    return lines.select(**columns).with_columns(pl.all().replace("", blank))


def _manifest(
    folder: Path, name: str, month: date, following: date, *, columns: list[str], keys: list[str]
) -> str:
    return json.dumps(
        {
            "assemblyId": name,
            "account": PAYER,
            "columns": [dict(zip(("category", "name"), c.split("/", 1), strict=True)) for c in columns],
            "charset": "UTF-8",
            "compression": "GZIP",
            "contentType": "text/csv",
            "reportId": "9f6d0c55a1be4f5c8a3f1f0a7be2d4c16f2f5f1f3c0e4a9d8b7c6a5f4e3d2c1b",
            "reportName": REPORT,
            "billingPeriod": {
                "start": f"{month:%Y%m%d}T000000.000Z",
                "end": f"{following:%Y%m%d}T000000.000Z",
            },
            "bucket": BUCKET,
            "reportKeys": [f"{PREFIX}/{REPORT}/{folder.name}/{name}/{key}" for key in keys],
            "additionalArtifactKeys": [],
        },
        indent=1,
    )


def _deliver(folder: Path, name: str, month: date, following: date, native: pl.DataFrame) -> None:
    """Writes one delivery: its parts, its own manifest, and the month's top manifest, which then names it."""
    (folder / name).mkdir(parents=True)
    keys = []
    for number, part in enumerate(native.iter_slices(PART_ROWS), start=1):
        keys.append(f"{REPORT}-{number}.csv.gz")
        text = part.write_csv().encode()
        (folder / name / keys[-1]).write_bytes(gzip.compress(text, compresslevel=1, mtime=0))
    manifest = _manifest(folder, name, month, following, columns=native.columns, keys=keys)
    (folder / name / f"{REPORT}-Manifest.json").write_text(manifest, encoding="utf-8")
    (folder / f"{REPORT}-Manifest.json").write_text(manifest, encoding="utf-8")


def _estimated(lines: pl.DataFrame) -> pl.DataFrame:
    """The same rows before restatement: stored bytes were first estimated a tenth too high."""
    stored = pl.col("operation") == "StandardStorage"
    usage = pl.when(stored).then(pl.col("usage") * 11 // 10).otherwise("usage")
    return lines.with_columns(
        usage=usage, cost=pl.when(stored).then(usage * pl.col("rate")).otherwise("cost")
    )


def write(root: Path, start: date, end: date, seed: int) -> Mapping[date, Bill]:
    """Writes the bucket below `root`.

    Args:
        root: What `s3://BUCKET/` would be.
        start: First day billed (UTC).
        end: Last day billed.
        seed: Seed of the demo.

    Returns:
        Billing month -> truth of its current delivery.
    """
    lines = bills_aws.lines(start, end, seed)
    truth: dict[date, Bill] = {}
    month = start.replace(day=1)
    while month <= end:
        following = (month + timedelta(days=32)).replace(day=1)
        folder = root / PREFIX / REPORT / f"{month:%Y%m%d}-{following:%Y%m%d}"
        first, last = max(start, month), min(end, following - timedelta(days=1))
        tags = tuple(t for t in TAGS if month > start or t != LATER_TAG)
        usage = lines.filter(pl.col("begin").is_between(_epoch(month), _epoch(following), closed="left"))
        names = [str(uuid5(NAMESPACE_URL, f"{REPORT}/{seed}/{month}/{n}")) for n in range(3)]
        for share, name in enumerate(names[:2], start=1):
            cutoff = first + timedelta(days=(last - first).days * share // 3)
            early = _estimated(usage.filter(pl.col("begin") < _epoch(cutoff + timedelta(days=1))))
            _deliver(folder, name, month, following, _native(early, month, following, "", tags))
        closed = following - timedelta(days=1) + CLOSED_AFTER <= end
        current = usage
        if closed:
            extra = bills_aws.month_end(usage, _epoch(month), _epoch(following))
            current = pl.concat([usage, extra], how="diagonal")
        invoice = f"EUINGR{month:%y}-{4_100_000 + month.month}" if closed else ""
        _deliver(folder, names[2], month, following, _native(current, month, following, invoice, tags))
        truth[month] = bills_aws.bill(current)
        month = following
    return truth
