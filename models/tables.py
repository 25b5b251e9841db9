"""Every published table: columns, types, units, keys, meaning. DDL, SQL comments, docs and gates derive from it.

A table is defined here once. How its rows are computed belongs to the other modules of `models/`; how they
are stored belongs to `pipelines/warehouse.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from models import focus

MONEY = pl.Decimal(38, 12)
"""The type of every amount of money and every quantity of a bill: 26 digits before the point, 12 after."""

TYPES: Mapping[str, tuple[str, pl.DataType]] = {
    "text": ("VARCHAR", pl.String()),
    "json": ("JSON", pl.String()),
    "decimal": ("DECIMAL(38,12)", MONEY),
    "double": ("DOUBLE", pl.Float64()),
    "int": ("BIGINT", pl.Int64()),
    "bool": ("BOOLEAN", pl.Boolean()),
    "date": ("DATE", pl.Date()),
    "timestamp": ("TIMESTAMP", pl.Datetime("us")),
}
"""Our type names -> (DuckDB type, polars type). Timestamps are UTC without a zone."""


@dataclass(frozen=True)
class Column:
    """One column: its name, type name (a key of `TYPES`), meaning, unit, and whether NULL is allowed."""

    name: str
    type: str
    doc: str
    unit: str = ""
    nullable: bool = True


@dataclass(frozen=True)
class Table:
    """One table of the warehouse.

    Attributes:
        name: `layer.noun_grain`.
        doc: What one row is.
        key: The columns that together are unique; empty where rows may repeat.
        columns: In the order in which they are published.
    """

    name: str
    doc: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @property
    def schema(self) -> pl.Schema:
        """The polars schema of a frame of this table."""
        return pl.Schema({c.name: TYPES[c.type][1] for c in self.columns})

    def empty(self) -> pl.DataFrame:
        """A frame of this table without rows."""
        return pl.DataFrame(schema=self.schema)

    def conform(self, frame: pl.DataFrame) -> pl.DataFrame:
        """The frame with exactly this table's columns, order and types; absent nullable columns become NULL.

        Args:
            frame: Any frame that has at least the columns that may not be NULL.

        Returns:
            The frame, cast strictly: a value that does not fit raises `polars.exceptions.InvalidOperationError`.

        Raises:
            ValueError: A column that may not be NULL is missing.
        """
        missing = [c.name for c in self.columns if not c.nullable and c.name not in frame.columns]
        if missing:
            msg = f"{self.name}: columns {missing} are missing; there are {frame.columns}"
            raise ValueError(msg)
        return frame.select(
            (pl.col(c.name) if c.name in frame.columns else pl.lit(None, dtype=TYPES[c.type][1]))
            .cast(TYPES[c.type][1])
            .alias(c.name)
            for c in self.columns
        )

    def ddl(self) -> str:
        """The DuckDB `CREATE TABLE` statement, without constraints."""
        columns = ", ".join(f'"{c.name}" {TYPES[c.type][0]}' for c in self.columns)
        return f"CREATE TABLE {self.name} ({columns})"


def _c(name: str, type_: str, doc: str, unit: str = "", *, null: bool = True) -> Column:
    return Column(name, type_, doc, unit, null)


def _n(name: str, type_: str, doc: str, unit: str = "") -> Column:
    return Column(name, type_, doc, unit, nullable=False)


_OWNER = (
    _c("team", "text", "Team label as found at the source; NULL where there is none"),
    _c("project", "text", "Project label as found at the source"),
    _c("environment", "text", "Environment label as found at the source"),
    _c("workload", "text", "Workload the card, service or device works for"),
    _c(
        "workload_type",
        "text",
        "training, fine_tuning, batch_inference, realtime_inference, edge_inference, ...",
    ),
)

FOCUS = Table(
    "focus.cost_and_usage",
    "One charge of a provider, of an owned GPU or of an edge device, in FOCUS 1.4 columns.",
    (),
    (
        *(
            Column(
                c.name,
                c.type,
                "FOCUS 1.4 column" + (f", one of {', '.join(c.allowed)}" if c.allowed else ""),
                nullable=not c.required,
            )
            for c in focus.COLUMNS
        ),
        _c("ProviderName", "text", "FOCUS 1.0-1.3 column, kept for queries written for them"),
        _n("x_source", "text", "Name of the source in the configuration, or `site:NAME` for owned hardware"),
        _n("x_tier", "text", "cloud, api, onprem, edge"),
        _n("x_billing_month", "date", "First day of the month in which the charge is billed"),
        _n("x_cost_kind", "text", "direct, shared, idle (a team's, unused), unallocated (nobody's)"),
    ),
)

GPU_HOURLY = Table(
    "telemetry.gpu_hourly",
    "One hour of one GPU or MIG slice under one holder, reduced from samples.",
    ("source", "gpu", "mig_id", "hour", "namespace", "pod", "team", "workload", "allocated"),
    (
        _n("hour", "timestamp", "Start of the hour, UTC"),
        _n("day", "date", "Local calendar day of the site in which the hour starts"),
        _n("source", "text", "Name of the source"),
        _n("site", "text", "Name of the site"),
        _c("node", "text", "Host that holds the card"),
        _n("gpu", "text", "UUID of the card"),
        _c("gpu_model", "text", "Model as the driver names it"),
        _c("mig_profile", "text", "MIG profile such as 2g.20gb; NULL for a whole card"),
        _c("mig_id", "text", "MIG instance id; NULL for a whole card"),
        _c("namespace", "text", "Kubernetes namespace of the holder"),
        _c("pod", "text", "Pod or job of the holder"),
        *_OWNER,
        _c("allocated", "bool", "Somebody held the card; NULL where no sample says (a gap)"),
        _n("observed_hours", "double", "Part of the hour covered by samples under this holder", "h"),
        _c(
            "used_hours",
            "double",
            "Utilisation integrated over the observed part; NULL where it is not reported",
            "GPU-h",
        ),
        _c(
            "energy_kwh",
            "double",
            "Energy of the card measured in the observed part; NULL where none of it is measured",
            "kWh",
        ),
        _n(
            "energy_estimated_kwh",
            "double",
            "Energy known to have been used in gaps, spread by estimate",
            "kWh",
        ),
    ),
)

POWER_HOURLY = Table(
    "telemetry.power_hourly",
    "One hour of one wall or node power meter.",
    ("source", "meter", "hour"),
    (
        _n("hour", "timestamp", "Start of the hour, UTC"),
        _n("day", "date", "Local calendar day of the site"),
        _n("source", "text", "Name of the source"),
        _n("site", "text", "Name of the site"),
        _c("node", "text", "Host behind the meter"),
        _n("meter", "text", "Meter or sensor"),
        _n("energy_kwh", "double", "Measured energy", "kWh"),
        _n("energy_estimated_kwh", "double", "Energy in gaps, by estimate", "kWh"),
        _n("coverage", "double", "Part of the hour with samples", "0-1"),
    ),
)

INFERENCE_HOURLY = Table(
    "telemetry.inference_hourly",
    "One hour of one served model of one workload.",
    ("source", "workload", "model", "team", "namespace", "pod", "hour"),
    (
        _n("hour", "timestamp", "Start of the hour, UTC"),
        _n("day", "date", "Local calendar day of the site, or of the configuration's time zone"),
        _n("source", "text", "Name of the source"),
        _c("site", "text", "Name of the site"),
        _n("tier", "text", "Where it ran: cloud, api, onprem, edge"),
        _n("workload", "text", "Workload; the model's name where the source knows no workload"),
        _c("model", "text", "Served model"),
        _c("team", "text", "Team label as found at the source"),
        _c("namespace", "text", "Kubernetes namespace"),
        _c("pod", "text", "Pod"),
        _c("inferences", "double", "Requests finished with an answer; aborts and errors are not counted"),
        _c("failed", "double", "Requests aborted or in error"),
        _c("tokens_in", "double", "Prompt tokens, cached ones included", "tokens"),
        _c("tokens_cached", "double", "Prompt tokens answered from a cache", "tokens"),
        _c("tokens_out", "double", "Generated tokens", "tokens"),
        _c("latency_buckets", "json", "Cumulative latency histogram: upper bound in seconds -> requests"),
        _n("coverage", "double", "Part of the hour with samples", "0-1"),
    ),
)

EDGE_DAILY = Table(
    "telemetry.edge_daily",
    "One local day of one edge device.",
    ("source", "device", "day", "workload", "model"),
    (
        _n("day", "date", "Local calendar day of the site"),
        _n("source", "text", "Name of the source"),
        _n("site", "text", "Name of the site"),
        _n("device", "text", "Device id"),
        _c("device_model", "text", "Hardware model"),
        _c("model", "text", "Model that runs on it"),
        *_OWNER,
        _c("inferences", "double", "Inferences finished"),
        _c("failed", "double", "Inferences in error"),
        _n("online_hours", "double", "Hours covered by reports", "h"),
        _n("coverage", "double", "online_hours by the hours of the day", "0-1"),
        _c("energy_kwh", "double", "Measured energy; NULL where the device does not report it", "kWh"),
        _n("energy_estimated_kwh", "double", "Energy in gaps, by estimate", "kWh"),
        _n("messages", "int", "Distinct reports"),
        _n("duplicates", "int", "Reports received again"),
        _n("late_messages", "int", "Reports that arrived after the day ended"),
        _c("latency_buckets", "json", "Cumulative latency histogram: upper bound in seconds -> inferences"),
    ),
)

_CHARGEBACK = (
    _n(
        "team",
        "text",
        "Team that pays; `untagged` where no rule names one, the platform team for nobody's cost",
    ),
    _n("project", "text", "Project, or `untagged`"),
    _n("environment", "text", "Environment, or `untagged`"),
    _n("workload_type", "text", "Type of work, or `other`"),
    _n("workload", "text", "Workload, or `untagged`"),
    _n("tier", "text", "cloud, api, onprem, edge"),
    _n("source", "text", "Source of the charge"),
    _c("service_provider", "text", "ServiceProviderName"),
    _c("service_name", "text", "ServiceName"),
    _c("sub_account", "text", "SubAccountId"),
    _n("cost_kind", "text", "direct, shared, idle, unallocated"),
    _n(
        "method",
        "text",
        "How the team was found: tag, alias, account, telemetry (label, namespace or default of owned hardware), "
        "platform (nobody held it), untagged",
    ),
    _n("currency", "text", "BillingCurrency; amounts of different currencies are never added"),
    _n("billed_cost", "decimal", "Invoiced amount", "currency"),
    _n("effective_cost", "decimal", "Amortised amount, the one that is charged back", "currency"),
    _c(
        "converted_cost",
        "decimal",
        "effective_cost at the day's rate; NULL where no rate is known",
        "organisation's currency",
    ),
)

CHARGEBACK_DAILY = Table(
    "marts.chargeback_daily",
    "What one team owes for one day, project, environment, type of work, workload, service and cost kind.",
    ("day", "billing_month", *(c.name for c in _CHARGEBACK if c.type != "decimal")),
    (
        _n("day", "date", "Day of the charge"),
        _n("billing_month", "date", "Month in which it is billed"),
        *_CHARGEBACK,
    ),
)

CHARGEBACK_MONTHLY = Table(
    "marts.chargeback_monthly",
    "What one team owes for one billing month.",
    ("month", *(c.name for c in _CHARGEBACK if c.type != "decimal")),
    (
        _n("month", "date", "Billing month, its first day"),
        *_CHARGEBACK,
        _c(
            "published_cost",
            "decimal",
            "effective_cost when the month was closed; NULL while it is open",
            "currency",
        ),
        _c("adjustment", "decimal", "effective_cost - published_cost", "currency"),
    ),
)

GPU_DAILY = Table(
    "marts.gpu_daily",
    "One local day of one owned GPU or MIG slice under one holder. Hours and costs of a card add up over its rows.",
    ("day", "site", "node", "gpu", "mig_profile", "team", "workload", "state"),
    (
        _n("day", "date", "Local calendar day of the site"),
        _n("site", "text", "Name of the site"),
        _c("node", "text", "Host that holds the card"),
        _n(
            "gpu",
            "text",
            "UUID of the card; `NODE/unseen-1`, ... for registered cards that no telemetry names",
        ),
        _c("gpu_model", "text", "Model of the card"),
        _c("mig_profile", "text", "MIG profile; NULL for a whole card"),
        _n("team", "text", "Holder's team; the platform team where nobody held it or nothing is known"),
        _n("workload", "text", "Holder's workload, or `untagged`"),
        _n("state", "text", "allocated, unallocated (observed, nobody held it), unknown (no telemetry)"),
        _n(
            "gpu_hours_capacity",
            "double",
            "Hours of the day in which the card was in service, this row's part",
            "GPU-h",
        ),
        _n("gpu_hours_allocated", "double", "Hours held by somebody", "GPU-h"),
        _c("gpu_hours_used", "double", "Utilisation x hours; NULL where unknown", "GPU-h"),
        _c("utilisation", "double", "gpu_hours_used / gpu_hours_allocated; NULL where unknown", "0-1"),
        _n("coverage", "double", "Observed part of gpu_hours_capacity", "0-1"),
        _c(
            "energy_kwh",
            "double",
            "Energy measured at the card, before PUE; NULL where that of some observed hour is unknown",
            "kWh",
        ),
        _n("energy_estimated_kwh", "double", "Energy in gaps, by estimate, before PUE", "kWh"),
        _n("cost_used", "decimal", "Cost of the used part, energy included", "currency"),
        _n("cost_idle", "decimal", "Cost of hours held and not used", "currency"),
        _n(
            "cost_unallocated",
            "decimal",
            "Cost of hours that nobody held or that nothing is known about",
            "currency",
        ),
        _n("currency", "text", "Currency of the asset register"),
    ),
)

UNIT_COST_DAILY = Table(
    "marts.unit_cost_daily",
    "What one workload's work cost per unit on one day, on one basis.",
    ("day", "workload", "model", "team", "tier", "basis", "currency"),
    (
        _n("day", "date", "Day"),
        _n("workload", "text", "Workload"),
        _c("model", "text", "Served model; NULL where several share the workload's cost"),
        _n("team", "text", "Team"),
        _n("tier", "text", "cloud, api, onprem, edge"),
        _n("basis", "text", "full (idle and fixed cost included) or marginal (what one more unit costs)"),
        _n("currency", "text", "Currency; XXX where cost is NULL"),
        _c("inferences", "double", "Inferences"),
        _c("tokens_in", "double", "Prompt tokens", "tokens"),
        _c("tokens_out", "double", "Generated tokens", "tokens"),
        _c(
            "cost",
            "decimal",
            "Cost of the workload that day on this basis; NULL where no charge names its work",
            "currency",
        ),
        _c("cost_per_1m_inferences", "decimal", "1e6 x cost / inferences; NULL for none", "currency"),
        _c(
            "cost_per_1m_tokens",
            "decimal",
            "1e6 x cost / (tokens_in + tokens_out); NULL for none",
            "currency",
        ),
        _c("energy_kwh", "double", "Energy of the workload, before PUE; NULL where not measured", "kWh"),
        _c("kwh_per_1m_tokens", "double", "1e6 x energy_kwh / tokens; NULL for none", "kWh"),
        _c("p50_ms", "double", "Median latency from summed histogram buckets", "ms"),
        _c("p95_ms", "double", "95th percentile", "ms"),
        _c("p99_ms", "double", "99th percentile", "ms"),
    ),
)

PLACEMENT = Table(
    "marts.placement",
    "The recommendation for one workload.",
    ("workload",),
    (
        _n("workload", "text", "Workload of the configuration"),
        _c("team", "text", "Team that owns it"),
        _c("current_option", "text", "Where it runs today"),
        _c("recommended_option", "text", "Where it should run; NULL where nothing is feasible"),
        _n("status", "text", "keep, plan, implement, blocked, infeasible"),
        _c(
            "saving_36m",
            "decimal",
            "Cost of staying - cost of the recommended option over the horizon, migration included",
            "currency",
        ),
        _c("npv_36m", "decimal", "The same, discounted", "currency"),
        _c("breakeven_month", "int", "First whole month in which moving has paid; NULL if never", "months"),
        _c("confidence", "text", "high, medium, low: how well the inputs are measured"),
        _n("reason", "text", "The reason in words"),
        _c("currency", "text", "Currency"),
    ),
)

PLACEMENT_OPTIONS = Table(
    "marts.placement_options",
    "One option of one workload, with its cost over the horizon or why it is impossible.",
    ("workload", "option"),
    (
        _n("workload", "text", "Workload"),
        _n("option", "text", "Option"),
        _n("tier", "text", "cloud, api, onprem, edge"),
        _n("feasible", "bool", "It meets every hard constraint"),
        _n("reason", "text", "Which constraints it breaks, or how its cost was found"),
        _c(
            "cost_36m",
            "decimal",
            "Sum of the parts below over the horizon; NULL if infeasible or not computable",
            "currency",
        ),
        _c("capex", "decimal", "Bought hardware and build-out, less salvage", "currency"),
        _c("usage", "decimal", "Rented hours, tokens or requests", "currency"),
        _c("energy", "decimal", "Energy", "currency"),
        _c("opex", "decimal", "Space, staff, support, connectivity", "currency"),
        _c("egress", "decimal", "Data transfer", "currency"),
        _c("migration", "decimal", "One-off cost of moving there", "currency"),
        _c("monthly_cost", "decimal", "cost_36m without capex and migration, per month", "currency"),
        _c("currency", "text", "Currency"),
    ),
)

RECONCILIATION = Table(
    "ops.reconciliation",
    "Money in and money out of one source, month and currency, in BilledCost.",
    ("source", "month", "currency"),
    (
        _n("source", "text", "Source"),
        _n("month", "date", "Billing month"),
        _n("currency", "text", "Currency"),
        _n(
            "source_total", "decimal", "Sum over the native rows, computed apart from the mapping", "currency"
        ),
        _n("focus_total", "decimal", "Sum of BilledCost in focus.cost_and_usage", "currency"),
        _n("quarantined_total", "decimal", "Sum over the rows set aside", "currency"),
        _n("allocated_total", "decimal", "Sum of billed_cost in marts.chargeback_daily", "currency"),
        _n(
            "difference",
            "decimal",
            "|source - focus - quarantined| + |focus - allocated|; 0 or the gate fails",
            "currency",
        ),
    ),
)

INGESTS = Table(
    "ops.ingests",
    "What was read: one slice (billing month or local day) of one source, one row a change.",
    ("run_id", "source", "period"),
    (
        _n("run_id", "text", "Run that read it"),
        _n("source", "text", "Source"),
        _n("kind", "text", "Kind of the source"),
        _n("period", "date", "First day of the slice"),
        _n("grain", "text", "month or day"),
        _n(
            "status",
            "text",
            "loaded (new or changed), kept (the source no longer lists it), stale (the source failed)",
        ),
        _n("current", "bool", "The published tables hold this version of the slice"),
        _c("fingerprint", "text", "Changes when the content does"),
        _n("rows_read", "int", "Native rows"),
        _n("rows_loaded", "int", "Rows in the facts"),
        _n("rows_rejected", "int", "Rows in ops.quarantine with action `rejected`"),
        _n("rows_repaired", "int", "Values repaired"),
        _c("objects", "json", "Files read: name, size, etag or hash"),
        _c("facts", "json", "Fact files written: table -> file"),
        _c("read_at", "timestamp", "When it was read, UTC"),
        _c("note", "text", "What the reader remarked"),
        _c(
            "changes",
            "json",
            "What it changed in the version it replaced: rows and money by service and account",
        ),
    ),
)

SOURCES = Table(
    "ops.sources",
    "State of one source in this publication.",
    ("source",),
    (
        _n("source", "text", "Source"),
        _n("kind", "text", "Kind"),
        _n("required", "bool", "Its failure blocks publication"),
        _n("status", "text", "ok, stale (it failed and earlier figures stand), empty (nothing read so far)"),
        _c("stale_since", "timestamp", "When it was last read well, if it is stale; UTC"),
        _c("last_day", "date", "Last day for which it has data"),
        _c("error", "text", "Why it failed"),
    ),
)

QUARANTINE = Table(
    "ops.quarantine",
    "Rows set aside and values repaired, by source, slice and rule.",
    (),
    (
        _n("source", "text", "Source"),
        _n("period", "date", "Slice"),
        _n(
            "action",
            "text",
            "rejected (the row is not in the ledger), repaired (a value was put right), flagged (kept as it is)",
        ),
        _n("rule", "text", "What is wrong, as a short name"),
        _n("column_name", "text", "Column"),
        _c("value", "text", "The value, or an example where several rows share the rule"),
        _n("rows", "int", "Rows concerned"),
        _c("billed_cost", "decimal", "Money of the rejected rows, where it can be read", "currency"),
        _c("currency", "text", "Currency of that money"),
        _c("location", "text", "File and row"),
        _c("raw", "text", "The rejected row as it came, shortened"),
    ),
)

QUALITY = Table(
    "ops.quality",
    "The verdict of one gate of one run.",
    ("run_id", "gate"),
    (
        _n("run_id", "text", "Run"),
        _n("gate", "text", "Gate"),
        _n("passed", "bool", "The value is inside its bounds"),
        _n("severity", "text", "error (blocks publication) or warning"),
        _c("value", "double", "Measured"),
        _c("minimum", "double", "Least value allowed"),
        _c("maximum", "double", "Greatest value allowed"),
        _n("detail", "text", "The finding in words"),
    ),
)

PUBLICATIONS = Table(
    "ops.publications",
    "One publication of the warehouse.",
    ("run_id",),
    (
        _n("run_id", "text", "Run"),
        _n("published_at", "timestamp", "When, UTC"),
        _n("as_of", "date", "The day the run was for"),
        _n("version", "text", "Version of Tierwise"),
        _n("currency", "text", "The organisation's currency, that of converted_cost"),
        _n("config_hash", "text", "Hash of the configuration"),
        _n("input_hash", "text", "Hash of all slices, settings and code version that the tables follow from"),
        _n("money_in", "json", "currency -> sum of source totals"),
        _n("money_out", "json", "currency -> sum of chargeback and quarantine"),
    ),
)

TABLES: Mapping[str, Table] = {
    t.name: t
    for t in (
        FOCUS, GPU_HOURLY, POWER_HOURLY, INFERENCE_HOURLY, EDGE_DAILY,
        CHARGEBACK_DAILY, CHARGEBACK_MONTHLY, GPU_DAILY, UNIT_COST_DAILY, PLACEMENT, PLACEMENT_OPTIONS,
        RECONCILIATION, INGESTS, SOURCES, QUARANTINE, QUALITY, PUBLICATIONS,
    )
}  # fmt: skip
"""Every table by name, in publication order."""

FACTS = (FOCUS, GPU_HOURLY, POWER_HOURLY, INFERENCE_HOURLY, EDGE_DAILY)
"""Tables that are views over Parquet facts; all others are tables in the warehouse file."""
