"""Tables of results: chargeback, GPU use, unit cost, placement."""

from __future__ import annotations

from models.tables.base import Table, c, n

_CHARGEBACK = (
    n(
        "team",
        "text",
        "Team that pays; `untagged` where no rule names one, the platform team for nobody's cost",
    ),
    n("project", "text", "Project, or `untagged`"),
    n("environment", "text", "Environment, or `untagged`"),
    n("workload_type", "text", "Type of work, or `other`"),
    n("workload", "text", "Workload, or `untagged`"),
    n("tier", "text", "cloud, api, onprem, edge"),
    n("source", "text", "Source of the charge"),
    c("service_provider", "text", "ServiceProviderName"),
    c("service_name", "text", "ServiceName"),
    c("sub_account", "text", "SubAccountId"),
    n("cost_kind", "text", "direct, shared, idle, unallocated"),
    n(
        "method",
        "text",
        "How the team was found: tag, alias, account, telemetry (label, namespace or default of owned hardware), "
        "platform (nobody held it), untagged",
    ),
    n("currency", "text", "BillingCurrency; amounts of different currencies are never added"),
    n("billed_cost", "decimal", "Invoiced amount", "currency"),
    n("effective_cost", "decimal", "Amortised amount, the one that is charged back", "currency"),
    c(
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
        n("day", "date", "Day of the charge"),
        n("billing_month", "date", "Month in which it is billed"),
        *_CHARGEBACK,
    ),
)

CHARGEBACK_MONTHLY = Table(
    "marts.chargeback_monthly",
    "What one team owes for one billing month.",
    ("month", *(c.name for c in _CHARGEBACK if c.type != "decimal")),
    (
        n("month", "date", "Billing month, its first day"),
        *_CHARGEBACK,
        c(
            "published_cost",
            "decimal",
            "effective_cost when the month was closed; NULL while it is open",
            "currency",
        ),
        c("adjustment", "decimal", "effective_cost - published_cost", "currency"),
    ),
)

GPU_DAILY = Table(
    "marts.gpu_daily",
    "One local day of one owned GPU or MIG slice under one holder. Hours and costs of a card add up over its rows.",
    ("day", "site", "node", "gpu", "mig_profile", "team", "workload", "state"),
    (
        n("day", "date", "Local calendar day of the site"),
        n("site", "text", "Name of the site"),
        c("node", "text", "Host that holds the card"),
        n(
            "gpu",
            "text",
            "UUID of the card; `NODE/unseen-1`, ... for registered cards that no telemetry names",
        ),
        c("gpu_model", "text", "Model of the card"),
        c("mig_profile", "text", "MIG profile; NULL for a whole card"),
        n("team", "text", "Holder's team; the platform team where nobody held it or nothing is known"),
        n("workload", "text", "Holder's workload, or `untagged`"),
        n("state", "text", "allocated, unallocated (observed, nobody held it), unknown (no telemetry)"),
        n(
            "gpu_hours_capacity",
            "double",
            "Hours of the day in which the card was in service, this row's part",
            "GPU-h",
        ),
        n("gpu_hours_allocated", "double", "Hours held by somebody", "GPU-h"),
        c("gpu_hours_used", "double", "Utilisation x hours; NULL where unknown", "GPU-h"),
        c("utilisation", "double", "gpu_hours_used / gpu_hours_allocated; NULL where unknown", "0-1"),
        n("coverage", "double", "Observed part of gpu_hours_capacity", "0-1"),
        c(
            "energy_kwh",
            "double",
            "Energy measured at the card, before PUE; NULL where that of some observed hour is unknown",
            "kWh",
        ),
        n("energy_estimated_kwh", "double", "Energy in gaps, by estimate, before PUE", "kWh"),
        n("cost_used", "decimal", "Cost of the used part, energy included", "currency"),
        n("cost_idle", "decimal", "Cost of hours held and not used", "currency"),
        n(
            "cost_unallocated",
            "decimal",
            "Cost of hours that nobody held or that nothing is known about",
            "currency",
        ),
        n("currency", "text", "Currency of the asset register"),
    ),
)

UNIT_COST_DAILY = Table(
    "marts.unit_cost_daily",
    "What one workload's work cost per unit on one day, on one basis.",
    ("day", "workload", "model", "team", "tier", "basis", "currency"),
    (
        n("day", "date", "Day"),
        n("workload", "text", "Workload"),
        c("model", "text", "Served model; NULL where several share the workload's cost"),
        n("team", "text", "Team"),
        n("tier", "text", "cloud, api, onprem, edge"),
        n("basis", "text", "full (idle and fixed cost included) or marginal (what one more unit costs)"),
        n("currency", "text", "Currency; XXX where cost is NULL"),
        c("inferences", "double", "Inferences"),
        c("tokens_in", "double", "Prompt tokens", "tokens"),
        c("tokens_out", "double", "Generated tokens", "tokens"),
        c(
            "cost",
            "decimal",
            "Cost of the workload that day on this basis; NULL where no charge names its work",
            "currency",
        ),
        c("cost_per_1m_inferences", "decimal", "1e6 x cost / inferences; NULL for none", "currency"),
        c(
            "cost_per_1m_tokens",
            "decimal",
            "1e6 x cost / (tokens_in + tokens_out); NULL for none",
            "currency",
        ),
        c("energy_kwh", "double", "Energy of the workload, before PUE; NULL where not measured", "kWh"),
        c("kwh_per_1m_tokens", "double", "1e6 x energy_kwh / tokens; NULL for none", "kWh"),
        c("p50_ms", "double", "Median latency from summed histogram buckets", "ms"),
        c("p95_ms", "double", "95th percentile", "ms"),
        c("p99_ms", "double", "99th percentile", "ms"),
    ),
)

PLACEMENT = Table(
    "marts.placement",
    "The recommendation for one workload.",
    ("workload",),
    (
        n("workload", "text", "Workload of the configuration"),
        c("team", "text", "Team that owns it"),
        c("current_option", "text", "Where it runs today"),
        c("recommended_option", "text", "Where it should run; NULL where nothing is feasible"),
        n("status", "text", "keep, plan, implement, blocked, infeasible"),
        c(
            "saving_36m",
            "decimal",
            "Cost of staying - cost of the recommended option over the horizon, migration included",
            "currency",
        ),
        c("npv_36m", "decimal", "The same, discounted", "currency"),
        c("breakeven_month", "int", "First whole month in which moving has paid; NULL if never", "months"),
        c("confidence", "text", "high, medium, low: how well the inputs are measured"),
        n("reason", "text", "The reason in words"),
        c("currency", "text", "Currency"),
    ),
)

PLACEMENT_OPTIONS = Table(
    "marts.placement_options",
    "One option of one workload, with its cost over the horizon or why it is impossible.",
    ("workload", "option"),
    (
        n("workload", "text", "Workload"),
        n("option", "text", "Option"),
        n("tier", "text", "cloud, api, onprem, edge"),
        n("feasible", "bool", "It meets every hard constraint"),
        n("reason", "text", "Which constraints it breaks, or how its cost was found"),
        c(
            "cost_36m",
            "decimal",
            "Sum of the parts below over the horizon; NULL if infeasible or not computable",
            "currency",
        ),
        c("capex", "decimal", "Bought hardware and build-out, less salvage", "currency"),
        c("usage", "decimal", "Rented hours, tokens or requests", "currency"),
        c("energy", "decimal", "Energy", "currency"),
        c("opex", "decimal", "Space, staff, support, connectivity", "currency"),
        c("egress", "decimal", "Data transfer", "currency"),
        c("migration", "decimal", "One-off cost of moving there", "currency"),
        c("monthly_cost", "decimal", "cost_36m without capex and migration, per month", "currency"),
        c("currency", "text", "Currency"),
    ),
)
