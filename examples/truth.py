"""What is known about the generated inputs: figures summed from the integers they were written from.

Tests compare what Tierwise finds with these. Nothing here is written to disk or read by Tierwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal


@dataclass(frozen=True)
class Bill:
    """One billing month of one source, as its current delivery has it.

    Attributes:
        rows: Native rows.
        billed: Sum of UnblendedCost (AWS) or BilledCost (FOCUS), USD.
        effective: Sum of the amortised cost, USD.
        untagged: Part of `effective` on rows that no tag and no default of an account gives a team, USD.
        misspelt: Part of `effective` on rows whose team tag needs an alias, USD.
    """

    rows: int
    billed: Decimal
    effective: Decimal
    untagged: Decimal
    misspelt: Decimal


@dataclass(frozen=True)
class Inference:
    """Requests and tokens of one workload on one day.

    Attributes:
        requests: All requests finished, failed ones included.
        failed: Requests in error.
        prompt_tokens: Prompt tokens, cached ones included.
        cached_tokens: Prompt tokens answered from a cache.
        generation_tokens: Generated tokens.
    """

    requests: int
    failed: int
    prompt_tokens: int
    cached_tokens: int
    generation_tokens: int


@dataclass(frozen=True)
class Faults:
    """Where the inputs are wrong on purpose. Times are UTC.

    Attributes:
        gap_node: Node without telemetry from `gap_start` to `gap_end`.
        gap_start: Start of the gap.
        gap_end: End of the gap, exclusive.
        reset_node: Node whose energy counters restart at `reset_at`.
        reset_at: First sample after the restart.
        llm_reset_pod: Pod whose counters restart at `llm_reset_at`.
        llm_reset_at: First sample after the restart.
        edge_duplicates: Edge reports delivered twice.
        edge_late: Edge reports delivered in the file of the following day.
        dark_device: Device that reports nothing after `dark_after`.
        dark_after: Its last report.
    """

    gap_node: str
    gap_start: datetime
    gap_end: datetime
    reset_node: str
    reset_at: datetime
    llm_reset_pod: str
    llm_reset_at: datetime
    edge_duplicates: int
    edge_late: int
    dark_device: str
    dark_after: datetime


@dataclass(frozen=True)
class Truth:
    """The known truth of one generated company.

    Attributes:
        start: First day of every input.
        end: Last day of every input.
        aws: Billing month -> bill.
        focus: Billing month -> bill.
        gpu_energy_kwh: (GPU UUID, local day of dc1) -> energy from the first sample of that day to the first
            of the next, or to the last sample of all.
        inference: (workload, day) -> counts between the first sample of that day and the first of the next,
            or the last of all; the day is local at dc1 and UTC for what is served from the cloud.
        edge_inferences: (device, local day of plant2) -> inferences finished and reported.
        faults: What is wrong on purpose.
    """

    start: date
    end: date
    aws: Mapping[date, Bill]
    focus: Mapping[date, Bill]
    gpu_energy_kwh: Mapping[tuple[str, date], float]
    inference: Mapping[tuple[str, date], Inference]
    edge_inferences: Mapping[tuple[str, date], int]
    faults: Faults
