"""Small CUR 2.0 exports written by tests, laid out as AWS Data Exports does."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from tests.connectors.bills.helpers import write

BASE: dict[str, Any] = {
    "bill_invoice_id": None,
    "bill_billing_entity": "AWS",
    "bill_payer_account_id": "000111122223",
    "bill_billing_period_start_date": datetime(2026, 9, 1),  # noqa: DTZ001
    "bill_billing_period_end_date": datetime(2026, 10, 1),  # noqa: DTZ001
    "line_item_usage_account_id": "000111122224",
    "line_item_line_item_type": "Usage",
    "line_item_usage_start_date": datetime(2026, 9, 1),  # noqa: DTZ001
    "line_item_usage_end_date": datetime(2026, 9, 1, 1),  # noqa: DTZ001
    "line_item_product_code": "AmazonEC2",
    "line_item_usage_type": "BoxUsage:p5.48xlarge",
    "line_item_usage_amount": 2.0,
    "line_item_currency_code": "USD",
    "line_item_unblended_rate": "5",
    "line_item_unblended_cost": 10.0,
    "line_item_legal_entity": "Amazon Web Services, Inc.",
    "line_item_line_item_description": "GPU hour",
    "pricing_public_on_demand_cost": 12.0,
    "pricing_unit": "Hrs",
    "product_region_code": "us-east-1",
    "savings_plan_savings_plan_a_r_n": None,
    "savings_plan_savings_plan_effective_cost": 0.0,
    "savings_plan_total_commitment_to_date": 0.0,
    "savings_plan_used_commitment": 0.0,
    "reservation_reservation_a_r_n": None,
    "reservation_effective_cost": 0.0,
    "reservation_unused_amortized_upfront_fee_for_billing_period": 0.0,
    "reservation_unused_recurring_fee": 0.0,
    "split_line_item_parent_resource_id": None,
    "product": {"product_name": "Amazon Elastic Compute Cloud"},
    "resource_tags": {"user_team": "vision"},
}
MAPS = ("product", "resource_tags", "cost_category", "discount")
TEXT = {k: pl.String for k, v in BASE.items() if v is None or isinstance(v, str)}


def row(**changes: Any) -> dict[str, Any]:
    """A CUR 2.0 row; a value of `...` leaves the column out."""
    return {k: v for k, v in (BASE | changes).items() if v is not ...}


def parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as Parquet with MAP columns, through DuckDB."""
    import duckdb

    path.parent.mkdir(parents=True, exist_ok=True)
    names = list(dict.fromkeys(k for r in rows for k in r))
    flat = [{k: json.dumps(r.get(k)) if k in MAPS else r.get(k) for k in names} for r in rows]
    frame = pl.DataFrame(flat, schema_overrides={k: t for k, t in TEXT.items() if k in names}, strict=False)
    with duckdb.connect() as connection:
        connection.register("frame", frame)
        columns = ", ".join(
            f"CAST(CAST({k} AS JSON) AS MAP(VARCHAR, VARCHAR)) AS {k}" if k in MAPS else k for k in names
        )
        connection.execute(f"COPY (SELECT {columns} FROM frame) TO '{path}' (FORMAT parquet)")
    return path


def csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Rows as CSV, maps as JSON text."""
    texts = [
        {
            k: json.dumps(v) if isinstance(v, dict) else "" if v is None else f"{v}".replace(" 00:", "T00:")
            for k, v in r.items()
        }
        for r in rows
    ]
    return write(path, texts)


def export(
    root: Path,
    files: Mapping[str, Sequence[Mapping[str, Any]]],
    *,
    name: str = "gpu",
    month: str = "2026-09",
    execution: str = "",
    account: str = "000111122223",
    top: bool = True,
) -> None:
    """Delivers a month: into execution folders if there is an execution; `top` writes the month's own manifest."""
    partition = f"BILLING_PERIOD={month}"
    folder = "/".join(p for p in (f"cur2/{name}/data", partition, execution) if p)
    for file, rows in files.items():
        (parquet if file.endswith(".parquet") else csv)(root / folder / file, rows)
    columns = list(dict.fromkeys(k for rows in files.values() for r in rows for k in r))
    manifest = {
        "exportArn": f"arn:aws:bcm-data-exports:us-east-1:{account}:export/{name}-1",
        "executionId": execution,
        "columns": [{"name": c, "type": "string"} for c in columns],
        "dataFiles": [f"s3://acme-billing/{folder}/{file}" for file in files],
    }
    places = [f"cur2/{name}/metadata/{partition}"] * top
    places += [f"cur2/{name}/metadata/{partition}/{execution}"] * bool(execution)
    for place in places:
        path = root / place / f"{name}-Manifest.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(manifest))
