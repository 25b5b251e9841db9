"""The steps between facts and marts: each reads frames, calls pure functions of `models/`, and keeps frames.

No formula lives here. What is staged and published belongs to `publication.py`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import polars as pl

from connectors.base import Loaded, Slice
from connectors.parts import current_rows
from models import (
    anomalies,
    attribution,
    edge,
    energy,
    gpu,
    gpu_hours,
    gpu_rate,
    idle,
    mig_packing,
    model_cost,
    model_inventory,
    owned_focus,
    ownership,
    roi,
    run_energy,
    sharing,
    site_charges,
    tables,
    tags,
    targets,
    training,
    waste,
)
from models import chargeback as chargeback_model
from models import unit_cost as unit_cost_model
from models.config import DIMENSIONS
from models.contracts import unused
from models.currency import convert
from models.owned_lines import lines
from models.placement.measured import measure
from models.placement.recommend import recommend
from models.ratecard import is_asked, write_offs
from pipelines.closing import write_tables
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.facts import SliceFacts
from pipelines.list_prices import priced_workloads
from pipelines.reduce import SITE, daily_costs
from pipelines.run import Run

Metadata = Mapping[str, int | float | str]


def read_facts(run: Run, table: tables.Table) -> pl.DataFrame:
    """All current rows of a fact table."""
    parts = [part for s in run.slices() for part in s.parts(table.name)]
    with DuckDBEngine() as engine:
        return table.conform(engine.query(f"SELECT * FROM {current_rows(table, parts)}"))


def owned_hardware(run: Run) -> Metadata:
    """Bills owned GPUs and edge devices by the rate card: FOCUS facts by site and month, and `marts.gpu_daily`."""
    run.report("owned hardware: rate card")
    settings, assets = run.config.settings, run.config.assets
    days = site_days(run)
    hourly = ownership.label(read_facts(run, tables.GPU_HOURLY), settings.ownership)
    edge_daily = ownership.label(read_facts(run, tables.EDGE_DAILY), settings.ownership)
    power = read_facts(run, tables.POWER_HOURLY)
    attributed = attribution.attribute(hourly, power, assets, settings.sites, days)
    hourly, edge_daily = energy.with_tiers([attributed.hourly, edge_daily], settings.sites, is_asked(days))
    staff, contracts = settings.staff, settings.contracts
    parts = gpu.daily_parts(hourly, assets, settings.sites, days, staff=staff, contracts=contracts)
    devices = edge.daily_costs(edge_daily, assets, settings.sites, settings.ownership, days, staff=staff)
    charges = site_charges.site_charges(
        hourly, devices, power, assets, settings.sites, days=days, gpu_parts=parts
    )
    more = lines(write_offs(assets, days), unused(parts, assets, contracts, days))
    rows = owned_focus.rows(parts, devices, settings.sites, more, charges.parts)
    totals = owned_focus.totals(
        hourly, edge_daily, assets, settings.sites, days, staff=staff, contracts=contracts, gpu_parts=parts,
        site_bills=charges.bills,
    )  # fmt: skip
    anomalies = pl.concat([gpu.anomalies(hourly, assets, settings.sites, days), attributed.anomalies])
    run.write_frame(tables.GPU_DAILY.name, gpu.from_parts(parts, settings.ownership))
    run.write_frame(tables.GPU_RATE_DAILY.name, gpu_rate.daily(parts, assets, settings.sites, days, staff))
    run.write_frame(
        tables.IDLE_POLICY.name,
        idle.simulate(
            hourly, parts, assets, settings.sites, days, as_of=run.as_of, ownership=settings.ownership,
            policy=settings.idle, currency=settings.currency,
        ),
    )  # fmt: skip
    run.write_frame(tables.ENERGY_BALANCE.name, attributed.balance)
    run.write_frame(tables.DEMAND_MONTHLY.name, charges.demand)
    run.write_frame("gpu_parts", parts)
    workloads = ownership.names(settings.ownership)["workload"]
    run.write_frame("run_hours", training.rows_of(run.config.training_runs, hourly, workloads))
    run.write_frame("edge_costs", devices)
    for site in settings.sites:
        _commit_site(run, f"{SITE}{site}", rows, totals)
    cards = anomalies.filter(pl.col("issue") == "no asset").select("site", "gpu").unique().height
    contradictions = anomalies.filter(pl.col("issue") != "no asset").select("issue", "site", "gpu", "detail")
    run.write_frame(
        "contradictions",
        anomalies.select(
            source=pl.concat_str(pl.lit(SITE), "site"),
            period="first_day",
            action=pl.lit("flagged"),
            rule=pl.col("issue").str.replace_all(" ", "_").str.to_lowercase(),
            column_name=pl.lit("gpu"),
            value="detail",
            rows="rows",
            location=pl.concat_str("site", "node", "gpu", separator="/", ignore_nulls=True),
        ),
    )
    run.write_json(
        "owned",
        {
            "unregistered": cards + edge.unregistered(edge_daily, assets, days).height,
            "contradictions": contradictions.height,
            "first_contradiction": ", ".join(contradictions.row(0)) if contradictions.height else "",
            "paid": [f"{site} {day}" for site, day in energy.paid_days(hourly, settings.sites)],
        },
    )
    return {
        "rows": rows.height,
        "gpu_days": parts.select("day", "gpu").unique().height,
        "anomalies": anomalies.height,
    }


def site_days(run: Run) -> dict[str, tuple[date, date]]:
    """Site -> first and last local day to bill: from its first telemetry to the last day that has ended there.

    A site without telemetry is billed from the first slice of any source, so that what it costs is not lost.
    """
    slices = run.slices()
    if not slices:
        return {}
    sources = run.config.sources
    days = {}
    for name, site in run.config.settings.sites.items():
        periods = [
            s.period for s in slices if s.tables and s.source in sources and sources[s.source].site == name
        ]
        first = min(periods, default=min(s.period for s in slices))
        ended = run.window.now.astimezone(site.zone).date() - timedelta(days=1)
        last = min(max(run.as_of, max(periods, default=run.as_of)), ended)
        if first <= last:
            days[name] = (first, last)
    return days


def _commit_site(run: Run, source: str, rows: pl.DataFrame, totals: pl.DataFrame) -> None:
    """Keeps a site's FOCUS rows as facts, one version a month, and records them for the run."""
    slices = []
    for (month,), part in rows.filter(pl.col("x_source") == source).group_by(
        "x_billing_month", maintain_order=True
    ):
        frame = tables.FOCUS.conform(part)
        native = totals.filter((pl.col("source") == source) & (pl.col("month") == month))
        amounts: dict[str, Decimal] = dict(native.select("currency", "total").iter_rows())
        period = date.fromisoformat(str(month))
        file = run.folder / "work" / source.replace(":", "=") / f"{month}.parquet"
        file.parent.mkdir(parents=True, exist_ok=True)
        frame.write_parquet(file, compression="zstd")
        fingerprint = hashlib.sha256(file.read_bytes() + repr(sorted(amounts.items())).encode()).hexdigest()
        facts = run.facts.find(source, period, fingerprint) or run.facts.commit(
            source,
            "rate_card",
            Loaded(
                Slice(period, "month", fingerprint),
                {tables.FOCUS.name: file},
                frame.height,
                frame.height,
                amounts,
            ),
            datetime.now(UTC).replace(tzinfo=None),
        )
        slices.append(facts)
    run.write_slices(source, slices, error=None, not_ready=0)


def chargeback(run: Run) -> Metadata:
    """Who owes what by day and month, and the reconciliation of every source, month and currency."""
    run.report("chargeback")
    rules = run.config.settings.ownership
    slices = run.slices()
    zones = {f"{SITE}{name}": site.time_zone for name, site in run.config.settings.sites.items()}
    costs = daily_costs(slices, zones, run.config.data_dir / "cache" / "daily_costs")
    owned = pl.col("source").str.starts_with(SITE)
    tagged = pl.concat(
        [
            tags.with_tag_columns(costs.filter(~owned), {str(d): keys for d, keys in rules.tags.items()}),
            tags.with_tag_columns(costs.filter(owned), {d: (d,) for d in DIMENSIONS}),
        ]
    )
    settings = run.config.settings
    daily = chargeback_model.daily(ownership.assign(tagged.with_columns(measured=owned), rules)).drop(
        "converted_cost"
    )
    daily = tables.CHARGEBACK_DAILY.conform(
        convert(daily, run.config.rates, settings.currency, "effective_cost", "converted_cost")
    )
    reconciliation = chargeback_model.reconcile(
        slice_totals(slices),
        costs.select("source", pl.col("billing_month").alias("month"), "currency", total="billed_cost"),
        quarantined(run, slices),
        daily,
    )
    run.write_frame("daily_costs", costs)
    run.write_frame(tables.CHARGEBACK_DAILY.name, daily)
    run.write_frame(tables.CHARGEBACK_MONTHLY.name, write_tables(run, chargeback_model.monthly(daily)))
    run.write_frame(tables.RECONCILIATION.name, reconciliation)
    totals = daily.group_by("currency").agg(pl.col("effective_cost").sum()).sort("currency")
    return {
        "rows": daily.height,
        "line_items": int(costs["rows"].sum()),
        "difference": float(reconciliation["difference"].sum()),
        **{f"effective_cost_{currency.lower()}": float(total) for currency, total in totals.iter_rows()},
    }


def slice_totals(slices: list[SliceFacts]) -> pl.DataFrame:
    """Native totals: source, month, currency, total; a slice of a day belongs to its month."""
    rows = [
        (s.source, s.period.replace(day=1), currency, total)
        for s in slices
        for currency, total in s.totals.items()
    ]
    schema: dict[str, pl.DataType] = {
        "source": pl.String(), "month": pl.Date(), "currency": pl.String(), "total": tables.MONEY
    }  # fmt: skip
    return pl.DataFrame(rows, schema=schema, orient="row")


def quarantined(run: Run, slices: list[SliceFacts]) -> pl.DataFrame:
    """Money of rejected rows, as far as it can be read: source, month, currency, total."""
    frames = []
    for facts in slices:
        issues = run.facts.issues(facts)
        if issues is not None:
            rejected = issues.filter((pl.col("action") == "rejected") & pl.col("billed_cost").is_not_null())
            frames.append(
                rejected.select(
                    source=pl.lit(facts.source),
                    month=pl.lit(facts.period.replace(day=1)),
                    currency="currency",
                    total="billed_cost",
                )
            )
    return pl.concat(frames) if frames else slice_totals([])


def unit_cost(run: Run) -> Metadata:
    """Cost per million inferences and tokens."""
    run.report("unit cost")
    rules = run.config.settings.ownership
    frame = unit_cost_model.daily(
        run.read_frame(tables.CHARGEBACK_DAILY.name),
        ownership.label(read_facts(run, tables.INFERENCE_HOURLY), rules),
        ownership.label(read_facts(run, tables.EDGE_DAILY), rules),
        run.read_frame("gpu_parts"),
        run.read_frame("edge_costs"),
        prices=run.config.prices,
        weights=run.config.settings.token_weights,
        rented_hours=gpu_hours.rented_hours(
            ownership.label(read_facts(run, tables.GPU_HOURLY), rules), run.config.settings.sites
        ),
        zones={None: ZoneInfo(run.config.settings.time_zone)}
        | {name: site.zone for name, site in run.config.settings.sites.items()},
    )
    run.write_frame(tables.UNIT_COST_DAILY.name, frame)
    return {"rows": frame.height}


def placement(run: Run) -> Metadata:
    """A recommendation for each declared workload."""
    run.report("placement")
    settings = run.config.settings
    measured = measure(
        run.read_frame(tables.CHARGEBACK_DAILY.name),
        run.read_frame(tables.UNIT_COST_DAILY.name),
        run.read_frame(tables.GPU_DAILY.name),
        run.as_of,
        currency=settings.currency,
    )
    chosen, options = recommend(priced_workloads(run), measured, settings.currency)
    run.write_frame(tables.PLACEMENT.name, chosen)
    run.write_frame(tables.PLACEMENT_OPTIONS.name, options)
    return {"workloads": chosen.height, "options": options.height}


def economics(run: Run) -> Metadata:
    """Training runs, cost of models over their life, share of revenue, waste, and what misses its target."""
    run.report("training runs, models, waste")
    config, settings, as_of = run.config, run.config.settings, run.as_of
    hourly = ownership.label(read_facts(run, tables.GPU_HOURLY), settings.ownership)
    daily, monthly = (run.read_frame(t.name) for t in (tables.CHARGEBACK_DAILY, tables.CHARGEBACK_MONTHLY))
    gpus, units = run.read_frame(tables.GPU_DAILY.name), run.read_frame(tables.UNIT_COST_DAILY.name)
    workloads = ownership.names(settings.ownership)["workload"]
    zones = {name: site.zone for name, site in settings.sites.items()}
    ratio = model_cost.ratio(monthly, config.revenue, config.rates, settings.currency)
    cut = mig_packing.candidates(hourly, as_of, settings.sharing)
    frames = {
        tables.TRAINING_RUNS: training.costs(
            config.training_runs, daily, run.read_frame("run_hours"), workloads, zones
        ),
        tables.RUN_ENERGY: run_energy.measured(
            config.training_runs, read_facts(run, tables.RUN_POWER_DAILY), workloads
        ),
        tables.MODEL_COST_MONTHLY: model_cost.monthly(monthly, settings.models),
        tables.MODEL_INVENTORY: model_inventory.inventory(
            units,
            ownership.label(read_facts(run, tables.INFERENCE_HOURLY), settings.ownership),
            ownership.label(read_facts(run, tables.EDGE_DAILY), settings.ownership),
            settings.models,
            as_of,
        ),
        tables.AI_COST_RATIO: ratio,
        tables.ROI_MONTHLY: roi.monthly(monthly, config.revenue, config.rates, settings.currency),
        tables.WASTE: waste.ranked(gpus, daily, as_of),
        tables.GPU_SHARING: sharing.possible(gpus, as_of, settings.sharing),
        tables.MIG_CARDS: cut,
        tables.MIG_PACKING: mig_packing.packing(cut, hourly, gpus, as_of),
        tables.WASTE_HOURLY: waste.by_hour_of_week(hourly, gpus, settings.sites, as_of),
        tables.ANOMALIES: anomalies.daily(daily, as_of, settings.anomalies),
        tables.TARGETS: targets.monthly(gpus, units, ratio, settings.targets),
    }
    for table, frame in frames.items():
        run.write_frame(table.name, frame)
    return {table.name.removeprefix("marts."): frame.height for table, frame in frames.items()}
