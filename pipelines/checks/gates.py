"""The gates: what each looks at in the warehouse that was built, its bounds, and what to do when it fails.

What a gate is and how all are measured at once belongs to `gate.py`; how bounds are judged (Great Expectations), to `judge.py`.
"""

from __future__ import annotations

from babel.numbers import list_currencies

from connectors.sql import literals
from models.api_reconciliation import PAIRS
from models.config import Gates
from pipelines.checks.gate import Gate

_CURRENCIES = literals(sorted(list_currencies()))
_AS_OF = "(SELECT max_by(as_of, published_at) FROM ops.publications)"
_MONTH = "strftime(month, '%Y-%m')"
_PERIOD = "strftime(period, '%Y-%m')"
_THREE = "string_agg(text, '; ' ORDER BY text) FILTER (place <= 3)"
"""SQL: the first texts of `_placed`."""
_FIRST_REASON = (
    "(SELECT 'first: ' || rule || ' in column ' || column_name || coalesce(', value ' || value, '') || coalesce(', at ' || location, '') "
    "FROM ops.quarantine WHERE action = 'rejected' ORDER BY source, period, rule LIMIT 1)"
)
_VARIANCES = " UNION ALL ".join(
    f"SELECT month, provider || ' ' || model || ' ' || token_kind || ': {a} - {b}, {what}' AS name, abs({share}) AS share FROM ops.api_reconciliation"
    for a, b in PAIRS
    for what, share in (("tokens", f"{a}_{b}_tokens_share"), ("cost", f"coalesce({a}_{b}_cost_share, {a}_{b}_converted_cost_share)"))
)  # fmt: skip


def gates(bounds: Gates) -> tuple[Gate, ...]:
    """The gates of a configuration, in the order in which they are shown.

    The relation `known` is the one row of what is known only during the run (`pipelines/audit.py`).
    """
    return (
        Gate(
            "facts_rows", "something was read", minimum=1,
            relation="ops.ingests WHERE current", value="coalesce(sum(rows_loaded), 0)",
            advice="no source gave a row: check `location` of the sources with `tierwise check`",
        ),
        Gate(
            "reconciliation_difference", "money in = money out, worst source, month and currency",
            maximum=float(bounds.reconciliation_max_difference),
            relation="ops.reconciliation", value="max(difference)",
            detail=f"max_by(source || ' ' || {_MONTH} || ' ' || currency || ': source ' || source_total || ', ledger ' || focus_total "
            "|| ', quarantined ' || quarantined_total || ', charged ' || allocated_total, difference)",
            advice="see ops.reconciliation: a source's native total differs from the ledger's",
        ),
        Gate(
            "unknown_currency_rows", "every amount has an ISO 4217 currency", maximum=0,
            relation=f"ops.reconciliation WHERE currency NOT IN (SELECT unnest({_CURRENCIES})) OR (currency IN ('XXX', 'XTS') AND focus_total <> 0)",
            advice="see BillingCurrency in the source's rows",
        ),
        Gate(
            "negative_idle_rows", "no GPU has hours beyond its capacity, or costs less than nothing without a price of energy below 0", maximum=0,
            relation="marts.gpu_daily WHERE cost_idle < 0 OR gpu_hours_allocated > gpu_hours_capacity + 1e-6 OR gpu_hours_used > gpu_hours_allocated + 1e-6 "
            "OR ((cost_unallocated < 0 OR cost_used < 0) AND (site || ' ' || day) NOT IN (SELECT unnest(paid) FROM known))",
            advice="see marts.gpu_daily: telemetry and asset register contradict each other",
        ),
        Gate(
            "energy_balance_kwh", "energy given to holders = energy of the wall meters, worst meter and day", maximum=0.001,
            relation="ops.energy_balance", value="max(difference_kwh)",
            detail="max_by(site || ', ' || meter || ', ' || day, difference_kwh) FILTER (difference_kwh > 0)",
            advice="see ops.energy_balance: energy was lost or made on the way; report it as a defect",
        ),
        Gate(
            "quarantine_share", "rejected rows / rows read, worst source", maximum=bounds.quarantine_max_share,
            relation="(SELECT source, sum(rows_rejected) / nullif(sum(rows_read), 0) AS share, sum(rows_rejected) AS rejected "
            "FROM ops.ingests WHERE current GROUP BY source)",
            value="max(share)",
            detail=f"max_by(source || ': ' || rejected || ' rows', share) FILTER (rejected > 0) || coalesce('; ' || {_FIRST_REASON}, '')",
            advice="see ops.quarantine for the rows and reasons; mend the source or raise gates.quarantine_max_share",
        ),
        Gate(
            "not_ready_months", "months of required sources whose delivery cannot be read yet", maximum=bounds.not_ready_max_months,
            relation="ops.sources WHERE required", value="coalesce(sum(months_not_ready), 0)",
            detail="string_agg(source || ' ' || error, '; ' ORDER BY source) FILTER (months_not_ready > 0)",
            advice="run again when the delivery is complete, or have it delivered again; required: false on the source, or gates.not_ready_max_months, lets earlier figures stand meanwhile",
        ),
        Gate(
            "untagged_share", "effective cost without an owner / all effective cost, credits by their size", maximum=bounds.untagged_max_share,
            relation="(SELECT currency, coalesce(sum(abs(effective_cost)) FILTER (team = 'untagged'), 0) AS ownerless, "
            "ownerless / nullif(sum(abs(effective_cost)), 0) AS share FROM marts.chargeback_daily GROUP BY currency)",
            value="max(share)", detail="max_by(currency || ' ' || CAST(ownerless AS DECIMAL(38,2)), share) FILTER (share > 0)",
            advice="tag the resources, add ownership.aliases or ownership.accounts, or raise gates.untagged_max_share",
        ),
        Gate(
            "api_charged_twice", "providers and months of model APIs that a gateway and a bill both charge", maximum=bounds.api_charged_twice_max,
            relation=f"(SELECT {_MONTH} || ' ' || provider AS name FROM ops.api_reconciliation GROUP BY month, provider "
            "HAVING bool_or(charged LIKE 'gateway%') AND bool_or(charged LIKE '%invoice'))",
            detail="string_agg(name, ', ' ORDER BY name)",
            advice="their money counts twice: take the provider out of the gateway's `bill`; if the two are different contracts, raise gates.api_charged_twice_max",
        ),
        Gate(
            "accounts_billed_twice", "accounts and months that a legacy CUR and a CUR 2.0 both bill", maximum=bounds.accounts_billed_twice_max,
            relation="known", value="sum(len(billed_twice))", detail="any_value(array_to_string(billed_twice[:3], '; '))",
            advice="every charge of them counts twice: keep one of the two reports for these months; if CUR 2.0 is filtered so that they share no charge, raise gates.accounts_billed_twice_max",
        ),
        Gate(
            "contradicted_totals", "bills with a total below their rows that is not the rows' sum", maximum=bounds.contradicted_totals_max,
            relation=_placed("location || ': ' || value", "rule = 'total_contradicts'"), detail=_THREE,
            advice="rows may be missing: deliver the whole bill again; if the total is of something else, take it out of the file or raise gates.contradicted_totals_max",
        ),
        Gate(
            "freshness_days", "days since the last day with data, worst source", maximum=bounds.freshness_max_days,
            relation=f"(SELECT source, date_diff('day', last_day, {_AS_OF}) AS days FROM ops.sources)", value="max(days)", detail="max_by(source, days)",
            advice="see ops.sources.last_day: a delivery is late; mend it or raise gates.freshness_max_days",
        ),
        Gate(
            "gpu_coverage", "observed / installed GPU-hours, worst site", minimum=bounds.gpu_coverage_min,
            relation="(SELECT site, sum(coverage * gpu_hours_capacity) / nullif(sum(gpu_hours_capacity), 0) AS share FROM marts.gpu_daily GROUP BY site)",
            value="min(share)", detail="min_by(site, share)",
            advice="see marts.gpu_daily.coverage: telemetry is missing; mend it or lower gates.gpu_coverage_min",
        ),
        Gate(
            "energy_unknown_share", "observed GPU-hours without known energy / observed GPU-hours, worst site", maximum=0, blocking=False,
            relation="(SELECT site, coalesce(sum(coverage * gpu_hours_capacity) FILTER (energy_kwh IS NULL), 0) AS hours, "
            "hours / nullif(sum(coverage * gpu_hours_capacity), 0) AS share FROM marts.gpu_daily GROUP BY site)",
            value="max(share)", detail="max_by(site || ': ' || round(hours, 1) || ' GPU-hours', share) FILTER (share > 0)",
            advice="see marts.gpu_daily where energy_kwh is NULL: that energy is not in the ledger; collect the cards' energy counter or power",
        ),
        Gate(
            "demand_unknown", "months of demand charges without a known quarter of an hour of power", maximum=0, blocking=False,
            relation="marts.demand_monthly WHERE cost IS NULL", detail=f"min(site || ' ' || {_MONTH} || ' ' || charge)",
            advice="see marts.demand_monthly where cost is NULL: that demand is not in the ledger; collect the power of every node, or name the supplier's meter in tariff.meter",
        ),
        Gate(
            "unregistered_hardware", "cards and devices that telemetry names and the asset register does not", maximum=0, blocking=False,
            relation="known", value="sum(unregistered)",
            advice="add the node or device to the asset register: its cost is not in the ledger",
        ),
        Gate(
            "stale_sources", "sources that failed, or have a month that is not ready, and whose earlier figures stand", maximum=0, blocking=False,
            relation="ops.sources WHERE status = 'stale'", detail="string_agg(source || ': ' || error, '; ' ORDER BY source)",
            advice="see ops.sources.error",
        ),
        Gate(
            "damaged_files", "files of telemetry that are damaged and left out", maximum=0, blocking=False,
            relation="ops.quarantine WHERE rule = 'file_damaged'", detail="min(source || ': ' || raw)",
            advice="see ops.quarantine, rule file_damaged: what they measured is not known until they are delivered again",
        ),
        Gate(
            "parent_missing", "charges left out as parts of one that the bill does not hold", maximum=0, blocking=False,
            relation="ops.quarantine WHERE rule = 'parent_missing'", value="coalesce(sum(rows), 0)",
            detail=f"min(source || ' ' || {_PERIOD} || ': ' || billed_cost || ' ' || currency || ', parts of ' || value)",
            advice="see ops.quarantine: their cost is in no figure; deliver the bill without a filter, so that it holds what they are parts of",
        ),
        Gate(
            "contradicting_telemetry", "cards whose telemetry contradicts the asset register or itself", maximum=0, blocking=False,
            relation="known", value="sum(contradictions)", detail="any_value(first_contradiction)",
            advice="more cards than units: correct the register; cards above their wall meter: the meter does not see all that they draw, or they are of another node; overlapping holders: two sources measure one card, and its energy counts twice",
        ),
        Gate(
            "kept_months", "months of bills that their source no longer offers and whose earlier figures stand", maximum=0, blocking=False,
            relation="ops.ingests WHERE current AND status = 'kept' AND grain = 'month'",
            detail=f"string_agg(source || ' ' || {_PERIOD}, ', ' ORDER BY source, period) || (SELECT CASE WHEN moved <> '' THEN '; ' || moved ELSE '' END FROM known)",
            advice="if they are billed elsewhere now, they count twice: see ops.ingests, status kept; give the source another name to drop them",
        ),
        Gate(
            "removed_sources", "sources that are published and no longer configured, and months that a site is no longer charged for", maximum=0, blocking=False,
            relation="known", value="sum(len(removed))", detail="any_value(array_to_string(removed[:3], '; '))",
            advice="what they charged and measured is in no figure any more, that of closed months included: if that was not meant, put them back; a site without telemetry is charged from the first bill on",
        ),
        Gate(
            "monthly_difference", "effective cost of months = that of their days, worst month and currency", maximum=0,
            relation="(SELECT month, currency, abs(sum(cost)) AS difference FROM (SELECT month, currency, effective_cost AS cost FROM marts.chargeback_monthly "
            "UNION ALL SELECT billing_month, currency, -effective_cost FROM marts.chargeback_daily) GROUP BY ALL)",
            value="max(difference)", detail=f"max_by({_MONTH} || ' ' || currency || ': ' || difference, difference) FILTER (difference > 0)",
            advice="see marts.chargeback_monthly and marts.chargeback_daily: money was lost or made on the way; report it as a defect",
        ),
        Gate(
            "closed_cost_difference", "closed months have what they were closed at, worst month and currency", maximum=0,
            relation="(SELECT c.month, c.currency, abs(c.published_cost - coalesce(m.published_cost, 0)) AS difference FROM ops.closings AS c "
            "LEFT JOIN (SELECT month, currency, sum(published_cost) AS published_cost FROM marts.chargeback_monthly GROUP BY ALL) AS m USING (month, currency))",
            value="max(difference)", detail=f"max_by({_MONTH} || ' ' || currency || ': ' || difference, difference) FILTER (difference > 0)",
            advice="see ops.closings and marts.chargeback_monthly: a figure was lost on the way; report it as a defect",
        ),
        Gate(
            "changed_closed_months", "closed months in which a team owes another amount now", maximum=0, blocking=False,
            relation="(SELECT month, currency, sum(adjustment) AS adjustment FROM (SELECT month, currency, team, sum(adjustment) AS adjustment "
            "FROM marts.chargeback_monthly WHERE published_cost IS NOT NULL GROUP BY ALL HAVING sum(adjustment) <> 0) GROUP BY ALL)",
            value="count(DISTINCT month)",
            detail=f"string_agg({_MONTH} || ' ' || currency || ' ' || adjustment, '; ' ORDER BY month, currency)",
            advice="see ops.adjustments for what changed, and when: bill or refund the teams, or open the month and close it anew (tierwise close --reopen)",
        ),
        Gate(
            "repeated_files", "files that two sources both read", maximum=0, blocking=False,
            relation="(SELECT min(source || ': ' || file.key) AS name, max(source || ': ' || file.key) AS other FROM (SELECT DISTINCT source, "
            """unnest(from_json(objects, '[{"key": "VARCHAR", "version": "VARCHAR"}]')) AS file FROM ops.ingests WHERE current) """
            "GROUP BY file.version HAVING count(DISTINCT source) > 1)",
            detail="min(name || ' and ' || other)",
            advice="every charge or sample in them counts twice: remove them from one of the sources",
        ),
        Gate(
            "api_variance_share", "|difference| between gateway, provider's usage and bill of model APIs, worst month that is over",
            maximum=bounds.api_variance_max_share, blocking=False,
            relation=f"(SELECT {_MONTH} || ' ' || name AS name, share FROM ({_VARIANCES}) WHERE month + INTERVAL 1 MONTH <= {_AS_OF} + INTERVAL 1 DAY)",
            value="max(share)", detail="max_by(name, share)",
            advice="see ops.api_reconciliation: requests beside the gateway, a log that loses rows, or prices that are out of date",
        ),
        Gate(
            "unpriced_requests", "requests of a gateway's log to model APIs that have no cost", maximum=0, blocking=False,
            relation="(SELECT *, row_number() OVER (ORDER BY requests DESC, model) AS place FROM (SELECT concat_ws(' ', provider, coalesce(model, '(no model)')) AS model, "
            "CAST(sum(requests_unpriced) AS BIGINT) AS requests, CAST(coalesce(sum(tokens_in + tokens_out) FILTER (currency IS NULL), 0) AS BIGINT) AS tokens "
            "FROM telemetry.api_usage_daily WHERE side = 'gateway' AND requests_unpriced > 0 GROUP BY 1))",
            value="coalesce(sum(requests), 0)",
            detail="string_agg(model || ': ' || requests || ' requests, ' || tokens || ' tokens', '; ' ORDER BY place) FILTER (place <= 5)",
            advice="unless the bill of their provider is a source, they are in no figure of cost: add a price for exactly these models to `prices`, or one for a pattern such as gpt-4o-20*",
        ),
        Gate(
            "repeated_rows", "rows that two files of one source and month both hold, few enough to be chance", maximum=0, blocking=False,
            relation=_copies("repeated_rows"), value="coalesce(sum(rows), 0)", detail=_THREE,
            advice="part of a bill may be there twice, and then counts twice: look at these rows, and remove one of the files if they are the same charges",
        ),
        Gate(
            "repeated_bill", "rows that two files of one source and month both hold, too many to be chance", maximum=bounds.repeated_bill_max_rows,
            relation=_copies("repeated_bill"), value="coalesce(sum(rows), 0)", detail=_THREE,
            advice="the bill is there twice, in another order or form, as a later state of the month or with days that overlap, and counts twice: keep the newest file, or let each export of a month write over the one before, or export days once; if each file holds the month so far and its name says the day of its run, say month_so_far: true in the source; if these are different charges, raise gates.repeated_bill_max_rows",
        ),
        *_focus_gates(bounds),
    )  # fmt: skip


def _placed(text: str, where: str) -> str:
    """SQL: rows of the quarantine with a text and its place among them."""
    return f"(SELECT rows, text, row_number() OVER (ORDER BY text) AS place FROM (SELECT rows, {text} AS text FROM ops.quarantine WHERE {where}))"


def _copies(rule: str) -> str:
    """SQL: rows of files that repeat each other under a rule, and which files."""
    text = f"source || ' ' || {_PERIOD} || ': ' || value || ', ' || rows || ' rows, ' || currency || ' ' || billed_cost"
    return _placed(text, f"action = 'flagged' AND rule = '{rule}'")


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
            relation="known", value=f"sum({name})", detail=f"any_value({name}_detail)",
            advice=f"{consequence}; `tierwise export focus` lists them by source and month; correct the export at its source, or raise gates.focus_max_rows",
        )
        for name, (doc, consequence) in docs.items()
    )  # fmt: skip
