"""What the gates look at: one row of metrics from one query over the warehouse that was built, and their bounds.

How bounds are judged (Great Expectations) belongs to `gates.py`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from types import MappingProxyType

from babel.numbers import list_currencies

from connectors.sql import literal, literals
from models.api_reconciliation import PAIRS
from models.config import Gates


@dataclass(frozen=True)
class Gate:
    """One gate: a metric with bounds.

    Attributes:
        name: Its name, that of the metric, and that of the asset check.
        doc: What it guards, in words.
        minimum: Least value allowed; None for no bound.
        maximum: Greatest value allowed; None for no bound.
        blocking: A value outside the bounds stops publication; else it is a warning.
        advice: What to do when it fails.
    """

    name: str
    doc: str
    minimum: float | None = None
    maximum: float | None = None
    blocking: bool = True
    advice: str = ""

    @property
    def enforced(self) -> bool:
        """It has a bound."""
        return self.minimum is not None or self.maximum is not None


def gates(bounds: Gates) -> tuple[Gate, ...]:
    """The gates of a configuration, in the order in which they are shown."""
    return (
        Gate(
            "facts_rows", "something was read", minimum=1,
            advice="no source gave a row: check `location` of the sources with `tierwise check`",
        ),
        Gate(
            "reconciliation_difference", "money in = money out, worst source, month and currency",
            maximum=float(bounds.reconciliation_max_difference),
            advice="see ops.reconciliation: a source's native total differs from the ledger's",
        ),
        Gate(
            "unknown_currency_rows", "every amount has an ISO 4217 currency", maximum=0,
            advice="see BillingCurrency in the source's rows",
        ),
        Gate(
            "negative_idle_rows", "no GPU has hours beyond its capacity, or costs less than nothing without a price of energy below 0", maximum=0,
            advice="see marts.gpu_daily: telemetry and asset register contradict each other",
        ),
        Gate(
            "energy_balance_kwh", "energy given to holders = energy of the wall meters, worst meter and day", maximum=0.001,
            advice="see ops.energy_balance: energy was lost or made on the way; report it as a defect",
        ),
        Gate(
            "quarantine_share", "rejected rows / rows read, worst source", maximum=bounds.quarantine_max_share,
            advice="see ops.quarantine for the rows and reasons; mend the source or raise gates.quarantine_max_share",
        ),
        Gate(
            "not_ready_months", "months of required sources whose delivery cannot be read yet", maximum=bounds.not_ready_max_months,
            advice="run again when the delivery is complete, or have it delivered again; required: false on the source, or gates.not_ready_max_months, lets earlier figures stand meanwhile",
        ),
        Gate(
            "untagged_share", "effective cost without an owner / all effective cost, credits by their size", maximum=bounds.untagged_max_share,
            advice="tag the resources, add ownership.aliases or ownership.accounts, or raise gates.untagged_max_share",
        ),
        Gate(
            "api_charged_twice", "providers and months of model APIs that a gateway and a bill both charge", maximum=bounds.api_charged_twice_max,
            advice="their money counts twice: take the provider out of the gateway's `bill`; if the two are different contracts, raise gates.api_charged_twice_max",
        ),
        Gate(
            "accounts_billed_twice", "accounts and months that a legacy CUR and a CUR 2.0 both bill", maximum=bounds.accounts_billed_twice_max,
            advice="every charge of them counts twice: keep one of the two reports for these months; if CUR 2.0 is filtered so that they share no charge, raise gates.accounts_billed_twice_max",
        ),
        Gate(
            "contradicted_totals", "bills with a total below their rows that is not the rows' sum", maximum=bounds.contradicted_totals_max,
            advice="rows may be missing: deliver the whole bill again; if the total is of something else, take it out of the file or raise gates.contradicted_totals_max",
        ),
        Gate(
            "freshness_days", "days since the last day with data, worst source", maximum=bounds.freshness_max_days,
            advice="see ops.sources.last_day: a delivery is late; mend it or raise gates.freshness_max_days",
        ),
        Gate(
            "gpu_coverage", "observed / installed GPU-hours, worst site", minimum=bounds.gpu_coverage_min,
            advice="see marts.gpu_daily.coverage: telemetry is missing; mend it or lower gates.gpu_coverage_min",
        ),
        Gate(
            "energy_unknown_share", "observed GPU-hours without known energy / observed GPU-hours, worst site", maximum=0,
            blocking=False, advice="see marts.gpu_daily where energy_kwh is NULL: that energy is not in the ledger; collect the cards' energy counter or power",
        ),
        Gate(
            "demand_unknown", "months of demand charges without a known quarter of an hour of power", maximum=0, blocking=False,
            advice="see marts.demand_monthly where cost is NULL: that demand is not in the ledger; collect the power of every node, or name the supplier's meter in tariff.meter",
        ),
        Gate(
            "unregistered_hardware", "cards and devices that telemetry names and the asset register does not",
            maximum=0, blocking=False, advice="add the node or device to the asset register: its cost is not in the ledger",
        ),
        Gate(
            "stale_sources", "sources that failed, or have a month that is not ready, and whose earlier figures stand", maximum=0, blocking=False,
            advice="see ops.sources.error",
        ),
        Gate(
            "damaged_files", "files of telemetry that are damaged and left out", maximum=0, blocking=False,
            advice="see ops.quarantine, rule file_damaged: what they measured is not known until they are delivered again",
        ),
        Gate(
            "parent_missing", "charges left out as parts of one that the bill does not hold", maximum=0, blocking=False,
            advice="see ops.quarantine: their cost is in no figure; deliver the bill without a filter, so that it holds what they are parts of",
        ),
        Gate(
            "contradicting_telemetry", "cards whose telemetry contradicts the asset register or itself", maximum=0, blocking=False,
            advice="more cards than units: correct the register; cards above their wall meter: the meter does not see all that they draw, or they are of another node; overlapping holders: two sources measure one card, and its energy counts twice",
        ),
        Gate(
            "kept_months", "months of bills that their source no longer offers and whose earlier figures stand", maximum=0,
            blocking=False, advice="if they are billed elsewhere now, they count twice: see ops.ingests, status kept; give the source another name to drop them",
        ),
        Gate(
            "removed_sources", "sources that are published and no longer configured", maximum=0, blocking=False,
            advice="what they charged and measured is in no figure any more, that of closed months included: if that was not meant, put them back",
        ),
        Gate(
            "repeated_files", "files that two sources both read", maximum=0, blocking=False,
            advice="every charge or sample in them counts twice: remove them from one of the sources",
        ),
        Gate(
            "api_variance_share", "|difference| between gateway, provider's usage and bill of model APIs, worst month that is over",
            maximum=bounds.api_variance_max_share, blocking=False,
            advice="see ops.api_reconciliation: requests beside the gateway, a log that loses rows, or prices that are out of date",
        ),
        Gate(
            "unpriced_requests", "requests of a gateway's log to model APIs that have no cost", maximum=0, blocking=False,
            advice="unless the bill of their provider is a source, they are in no figure of cost: add a price for exactly these models to `prices`, or one for a pattern such as gpt-4o-20*",
        ),
        Gate(
            "repeated_rows", "rows that two files of one source and month both hold, few enough to be chance", maximum=0, blocking=False,
            advice="part of a bill may be there twice, and then counts twice: look at these rows, and remove one of the files if they are the same charges",
        ),
        Gate(
            "repeated_bill", "rows that two files of one source and month both hold, too many to be chance", maximum=bounds.repeated_bill_max_rows,
            advice="the bill is there twice, in another order or form, as a later state of the month or with days that overlap, and counts twice: keep the newest file, or let each export of a month write over the one before or have its day in its name (`costs-2026-09-03.csv`: then the latest counts where it holds all that earlier ones do), or export days once; if these are different charges, raise gates.repeated_bill_max_rows",
        ),
        *_focus_gates(bounds),
    )  # fmt: skip


EARNS = "(cost_unallocated < 0 OR cost_used < 0)"
"""SQL: a row of `marts.gpu_daily` costs less than nothing, as it may where a price of its day is below 0."""


def _copies(rule: str) -> str:
    """SQL: how many rows of files repeat each other under a rule, and which files."""
    found = f"FROM ops.quarantine WHERE action = 'flagged' AND rule = {literal(rule)}"
    text = "source || ' ' || strftime(period, '%Y-%m') || ': ' || value || ', ' || rows || ' rows, ' || currency || ' ' || billed_cost"
    return (
        f"(SELECT CAST(coalesce(sum(rows), 0) AS DOUBLE) {found}) AS {rule}, (SELECT string_agg(text, '; ' ORDER BY text) "
        f"FROM (SELECT {text} AS text {found} ORDER BY text LIMIT 3)) AS {rule}_detail"
    )


def _focus_gates(bounds: Gates) -> tuple[Gate, ...]:
    """Warnings of what FOCUS validators do not see; the rules are in `pipelines/focus_checks.py`."""
    docs = {
        "focus_period_rows": ("charges and billing periods that do not end after their start", "what lasts no time has no day of its own"),
        "focus_billing_month_rows": ("charges whose billing period reaches beyond one month (UTC)", "they count in the month in which it starts"),
        "focus_duplicate_rows": ("charges that are equal to another one in every column", "they count: if the bill holds them by mistake, have it delivered again"),
        "focus_price_rows": ("list and contracted costs that are not unit price x quantity", "savings from these costs are as wrong as they are"),
        "focus_category_rows": ("values outside the closed lists of FOCUS, and subcategories of another category", "reports by these columns miss them"),
        "focus_region_rows": ("charges with a region name and no region id", "reports by region miss them"),
    }  # fmt: skip
    return tuple(
        Gate(
            name, doc, maximum=bounds.focus_max_rows, blocking=False,
            advice=f"{consequence}; `tierwise export focus` lists them by source and month; correct the export at its source, or raise gates.focus_max_rows",
        )
        for name, (doc, consequence) in docs.items()
    )  # fmt: skip


def metrics_sql(
    unregistered: int,
    contradictions: int = 0,
    first_contradiction: str = "",
    moved: str = "",
    billed_twice: Sequence[str] = (),
    *,
    removed: Sequence[str] = (),
    broken: Mapping[str, tuple[int, str]] = MappingProxyType({}),
    paid: Sequence[tuple[str, date]] = (),
) -> str:
    """The one query that gives every metric, one column a gate and `<gate>_detail` where words help.

    Args:
        unregistered: Cards and devices without an asset; known only while their costs are computed.
        contradictions: Cards whose telemetry contradicts the register or itself; known only then, too.
        first_contradiction: The first of them in words.
        moved: Charges of kept months that are billed in another month now, in words.
        billed_twice: Accounts and months that two kinds of report of one provider bill, each in words.
        removed: Sources that are published and no longer configured, each in words.
        broken: Gate of `pipelines.focus_checks.GATES` -> rows that break its rules, and the worst in words.
        paid: Site and day with a price below 0: what drew energy then may cost less than nothing; idle hours have none.
    """
    variances = " UNION ALL ".join(
        f"SELECT month, provider || ' ' || model || ' ' || token_kind || ': {a} - {b}, {what}' AS name, abs({share}) AS share "
        "FROM ops.api_reconciliation"
        for a, b in PAIRS
        for what, share in (
            ("tokens", f"{a}_{b}_tokens_share"),
            ("cost", f"coalesce({a}_{b}_cost_share, {a}_{b}_converted_cost_share)"),
        )
    )
    focus = "".join(
        f", CAST({int(rows)} AS DOUBLE) AS {gate}, {literal(detail)} AS {gate}_detail"
        for gate, (rows, detail) in broken.items()
    )
    return f"""
        WITH fresh AS (
            SELECT source, date_diff('day', last_day, (SELECT max(as_of) FROM ops.publications)) AS days FROM ops.sources
        ), rejected AS (
            SELECT source, sum(rows_rejected) / nullif(sum(rows_read), 0) AS share, sum(rows_rejected) AS rejected
            FROM ops.ingests WHERE current GROUP BY source
        ), coverage AS (
            SELECT site, sum(coverage * gpu_hours_capacity) / nullif(sum(gpu_hours_capacity), 0) AS share
            FROM marts.gpu_daily GROUP BY site
        ), energy AS (
            SELECT site, coalesce(sum(coverage * gpu_hours_capacity) FILTER (energy_kwh IS NULL), 0) AS hours,
                   hours / nullif(sum(coverage * gpu_hours_capacity), 0) AS share
            FROM marts.gpu_daily GROUP BY site
        ), untagged AS (
            SELECT currency, CAST(coalesce(sum(abs(effective_cost)) FILTER (team = 'untagged'), 0) AS DECIMAL(38,2)) AS cost,
                   coalesce(sum(abs(effective_cost)) FILTER (team = 'untagged'), 0) / nullif(sum(abs(effective_cost)), 0) AS share
            FROM marts.chargeback_daily GROUP BY currency
        ), kept AS (
            SELECT source || ' ' || strftime(period, '%Y-%m') AS name FROM ops.ingests
            WHERE current AND status = 'kept' AND grain = 'month'
        ), delivered AS (
            SELECT DISTINCT source, unnest(from_json(objects, '[{{"key": "VARCHAR", "version": "VARCHAR"}}]')) AS file
            FROM ops.ingests WHERE current
        ), unpriced AS (
            SELECT concat_ws(' ', provider, coalesce(model, '(no model)')) AS model, CAST(sum(requests_unpriced) AS BIGINT) AS requests,
                   CAST(coalesce(sum(tokens_in + tokens_out) FILTER (currency IS NULL), 0) AS BIGINT) AS tokens
            FROM telemetry.api_usage_daily WHERE side = 'gateway' AND requests_unpriced > 0 GROUP BY 1
        ), repeated AS (
            SELECT min(source || ': ' || file.key) AS name, max(source || ': ' || file.key) AS other
            FROM delivered GROUP BY file.version HAVING count(DISTINCT source) > 1
        ), variance AS (
            SELECT strftime(month, '%Y-%m') || ' ' || name AS name, share FROM ({variances})
            WHERE month + INTERVAL 1 MONTH <= (SELECT max(as_of) FROM ops.publications) + INTERVAL 1 DAY
        ), twice AS (
            SELECT strftime(month, '%Y-%m') || ' ' || provider AS name FROM ops.api_reconciliation GROUP BY month, provider
            HAVING bool_or(charged LIKE 'gateway%') AND bool_or(charged LIKE '%invoice')
        ), first_reason AS (
            SELECT 'first: ' || rule || ' in column ' || column_name || coalesce(', value ' || value, '')
                   || coalesce(', at ' || location, '') AS text
            FROM ops.quarantine WHERE action = 'rejected' ORDER BY source, period, rule LIMIT 1
        )
        SELECT
            CAST((SELECT coalesce(sum(rows_loaded), 0) FROM ops.ingests WHERE current) AS DOUBLE) AS facts_rows,
            CAST((SELECT max(difference) FROM ops.reconciliation) AS DOUBLE) AS reconciliation_difference,
            (SELECT max_by(source || ' ' || strftime(month, '%Y-%m') || ' ' || currency || ': source ' || source_total
                    || ', ledger ' || focus_total || ', quarantined ' || quarantined_total || ', charged ' || allocated_total, difference)
             FROM ops.reconciliation) AS reconciliation_difference_detail,
            CAST((SELECT count(*) FROM ops.reconciliation WHERE currency NOT IN (SELECT unnest({literals(sorted(list_currencies()))}))
                    OR (currency IN ('XXX', 'XTS') AND focus_total <> 0))
                AS DOUBLE) AS unknown_currency_rows,
            CAST((SELECT count(*) FROM marts.gpu_daily
                  WHERE cost_idle < 0
                    OR ({EARNS} AND NOT list_contains(CAST({literals(f"{site} {day}" for site, day in paid)} AS VARCHAR[]), site || ' ' || day))
                    OR gpu_hours_allocated > gpu_hours_capacity + 1e-6 OR gpu_hours_used > gpu_hours_allocated + 1e-6)
                AS DOUBLE) AS negative_idle_rows,
            CAST((SELECT max(difference_kwh) FROM ops.energy_balance) AS DOUBLE) AS energy_balance_kwh,
            (SELECT max_by(site || ', ' || meter || ', ' || day, difference_kwh) FROM ops.energy_balance WHERE difference_kwh > 0) AS energy_balance_kwh_detail,
            (SELECT max(share) FROM rejected) AS quarantine_share,
            (SELECT max_by(source || ': ' || rejected || ' rows', share) FROM rejected WHERE rejected > 0)
                || coalesce('; ' || (SELECT text FROM first_reason), '') AS quarantine_share_detail,
            (SELECT CAST(coalesce(sum(months_not_ready), 0) AS DOUBLE) FROM ops.sources WHERE required) AS not_ready_months,
            (SELECT string_agg(source || ' ' || error, '; ' ORDER BY source) FROM ops.sources WHERE required AND months_not_ready > 0)
                AS not_ready_months_detail,
            (SELECT max(share) FROM untagged) AS untagged_share,
            (SELECT max_by(currency || ' ' || cost, share) FROM untagged WHERE share > 0) AS untagged_share_detail,
            CAST((SELECT count(*) FROM twice) AS DOUBLE) AS api_charged_twice,
            (SELECT string_agg(name, ', ' ORDER BY name) FROM twice) AS api_charged_twice_detail,
            (SELECT max(share) FROM variance) AS api_variance_share,
            (SELECT max_by(name, share) FROM variance) AS api_variance_share_detail,
            CAST({len(billed_twice)} AS DOUBLE) AS accounts_billed_twice,
            {literal("; ".join(billed_twice[:3]))} AS accounts_billed_twice_detail,
            CAST((SELECT max(days) FROM fresh) AS DOUBLE) AS freshness_days,
            (SELECT max_by(source, days) FROM fresh) AS freshness_days_detail,
            (SELECT min(share) FROM coverage) AS gpu_coverage,
            (SELECT min_by(site, share) FROM coverage) AS gpu_coverage_detail,
            (SELECT max(share) FROM energy) AS energy_unknown_share,
            (SELECT max_by(site || ': ' || round(hours, 1) || ' GPU-hours', share) FROM energy WHERE share > 0) AS energy_unknown_share_detail,
            CAST((SELECT count(*) FROM marts.demand_monthly WHERE cost IS NULL) AS DOUBLE) AS demand_unknown,
            (SELECT min(site || ' ' || strftime(month, '%Y-%m') || ' ' || charge) FROM marts.demand_monthly WHERE cost IS NULL) AS demand_unknown_detail,
            CAST({int(unregistered)} AS DOUBLE) AS unregistered_hardware,
            CAST({int(contradictions)} AS DOUBLE) AS contradicting_telemetry,
            {literal(first_contradiction)} AS contradicting_telemetry_detail,
            CAST((SELECT count(*) FROM ops.quarantine WHERE rule = 'file_damaged') AS DOUBLE) AS damaged_files,
            (SELECT min(source || ': ' || raw) FROM ops.quarantine WHERE rule = 'file_damaged') AS damaged_files_detail,
            CAST((SELECT coalesce(sum(rows), 0) FROM ops.quarantine WHERE rule = 'parent_missing') AS DOUBLE) AS parent_missing,
            (SELECT min(source || ' ' || strftime(period, '%Y-%m') || ': ' || billed_cost || ' ' || currency || ', parts of ' || value)
             FROM ops.quarantine WHERE rule = 'parent_missing') AS parent_missing_detail,
            CAST((SELECT count(*) FROM kept) AS DOUBLE) AS kept_months,
            (SELECT string_agg(name, ', ' ORDER BY name) FROM kept) || {literal(f"; {moved}" if moved else "")} AS kept_months_detail,
            CAST({len(removed)} AS DOUBLE) AS removed_sources,
            {literal("; ".join(removed[:3]))} AS removed_sources_detail,
            CAST((SELECT coalesce(sum(requests), 0) FROM unpriced) AS DOUBLE) AS unpriced_requests,
            (SELECT string_agg(model || ': ' || requests || ' requests, ' || tokens || ' tokens', '; ' ORDER BY requests DESC, model)
             FROM (FROM unpriced ORDER BY requests DESC, model LIMIT 5)) AS unpriced_requests_detail,
            CAST((SELECT count(*) FROM ops.quarantine WHERE rule = 'total_contradicts') AS DOUBLE) AS contradicted_totals,
            (SELECT string_agg(text, '; ' ORDER BY text) FROM (SELECT location || ': ' || value AS text
             FROM ops.quarantine WHERE rule = 'total_contradicts' ORDER BY text LIMIT 3)) AS contradicted_totals_detail,
            {_copies("repeated_rows")}, {_copies("repeated_bill")},
            CAST((SELECT count(*) FROM repeated) AS DOUBLE) AS repeated_files,
            (SELECT min(name || ' and ' || other) FROM repeated) AS repeated_files_detail,
            CAST((SELECT count(*) FROM ops.sources WHERE status = 'stale') AS DOUBLE) AS stale_sources,
            (SELECT string_agg(source || ': ' || error, '; ' ORDER BY source) FROM ops.sources WHERE status = 'stale') AS stale_sources_detail
            {focus}"""


@dataclass(frozen=True)
class Verdict:
    """What a gate found."""

    gate: Gate
    value: float | None
    passed: bool
    detail: str

    @property
    def blocks(self) -> bool:
        """It stops publication."""
        return self.gate.blocking and not self.passed

    def sentence(self) -> str:
        """The finding in words: gate, value, threshold, what to do."""
        value = "not measured" if self.value is None else f"{self.value:.12g}"
        bounds = " and ".join(
            f"{word} {bound:.12g}"
            for word, bound in (("at least", self.gate.minimum), ("at most", self.gate.maximum))
            if bound is not None
        )
        text = f"{self.gate.name} is {value}; allowed: {bounds or 'no bound is configured'}"
        if self.detail:
            text += f" ({self.detail})"
        return text if self.passed else f"{text}. {self.gate.advice}"


def verdicts(gates_: tuple[Gate, ...], row: Mapping[str, object], failed: set[str]) -> list[Verdict]:
    """Puts the measured row and the names of failed gates together."""
    found = []
    for gate in gates_:
        value = row[gate.name]
        number = float(value) if isinstance(value, int | float) else None
        found.append(
            Verdict(gate, number, gate.name not in failed, str(row.get(f"{gate.name}_detail") or ""))
        )
    return found
