"""Judges the row of metrics with Great Expectations and keeps its Data Docs. What is measured: `gates.py`."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from models import tables
from pipelines.checks.gate import Gate, Verdict, verdicts

SUITE = "publication"


def judge(gates: tuple[Gate, ...], row: Mapping[str, Any], folder: Path, run_id: str) -> list[Verdict]:
    """Runs the suite on the row, with Data Docs below the folder.

    Args:
        gates: The gates.
        row: One row of `metrics_sql`.
        folder: Great Expectations' project folder, made if absent.
        run_id: Names the run in the Data Docs.

    Returns:
        One verdict for each gate.
    """
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library's own deprecations are not ours to mend
        failed = _failed(gates, row, folder, run_id)
    return verdicts(gates, row, failed)


def _failed(gates: tuple[Gate, ...], row: Mapping[str, Any], folder: Path, run_id: str) -> set[str]:
    import great_expectations as gx
    import pandas as pd

    folder.mkdir(parents=True, exist_ok=True)
    context = gx.get_context(mode="file", context_root_dir=str(folder))
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_or_update_pandas("metrics")
    batch = source.add_dataframe_asset("warehouse").add_batch_definition_whole_dataframe("row")
    suite = gx.ExpectationSuite(
        name=SUITE,
        expectations=[
            gx.expectations.ExpectColumnValuesToBeBetween(
                column=gate.name, min_value=gate.minimum, max_value=gate.maximum, meta={"guards": gate.doc}
            )
            for gate in gates
            if gate.enforced
        ],
    )
    validation = gx.ValidationDefinition(name=SUITE, data=batch, suite=suite)
    checkpoint = context.checkpoints.add_or_update(  # with the definition and the suite in it
        gx.Checkpoint(
            name=SUITE,
            validation_definitions=[validation],
            actions=[gx.checkpoint.UpdateDataDocsAction(name="data_docs")],
            result_format="BASIC",
        )
    )
    frame = pd.DataFrame([{gate.name: row[gate.name] for gate in gates}], dtype="float64")
    result = checkpoint.run(batch_parameters={"dataframe": frame}, run_id=gx.RunIdentifier(run_name=run_id))
    failed = set()
    for run in result.run_results.values():
        for outcome in run.results:
            if not outcome.success:
                if outcome.expectation_config is None:
                    msg = "Great Expectations gave a result without its expectation"
                    raise RuntimeError(msg)
                failed.add(str(outcome.expectation_config.kwargs["column"]))
    return failed


def data_docs(folder: Path) -> Path:
    """The index page of the Data Docs."""
    return folder / "uncommitted" / "data_docs" / "local_site" / "index.html"


def quality(found: list[Verdict], run_id: str) -> pl.DataFrame:
    """The verdicts as rows of `ops.quality`."""
    rows = [
        {
            "run_id": run_id, "gate": v.gate.name, "passed": v.passed, "severity": "error" if v.gate.blocking else "warning",
            "value": v.value, "minimum": v.gate.minimum, "maximum": v.gate.maximum, "detail": v.sentence(),
        }
        for v in found
    ]  # fmt: skip
    return tables.QUALITY.conform(
        pl.DataFrame(
            rows, schema_overrides={"value": pl.Float64, "minimum": pl.Float64, "maximum": pl.Float64}
        )
    )
