"""Generated CUR 2.0 deliveries: Parquet as AWS Data Exports lays it out, the same bytes for the same arguments.

What the lines stand for (kinds, commitments, maps of tags) is made up; nothing is measured here.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from connectors.sql import identifier, literal, literals
from pipelines.engines.duckdb import DuckDBEngine

FILE_ROWS = 500_000
SEPTEMBER = date(2026, 9, 1)
WRITTEN_AT = 1_790_000_000
"""Modification time of every file, seconds since 1970: long past, so that it counts as settled."""

PRODUCTS = [
    *["AmazonEC2"] * 8, *["AmazonS3"] * 3, "AmazonBedrock", "AmazonSageMaker", "AmazonRDS", "AmazonVPC", "AWSELB",
    "AmazonCloudWatch", "awskms", "AWSLambda", "AmazonECR", "AmazonEKS",
]  # fmt: skip
KINDS = [
    *["Usage"] * 60, *["SavingsPlanCoveredUsage"] * 12, *["SavingsPlanNegation"] * 12, *["DiscountedUsage"] * 10,
    *["EdpDiscount"] * 3, "Tax", "RIFee", "SavingsPlanRecurringFee",
]  # fmt: skip
"""Share of each kind of line, in percent."""

COLUMNS = {
    "bill_bill_type": "'Anniversary'",
    "bill_billing_entity": "CASE WHEN u = 7 THEN 'AWS Marketplace' ELSE 'AWS' END",
    "bill_billing_period_end_date": "CAST(month_end AS TIMESTAMP_MS)",
    "bill_billing_period_start_date": "CAST(month_start AS TIMESTAMP_MS)",
    "bill_invoice_id": "''",
    "bill_invoicing_entity": "'Amazon Web Services, Inc.'",
    "bill_payer_account_id": "'000111122223'",
    "bill_payer_account_name": "'Acme'",
    "cost_category": "MAP {'cost_env': CASE WHEN w % 2 = 0 THEN 'prod' ELSE 'dev' END}",
    "discount": "MAP {'edp': '0.1'}",
    "discount_bundled_discount": "CAST(0 AS DOUBLE)",
    "discount_total_discount": "CAST(0 AS DOUBLE)",
    "identity_line_item_id": "'id' || lpad(CAST(hash(i, seed) AS VARCHAR), 20, '0')",
    "identity_time_interval": "strftime(t, '%Y-%m-%dT%H:%M:%SZ') || '/' || strftime(t + INTERVAL 1 HOUR, '%Y-%m-%dT%H:%M:%SZ')",
    "line_item_availability_zone": "CASE WHEN p = 'AmazonEC2' THEN 'us-east-1' || chr(CAST(97 + u % 3 AS INTEGER)) END",
    "line_item_blended_cost": "c * 0.9",
    "line_item_blended_rate": "'0.1'",
    "line_item_currency_code": "'USD'",
    "line_item_legal_entity": "'Amazon Web Services, Inc.'",
    "line_item_line_item_description": "'$' || CAST(u * 0.37 AS VARCHAR) || ' per On Demand Linux usage type ' || u",
    "line_item_line_item_type": "k",
    "line_item_normalization_factor": "CAST(1 AS DOUBLE)",
    "line_item_normalized_usage_amount": "CAST(1 AS DOUBLE)",
    "line_item_operation": "'RunInstances'",
    "line_item_product_code": "p",
    "line_item_resource_id": "'arn:aws:ec2:us-east-1:' || lpad(CAST(w % 40 AS VARCHAR), 12, '0') || ':instance/i-' || lpad(to_hex(hash(r)), 17, '0')",
    "line_item_tax_type": "''",
    "line_item_unblended_cost": "CASE WHEN k IN ('SavingsPlanNegation', 'EdpDiscount') THEN -c WHEN k = 'DiscountedUsage' THEN 0 ELSE c END",
    "line_item_unblended_rate": "CAST(u * 0.37 AS VARCHAR)",
    "line_item_usage_account_id": "lpad(CAST(w % 40 AS VARCHAR), 12, '0')",
    "line_item_usage_account_name": "'acct-' || w % 40",
    "line_item_usage_amount": "CAST(hash(i, seed, 'amount') % 100000 AS DOUBLE) / 1000",
    "line_item_usage_end_date": "CAST(t + INTERVAL 1 HOUR AS TIMESTAMP_MS)",
    "line_item_usage_start_date": "CAST(t AS TIMESTAMP_MS)",
    "line_item_usage_type": "CASE WHEN u % 10 = 3 THEN 'USE1-SpotUsage:p5.48xlarge' ELSE 'USE1-BoxUsage:type' || u END",
    "pricing_currency": "'USD'",
    "pricing_public_on_demand_cost": "c * 1.1",
    "pricing_public_on_demand_rate": "CAST(u * 0.41 AS VARCHAR)",
    "pricing_rate_code": "'RATE.' || u || '.CODE'",
    "pricing_term": "'OnDemand'",
    "pricing_unit": "'Hrs'",
    "product": "MAP {'product_name': 'Product ' || p, 'region': 'us-east-1', 'capacitystatus': 'Used', 'operating_system': 'Linux'}",
    "product_instance_type": "'p5.48xlarge'",
    "product_location": "'US East (N. Virginia)'",
    "product_product_family": "'Compute Instance'",
    "product_region_code": "'us-east-1'",
    "product_sku": "'SKU' || u",
    "reservation_effective_cost": "CASE WHEN k = 'DiscountedUsage' THEN c * 0.6 ELSE 0 END",
    "reservation_reservation_a_r_n": "CASE WHEN k IN ('DiscountedUsage', 'RIFee') THEN 'arn:aws:ec2:us-east-1:1:reserved-instances/' || u % 7 ELSE '' END",
    "reservation_unused_amortized_upfront_fee_for_billing_period": "CASE WHEN k = 'RIFee' THEN c * 0.1 ELSE 0 END",
    "reservation_unused_recurring_fee": "CAST(0 AS DOUBLE)",
    "resource_tags": "MAP {'user_team': 'team-' || w % 8, 'user_project': 'project-' || w, 'aws_created_by': 'AssumedRole:' || w % 40}",
    "savings_plan_savings_plan_a_r_n": "CASE WHEN starts_with(k, 'SavingsPlan') THEN 'arn:aws:savingsplans::1:savingsplan/' || u % 5 ELSE '' END",
    "savings_plan_savings_plan_effective_cost": "CASE WHEN k = 'SavingsPlanCoveredUsage' THEN c * 0.7 ELSE 0 END",
    "savings_plan_total_commitment_to_date": "CASE WHEN k = 'SavingsPlanRecurringFee' THEN c ELSE 0 END",
    "savings_plan_used_commitment": "CASE WHEN k = 'SavingsPlanRecurringFee' THEN c * 0.5 ELSE 0 END",
    "split_line_item_parent_resource_id": "CAST(NULL AS VARCHAR)",
}
"""Column of CUR 2.0 -> its value from i (row), t (hour), p (product), k (kind), c (cost), u (0-59), r (resource), w (project)."""


def deliver(
    root: Path,
    rows: int,
    month: date = SEPTEMBER,
    *,
    execution: str = "",
    changed: Sequence[int] = (),
    seed: int = 7,
) -> None:
    """Writes one delivery of one month: files of up to 500,000 rows in order of time, and their manifest.

    Args:
        root: The location.
        rows: Line items.
        month: First day of the billing month.
        execution: Folder of the delivery, where each is kept, such as `20261001T000000Z-b`.
        changed: Days of the month whose costs are 1.5 times those of a delivery without this.
        seed: Another seed makes other costs.
    """
    partition = "/".join(x for x in (f"BILLING_PERIOD={month:%Y-%m}", execution) if x)
    data, metadata = root / "cur2/gpu/data" / partition, root / "cur2/gpu/metadata" / partition
    data.mkdir(parents=True)
    metadata.mkdir(parents=True)
    names: list[str] = []
    with DuckDBEngine() as engine:
        for first in range(0, rows, FILE_ROWS):
            names.append(f"gpu-{len(names) + 1:05d}.snappy.parquet")
            span = range(first, min(rows, first + FILE_ROWS))
            sql = _rows(span, rows, month, changed, seed)
            target = literal(data / names[-1])
            engine.execute(
                f"COPY ({sql}) TO {target} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 122880)"
            )
            os.utime(data / names[-1], (WRITTEN_AT, WRITTEN_AT))
    manifest = {
        "exportArn": "arn:aws:bcm-data-exports:us-east-1:000111122223:export/gpu-1",
        "executionId": execution or "1",
        "dataFiles": [f"s3://acme-billing/cur2/gpu/data/{partition}/{name}" for name in names],
        "columns": [{"name": name} for name in COLUMNS],
    }
    (metadata / "gpu-Manifest.json").write_text(json.dumps(manifest))


def _rows(span: range, rows: int, month: date, changed: Sequence[int], seed: int) -> str:
    end = (month + timedelta(days=31)).replace(day=1)
    hours = (end - month).days * 24
    days = ", ".join(map(str, changed)) or "0"
    columns = ", ".join(f"{value} AS {identifier(name)}" for name, value in COLUMNS.items())
    return f"""
        WITH drawn AS (
            SELECT i, {seed} AS seed, DATE '{month}' AS month_start, DATE '{end}' AS month_end,
                   TIMESTAMP '{month}' + INTERVAL 1 HOUR * (i * {hours} // {rows}) AS t,
                   CAST(hash(i, seed, 'usage') % 60 AS BIGINT) AS u, CAST(hash(i, seed, 'resource') % 20000 AS BIGINT) AS r,
                   r % 400 AS w, {_one_of(KINDS, "i, seed, 'kind'")} AS k, {_one_of(PRODUCTS, "r, seed")} AS p,
                   CAST(hash(i, seed, 'cost') % 1000000 AS DOUBLE) / 98765 AS drawn_cost,
                   round(drawn_cost * CASE WHEN day(t) IN ({days}) THEN 1.5 ELSE 1 END, 10) AS c
            FROM range({span.start}, {span.stop}) AS numbers(i))
        SELECT {columns} FROM drawn"""


def _one_of(values: Sequence[str], key: str) -> str:
    return f"{literals(values)}[1 + CAST(hash({key}) % {len(values)} AS BIGINT)]"
