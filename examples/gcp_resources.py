"""What Lumen Orchard runs on the second cloud: every metered resource with its price, size, owner and labels.

How these become rows of a bill belongs to `bills_focus.py`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from examples.company import CATALOGUE_COPY, DATA_LAKE, LLM_TUNING, NOBODY, Owner

MARKETPLACE, SANDBOX = "lumen-marketplace", "lumen-sandbox"
"""Projects; the sandbox has a default team in `tierwise.yaml`, the marketplace has none."""


@dataclass(frozen=True)
class Meter:
    """One thing metered on one resource, once a day.

    Attributes:
        project: SubAccountId.
        service: ServiceName.
        category: ServiceCategory.
        subcategory: ServiceSubcategory.
        sku: SkuId.
        meter: SkuMeter.
        unit: PricingUnit and ConsumedUnit.
        price: Of a unit, USD.
        amount: Thousandths of a unit a day.
        resource: ResourceId.
        owner: Labels.
    """

    project: str
    service: str
    category: str
    subcategory: str
    sku: str
    meter: str
    unit: str
    price: str
    amount: int
    resource: str
    owner: Owner


def _model(sku: str, thousand_tokens: int, price_in: str, price_out: str, owner: Owner) -> list[Meter]:
    ai = ("Vertex AI", "AI and Machine Learning", "Generative AI")
    resource = f"//aiplatform.googleapis.com/publishers/google/models/{sku}"
    tokens_in = Meter(
        MARKETPLACE,
        *ai,
        f"{sku}-in",
        "Input tokens",
        "1K tokens",
        price_in,
        thousand_tokens * 1000,
        resource,
        owner,
    )
    out = thousand_tokens * 350
    return [
        tokens_in,
        replace(tokens_in, sku=f"{sku}-out", meter="Output tokens", price=price_out, amount=out),
    ]


def _machine(project: str, number: int, price: str, hours: int, owner: Owner) -> Meter:
    return Meter(
        project,
        "Compute Engine",
        "Compute",
        "Virtual Machines",
        "g2-standard-12",
        "GPU VM core hours",
        "Hours",
        price,
        hours * 1000,
        f"//compute.googleapis.com/projects/{project}/instances/gpu-{number}",
        owner,
    )


def _bucket(project: str, name: str, gigabytes: int, owner: Owner) -> Meter:
    return Meter(
        project,
        "Cloud Storage",
        "Storage",
        "Object Storage",
        "standard-eu",
        "Standard Storage",
        "GB-Months",
        "0.0230",
        gigabytes * 1000 // 30,
        f"//storage.googleapis.com/{name}",
        owner,
    )


def _warehouse(project: str, terabytes: int, owner: Owner) -> Meter:
    return Meter(
        project,
        "BigQuery",
        "Analytics",
        "Analytics Platforms",
        "bq-analysis-eu",
        "Analysis",
        "TB",
        "6.2500",
        terabytes * 1000,
        f"//bigquery.googleapis.com/projects/{project}",
        owner,
    )


METERS = (
    *_model("gemini-2.5-flash", 210_000, "0.0003", "0.0025", CATALOGUE_COPY),
    *_model("gemini-2.5-pro", 26_000, "0.00125", "0.01", CATALOGUE_COPY),
    *_model("text-embedding", 400_000, "0.000015", "0.000015", replace(CATALOGUE_COPY, team="Assit")),
    *(_machine(MARKETPLACE, n, "1.0014", 24, CATALOGUE_COPY) for n in range(3)),
    *(_machine(SANDBOX, n, "1.0014", 9, LLM_TUNING if n else NOBODY) for n in range(4)),
    *(_bucket(MARKETPLACE, f"lumen-media-{n}", 9_000, CATALOGUE_COPY) for n in range(6)),
    *(_bucket(SANDBOX, f"lumen-checkpoints-{n}", 6_000, LLM_TUNING) for n in range(6)),
    _bucket(MARKETPLACE, "lumen-old-dumps", 14_000, NOBODY),
    _warehouse(MARKETPLACE, 6, NOBODY),
    _warehouse(SANDBOX, 11, DATA_LAKE),
)
