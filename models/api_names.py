"""Model APIs under one name: what a gateway, a provider and a bill each call a provider, a model and a kind of token.

Only names are decided here; adding up and comparing belongs to `models/api_reconciliation.py`. Facts of usage types
follow "Understanding your Amazon Bedrock Cost and Usage Report data" in the Amazon Bedrock User Guide.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

BEDROCK, GOOGLE, AZURE = "bedrock", "google", "azure"

_PROVIDERS = {
    "bedrock_converse": BEDROCK, "bedrock_mantle": BEDROCK, "gemini": GOOGLE, "palm": GOOGLE, "azure_ai": AZURE, "azure_text": AZURE,
    "text-completion-openai": "openai",
}  # fmt: skip
"""Names that LiteLLM has for one provider's bill -> its name here; and everything that starts with vertex_ai."""

_EDITION = re.compile(r"\s*\(amazon bedrock edition\)", re.I)
_PREFIX = re.compile(r"^(?:us-gov\.)?(?:[a-z]+\.(?=[a-z]))*", re.I)
"""Region and vendor of a Bedrock model id: `eu.anthropic.claude-sonnet-4-6`."""
_VERSION = re.compile(r"(?:[-@](?:\d{4}-\d{2}-\d{2}|\d{8}))?(?:-v\d+)?(?::\d+)*$|-latest$", re.I)
"""Date of a snapshot and version of an id: `-20241022-v2:0`, `-2024-08-06`, `-latest`."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_KIND = re.compile(r"\b(?:cache|cached|caching|input|inp|output|outp|prompt|completion)\b")
_MODALITY = re.compile(r"[ ,:-]*\b(?:text|image|audio|video|speech|thinking|mantle)?[ ,:-]*$")
_REGION = re.compile(r"^[A-Z]{2,4}\d?-(?=.)")
_MARKETPLACE = re.compile(r"\bMP:\w*token", re.I)
_UNIT = re.compile(
    r"^(?P<n>[\d,]+)? ?(?P<scale>k|m|thousand|million)? ?(?:input |output )?(?P<tokens>tokens?)?$"
)
_SCALE = {None: 1, "k": 1_000, "thousand": 1_000, "m": 1_000_000, "million": 1_000_000}
_SOLD_BY = re.compile(r"\b(1,?000,?000|million|1m|1,?000|thousand|1k)\b[^|]*\btokens?\b", re.I)
TOKEN_METERS = ("input", "cached input", "output")
"""Meters of OpenAI's line items that are tokens without saying so."""


@dataclass(frozen=True)
class Meter:
    """What a line of a bill charges for.

    Attributes:
        provider: Name of the provider.
        model: Model as the bill spells it; the service where no model can be told.
        kind: input (cache writes included), cached, output; other for what is no token.
        per: Tokens in one unit of quantity; None where that cannot be told.
    """

    provider: str
    model: str
    kind: str
    per: int | None


def provider_name(name: str | None, aliases: Mapping[str, str]) -> str:
    """The name of a provider: an alias, else what LiteLLM's several names stand for; `unknown` without one."""
    text = (name or "").strip().lower() or "unknown"
    if text in aliases:
        return aliases[text]
    return GOOGLE if text.startswith("vertex_ai") else _PROVIDERS.get(text, text)


def model_key(name: str | None, aliases: Mapping[str, str]) -> str:
    """What two spellings of one model share: its words and numbers, without vendor, region, snapshot and version.

    `eu.anthropic.claude-3-5-sonnet-20241022-v2:0` of a gateway and `Claude3.5Sonnet` of a bill are both
    `3 5 claude sonnet`. An alias stands for its name.

    Args:
        name: As found.
        aliases: Spelling in lower case -> name to use.
    """
    text = (name or "").strip()
    text = aliases.get(text.lower(), text)
    short = _EDITION.sub("", text).rsplit("/", 1)[-1]
    short = _VERSION.sub("", _PREFIX.sub("", short)) or text
    return " ".join(sorted(re.findall(r"[^\W\d_]+|\d+", _CAMEL.sub(" ", short).lower()))) or "unknown"


def meter(
    provider: str | None, service: str | None, sku: str | None, description: str | None, unit: str | None
) -> Meter:
    """Reads a line of a bill.

    Args:
        provider: ServiceProviderName.
        service: ServiceName.
        sku: SkuMeter.
        description: ChargeDescription.
        unit: ConsumedUnit, or PricingUnit.
    """
    name = _bill_provider(provider, service, sku)
    labels = [t.strip() for t in (sku, description) if t and t.strip()]
    of_tokens = "token" in (unit or "").lower() or any("token" in t.lower() for t in labels)
    kind = next((k for t in labels if (k := _kind(t))), "other")
    if not of_tokens and (sku or "").strip().lower() not in TOKEN_METERS:
        kind = "other"
    return Meter(
        name, _model(name, service, labels), kind, _per(unit, description) if kind != "other" else None
    )


def _bill_provider(provider: str | None, service: str | None, sku: str | None) -> str:
    seller, sold = (provider or "").lower(), (service or "").lower()
    if "bedrock" in sold or seller.startswith(("aws", "amazon")) or _MARKETPLACE.search(sku or ""):
        return BEDROCK
    if "google" in seller:
        return GOOGLE
    return AZURE if "microsoft" in seller or "azure" in seller else provider_name(provider, {})


def _words(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", " ", _CAMEL.sub(" ", text).lower())


def _kind(label: str) -> str | None:
    """The kind of token a label names; None for none, or for several."""
    words = {*re.findall("[a-z]+", _words(label))}
    if "storage" in words:
        return None
    if words & {"cache", "cached", "caching"}:
        return "input" if words & {"write", "writes", "creation"} else "cached"
    into, out = bool(words & {"input", "inp", "prompt"}), bool(words & {"output", "outp", "completion"})
    return None if into == out else "input" if into else "output"


def _model(provider: str, service: str | None, labels: list[str]) -> str:
    if provider == BEDROCK and service and _EDITION.search(service):
        return _EDITION.sub("", service)
    if provider == BEDROCK:
        labels = [] if _MARKETPLACE.search(" ".join(labels)) else labels[:1]
    for label in labels:
        text = _REGION.sub("", label) if provider == BEDROCK else label
        spaced = re.sub(r"[_-]", " ", text)  # the same length, so that positions hold
        found = _KIND.search(spaced.lower())
        head = text[: found.start()] if found else ""
        head = head[: len(_MODALITY.sub("", re.sub(r"[_-]", " ", head).lower()))].strip(" ,:-")
        if re.search(r"[A-Za-z]", head) and not re.search(r"\$|\bper\b", head):
            return head
    return (service or "").strip() or "unknown"


def _per(unit: str | None, description: str | None) -> int | None:
    text = (unit or "").strip().lower()
    found = _UNIT.fullmatch(text)
    if text and found:
        return int((found["n"] or "1").replace(",", "")) * _SCALE[found["scale"]]
    sold = _SOLD_BY.search(description or "") if text in ("unit", "units") else None
    if sold is None:
        return None
    return 1_000_000 if sold[1].replace(",", "").lower() in ("1000000", "million", "1m") else 1_000
