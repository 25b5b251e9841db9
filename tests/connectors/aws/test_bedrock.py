"""Lines of Amazon Bedrock in both reports: tier, and what the reconciliation of model APIs needs of them."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.api_names import meter
from tests.connectors.aws.exports import export, row
from tests.connectors.bills.helpers import cur, facts, load, write

SEPTEMBER = date(2026, 9, 1)
SOLD = "Claude Sonnet 4.6 (Amazon Bedrock Edition)"

# product code, usage type, product name, unit, description -> tier, model, kind, tokens in a unit
LINES: list[tuple[str, str, str | None, str, str, tuple[str, str, str, int | None]]] = [
    ("AmazonBedrock", "USE1-NovaPro-input-tokens", "Amazon Bedrock", "1K tokens", "$", ("api", "NovaPro", "input", 1000)),
    ("AmazonBedrock", "USE1-NovaPro-output-tokens", None, "1K tokens", "$", ("api", "NovaPro", "output", 1000)),
    ("AmazonBedrock", "EUC1-Claude4.6Sonnet-cache-read-input-token-count", "Amazon Bedrock", "1K tokens", "$", ("api", "Claude4.6Sonnet", "cached", 1000)),
    ("AmazonBedrock", "USE1-StableDiffusion3.5-T2I", "Amazon Bedrock", "Images", "$", ("api", "Amazon Bedrock", "other", None)),
    ("x7bq2", "USE1-MP:USE1_InputTokenCount-Units", SOLD, "Units", "AWS Marketplace software usage|us-east-1|Million Input Tokens", ("api", "Claude Sonnet 4.6", "input", 1_000_000)),
    ("x7bq2", "USE1-MP:USE1_output_tokens_standard-Units", None, "Units", "AWS Marketplace software usage", ("api", "x7bq2", "output", None)),
    ("x7bq2", "USE1-MP:USE1_Hours-Units", None, "Units", "AWS Marketplace software usage", ("cloud", "x7bq2", "other", None)),
    ("AmazonEC2", "USE1-BoxUsage:p5.48xlarge", "Amazon Elastic Compute Cloud", "Hrs", "GPU", ("cloud", "Amazon Elastic Compute Cloud", "other", None)),
]  # fmt: skip


def _read(found: dict[str, Any]) -> tuple[str, str, str, int | None]:
    columns = ("ServiceProviderName", "ServiceName", "SkuMeter", "ChargeDescription", "ConsumedUnit")
    line = meter(*(found[c] for c in columns))
    return found["x_tier"], line.model, line.kind, line.per


def _legacy(code: str, usage_type: str, product: str | None, unit: str, text: str) -> dict[str, str]:
    entity, legal = _sold(usage_type)
    return cur(
        lineItem__ProductCode=code, lineItem__UsageType=usage_type, product__ProductName=product or "",
        pricing__unit=unit, lineItem__LineItemDescription=text, bill__BillingEntity=entity, lineItem__LegalEntity=legal,
    )  # fmt: skip


def _current(code: str, usage_type: str, product: str | None, unit: str, text: str) -> dict[str, Any]:
    entity, legal = _sold(usage_type)
    return row(
        line_item_product_code=code, line_item_usage_type=usage_type, product={"product_name": product} if product else {},
        pricing_unit=unit, line_item_line_item_description=text, bill_billing_entity=entity, line_item_legal_entity=legal,
    )  # fmt: skip


def _sold(usage_type: str) -> tuple[str, str]:
    """Who sells, and who invoices."""
    market = "MP:" in usage_type
    return ("AWS Marketplace", "Anthropic, PBC") if market else ("AWS", "Amazon Web Services, Inc.")


@pytest.mark.parametrize("kind", ["aws_cur", "aws_cur2"])
def test_lines(tmp_path: Path, kind: str) -> None:
    if kind == "aws_cur":
        write(tmp_path / "bills" / "a.csv", [_legacy(*line[:-1]) for line in LINES])
    else:
        export(tmp_path / "bills", {"gpu-00001.snappy.parquet": [_current(*line[:-1]) for line in LINES]})
    rows = facts(load(kind, tmp_path / "bills", tmp_path)[SEPTEMBER]).to_dicts()
    for found, line in zip(rows, LINES, strict=True):
        expected = line[-1]
        assert _read(found) == expected, line
        assert (found["ServiceCategory"] == "AI and Machine Learning") == (expected[0] == "api"), line
