"""The steps between facts and marts: each reads frames, calls pure functions of `models/`, and keeps frames.

No formula lives here. What is staged and published belongs to `publication.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta

import polars as pl

from connectors.base import Loaded, Slice
from models import chargeback as chargeback_model
from models import edge, gpu, owned_focus, ownership, ratecard, tables, tags
from models import unit_cost as unit_cost_model
from models.config import DIMENSIONS
from models.placement.measured import measure
from models.placement.recommend import recommend
from pipelines.facts import SliceFacts
from pipelines.reduce import SITE, daily_costs
from pipelines.run import Run

Metadata = Mapping[str, int | float | str]


def read_facts(run: Run, table: tables.Table) -> pl.DataFrame:
    """All current rows of a fact table."""
    files = [s.path(table.name) for s in run.slices() if table.name in s.tables]
    frames = [table.conform(pl.read_parquet(f)) for f in files]
    return pl.concat(frames) if frames else table.empty()
