"""Tables of results: what a unit costs, training runs, models over their life."""

from __future__ import annotations

from models.tables.base import Table, c, n

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
        c("answered", "double", "Requests answered: the inferences, but a batch is one"),
        c("failed", "double", "Requests aborted or in error; NULL where not reported"),
        c(
            "inferences_per_s_mean",
            "double",
            "Inferences a second, mean over rate_hours; NULL where unknown",
            "1/s",
        ),
        c(
            "inferences_per_s_peak",
            "double",
            "The same of the busiest of them; NULL where hours are unknown, as of devices",
            "1/s",
        ),
        c(
            "rate_hours",
            "double",
            "Hours of the day that telemetry saw whole; all of it of tier api and devices",
            "h",
        ),
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
            "answered / (answered + failed); NULL where one is unknown",
            "0-1",
        ),
        c(
            "uptime",
            "double",
            "Part of the day in which some replica reported; of edge devices, hours online / hours of the day; NULL "
            "for managed APIs",
            "0-1",
        ),
        c(
            "cost_coverage",
            "double",
            "Part of the day of the owned GPUs that the workload held for which their holder is known; below 1, cost, hours and "
            "energy are those of that part; below 0.99, costs and energy per 1M are NULL; NULL where it held none",
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

ROI_MONTHLY = Table(
    "marts.roi_monthly",
    "What a project cost and brought in one month and to date, of projects for which `revenue` has a benefit.",
    ("month", "project"),
    (
        n("month", "date", "First day of the billing month"),
        n("project", "text", "Project, in small letters"),
        n("currency", "text", "The organisation's currency"),
        c(
            "benefit",
            "decimal",
            "What `revenue` says that it brought; NULL after the last month that it names",
            "currency",
        ),
        c("cost", "decimal", "converted_cost of its charges; NULL where a part has no rate", "currency"),
        c("cost_direct", "decimal", "Part of cost: used", "currency"),
        c("cost_shared", "decimal", "Part of cost: shared", "currency"),
        c("cost_idle", "decimal", "Part of cost: held and not used", "currency"),
        c("cost_unallocated", "decimal", "Part of cost: nobody's", "currency"),
        c("benefit_to_date", "decimal", "benefit since the first month with charges or benefit", "currency"),
        c("cost_to_date", "decimal", "cost since then", "currency"),
        c(
            "roi",
            "double",
            "(benefit_to_date - cost_to_date) / cost_to_date; 1 is 100 %; NULL where cost is 0 or one is unknown",
        ),
    ),
)

MODEL_INVENTORY = Table(
    "marts.model_inventory",
    "Where one served model runs, how it performs, what it costs, over the last 30 days, and where updates come from.",
    ("model", "tier", "place", "team", "workload", "currency"),
    (
        c(
            "model",
            "text",
            "Served model; NULL for cost that several models or places share, and for a model without a name",
        ),
        n("tier", "text", "cloud, api, onprem, edge"),
        c("place", "text", "Site; the source where it names no site; NULL as in model"),
        n("team", "text", "Team that pays"),
        n("workload", "text", "Workload"),
        c("version", "text", "Version, as `models` declares it"),
        c("update_source", "text", "Where updates come from, as `models` declares it"),
        n("first_day", "date", "First day with work, of all days; with charges where there is none"),
        n("last_day", "date", "Last such day"),
        n("days", "int", "Days of the window on which it ran"),
        n("days_counted", "int", "Of these, with a known count of inferences"),
        c("inferences", "double", "Inferences on days on which they are known"),
        c("tokens", "double", "Prompt and generated tokens on days on which they are known", "tokens"),
        c("p95_ms", "double", "Median of the 95th percentiles of days", "ms"),
        c(
            "cost",
            "decimal",
            "Cost of the workload on the full basis; NULL where several share it",
            "currency",
        ),
        c(
            "cost_per_1m_inferences",
            "decimal",
            "1e6 x cost / inferences, of days on which both are known whole",
            "currency",
        ),
        n("currency", "text", "Currency; XXX for work that no charge names"),
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
