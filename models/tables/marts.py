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

GPU_RATE_DAILY = Table(
    "marts.gpu_rate_daily",
    "What an available GPU-hour of one owned server costs on one local day.",
    ("day", "site", "asset"),
    (
        n("day", "date", "Local calendar day of the site"),
        n("site", "text", "Name of the site"),
        n("asset", "text", "Asset of the register"),
        n("node", "text", "Host"),
        c("model", "text", "Hardware model"),
        n("units", "int", "GPUs registered"),
        n("currency", "text", "Currency of the asset register"),
        n("gpu_hours_capacity", "double", "Hours of the day x units", "GPU-h"),
        n("gpu_hours_available", "double", "gpu_hours_capacity x planned availability", "GPU-h"),
        n("coverage", "double", "Observed part of gpu_hours_capacity", "0-1"),
        *(
            n(name, "decimal", meaning, "currency")
            for name, meaning in (
                ("hardware", "Recovery of the hardware's price, less salvage"),
                ("network", "Recovery of its part of the network"),
                ("cooling", "Recovery of its part of the cooling plant"),
                ("build_out", "Recovery of its part of rooms, racks and power feeds"),
                ("installation", "Recovery of installation"),
                ("maintenance", "Maintenance"),
                ("space", "Space"),
                ("software", "Subscriptions"),
                ("staff", "Its part of the people who look after it"),
                ("other_opex", "Fixed operating cost that is not given apart"),
                ("fixed_cost", "Sum of the parts above"),
            )
        ),
        c(
            "variable_cost",
            "decimal",
            "Energy, and hours paid by use; NULL where the energy of some observed hour is unknown",
            "currency",
        ),
        c("fixed_rate", "decimal", "fixed_cost / gpu_hours_available", "currency"),
        c("variable_rate", "decimal", "variable_cost / gpu_hours_available", "currency"),
        c("total_rate", "decimal", "fixed_rate + variable_rate", "currency"),
    ),
)

DEMAND_MONTHLY = Table(
    "marts.demand_monthly",
    "What one demand charge of one site's tariff bills for one calendar month.",
    ("month", "site", "charge"),
    (
        n("month", "date", "Local calendar month, its first day"),
        n("site", "text", "Name of the site"),
        n("charge", "text", "Name of the demand charge"),
        c(
            "peak_kw",
            "double",
            "Greatest mean power of a quarter of an hour so far; NULL where none is known",
            "kW",
        ),
        c("peak_at", "timestamp", "Start of that quarter, UTC"),
        n("ratchet_kw", "double", "What the eleven months before bind the month to; 0 without ratchet", "kW"),
        c("billed_kw", "double", "The greater of both; of a charge by day, the sum of its days", "kW"),
        n("price", "decimal", "Price of a kW", "currency"),
        c(
            "cost",
            "decimal",
            "billed_kw x price; NULL where no power is known, and then not in the ledger",
            "currency",
        ),
        n("currency", "text", "Currency of the site"),
        n("coverage", "double", "Known quarters of an hour / those of the month so far", "0-1"),
        n("provisional", "bool", "The month has not ended: a greater peak may come"),
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
        c("failed", "double", "Requests aborted or in error; NULL where not reported"),
        c("tokens_in", "double", "Prompt tokens, cached ones included", "tokens"),
        c(
            "tokens_cached",
            "double",
            "Prompt tokens answered from a cache; NULL where not reported",
            "tokens",
        ),
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
        c(
            "cost_per_1m_tokens_in",
            "decimal",
            "Cost of 1M prompt tokens that no cache answered, by the weights of kinds; NULL where they are unknown",
            "currency",
        ),
        c("cost_per_1m_tokens_cached", "decimal", "The same of tokens answered from a cache", "currency"),
        c("cost_per_1m_tokens_out", "decimal", "The same of generated tokens", "currency"),
        c("gpu_hours_used", "double", "Used hours of owned and of rented GPUs; NULL where unknown", "GPU-h"),
        c("cost_per_gpu_hour_used", "decimal", "cost / gpu_hours_used; NULL for none", "currency"),
        c("energy_kwh", "double", "Energy of the workload, before PUE; NULL where not measured", "kWh"),
        c("kwh_per_1m_tokens", "double", "1e6 x energy_kwh / tokens; NULL for none", "kWh"),
        c("p50_ms", "double", "Median latency from summed histogram buckets", "ms"),
        c("p95_ms", "double", "95th percentile", "ms"),
        c("p99_ms", "double", "99th percentile", "ms"),
        c(
            "request_success",
            "double",
            "inferences / (inferences + failed); NULL where one is unknown",
            "0-1",
        ),
        c(
            "uptime",
            "double",
            "Part of the day in which some replica reported; of edge devices, hours online / hours of the day; NULL "
            "for managed APIs",
            "0-1",
        ),
    ),
)

TRAINING_RUNS = Table(
    "marts.training_runs",
    "What one training run cost on one tier, of the runs in `training_runs`.",
    ("run_id", "team", "tier", "currency"),
    (
        n("run_id", "text", "Run"),
        n("workload", "text", "Workload it is part of"),
        c("model", "text", "What was trained"),
        n("team", "text", "Team that pays; `untagged` where no charge of the workload falls into the run"),
        n("tier", "text", "cloud, api, onprem, edge; `unknown` where no charge falls into the run"),
        n("started_at", "timestamp", "First instant, UTC"),
        n("ended_at", "timestamp", "Last instant, UTC"),
        n("hours", "double", "Wall-clock hours of the run", "h"),
        c("epochs", "double", "Passes over the data; NULL where not declared"),
        c("hours_per_epoch", "double", "hours / epochs", "h"),
        c("gpu_hours", "double", "Hours of owned GPUs held; NULL where not measured", "GPU-h"),
        c("energy_kwh", "double", "Energy of owned GPUs, before PUE; NULL where not measured", "kWh"),
        c(
            "cost",
            "decimal",
            "Its part of the workload's cost; NULL where no charge falls into it",
            "currency",
        ),
        c("cost_per_epoch", "decimal", "cost / epochs", "currency"),
        n("currency", "text", "Currency; XXX where cost is NULL"),
        n("method", "text", "gpu_hours (measured hours of cards), time (wall-clock share), none"),
    ),
)

RUN_ENERGY = Table(
    "marts.run_energy",
    "The energy of one run of `training_runs`, by what one power meter read between its start and its end.",
    ("run_id", "source", "meter"),
    (
        n("run_id", "text", "Run"),
        n("workload", "text", "Workload it is part of"),
        c("model", "text", "What was trained or run"),
        n("started_at", "timestamp", "First instant, UTC"),
        n("ended_at", "timestamp", "Last instant, UTC"),
        n("duration_s", "double", "Wall-clock length", "s"),
        c("source", "text", "Source of the readings; NULL where no meter read inside the run"),
        c("site", "text", "Site of the meter"),
        c("meter", "text", "Meter; several of one run are never added, since they may see the same watts"),
        c("node", "text", "Host behind the meter"),
        n("method", "text", "window_mean (mean of the readings inside x duration_s), none"),
        n("readings", "int", "Readings over 0 W strictly between start and end"),
        n(
            "readings_dropped",
            "int",
            "Readings there of 0 W or less, over 1 MW, or without a number: left out of the mean",
        ),
        c(
            "longest_gap_s",
            "double",
            "Longest time in the run without a reading: what the mean had to stand for",
            "s",
        ),
        c("mean_w", "double", "Mean of the readings; NULL for none", "W"),
        c("energy_kwh", "double", "mean_w x duration_s / 3.6e6, before PUE; NULL for no reading", "kWh"),
        c("epochs", "double", "Passes over the data; NULL where not declared"),
        c("tokens", "double", "Tokens processed; NULL where not declared", "tokens"),
        c("samples", "double", "Samples processed; NULL where not declared"),
        c("kwh_per_epoch", "double", "energy_kwh / epochs", "kWh"),
        c("kwh_per_1m_tokens", "double", "1e6 x energy_kwh / tokens", "kWh"),
        c("kwh_per_1m_samples", "double", "1e6 x energy_kwh / samples", "kWh"),
    ),
)

MODEL_COST_MONTHLY = Table(
    "marts.model_cost_monthly",
    "What one model cost in one phase of its life and one month; all rows together are the month's chargeback.",
    ("month", "model", "phase", "tier", "currency"),
    (
        n("month", "date", "First day of the billing month"),
        n("model", "text", "Key of `models`; `unassigned` for charges that no entry names"),
        n("phase", "text", "development, training, serving, other, by workload_type"),
        n("tier", "text", "cloud, api, onprem, edge"),
        n("currency", "text", "Currency"),
        n("cost", "decimal", "effective_cost", "currency"),
        n("cost_to_date", "decimal", "The same since the first month with charges", "currency"),
    ),
)

AI_COST_RATIO = Table(
    "marts.ai_cost_ratio",
    "What AI cost of what the organisation earned, by month, in its currency.",
    ("month",),
    (
        n("month", "date", "First day of the month"),
        c(
            "cost",
            "decimal",
            "converted_cost of the billing month; NULL where a part has no rate",
            "organisation's currency",
        ),
        n("unconverted_rows", "int", "Charges of the month for which no exchange rate is known"),
        c(
            "revenue",
            "decimal",
            "Revenue of the month; NULL where none or no rate is known",
            "organisation's currency",
        ),
        c("ratio", "double", "cost / revenue; NULL where one is unknown", "0-1"),
    ),
)

WASTE = Table(
    "marts.waste",
    "Money for what nobody used in the last 30 days, greatest first: what to switch off, give back or share.",
    ("currency", "rank"),
    (
        n("rank", "int", "1 is the greatest of its currency"),
        n(
            "kind",
            "text",
            "gpu_idle (held, unused), gpu_unallocated (nobody's), gpu_unknown (no telemetry), reserved_unused, device_silent",
        ),
        n("tier", "text", "cloud, api, onprem, edge"),
        c("site", "text", "Site, of owned hardware"),
        c("subject", "text", "Card, or service and account"),
        n("team", "text", "Who pays for it"),
        n("workload", "text", "Workload that holds it, or `untagged`"),
        c("hours", "double", "Hours not used; NULL where not counted", "h"),
        c("share", "double", "hours / hours paid for; NULL where not counted", "0-1"),
        n("cost", "decimal", "Their cost", "currency"),
        c("cost_month", "decimal", "The same for 30 days at this pace", "currency"),
        n("currency", "text", "Currency"),
        n("first_day", "date", "First day of the window with such cost"),
        n("last_day", "date", "Last day"),
        n("advice", "text", "What can be done"),
    ),
)

WASTE_HOURLY = Table(
    "marts.waste_hourly",
    "Owned GPUs by hour of the local week over the last 28 days: when they are held, used and paid for in vain.",
    ("site", "weekday", "hour", "currency"),
    (
        n("site", "text", "Name of the site"),
        n("weekday", "int", "1 is Monday"),
        n("hour", "int", "Local hour of the day in which the UTC hour starts"),
        n("gpu_hours_observed", "double", "Hours of cards with telemetry", "GPU-h"),
        n("gpu_hours_allocated", "double", "Hours held", "GPU-h"),
        c("gpu_hours_used", "double", "Hours used; NULL where unknown for some of them", "GPU-h"),
        n(
            "cost_idle",
            "decimal",
            "Cost of hours held and not used, spread over the hours of each card's day",
            "currency",
        ),
        n("cost_unallocated", "decimal", "Cost of hours nobody held, spread likewise", "currency"),
        n("currency", "text", "Currency"),
    ),
)

TARGETS = Table(
    "marts.targets",
    "One figure of one month against its target.",
    ("month", "metric", "subject"),
    (
        n("month", "date", "First day of the month"),
        n(
            "metric",
            "text",
            "gpu_utilisation, gpu_allocation, uptime, request_success, ai_cost_share_of_revenue",
        ),
        n("subject", "text", "Site, workload and tier, or organisation"),
        c("value", "double", "The figure; NULL where unknown", "0-1"),
        n("coverage", "double", "Part of what it is about for which it is known", "0-1"),
        n("target", "double", "The bound", "0-1"),
        n("status", "text", "met, missed, unknown"),
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
