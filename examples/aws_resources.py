"""What Lumen Orchard runs on AWS: every metered resource with its price, size, rhythm, owner and tags.

A resource with the owner `NOBODY`, or a team in `company.MISSPELT`, is one of the demo's faults. How these
become line items belongs to `bills_aws.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from examples.company import (
    AWS_PROD,
    AWS_RESEARCH,
    DATA_LAKE,
    DOC_EXTRACT,
    FRAUD_EVAL,
    HELP_SEARCH,
    LINE_INSPECTION,
    LLM_TUNING,
    NOBODY,
    NOTEBOOKS,
    VISION_TRAINING,
    Owner,
)


@dataclass(frozen=True)
class Meter:
    """One resource and one thing metered on it.

    Attributes:
        account: Account that uses it.
        code: lineItem/ProductCode.
        product: product/ProductName.
        usage_type: lineItem/UsageType.
        operation: lineItem/Operation.
        family: product/productFamily.
        region: Region.
        resource: lineItem/ResourceId.
        unit: pricing/unit.
        price: On-demand price of a unit, USD.
        amount: Thousandths of a unit in a full hour or day.
        rhythm: always, batch, office, runs (by the hour) or daily.
        owner: Tags.
        instance: product/instanceType.
        plan_price: Price under the savings plan; empty where it does not apply.
    """

    account: str
    code: str
    product: str
    usage_type: str
    operation: str
    family: str
    region: str
    resource: str
    unit: str
    price: str
    amount: int
    rhythm: str
    owner: Owner
    instance: str = ""
    plan_price: str = ""


PREFIX = {"eu-central-1": "EUC1", "us-east-1": "USE1"}
HOME, US = "eu-central-1", "us-east-1"


def _instance(
    account: str, number: int, kind: str, price: str, *, rhythm: str, owner: Owner, plan: str = ""
) -> Meter:
    region = US if kind.startswith("p") or account == AWS_RESEARCH else HOME
    return Meter(
        account,
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        f"{PREFIX[region]}-BoxUsage:{kind}",
        "RunInstances",
        "Compute Instance",
        region,
        f"i-0{number:016x}",
        "Hrs",
        price,
        1000,
        rhythm,
        owner,
        kind,
        plan,
    )


def _volume(account: str, region: str, number: int, gigabytes: int, owner: Owner) -> Meter:
    return Meter(
        account,
        "AmazonEC2",
        "Amazon Elastic Compute Cloud",
        f"{PREFIX[region]}-EBS:VolumeUsage.gp3",
        "CreateVolume-Gp3",
        "Storage",
        region,
        f"vol-0{number:016x}",
        "GB-Mo",
        "0.0952" if region == HOME else "0.08",
        gigabytes * 1000 // 30,
        "daily",
        owner,
    )


def _endpoint(number: int, name: str, kind: str, price: str, owner: Owner) -> Meter:
    return Meter(
        AWS_PROD,
        "AmazonSageMaker",
        "Amazon SageMaker",
        f"EUC1-Host:{kind}",
        "RunInstance",
        "ML Instance",
        HOME,
        f"arn:aws:sagemaker:{HOME}:{AWS_PROD}:endpoint/{name}-{number}",
        "Hrs",
        price,
        1000,
        "always",
        owner,
        kind,
    )


def _bucket(name: str, terabytes: int, owner: Owner) -> Iterator[Meter]:
    storage = Meter(
        AWS_PROD,
        "AmazonS3",
        "Amazon Simple Storage Service",
        "EUC1-TimedStorage-ByteHrs",
        "StandardStorage",
        "Storage",
        HOME,
        f"lumen-orchard-{name}",
        "GB-Mo",
        "0.0245",
        terabytes * 1_000_000 // 30,
        "daily",
        owner,
    )
    yield storage
    yield replace(
        storage,
        usage_type="EUC1-Requests-Tier1",
        operation="PutObject",
        family="API Request",
        unit="Requests",
        price="0.0000054",
        amount=terabytes * 9_000_000,
    )
    yield replace(
        storage,
        usage_type="EUC1-Requests-Tier2",
        operation="GetObject",
        family="API Request",
        unit="Requests",
        price="0.0000004",
        amount=terabytes * 80_000_000,
    )
    yield replace(
        storage,
        usage_type="EUC1-DataTransfer-Out-Bytes",
        operation="GetObject",
        family="Data Transfer",
        unit="GB",
        price="0.09",
        amount=terabytes * 2_600,
    )


def _model(name: str, thousand_tokens: int, price_in: str, price_out: str, owner: Owner) -> Iterator[Meter]:
    tokens_in = Meter(
        AWS_PROD,
        "AmazonBedrock",
        "Amazon Bedrock",
        f"EUC1-{name}-input-tokens",
        "InvokeModelInference",
        "Amazon Bedrock",
        HOME,
        f"arn:aws:bedrock:{HOME}:{AWS_PROD}:inference-profile/{name.lower()}",
        "1K tokens",
        price_in,
        thousand_tokens * 1000,
        "daily",
        owner,
    )
    yield tokens_in
    yield replace(
        tokens_in,
        usage_type=f"EUC1-{name}-output-tokens",
        price=price_out,
        amount=thousand_tokens * 1000 // 5,
    )


def _meters() -> Iterator[Meter]:
    for n in range(8):
        plan = "4.1410" if n < 6 else ""
        yield _instance(
            AWS_PROD, 0x100 + n, "g6.12xlarge", "5.7520", rhythm="batch", owner=DOC_EXTRACT, plan=plan
        )
    yield _instance(AWS_PROD, 0x1F0, "g6.12xlarge", "5.7520", rhythm="always", owner=NOBODY)
    for n in range(4):
        yield _instance(AWS_PROD, 0x200 + n, "g6.xlarge", "1.0060", rhythm="always", owner=HELP_SEARCH)
    for n in range(2):
        owner = VISION_TRAINING if n else replace(VISION_TRAINING, team="VISION ")
        yield _instance(AWS_PROD, 0x300 + n, "p4d.24xlarge", "21.9576", rhythm="runs", owner=owner)
    yield _instance(AWS_RESEARCH, 0x400, "p5.48xlarge", "55.0400", rhythm="runs", owner=LLM_TUNING)
    for n in range(6):
        owner = NOTEBOOKS if n < 3 else NOBODY
        yield _instance(AWS_RESEARCH, 0x500 + n, "g6.xlarge", "0.8048", rhythm="office", owner=owner)
    yield _endpoint(1, "intent-router", "ml.g6.xlarge", "1.2575", replace(HELP_SEARCH, team="Assit"))
    yield _endpoint(1, "layout-detector", "ml.g5.xlarge", "1.7600", replace(DOC_EXTRACT, team="doc-team"))
    yield _endpoint(1, "legacy-ranker", "ml.g5.2xlarge", "1.9000", NOBODY)
    yield from _model("NovaPro", 90_000, "0.0008", "0.0032", HELP_SEARCH)
    yield from _model("NovaLite", 260_000, "0.00006", "0.00024", DOC_EXTRACT)
    for name, terabytes, owner in (
        ("lake", 90, DATA_LAKE),
        ("documents-in", 22, DOC_EXTRACT),
        ("frames", 40, LINE_INSPECTION),
        ("fraud-eval", 6, FRAUD_EVAL),
        ("tmp-exports", 9, NOBODY),
    ):
        yield from _bucket(name, terabytes, owner)
    for n in range(8):
        yield _volume(AWS_PROD, HOME, 0x100 + n, 900, DOC_EXTRACT)
    for n in range(4):
        yield _volume(AWS_PROD, HOME, 0x200 + n, 300, HELP_SEARCH)
    for n in range(5):
        yield _volume(AWS_PROD, HOME, 0x600 + n, 500, NOBODY)
    for n in range(7):
        yield _volume(AWS_RESEARCH, US, 0x500 + n, 400, NOTEBOOKS)


METERS = tuple(_meters())
