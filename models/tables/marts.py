"""Tables of results: chargeback, and what owned GPUs cost."""

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
            "unconverted_cost",
            "decimal",
            "effective_cost of the days that have no rate; where there are any, converted_cost is NULL",
            "currency",
        ),
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
            "Greatest mean power of an interval of the charge, mostly a quarter of an hour, so far; NULL where none is known",
            "kW",
        ),
        c("peak_at", "timestamp", "Start of that interval, UTC"),
        n("ratchet_kw", "double", "What the eleven months before bind the month to; 0 without ratchet", "kW"),
        c("billed_kw", "double", "The greater of both; of a charge by day, the sum of its days", "kW"),
        n("unit", "text", "What is priced: kW, or kVA"),
        n("factor", "double", "kW of one unit: 1, or the tariff's power factor"),
        n("price", "decimal", "Price of one unit", "currency"),
        c(
            "cost",
            "decimal",
            "billed_kw / factor x price; NULL where no power is known, and then not in the ledger",
            "currency",
        ),
        n("currency", "text", "Currency of the site"),
        n("coverage", "double", "Known quarters of an hour / those of the month so far", "0-1"),
        n("provisional", "bool", "The month has not ended: a greater peak may come"),
    ),
)
