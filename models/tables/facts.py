"""Tables of facts: FOCUS line items and what telemetry measured; each is a view over Parquet files."""

from __future__ import annotations

from models import focus, focus_contracts
from models.tables.base import Column, Table, c, n

OWNER = (
    c("team", "text", "Team label as found at the source; NULL where there is none"),
    c("project", "text", "Project label as found at the source"),
    c("environment", "text", "Environment label as found at the source"),
    c("workload", "text", "Workload the card, service or device works for"),
    c(
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
        c("ProviderName", "text", "FOCUS 1.0-1.3 column, kept for queries written for them"),
        c("x_additional_info", "json", "Azure: AdditionalInfo, such as the size of a machine"),
        c("x_adjustment_info", "json", "Google Cloud: id, description, mode and type of an adjustment"),
        c("x_customer_id", "text", "Azure: tenant of the customer whom a partner bills"),
        c("x_customer_name", "text", "Azure: name of that customer"),
        c("x_project_ancestors", "json", "Google Cloud: folders and organisation above the project, by name"),
        c("x_project_ancestry_numbers", "text", "Google Cloud: the same by number, such as `/1/2/`"),
        c("x_reseller_id", "text", "Azure: MPN id of the reseller between partner and customer"),
        c("x_reseller_name", "text", "Azure: name of that reseller"),
        n("x_source", "text", "Name of the source in the configuration, or `site:NAME` for owned hardware"),
        n("x_tier", "text", "cloud, api, onprem, edge"),
        n("x_billing_month", "date", "First day of the month in which the charge is billed"),
        n("x_cost_kind", "text", "direct, shared, idle (a team's, unused), unallocated (nobody's)"),
    ),
)

HOUR = (
    "Start of the hour, UTC. Hours are those of the site's clock: in India they start at half past. "
    "One that a change of clocks by half an hour cuts short is shorter"
)

CONTRACT_COMMITMENT = Table(
    "focus.contract_commitment",
    "One commitment of a contract, as the newest FOCUS ContractCommitment files of the source say.",
    ("x_source", "ContractId", "ContractCommitmentId"),
    (
        *(
            Column(
                c.name,
                c.type,
                f"FOCUS column since {c.since}" + (f", one of {', '.join(c.allowed)}" if c.allowed else ""),
                nullable=not c.required,
            )
            for c in focus_contracts.CONTRACT_COMMITMENT
        ),
        n("x_source", "text", "Name of the source in the configuration"),
    ),
)

GPU_HOURLY = Table(
    "telemetry.gpu_hourly",
    "One hour of one GPU or MIG slice under one holder, reduced from samples.",
    (
        "source",
        "gpu",
        "mig_id",
        "node",
        "hour",
        "namespace",
        "pod",
        "team",
        "workload",
        "allocated",
        "sampled",
    ),
    (
        n("hour", "timestamp", HOUR),
        n("day", "date", "Local calendar day of the site in which the hour starts"),
        n("source", "text", "Name of the source"),
        n("site", "text", "Name of the site"),
        c("node", "text", "Host that holds the card"),
        n("gpu", "text", "UUID of the card"),
        c("gpu_model", "text", "Model as the driver names it"),
        c("mig_profile", "text", "MIG profile such as 2g.20gb; NULL for a whole card"),
        c("mig_id", "text", "MIG instance id; NULL for a whole card"),
        c("namespace", "text", "Kubernetes namespace of the holder"),
        c("pod", "text", "Pod or job of the holder"),
        *OWNER,
        c("allocated", "bool", "Somebody held the card; NULL where no sample says (a gap)"),
        n(
            "observed_hours",
            "double",
            "Part of the hour for which the holder is known: by samples, or by the scheduler's requests in a gap",
            "h",
        ),
        c(
            "sampled",
            "bool",
            "False: hours of a gap, held by the scheduler's requests alone, whose use is unknown; else true or NULL",
        ),
        c(
            "used_hours",
            "double",
            "Utilisation integrated over the observed part; NULL where it is not reported",
            "GPU-h",
        ),
        c(
            "energy_kwh",
            "double",
            "Energy of the card measured in the observed part; NULL where none of it is measured",
            "kWh",
        ),
        n(
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
    ("source", "method", "meter", "hour"),
    (
        n("hour", "timestamp", HOUR),
        n("day", "date", "Local calendar day of the site"),
        n("source", "text", "Name of the source"),
        n("site", "text", "Name of the site"),
        c("node", "text", "Host behind the meter"),
        n("meter", "text", "Meter or sensor"),
        n(
            "method",
            "text",
            "How it measures: pdu_outlet, redfish, ipmi_dcmi, ipmi_sensor, kepler_platform, acpi, pdu, kepler, rapl, file",
        ),
        n(
            "scope",
            "text",
            "What it sees: wall (all that a node draws), rack (several nodes), components (processors and memory)",
        ),
        c(
            "counts",
            "bool",
            "This meter stands for its node that day, alone or with others of its method; NULL without a node",
        ),
        n("energy_kwh", "double", "Measured energy", "kWh"),
        n("energy_estimated_kwh", "double", "Energy in gaps, by estimate", "kWh"),
        n("coverage", "double", "Part of an hour with samples; half an hour that ends a day has 0.5", "0-1"),
        *(
            c(
                f"kw_q{k}",
                "double",
                f"Mean power in quarter {k} of the hour; NULL unless all of it is measured",
                "kW",
            )
            for k in (1, 2, 3, 4)
        ),
    ),
)

RUN_POWER_DAILY = Table(
    "telemetry.run_power_daily",
    "What one power meter read on one local day inside one run of `training_runs`; `marts.run_energy` adds it up.",
    ("source", "run_id", "meter", "day"),
    (
        n("day", "date", "Local calendar day of the site"),
        n("source", "text", "Name of the source"),
        n("site", "text", "Name of the site"),
        n("run_id", "text", "Run"),
        n("meter", "text", "Meter or sensor; node or run where the log names no meter"),
        c("node", "text", "Host behind the meter"),
        n("readings", "int", "Readings over 0 W strictly between start and end of the run"),
        n(
            "readings_dropped",
            "int",
            "Readings there of 0 W or less, over 1 MW, or without a number: no reading",
        ),
        n("sum_w", "double", "Sum of the readings", "W"),
        c("first_reading", "timestamp", "First reading of the day over 0 W, UTC"),
        c("last_reading", "timestamp", "Last reading of the day over 0 W, UTC"),
        c("longest_gap_s", "double", "Longest time between two of the day's readings", "s"),
    ),
)

INFERENCE_HOURLY = Table(
    "telemetry.inference_hourly",
    "One hour of one served model of one workload.",
    ("source", "workload", "model", "team", "namespace", "pod", "hour"),
    (
        n("hour", "timestamp", HOUR),
        n("day", "date", "Local calendar day of the site, or of the configuration's time zone"),
        n("source", "text", "Name of the source"),
        c("site", "text", "Name of the site"),
        n("tier", "text", "Where it ran: cloud, api, onprem, edge"),
        n("workload", "text", "Workload; the model's name where the source knows no workload"),
        c("model", "text", "Served model"),
        c("team", "text", "Team label as found at the source"),
        c("namespace", "text", "Kubernetes namespace"),
        c("pod", "text", "Pod"),
        c(
            "inferences",
            "double",
            "Requests finished with an answer, of a batch each element; aborts and errors are not counted",
        ),
        c("answered", "double", "Requests finished with an answer; NULL where each is one inference"),
        c("failed", "double", "Requests aborted or in error"),
        c("tokens_in", "double", "Prompt tokens, cached ones included", "tokens"),
        c("tokens_cached", "double", "Prompt tokens answered from a cache", "tokens"),
        c("tokens_out", "double", "Generated tokens", "tokens"),
        c("latency_buckets", "json", "Cumulative latency histogram: upper bound in seconds -> requests"),
        n("coverage", "double", "Part of an hour with samples; half an hour that ends a day has 0.5", "0-1"),
    ),
)

API_USAGE = Table(
    "telemetry.api_usage_daily",
    "One UTC day of one model of a model API, as a gateway logged it or the provider counted it.",
    ("source", "day", "side", "provider", "model", "currency"),
    (
        n("day", "date", "UTC day"),
        n("source", "text", "Name of the source"),
        n(
            "side",
            "text",
            "gateway (its log, answers from its own cache left out) or provider (its usage API)",
        ),
        c("provider", "text", "Provider as the source names it"),
        c("model", "text", "Model as the source names it"),
        c(
            "requests",
            "double",
            "Requests, failed ones included where the source knows them; NULL where it counts tokens only",
        ),
        n("requests_priced", "double", "Of these, with a cost from the price list"),
        c("requests_unpriced", "double", "Of these, without a known cost; the provider's usage has none"),
        c("tokens_in", "double", "Prompt tokens, cached ones included", "tokens"),
        c("tokens_cached", "double", "Prompt tokens read from the provider's cache; NULL unknown", "tokens"),
        c("tokens_out", "double", "Generated tokens", "tokens"),
        c("cost", "decimal", "Cost of the requests that have one; NULL where none has", "currency"),
        c("currency", "text", "Currency of cost"),
    ),
)

EDGE_DAILY = Table(
    "telemetry.edge_daily",
    "One local day of one edge device.",
    ("source", "device", "day", "workload", "model"),
    (
        n("day", "date", "Local calendar day of the site"),
        n("source", "text", "Name of the source"),
        n("site", "text", "Name of the site"),
        n("device", "text", "Device id"),
        c("device_model", "text", "Hardware model"),
        c("model", "text", "Model that runs on it"),
        *OWNER,
        c("inferences", "double", "Inferences finished"),
        c("failed", "double", "Inferences in error"),
        n("online_hours", "double", "Hours covered by reports; by logs where there are none", "h"),
        n("coverage", "double", "online_hours by the hours of the day", "0-1"),
        c(
            "energy_kwh",
            "double",
            "Measured energy, by the device's counter, else by its log of power; NULL where neither tells it",
            "kWh",
        ),
        n("energy_estimated_kwh", "double", "Energy in gaps, by estimate", "kWh"),
        c("gpu_utilisation", "double", "Mean utilisation of the GPU by its log; NULL without one", "0-1"),
        c("log_hours", "double", "Hours covered by logs of power and utilisation; NULL without one", "h"),
        n("messages", "int", "Distinct reports and lines of logs"),
        c("duplicates", "int", "Reports and lines received again; NULL where the source does not tell"),
        c(
            "late_messages",
            "int",
            "Reports that arrived after the day ended; NULL where the source does not tell",
        ),
        c("latency_buckets", "json", "Cumulative latency histogram: upper bound in seconds -> inferences"),
    ),
)
