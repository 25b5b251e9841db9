from __future__ import annotations

import pytest

from models.api_names import Meter, meter, model_key, provider_name

SAME = [
    ("eu.anthropic.claude-3-5-sonnet-20241022-v2:0", "Claude3.5Sonnet"),
    ("anthropic.claude-sonnet-4-6", "Claude Sonnet 4.6 (Amazon Bedrock Edition)"),
    ("bedrock/us.amazon.nova-pro-v1:0", "NovaPro"),
    ("gpt-4o-2024-08-06", "GPT-4o"),
    ("mistral-large-latest", "mistral large"),
    ("  gpt-4o ", "gpt-4o"),
]
APART = [
    ("gpt-4o", "gpt-4o-mini"),
    ("gpt-4o", "gpt-4"),
    ("claude-3-5-sonnet", "claude-3-7-sonnet"),
    (
        "meta.llama4-maverick-17b-instruct-v1:0",
        "Llama4-Maverick-17B",
    ),  # one word more: an alias has to say so
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_spellings_of_one_model(one: str, other: str) -> None:
    assert model_key(one, {}) == model_key(other, {})


@pytest.mark.parametrize(("one", "other"), APART)
def test_models_that_are_not_the_same(one: str, other: str) -> None:
    assert model_key(one, {}) != model_key(other, {})


def test_aliases() -> None:
    names = {"chat-prod": "gpt-4o", "meta.llama4-maverick-17b-instruct-v1:0": "Llama4-Maverick-17B"}
    assert model_key("Chat-Prod", names) == model_key("gpt-4o", {})
    assert model_key(APART[3][0], names) == model_key(APART[3][1], {})
    assert provider_name("My-OpenAI", {"my-openai": "openai"}) == "openai"


@pytest.mark.parametrize("name", [None, "", "  ", "/", "-v1:0"])
def test_names_that_are_none(name: str | None) -> None:
    assert model_key(name, {})
    assert provider_name(name, {})


def test_providers() -> None:
    found = {
        n: provider_name(n, {})
        for n in ("OpenAI ", "bedrock_converse", "vertex_ai-anthropic_models", "gemini")
    }
    assert list(found.values()) == ["openai", "bedrock", "google", "google"]


BEDROCK = "Amazon Bedrock"
SOLD = "Claude Sonnet 4.6 (Amazon Bedrock Edition)"
LINES = [
    (("AWS", BEDROCK, "USE1-NovaPro-input-tokens", None, "1K tokens"), ("bedrock", "NovaPro", "input", 1000)),
    (("AWS", BEDROCK, "EU-NovaLite-output-tokens-batch", None, "1K tokens"), ("bedrock", "NovaLite", "output", 1000)),
    (
        ("AWS", BEDROCK, "USE1-Claude4.6Sonnet-cache-read-input-token-count-cross-region-global", None, "1K tokens"),
        ("bedrock", "Claude4.6Sonnet", "cached", 1000),
    ),
    (
        ("AWS", BEDROCK, "USE1-Claude4.6Sonnet-cache-write-input-token-count", None, "1M tokens"),
        ("bedrock", "Claude4.6Sonnet", "input", 1_000_000),
    ),
    (
        ("AWS", BEDROCK, "USE1-openai.gpt-oss-120b-mantle-input-tokens-standard", None, "1K tokens"),
        ("bedrock", "openai.gpt-oss-120b", "input", 1000),
    ),
    (
        ("Anthropic, PBC", SOLD, "USE1-MP:USE1_CacheReadInputTokenCount-Units", "AWS Marketplace software usage|us-east-1|Million Cache Read Input Tokens", "Units"),
        ("bedrock", "Claude Sonnet 4.6", "cached", 1_000_000),
    ),
    (
        ("Anthropic, PBC", SOLD, "USE1-MP:USE1_output_tokens_standard-Units", "software usage", "Units"),
        ("bedrock", "Claude Sonnet 4.6", "output", None),  # tokens in a unit: not said, so not known
    ),
    (
        ("Anthropic, PBC", SOLD, "USE1-MP:USE1_CacheWrite1hInputTokenCount_Global-Units", "AWS Marketplace software usage|us-east-1|Million 1h Cache Write Input Tokens Global", "Units"),
        ("bedrock", "Claude Sonnet 4.6", "input", 1_000_000),
    ),
    (
        ("Anthropic", "claude-sonnet-4-6", "cache creation.ephemeral 1h input tokens", None, None),
        ("anthropic", "claude-sonnet-4-6", "input", None),
    ),
    (("AWS", BEDROCK, "USE1-StableDiffusion3.5-T2I", "images", "Images"), ("bedrock", BEDROCK, "other", None)),
    (("AWS", BEDROCK, "USE1-NovaPro-ProvisionedThroughput", None, "Hours"), ("bedrock", BEDROCK, "other", None)),
    (("OpenAI", "gpt-4o", "cached input", "gpt-4o, cached input", "Tokens"), ("openai", "gpt-4o", "cached", 1)),
    (("OpenAI", "gpt-4o", "output", "gpt-4o, output", None), ("openai", "gpt-4o", "output", None)),
    (("OpenAI", "web search", None, "web search", None), ("openai", "web search", "other", None)),
    (("Microsoft", "Azure OpenAI", "gpt 4o 0806 cached Inp glbl Tokens", None, "1K"), ("azure", "gpt 4o 0806", "cached", 1000)),
    (("Acme", "Acme LLM", "Input tokens", "acme-1 input tokens", "1,000 tokens"), ("acme", "acme-1", "input", 1000)),
    (("Acme", "Acme LLM", "Input tokens", "$0.2 per 1K input tokens", "Tokens"), ("acme", "Acme LLM", "input", 1)),
    (("Google Cloud", "Vertex AI", "Gemini Text Input Cache Storage", None, "1M token hours"), ("google", "Gemini", "other", None)),
    ((None, None, None, None, None), ("unknown", "unknown", "other", None)),
]  # fmt: skip


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[str(n) for n in range(len(LINES))])
def test_lines_of_bills(line: tuple[str | None, ...], expected: tuple[str, str, str, int | None]) -> None:
    assert meter(*line) == Meter(*expected)
