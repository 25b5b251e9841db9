"""The step that holds gateway logs, providers' usage and bills of model APIs against each other.

The comparison belongs to `models/api_reconciliation.py`; that one of them carries the money is a gate.
"""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from models import tables
from models.api_reconciliation import BILL, gateway_side, invoice_side, provider_side, reconcile
from models.llm import price_frame
from pipelines.reduce import api_lines
from pipelines.run import Run
from pipelines.transform import Metadata, read_facts

GATEWAYS = ("litellm",)
"""Kinds of sources whose charges are a gateway's estimate, and no bill."""


def api_usage(run: Run) -> Metadata:
    """Writes `ops.api_reconciliation`."""
    run.report("model APIs: log, usage and bill")
    slices, names = run.slices(), run.config.settings.api
    usage = read_facts(run, tables.API_USAGE)
    lines = api_lines(slices, run.config.data_dir / "cache" / "api_lines")
    gateways = sorted({s.source for s in slices if s.kind in GATEWAYS})
    estimated = pl.col("source").is_in(gateways)
    frame = reconcile(
        gateway_side(usage),
        provider_side(usage, price_frame(run.config.prices)),
        invoice_side(lines.filter(~estimated).select(BILL.names())),
        lines.filter(estimated).select("day", provider="service_provider", model="service_name"),
        rates=run.config.rates,
        currency=run.config.settings.currency,
        models=_folded(names.models),
        providers=_folded(names.providers),
    )
    run.write_frame(tables.API_RECONCILIATION.name, frame)
    return {"rows": frame.height, "requests_unpriced": float(frame["gateway_unpriced"].sum())}


def _folded(names: Mapping[str, str]) -> dict[str, str]:
    return {spelling.strip().lower(): name for spelling, name in names.items()}
