"""Price tables of model APIs that are wrong: each is refused with its line, value and what is allowed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from pipelines.problems import ConfigError
from pipelines.settings import Config, load_config

HEADER = "provider,model,kind,price_per_1m,currency,valid_from,valid_to"
GOOD = "openai,gpt-4o,input,2.5,USD,2026-01-01,"


def config(folder: Path, text: str | bytes) -> Config:
    (folder / "bills").mkdir(exist_ok=True)
    (folder / "prices.csv").write_bytes(text.encode() if isinstance(text, str) else text)
    (folder / "tierwise.yaml").write_text(
        "sources: {b: {kind: focus, location: ./bills}}\nprices: {file: prices.csv}\n"
    )
    return load_config(folder / "tierwise.yaml")


def with_row(row: str) -> str:
    return f"{HEADER}\n{GOOD}\n{row}\n"


def test_a_good_table(tmp_path: Path) -> None:
    found = config(tmp_path, with_row("openai,gpt-4o,output,10,USD,2026-01-01,2026-06-30"))
    assert [(p.kind, str(p.price_per_1m)) for p in found.prices] == [("input", "2.5"), ("output", "10")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (f"{HEADER.replace('kind,', '')}\nopenai,gpt-4o,2.5,USD,2026-01-01,\n", ("columns kind",)),
        (f"{HEADER.replace('price_per_1m', 'price')}\n{GOOD}\n", ("columns price_per_1m", "'price'")),
        (f"{HEADER},note\n{GOOD},x\n", ("unknown columns 'note'",)),
        (f"{HEADER.replace('valid_to', 'model')}\n{GOOD}\n", ("model", "each column may be there once")),
        (with_row("openai,gpt-4o,output,ten,USD,2026-01-01,"), ("prices.csv line 3", "'ten'")),
        (with_row("openai,gpt-4o,output,NaN,USD,2026-01-01,"), ("prices.csv line 3", "NaN")),
        (with_row("openai,gpt-4o,output,Infinity,USD,2026-01-01,"), ("prices.csv line 3", "Infinity")),
        (with_row("openai,gpt-4o,output,1e40,USD,2026-01-01,"), ("prices.csv line 3", "1e40")),
        (with_row("openai,gpt-4o,output,-10,USD,2026-01-01,"), ("prices.csv line 3", "-10")),
        (with_row("openai,gpt-4o,output,1_0,USD,2026-01-01,"), ("prices.csv line 3", "1_0")),
        (with_row('openai,gpt-4o,output,"10,5",USD,2026-01-01,'), ("prices.csv line 3", "10,5")),
        (with_row("openai,gpt-4o,output,$10,USD,2026-01-01,"), ("prices.csv line 3", "$10")),
        (with_row("openai,gpt-4o,output,,USD,2026-01-01,"), ("prices.csv line 3", "price_per_1m")),
        (with_row("openai,gpt-4o,prompt,10,USD,2026-01-01,"), ("prices.csv line 3", "'prompt'", "cached")),
        (with_row("openai,gpt-4o,output,10,dollars,2026-01-01,"), ("prices.csv line 3", "dollars")),
        (with_row("openai,gpt-4o,output,10,USD,01/02/2026,"), ("prices.csv line 3", "01/02/2026")),
        (with_row("openai,gpt-4o,output,10,USD,2026-02-30,"), ("prices.csv line 3", "2026-02-30")),
        (with_row("openai,gpt-4o,output,10,USD,2026-02-01,2026-01-31"), ("valid_to", "before")),
        (with_row("openai,gpt-4o,output,10,EUR,2026-01-01,"), ("EUR", "all in one currency")),
        (with_row("OpenAI,GPT-4o,input,3,USD,2026-09-01,"), ("overlap: set valid_to",)),
        (with_row("openai,gpt-4o,output,10,USD,2026-01-01,,x"), ("prices.csv line 3", "7 columns")),
        (with_row("openai,gpt-4o,output,10"), ("prices.csv line 3", "7 columns")),
        (with_row('openai,"gpt-4o,output,10,USD,2026-01-01,'), ("prices.csv line",)),
        (HEADER.replace(",", ";") + "\n" + GOOD.replace(",", ";") + "\n", ("with commas between them",)),
        (b"\xff\xfe" + f"{HEADER}\n{GOOD}\n".encode("utf-16-le"), ("UTF-8",)),
        (b"\x1f\x8b\x08\x00", ("UTF-8",)),
    ],
)  # fmt: skip
def test_is_refused(tmp_path: Path, text: str | bytes, words: tuple[str, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        config(tmp_path, text)
    told = "\n".join(map(str, caught.value.problems))
    assert [word for word in words if word not in told] == [], told


def test_a_field_longer_than_csv_may_have_is_told_with_its_line(tmp_path: Path) -> None:
    """Readers of bills allow longer ones, for the whole process."""
    before = csv.field_size_limit(1000)
    try:
        with pytest.raises(ConfigError) as caught:
            config(tmp_path, with_row(f"openai,{'m' * 2000},output,10,USD,2026-01-01,"))
    finally:
        csv.field_size_limit(before)
    assert "prices.csv line 3" in "\n".join(map(str, caught.value.problems))
