"""Tables about the runs themselves: reconciliation, what was read, checked, set aside and published."""

from __future__ import annotations

from models.tables.base import Table, c, n

RECONCILIATION = Table(
    "ops.reconciliation",
    "Money in and money out of one source, month and currency, in BilledCost.",
    ("source", "month", "currency"),
    (
        n("source", "text", "Source"),
        n("month", "date", "Billing month"),
        n("currency", "text", "Currency"),
        n("source_total", "decimal", "Sum over the native rows, computed apart from the mapping", "currency"),
        n("focus_total", "decimal", "Sum of BilledCost in focus.cost_and_usage", "currency"),
        n("quarantined_total", "decimal", "Sum over the rows set aside", "currency"),
        n("allocated_total", "decimal", "Sum of billed_cost in marts.chargeback_daily", "currency"),
        n(
            "difference",
            "decimal",
            "|source - focus - quarantined| + |focus - allocated|; 0 or the gate fails",
            "currency",
        ),
    ),
)

_PAIRS = (("gateway", "provider"), ("provider", "invoice"), ("gateway", "invoice"))

API_RECONCILIATION = Table(
    "ops.api_reconciliation",
    "Three accounts of one month's work of one model: the gateway's log, the provider's usage, the bill.",
    ("month", "provider", "model", "token_kind"),
    (
        n("month", "date", "Month of the usage in UTC, its first day"),
        n("provider", "text", "Provider, under one name for all three"),
        n("model", "text", "Model, under one name for all three"),
        n(
            "token_kind",
            "text",
            "input (not read from a cache), cached, output; all: their sum; other: billed, and no tokens",
        ),
        c("gateway_tokens", "double", "Logged by the gateway, its own cache left out", "tokens"),
        c("provider_tokens", "double", "Counted by the provider", "tokens"),
        c("invoice_tokens", "double", "Billed", "tokens"),
        c("gateway_cost", "decimal", "As the gateway logged it, or from the price list", "gateway_currency"),
        c("gateway_currency", "text", "Currency of gateway_cost"),
        c("provider_cost", "decimal", "provider_tokens at the price list", "provider_currency"),
        c("provider_currency", "text", "Currency of provider_cost"),
        c("invoice_cost", "decimal", "BilledCost", "invoice_currency"),
        c("invoice_currency", "text", "Currency of invoice_cost"),
        *(
            c(
                f"{side}_converted_cost",
                "decimal",
                f"{side}_cost at the rate of each day; NULL where one has none",
                "converted_currency",
            )
            for side in ("gateway", "provider", "invoice")
        ),
        c("converted_currency", "text", "The organisation's currency, that of converted costs"),
        c("unconverted", "text", "Accounts whose cost has no rate: the currency and the first such day"),
        *(
            column
            for a, b in _PAIRS
            for column in (
                c(f"{a}_{b}_tokens", "double", f"{a}_tokens - {b}_tokens", "tokens"),
                c(f"{a}_{b}_tokens_share", "double", f"{a}_{b}_tokens / {b}_tokens; NULL if that is 0"),
                c(f"{a}_{b}_cost", "decimal", f"{a}_cost - {b}_cost, in one currency only", "currency"),
                c(f"{a}_{b}_cost_share", "double", f"{a}_{b}_cost / {b}_cost; NULL if that is 0"),
                c(
                    f"{a}_{b}_converted_cost",
                    "decimal",
                    f"{a}_converted_cost - {b}_converted_cost, whatever currencies they had",
                    "converted_currency",
                ),
                c(
                    f"{a}_{b}_converted_cost_share",
                    "double",
                    f"{a}_{b}_converted_cost / {b}_converted_cost; NULL if that is 0",
                ),
            )
        ),
        c("missing", "text", "Accounts that do not know this work"),
        *(
            c(
                f"{side}_missing_days",
                "text",
                f"Days (UTC) on which another account has such tokens and the {side} has nothing",
            )
            for side in ("gateway", "provider", "invoice")
        ),
        c(
            "gateway_unpriced",
            "double",
            "Requests of the log without a known cost; with any, gateway_cost is NULL",
        ),
        c("charged", "text", "Whose money is in the ledger: gateway, invoice, or `gateway, invoice`"),
        c("names", "text", "The spellings of the model that were put together"),
    ),
)

ENERGY_BALANCE = Table(
    "ops.energy_balance",
    "One local day of one wall meter (of a node, or of a rack that assets name): energy in and energy out.",
    ("day", "site", "meter"),
    (
        n("day", "date", "Local calendar day of the site"),
        n("site", "text", "Name of the site"),
        n("meter", "text", "Node whose meters these are, or the meter that assets name"),
        n("covered_hours", "double", "Hours that the meter covers", "h"),
        n("metered_kwh", "double", "What it measured, bridged gaps included, before PUE", "kWh"),
        n("attributed_kwh", "double", "What of it holders and nobody were given", "kWh"),
        n("cards_kwh", "double", "What the cards measured in those hours", "kWh"),
        n("difference_kwh", "double", "|metered_kwh - attributed_kwh|; 0 or the gate fails", "kWh"),
        n("contradicting_hours", "int", "Hours in which the cards measured more than the meter"),
    ),
)

INGESTS = Table(
    "ops.ingests",
    "What was read: one slice (billing month or local day) of one source, one row a change.",
    ("run_id", "source", "period"),
    (
        n("run_id", "text", "Run that read it"),
        n("source", "text", "Source"),
        n("kind", "text", "Kind of the source"),
        n("period", "date", "First day of the slice"),
        n("grain", "text", "month or day"),
        n(
            "status",
            "text",
            "loaded (new or changed), kept (the source no longer lists it), stale (the source failed), not_ready (a new delivery cannot be read yet)",
        ),
        n("current", "bool", "The published tables hold this version of the slice"),
        c("fingerprint", "text", "Changes when the content does"),
        n("rows_read", "int", "Native rows"),
        n("rows_loaded", "int", "Rows in the facts"),
        n("rows_rejected", "int", "Rows in ops.quarantine with action `rejected`"),
        n("rows_repaired", "int", "Values repaired"),
        c("objects", "json", "Files read: name, size, etag or hash"),
        c("facts", "json", "Fact files: table -> files"),
        c("read_at", "timestamp", "When it was read, UTC"),
        c("note", "text", "What the reader remarked"),
        c(
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
        n("source", "text", "Source"),
        n("kind", "text", "Kind"),
        n("required", "bool", "Its failure blocks publication"),
        n(
            "status",
            "text",
            "ok, stale (it failed, or a month of it is not ready: earlier figures stand), empty (nothing read so far)",
        ),
        c("stale_since", "timestamp", "When it was last read well, if it is stale; UTC"),
        c("last_day", "date", "Last day for which it has data"),
        c("error", "text", "Why it failed, or which months are not ready and why"),
        c("months_not_ready", "int", "Months whose delivery, or that of some days, cannot be read yet"),
    ),
)

QUARANTINE = Table(
    "ops.quarantine",
    "Rows set aside and values repaired, by source, slice and rule.",
    (),
    (
        n("source", "text", "Source"),
        n("period", "date", "Slice"),
        n(
            "action",
            "text",
            "rejected (the row, or the file, is not in the ledger), repaired (a value was put right), flagged (kept as it is)",
        ),
        n("rule", "text", "What is wrong, as a short name"),
        n("column_name", "text", "Column"),
        c("value", "text", "The value, or an example where several rows share the rule"),
        n("rows", "int", "Rows concerned; 0 for a file whose rows cannot be counted"),
        c("billed_cost", "decimal", "Money of the rejected rows, where it can be read", "currency"),
        c("currency", "text", "Currency of that money"),
        c("location", "text", "File and row"),
        c("raw", "text", "The rejected row as it came, shortened"),
    ),
)

QUALITY = Table(
    "ops.quality",
    "The verdict of one gate of one run.",
    ("run_id", "gate"),
    (
        n("run_id", "text", "Run"),
        n("gate", "text", "Gate"),
        n("passed", "bool", "The value is inside its bounds"),
        n("severity", "text", "error (blocks publication) or warning"),
        c("value", "double", "Measured"),
        c("minimum", "double", "Least value allowed"),
        c("maximum", "double", "Greatest value allowed"),
        n("detail", "text", "The finding in words"),
    ),
)

PUBLICATIONS = Table(
    "ops.publications",
    "One publication of the warehouse.",
    ("run_id",),
    (
        n("run_id", "text", "Run"),
        n("published_at", "timestamp", "When, UTC"),
        n("as_of", "date", "The day the run was for"),
        n("version", "text", "Version of Tierwise"),
        n("currency", "text", "The organisation's currency, that of converted_cost"),
        n("config_hash", "text", "Hash of the configuration"),
        n("input_hash", "text", "Hash of all slices, settings and code version that the tables follow from"),
        n("money_in", "json", "currency -> sum of source totals"),
        n("money_out", "json", "currency -> sum of chargeback and quarantine"),
    ),
)

CLOSINGS = Table(
    "ops.closings",
    "A month that is closed, and at what: `tierwise close`.",
    ("month", "currency"),
    (
        n("month", "date", "Billing month, its first day"),
        n("currency", "text", "BillingCurrency"),
        n("published_cost", "decimal", "effective_cost of all teams when it was closed", "currency"),
        n("closed_at", "timestamp", "When, UTC"),
        n("run_id", "text", "The publication whose figures these are"),
    ),
)

ADJUSTMENTS = Table(
    "ops.adjustments",
    "What one publication changed in a month that was closed before.",
    ("run_id", "month", "source", "team", "service_provider", "service_name", "currency"),
    (
        n("run_id", "text", "Publication with the new figure"),
        n("month", "date", "The closed month, its first day"),
        n("source", "text", "Source of the charge"),
        n("team", "text", "Team that pays"),
        c("service_provider", "text", "ServiceProviderName"),
        c("service_name", "text", "ServiceName"),
        n("currency", "text", "BillingCurrency"),
        n("effective_cost", "decimal", "The new figure", "currency"),
        n("difference", "decimal", "What it differs by from the publication before", "currency"),
        n(
            "adjustment",
            "decimal",
            "What it differs by from the figure when the month was closed",
            "currency",
        ),
    ),
)
