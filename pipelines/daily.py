"""Runs the daily Dagster job in this process, with progress for a person."""

from __future__ import annotations

import errno
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import dagster as dg
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)

from pipelines.assets.marts import PLAN, PUBLISHED
from pipelines.definitions import build_defs
from pipelines.jobs import DAILY
from pipelines.resources import InUseError, Tierwise, alone
from pipelines.settings import Config
from pipelines.terminal import escape
from pipelines.warehouse import WAREHOUSE, Warehouse

_QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        success: It was published, or nothing differed from what is published.
        failures: What failed, in words.
        published_before: Something was published before this run.
        unchanged: Nothing differed from what is published.
        slices_read: Slices that were read, because they were new or had changed.
        warnings: What went wrong without touching what is published.
        staged: The warehouse that a failed run had built.
    """

    success: bool
    failures: tuple[str, ...]
    published_before: bool
    unchanged: bool = False
    slices_read: int = 0
    warnings: tuple[str, ...] = ()
    staged: Path | None = None


def run_daily(config: Config, tags: dict[str, str], console: Console) -> Outcome:
    """Runs the daily job of a configuration.

    Args:
        config: The configuration.
        tags: `tierwise/date` or `tierwise/month`, or neither.
        console: Where progress is shown.

    Returns:
        How it ended. Errors of the job are in it, not raised.
    """
    before = Warehouse(config.data_dir).publication is not None
    try:
        _writable(config.data_dir)
        with (
            alone(config.data_dir),
            _progress(console, len(config.sources)) as (report, step),
        ):
            defs = build_defs(config, {"tierwise": Tierwise(config, report)})
            job = defs.resolve_job_def(DAILY)
            with _instance() as instance:
                result = job.execute_in_process(
                    instance=instance, tags=tags, run_config=_QUIET, raise_on_error=False
                )
                step()
    except (_UnwritableError, InUseError) as error:
        return Outcome(False, (str(error),), before)
    if not result.success:
        failures = (_explained(config.hide(f), config.data_dir) for f in _failures(result))
        staged = Tierwise(config).run(result.run_id, tags).stage / WAREHOUSE
        return Outcome(False, tuple(failures), before, staged=staged if staged.is_file() else None)
    told = {
        e.asset_key: {k: v.value for k, v in e.materialization.metadata.items()}
        for e in result.get_asset_materialization_events()
    }
    plan, published = told[dg.AssetKey(PLAN)], told[dg.AssetKey(PUBLISHED)]
    warnings = (str(published["warning"]),) if "warning" in published else ()
    return Outcome(True, (), before, bool(plan["unchanged"]), int(str(plan["slices_read"])), warnings)


class _UnwritableError(Exception):
    """The data folder cannot be written."""


def _writable(data_dir: Path) -> None:
    """Makes the data folder, and checks that it and its folders can be written before anything is read."""
    folder = data_dir
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        for folder in (data_dir, *(p for p in data_dir.iterdir() if p.is_dir() and not p.is_symlink())):
            with TemporaryFile(dir=folder):
                pass
        with (data_dir / ".lock").open("a"):
            pass
    except OSError as error:
        msg = f"{folder} cannot be written ({error.strerror}); allow it, or set data_dir to a folder that can be"
        raise _UnwritableError(msg) from error


def _explained(failure: str, data_dir: Path) -> str:
    """A failure for want of room, whatever part of the run met it, with what to do."""
    full = any(os.strerror(code) in failure for code in (errno.ENOSPC, errno.EDQUOT))
    return f"{failure}: the disk is full; make room for {data_dir} and run again" if full else failure


@contextmanager
def _instance() -> Iterator[dg.DagsterInstance]:
    """The instance of $DAGSTER_HOME, so that the run shows in the UI; else one that lasts for this run."""
    logging.getLogger("dagster").setLevel(logging.CRITICAL)
    if os.environ.get("DAGSTER_HOME"):
        with dg.DagsterInstance.get() as instance:
            yield instance
    else:
        with dg.DagsterInstance.ephemeral() as instance:
            yield instance


@contextmanager
def _progress(console: Console, sources: int) -> Iterator[tuple[Any, Any]]:
    steps = sources + 11
    with Progress(
        SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True, disable=not console.is_terminal,  # else an empty line is all it writes
    ) as progress:  # fmt: skip
        task = progress.add_task("starting", total=steps)
        seen: set[str] = set()

        def report(text: str) -> None:
            head = text.split(":", 1)[0]
            if head not in seen:
                seen.add(head)
                progress.advance(task)
            progress.update(task, description=escape(text[:90]))

        yield report, lambda: progress.update(task, completed=steps)


def _failures(result: dg.ExecuteInProcessResult) -> Iterator[str]:
    """What failed, once each: gates in their own words, steps by the innermost cause."""
    for event in result.all_events:
        if event.event_type_value == "ASSET_CHECK_EVALUATION":
            evaluation = event.asset_check_evaluation_data
            if not evaluation.passed and evaluation.severity == dg.AssetCheckSeverity.ERROR:
                yield f"gate {evaluation.description}"
    for event in result.get_step_failure_events():
        error = event.step_failure_data.error
        if error is None or "DagsterAssetCheckFailedError" in (error.cls_name or ""):
            continue
        while error.cause is not None and error.cls_name == "DagsterExecutionStepExecutionError":
            error = error.cause
        message = re.sub(r"^[\w.]+Error: ", "", error.message.strip())
        step = event.step_key or ""
        yield (
            message
            if "RequiredSourceError" in (error.cls_name or "")
            else f"{step}: {error.cls_name}: {message}"
        )
