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


@pytest.mark.parametrize("given", LINES, ids=[f"{line[1]} {line[2]}" for line in LINES])
@pytest.mark.parametrize("kind", ["aws_cur", "aws_cur2"])
def test_lines(tmp_path: Path, kind: str, given: tuple[Any, ...]) -> None:
    code, usage_type, product, unit, text, expected = given
    entity = "AWS Marketplace" if "MP:" in usage_type else "AWS"
    legal = "Anthropic, PBC" if entity != "AWS" else "Amazon Web Services, Inc."
    if kind == "aws_cur":
        changes = {
            "lineItem__ProductCode": code, "lineItem__UsageType": usage_type, "product__ProductName": product or "",
            "pricing__unit": unit, "lineItem__LineItemDescription": text, "bill__BillingEntity": entity,
            "lineItem__LegalEntity": legal,
        }  # fmt: skip
        write(tmp_path / "bills" / "a.csv", [cur(**changes)])
    else:
        changes = {
            "line_item_product_code": code, "line_item_usage_type": usage_type,
            "product": {"product_name": product} if product else {}, "pricing_unit": unit,
            "line_item_line_item_description": text, "bill_billing_entity": entity, "line_item_legal_entity": legal,
        }  # fmt: skip
        export(tmp_path / "bills", {"gpu-00001.snappy.parquet": [row(**changes)]})
    found = facts(load(kind, tmp_path / "bills", tmp_path)[SEPTEMBER]).row(0, named=True)
    assert _read(found) == expected
    assert (found["ServiceCategory"] == "AI and Machine Learning") == (expected[0] == "api")
