"""The tables of the published warehouse as the frames that pages need.

A `Store` sees everything; `Store.for_team` sees one team's rows and no amount of another's. How the file is opened
and locked belongs to `locked.py`; what is made of the frames, to `figures.py`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import polars as pl

from dashboards.figures import Period, period
from dashboards.locked import LockedWarehouse
from models import tables

TEAM_TABLES = frozenset(table for table in tables.TABLES.values() if "team" in table.schema)
"""Tables with a column `team`, which a team's store narrows to its own rows."""


class Store:
    """A reader of one warehouse file; a context manager.

    Every frame is sorted by all its columns, so that what is made of it is the same for the same warehouse.

    Args:
        path: The warehouse file.
        facts: Folder of the Parquet facts that its views read; None where only tables are needed.

    Raises:
        ValueError: There is no warehouse at that path.
    """

    team: str | None = None

    def __init__(self, path: Path, facts: Path | None = None) -> None:
        self.warehouse = LockedWarehouse(path, facts)
        self._tables: dict[tuple[object, ...], Mapping[str | None, pl.DataFrame]] = {}

    def __enter__(self) -> Store:
        """The open store."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes the warehouse."""
        self.close()

    def close(self) -> None:
        """Closes the warehouse for this store and for those made by `for_team`."""
        self.warehouse.close()

    def for_team(self, team: str) -> Store:
        """A store on the same connection that sees only this team's rows."""
        view = copy.copy(self)
        view.team = team
        return view

    def _table(
        self,
        table: tables.Table,
        where: str = "true",
        parameters: Sequence[object] = (),
        *,
        of_the_run: bool = False,
    ) -> pl.DataFrame:
        """Rows of a table, of the store's team where they have one: read once for all teams, since there are thousands.

        None of a table that an earlier version did not publish.
        """
        if table.name not in self.warehouse.tables:
            return table.empty()
        key = (table.name, where, *parameters)
        rows = self.warehouse.query(
            f"SELECT * FROM {table.name} WHERE {where} ORDER BY ALL", parameters, of_the_run=of_the_run
        )
        if key not in self._tables:
            everyone = table.conform(rows)
            teams = everyone.partition_by("team", as_dict=True) if table in TEAM_TABLES else {}
            self._tables[key] = {None: everyone, **{str(team): rows for (team,), rows in teams.items()}}
        found = self._tables[key]
        return found.get(self.team if table in TEAM_TABLES else None, found[None].clear())

    def months(self) -> list[date]:
        """Billing months with charges of any team, newest first."""
        frame = self.warehouse.query(
            "SELECT DISTINCT month FROM marts.chargeback_monthly ORDER BY month DESC"
        )
        return frame["month"].to_list()

    def period(self, month: date) -> Period:
        """The period of one of the months."""
        first, own = (
            self.warehouse.query(
                f"SELECT DISTINCT day FROM marts.chargeback_daily WHERE billing_month = {of} ORDER BY day"
            )
            for of in ("(SELECT min(billing_month) FROM marts.chargeback_daily)", f"DATE '{month}'")
        )
        days = (first["day"].to_list(), own["day"].to_list())
        return period(month, self.months(), self.publication()["as_of"], *days)

    def teams(self, month: date | None = None) -> list[str]:
        """Teams with charges in the month, or in any month where None; a team's store knows itself alone."""
        where = "true" if month is None else "month = ?"
        frame = self.warehouse.query(
            f"SELECT DISTINCT team FROM marts.chargeback_monthly WHERE {where}",
            [] if month is None else [month],
        )
        names = sorted(frame["team"].to_list())
        return names if self.team is None else [n for n in names if n == self.team]

    def chargeback_monthly(self, month: date | None = None) -> pl.DataFrame:
        """`marts.chargeback_monthly`, of one month or all."""
        if month is None:
            return self._table(tables.CHARGEBACK_MONTHLY)
        return self._table(tables.CHARGEBACK_MONTHLY, "month = ?", (month,))

    def chargeback_daily(self, month: date) -> pl.DataFrame:
        """`marts.chargeback_daily` of the charges billed in a month."""
        return self._table(tables.CHARGEBACK_DAILY, "billing_month = ?", (month,))

    def gpu_daily(self, month: date) -> pl.DataFrame:
        """`marts.gpu_daily` of the days of a month."""
        return self._table(tables.GPU_DAILY, "date_trunc('month', day) = ?", (month,))

    def unit_cost_daily(self, month: date) -> pl.DataFrame:
        """`marts.unit_cost_daily` of the days of a month."""
        return self._table(tables.UNIT_COST_DAILY, "date_trunc('month', day) = ?", (month,))

    def placement(self) -> pl.DataFrame:
        """`marts.placement`: the current recommendations."""
        return self._table(tables.PLACEMENT)

    def placement_options(self) -> pl.DataFrame:
        """`marts.placement_options` of the workloads in `placement`."""
        frame = self._table(tables.PLACEMENT_OPTIONS)
        return frame.filter(pl.col("workload").is_in(self.placement()["workload"].implode()))

    def waste(self) -> pl.DataFrame:
        """`marts.waste`: of the last 30 days."""
        return self._table(tables.WASTE)

    def idle_policy(self) -> pl.DataFrame:
        """`marts.idle_policy`: of the last 30 days."""
        return self._table(tables.IDLE_POLICY)

    def gpu_sharing(self) -> pl.DataFrame:
        """`marts.gpu_sharing`; of all teams, so not for one."""
        return self._shared(tables.GPU_SHARING)

    def model_inventory(self) -> pl.DataFrame:
        """`marts.model_inventory`: of the last 30 days."""
        return self._table(tables.MODEL_INVENTORY)

    def anomalies(self, month: date) -> pl.DataFrame:
        """`marts.anomalies` of a month's days."""
        return self._table(tables.ANOMALIES, "date_trunc('month', day) = ?", (month,))

    def training_runs(self, month: date) -> pl.DataFrame:
        """`marts.training_runs` that ended in a month."""
        return self._table(tables.TRAINING_RUNS, "date_trunc('month', ended_at) = ?", (month,))

    def run_energy(self, month: date) -> pl.DataFrame:
        """`marts.run_energy` of runs that a meter read and that ended in a month; for a team, of those it is charged for."""
        frame = self._table(tables.RUN_ENERGY, "readings > 0 AND date_trunc('month', ended_at) = ?", (month,))
        if self.team is None:
            return frame
        return frame.filter(pl.col("run_id").is_in(self.training_runs(month)["run_id"].implode()))

    def waste_hourly(self) -> pl.DataFrame:
        """`marts.waste_hourly`; of all teams, so not for one."""
        return self._shared(tables.WASTE_HOURLY)

    def model_cost(self, month: date) -> pl.DataFrame:
        """`marts.model_cost_monthly` of one month; of all teams, so not for one."""
        return self._shared(tables.MODEL_COST_MONTHLY, "month = ?", (month,))

    def ai_cost_ratio(self, month: date) -> pl.DataFrame:
        """`marts.ai_cost_ratio` of one month; of all teams, so not for one."""
        return self._shared(tables.AI_COST_RATIO, "month = ?", (month,))

    def roi(self, month: date) -> pl.DataFrame:
        """`marts.roi_monthly` of one month; projects may have several teams, so not for one."""
        return self._shared(tables.ROI_MONTHLY, "month = ?", (month,))

    def targets(self, month: date) -> pl.DataFrame:
        """`marts.targets` of one month; of all teams, so not for one."""
        return self._shared(tables.TARGETS, "month = ?", (month,))

    def _shared(
        self, table: tables.Table, where: str = "true", parameters: tuple[object, ...] = ()
    ) -> pl.DataFrame:
        """Rows of a table that holds amounts of all teams together.

        Raises:
            PermissionError: This is a team's store.
        """
        if self.team is not None:
            msg = f"the store of team {self.team!r} does not read {table.name}"
            raise PermissionError(msg)
        return self._table(table, where, parameters)

    def feeds(self) -> pl.DataFrame:
        """Which source stands behind which charges: source (of `ops.sources`), charged_as (of the chargeback).

        A bill is charged under its own name; telemetry, as the owned hardware of its site (`site:NAME`).
        Without the facts the sites of telemetry are not known: then such a source stands behind every site.
        """
        bills = (
            "SELECT source, source AS charged_as FROM marts.chargeback_monthly WHERE source IN (FROM known)"
        )
        if self.warehouse.has_facts:
            views = ("telemetry.gpu_hourly", "telemetry.power_hourly", "telemetry.edge_daily")
            sites = " UNION ".join(f"SELECT source, 'site:' || site AS charged_as FROM {v}" for v in views)
        else:
            sites = (
                "SELECT k.source, c.source AS charged_as FROM known AS k, marts.chargeback_monthly AS c "
                "WHERE c.source LIKE 'site:%' AND k.source NOT IN (SELECT source FROM marts.chargeback_monthly)"
            )
        return self.warehouse.query(
            f"WITH known AS (SELECT source FROM ops.sources) {bills} UNION {sites} ORDER BY ALL"
        )

    def sources(self) -> pl.DataFrame:
        """`ops.sources`; for a team, those behind its charges, without the text of their errors."""
        return self._sources("true")

    def stale_sources(self) -> pl.DataFrame:
        """The rows of `sources` whose last reading failed."""
        return self._sources("status = 'stale'")

    def _sources(self, where: str) -> pl.DataFrame:
        frame = self._table(tables.SOURCES, where)
        if self.team is None:
            return frame
        return frame.filter(pl.col("source").is_in(self._own_sources())).with_columns(
            pl.lit(None, dtype=pl.String).alias("error")
        )

    def stale(self) -> dict[str, datetime | None]:
        """Charges whose source failed: source as in the chargeback -> when it was last read well, if known."""
        stale = self.stale_sources().join(self.feeds(), on="source")
        oldest = stale.group_by("charged_as").agg(pl.col("stale_since").min()).sort("charged_as")
        return dict(oldest.iter_rows())

    def publication(self) -> dict[str, Any]:
        """The latest row of `ops.publications`, by column.

        Raises:
            ValueError: Nothing has been published into this warehouse.
        """
        frame = self.warehouse.query(
            "SELECT * FROM ops.publications ORDER BY published_at DESC, run_id DESC LIMIT 1", of_the_run=True
        )
        if frame.is_empty():
            msg = "the warehouse holds no publication (ops.publications is empty); run `tierwise run`"
            raise ValueError(msg)
        return frame.row(0, named=True)

    def quality(self) -> pl.DataFrame:
        """`ops.quality` of the run that was published; for a team, without the findings in words."""
        frame = self._table(tables.QUALITY, "run_id = ?", (self.publication()["run_id"],), of_the_run=True)
        return frame if self.team is None else frame.with_columns(pl.lit("").alias("detail"))

    def reconciliation(self, month: date | None = None) -> pl.DataFrame:
        """`ops.reconciliation`, of one month or all.

        Raises:
            PermissionError: This is a team's store; the table holds amounts of all teams together.
        """
        if month is None:
            return self._shared(tables.RECONCILIATION)
        return self._shared(tables.RECONCILIATION, "month = ?", (month,))

    def api_reconciliation(self, month: date) -> pl.DataFrame:
        """`ops.api_reconciliation` of the usage of a month.

        Raises:
            PermissionError: This is a team's store; the table holds usage of all teams together.
        """
        return self._shared(tables.API_RECONCILIATION, "month = ?", (month,))

    def quarantine_counts(self, month: date) -> pl.DataFrame:
        """Rows set aside or repaired in a month: source, action, rule, rows; for a team, of its sources."""
        frame = self.warehouse.query(
            "SELECT source, action, rule, CAST(sum(rows) AS BIGINT) AS rows FROM ops.quarantine "
            "WHERE date_trunc('month', period) = ? GROUP BY ALL ORDER BY ALL",
            [month],
        )
        return frame if self.team is None else frame.filter(pl.col("source").is_in(self._own_sources()))

    def ownerless_share(self, month: date, currency: str) -> tuple[float | None, float | None]:
        """Untagged and unallocated shares (0-1) of a month's effective cost; None if there is none.

        Credits count by their size, by day as in the gate `untagged_share`: sums by month would net them first.
        """
        row = self.warehouse.query(
            "SELECT sum(abs(effective_cost)) AS whole, "
            "sum(abs(effective_cost)) FILTER (team = 'untagged' AND cost_kind <> 'unallocated') AS untagged, "
            "sum(abs(effective_cost)) FILTER (cost_kind = 'unallocated') AS unallocated "
            "FROM marts.chargeback_daily WHERE billing_month = ? AND currency = ?",
            [month, currency],
        ).row(0, named=True)
        if not row["whole"]:
            return None, None
        return float((row["untagged"] or 0) / row["whole"]), float((row["unallocated"] or 0) / row["whole"])

    def _own_sources(self) -> pl.Series:
        charged = self.warehouse.query(
            "SELECT DISTINCT team, source FROM marts.chargeback_monthly ORDER BY ALL"
        )
        own = charged.filter(pl.col("team") == self.team)
        behind = self.feeds().join(own, left_on="charged_as", right_on="source", how="semi")
        return behind["source"].unique().sort().implode()
