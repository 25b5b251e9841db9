"""Tables of results: what to switch off, share or move."""

from __future__ import annotations

from models.tables.base import Table, c, n

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

GPU_SHARING = Table(
    "marts.gpu_sharing",
    "Utilisation of the held cards of one model at one site over the last 30 days, as it is and on as few as their use needs.",
    ("site", "gpu_model", "currency"),
    (
        n("site", "text", "Site"),
        c("gpu_model", "text", "Model of the cards"),
        n(
            "cards_held",
            "double",
            "Held hours whose use is known / hours of the days on which there are such",
        ),
        n("utilisation", "double", "Used / held hours", "0-1"),
        n(
            "cards_needed",
            "double",
            "Whole cards that keep the busiest day at `sharing.max_utilisation` (0.85) or below; cards_held where that is less",
        ),
        c("utilisation_shared", "double", "Utilisation on these; NULL for no use", "0-1"),
        n(
            "saving_share",
            "double",
            "1 - cards_needed / cards_held = 1 - utilisation / utilisation_shared",
            "0-1",
        ),
        n("cost", "decimal", "Cost of the held hours, used and idle", "currency"),
        n("saving", "decimal", "cost x saving_share: of cards that could be given back", "currency"),
        n("currency", "text", "Currency"),
        n("coverage", "double", "Held hours whose use is known / held hours", "0-1"),
    ),
)

MIG_CARDS = Table(
    "marts.mig_cards",
    "One whole card that was held in the last 30 days, and the smallest MIG slice on which its work would fit: an estimate.",
    ("site", "node", "gpu"),
    (
        n("site", "text", "Site"),
        c("node", "text", "Host that holds the card"),
        n("gpu", "text", "UUID of the card"),
        c("gpu_model", "text", "Model as the driver names it"),
        n("team", "text", "Holder's team, or `untagged`; several are joined by ` + `"),
        n("workload", "text", "Its workload, or `untagged`; several likewise"),
        n("gpu_hours_allocated", "double", "Hours held; once where several hold it at once", "GPU-h"),
        c(
            "utilisation_peak",
            "double",
            "Used / held hours of its busiest hour; NULL where none is known",
            "0-1",
        ),
        n("coverage", "double", "Held hours whose use is known / held hours and gaps", "0-1"),
        c(
            "memory_gb",
            "double",
            "Sum of `sharing.memory_gb` of its workloads; NULL where one is not given",
            "GB",
        ),
        c("mig_profile", "text", "Smallest profile on which it fits; NULL unless status is fits"),
        n("status", "text", "fits, whole (it needs a whole card), unknown"),
        n("reason", "text", "Why, in words"),
    ),
)

MIG_PACKING = Table(
    "marts.mig_packing",
    "On how few cards of one model at one site the work that fits on MIG slices would find place: an estimate.",
    ("site", "gpu_model", "currency"),
    (
        n("site", "text", "Site"),
        c("gpu_model", "text", "Model as the driver names it"),
        n("cards_held", "int", "Whole cards held in the last 30 days"),
        n("cards_fit", "int", "Of these, with work that fits on a slice"),
        n("cards_whole", "int", "Of these, whose work needs a whole card"),
        n("cards_unknown", "int", "Of these, of which it is not known"),
        n("cards_at_once", "int", "Most cards of cards_fit that were held in one hour"),
        n("cards_needed", "int", "The fewest cards that have place for all slices of cards_fit at once"),
        n("cards_freed", "int", "cards_at_once - cards_needed; 0 where that is less"),
        c("layout", "text", "How the cards needed would be cut; NULL for none"),
        c(
            "cost",
            "decimal",
            "Cost of the held hours of cards_fit, used and idle; NULL for rented cards",
            "currency",
        ),
        c(
            "saving",
            "decimal",
            "cost x part of the held hours in which more than cards_needed were held: of cards that could be given back",
            "currency",
        ),
        c("currency", "text", "Currency; NULL for rented cards"),
        n("coverage", "double", "1 - cards_unknown / cards_held", "0-1"),
    ),
)

IDLE_POLICY = Table(
    "marts.idle_policy",
    "An estimate of what switching machines off after some idle time would have saved in the last 30 days, by holder.",
    ("site", "node", "team", "workload", "state", "currency"),
    (
        n("site", "text", "Site"),
        c("node", "text", "Machine: it is switched off when all its cards are idle"),
        n("tier", "text", "onprem; cloud where the site's cards are rented"),
        n("team", "text", "Holder's team; the platform team where nobody held the cards"),
        n("workload", "text", "Holder's workload, or `untagged`"),
        n("state", "text", "allocated (its holder would be stopped) or unallocated"),
        n("gpu_hours", "double", "Hours whose use is known", "GPU-h"),
        n("gpu_hours_unused", "double", "Of these, not used", "GPU-h"),
        n(
            "gpu_hours_off",
            "double",
            "Hours for which the policy would have the machine off: whole idle hours in a row less the wait and the restart",
            "GPU-h",
        ),
        n("stops", "int", "Times that the machine would be switched off in these hours"),
        c(
            "energy_saved_kwh",
            "double",
            "Energy of the hours off, measured or estimated, before PUE; NULL where not known for all of them",
            "kWh",
        ),
        c(
            "saving",
            "decimal",
            "Cost of that energy; of rented cards, hours off x `rented_gpu_hour`; NULL where unknown",
            "currency",
        ),
        c(
            "cost",
            "decimal",
            "The same cost of all hours of the row: saving is never more, unless a kWh costs less than 0; NULL where unknown",
            "currency",
        ),
        c(
            "fixed_cost_off",
            "decimal",
            "Fixed cost of the hours off, which is paid all the same; NULL for rented cards",
            "currency",
        ),
        n("currency", "text", "Currency"),
        n("coverage", "double", "Of the machine: hours whose use is known / hours of its days", "0-1"),
        n("resolution_minutes", "double", "Of the telemetry: what is idle for less is not seen", "min"),
        n("after_minutes", "double", "`idle.after_minutes` of the policy", "min"),
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
        n("gpu_hours_allocated", "double", "Hours held; once where several hold it at once", "GPU-h"),
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

ANOMALIES = Table(
    "marts.anomalies",
    "A day on which a team's service costs what it usually does not, and what moved most.",
    ("day", "source", "team", "service_provider", "service_name", "currency"),
    (
        n("day", "date", "Day of the charge"),
        n("source", "text", "Source of the charge"),
        n("team", "text", "Team that pays"),
        c("service_provider", "text", "ServiceProviderName"),
        c("service_name", "text", "ServiceName"),
        n("currency", "text", "BillingCurrency"),
        n("direction", "text", "high or low"),
        n("cost", "decimal", "effective_cost of the day", "currency"),
        n(
            "expected",
            "decimal",
            "Of the median of the 28 days before, the same weekdays among them and the same day of the month before: the greatest, or for `low` the least",
            "currency",
        ),
        n("impact", "decimal", "cost - expected", "currency"),
        n("since", "date", "First of the days in a row that are unusual in this direction"),
        c("driver", "text", "Workload, project, environment and account that moved most"),
        c("driver_impact", "decimal", "Its cost of the day less its mean of the 28 days before", "currency"),
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
