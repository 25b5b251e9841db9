"""Writes the ledger as FOCUS files, one CSV and one Parquet file a source and billing month.

What is changed on the way is in `_charges`, and `docs/focus-conformance.md` says why; nothing else is filled in.
Checks of what is written belong to `focus_checks.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from connectors.sql import identifier, literal, literals
from models import focus
from models.focus_regions import REGION_NAMES
from models.owned_focus import SOURCE
from models.tables import FOCUS
from pipelines.engines.duckdb import DuckDBEngine
from pipelines.focus_checks import Finding, findings, product
from pipelines.settings import Config
from pipelines.warehouse import Warehouse, facts_query

Version = Literal["1.2", "1.4"]

TIME_UNITS: Mapping[str, str] = {
    "s|sec|seconds?": "Seconds",
    "mins?|minutes?": "Minutes",
    "h|hrs?|hours?": "Hours",
    "days?": "Days",
    "mo|mos|months?": "Months",
    "yrs?|years?": "Years",
}
"""Spellings of a unit of time in bills, as a regular expression -> the one that FOCUS allows."""

SPELLINGS: Mapping[str, str] = {
    "^([0-9]+)K\\b": "\\1000",
    "^([0-9]+)M\\b": "\\1000000",
    "^([0-9]+)(/|$)": "\\1 Units\\2",
    "^1 ": "",
}
"""How bills write a quantity before a unit, as a regular expression -> how FOCUS does: `1K tokens`, `10K`, `1/Month`
and `1 Hour` are `1000 tokens`, `10000 Units`, `Units/Month` and `Hours`."""

RECEIVERS_TAGS = (
    "CASE WHEN AllocatedTags IS NULL THEN Tags ELSE json_merge_patch(coalesce(Tags, '{}'), AllocatedTags) END"
)
"""SQL: the tags of the resource and of the receiver; the latter's count where both have one."""


ALLOWED = {c.name: c.allowed for c in focus.COLUMNS if c.allowed}

NULL_WITHOUT: Mapping[str, tuple[str, ...]] = {
    "RegionId": ("RegionName",),
    "SubAccountId": ("SubAccountName", "SubAccountType"),
    "ResourceId": ("ResourceName", "ResourceType"),
    "CapacityReservationId": ("CapacityReservationStatus",),
    "CommitmentDiscountId": tuple(
        f"CommitmentDiscount{c}" for c in ("Category", "Name", "Quantity", "Status", "Type", "Unit")
    ),
}
"""An id -> the columns that FOCUS wants to be null where it is."""


REGIONS = {f"{of} {region}": name for of, names in REGION_NAMES.items() for region, name in names.items()}
REGION_NAME = f"coalesce(RegionName, map({literals(REGIONS)}, {literals(REGIONS.values())})[ProviderName || ' ' || RegionId])"
"""SQL: the name of a region, where the bill has none as its provider publishes it."""


class ExportError(Exception):
    """Nothing can be exported; the message says why."""


@dataclass(frozen=True)
class Exported:
    """The files of one source and billing month.

    Attributes:
        source: Name of the source, or `site:NAME`.
        month: First day of the billing month.
        rows: Charges in each of the files.
        files: CSV and Parquet.
        findings: What is wrong with the charges.
    """

    source: str
    month: date
    rows: int
    files: tuple[Path, Path]
    findings: tuple[Finding, ...]


def export_focus(config: Config, version: Version, to: Path) -> list[Exported]:
    """Writes every source and billing month of the published ledger.

    Args:
        config: The configuration.
        version: Version of the specification.
        to: Folder; `SOURCE/YYYY-MM.csv` and `.parquet` are written below it, those of owned hardware in
            `sites/NAME/`.

    Returns:
        What was written, by source and month.

    Raises:
        ExportError: Nothing is published.
    """
    slices = [s for s in Warehouse(config.data_dir).current_slices() if FOCUS.name in s.tables]
    if not slices:
        msg = f"{config.data_dir}: no charges are published yet; run `tierwise run` first"
        raise ExportError(msg)
    written: list[Exported] = []
    with DuckDBEngine() as engine:
        for source in sorted({s.source for s in slices}):
            own = facts_query(FOCUS, [s for s in slices if s.source == source])
            engine.execute(f"CREATE OR REPLACE TEMP VIEW charges AS {_charges(own, version)}")
            found = findings(engine, f"({own})")
            columns = _columns(engine, version)
            months = engine.query("SELECT DISTINCT x_billing_month AS month FROM charges ORDER BY month")
            for month in months["month"]:
                stem = to / _folder(source) / f"{month:%Y-%m}"
                rows, files = _write(engine, columns, month, stem)
                wrong = tuple(f for f in found if f.month == month)
                written.append(Exported(source, month, rows, files, wrong))
    return written


def _folder(source: str) -> Path:
    """A folder of its own for every source; none that readers take for a partition, such as `site=dc1`."""
    return Path("sites", source.removeprefix(SOURCE)) if source.startswith(SOURCE) else Path(source)


def _charges(facts: str, version: Version) -> str:
    """The charges as every version of the specification asks for them, where that is certain.

    What differs from the ledger is told in `docs/focus-conformance.md`, column by column.
    """
    if version == "1.4":  # which allows no difference, not even one of rounding
        facts = f"SELECT * REPLACE ({_fitting('List')}, {_fitting('Contracted')}) FROM ({facts})"
    sku = "CASE WHEN ChargeCategory <> 'Tax' THEN SkuId END"
    price_id = f"{sku} IS NOT NULL"
    if version == "1.4":
        price_id += " AND ListUnitPrice IS NOT NULL AND ContractedUnitPrice IS NOT NULL"
    paid = "CASE WHEN BilledCost = 0 THEN EffectiveCost ELSE BilledCost END"
    contracted = f"coalesce(ContractedCost, {_times_quantity('ContractedUnitPrice')}, {paid})"
    same = "(PricingCurrency IS NULL OR upper(trim(PricingCurrency)) = BillingCurrency)"
    facts = f"SELECT * REPLACE ({_allowed()}) FROM ({facts})"

    def priced(column: str, in_billing: str) -> str:
        return f"CASE WHEN {same} THEN {in_billing} ELSE {column} END AS {column}"

    tags = _flat("Tags" if version == "1.4" else RECEIVERS_TAGS)
    return f"""
        SELECT * REPLACE (
            {tags} AS Tags,
            CASE WHEN {same} THEN BillingCurrency ELSE trim(PricingCurrency) END AS PricingCurrency,
            {priced("PricingCurrencyEffectiveCost", "EffectiveCost")},
            {priced("PricingCurrencyListUnitPrice", "ListUnitPrice")},
            {priced("PricingCurrencyContractedUnitPrice", "ContractedUnitPrice")},
            coalesce(ServiceSubcategory, 'Other (' || ServiceCategory || ')') AS ServiceSubcategory,
            CASE WHEN ConsumedQuantity IS NOT NULL THEN {_unit("ConsumedUnit")} END AS ConsumedUnit,
            CASE WHEN PricingQuantity IS NOT NULL THEN {_unit("PricingUnit")} END AS PricingUnit,
            {contracted} AS ContractedCost,
            coalesce(ListCost, {_times_quantity("ListUnitPrice")}, {contracted}) AS ListCost,
            CASE WHEN ChargeCategory <> 'Tax' THEN PricingCategory END AS PricingCategory,
            {sku} AS SkuId,
            CASE WHEN {sku} IS NOT NULL THEN SkuMeter END AS SkuMeter,
            CASE WHEN {price_id} THEN SkuPriceId END AS SkuPriceId,
            CASE WHEN {price_id} AND SkuPriceId IS NOT NULL THEN SkuPriceDetails END AS SkuPriceDetails,
            coalesce(ProviderName, ServiceProviderName) AS ProviderName,
            coalesce(HostProviderName, ServiceProviderName) AS HostProviderName
        ), coalesce(ServiceProviderName, ProviderName) AS PublisherName
        FROM ({facts})"""


def _allowed() -> str:
    """SQL: the columns in which FOCUS allows a part of the values only."""
    frequency = f"CASE WHEN ChargeFrequency IN {literals(ALLOWED['ChargeFrequency'])} THEN ChargeFrequency WHEN ChargeCategory = 'Usage' THEN 'Usage-Based' END"
    known = f"ServiceCategory IN {literals(focus.SERVICE_CATEGORIES)}"
    columns = {
        "ChargeFrequency": frequency,
        "ChargeClass": f"CASE WHEN ChargeClass IN {literals(ALLOWED['ChargeClass'])} THEN ChargeClass END",
        "ServiceCategory": f"CASE WHEN {known} THEN ServiceCategory ELSE 'Other' END",
        "ServiceSubcategory": f"CASE WHEN {known} THEN ServiceSubcategory END",
        **{
            c: f"CASE WHEN {c} >= 0 THEN {c} END"
            for kind in ("List", "Contracted")
            for c in (f"{kind}UnitPrice", f"PricingCurrency{kind}UnitPrice")
        },
        **{
            c: f"CASE WHEN {key} IS NOT NULL THEN {REGION_NAME if c == 'RegionName' else c} END"
            for key, names in NULL_WITHOUT.items()
            for c in names
        },
    }
    return ", ".join(f"{sql} AS {column}" for column, sql in columns.items())


def _flat(tags: str) -> str:
    """SQL: tags with text in place of objects and arrays, and each key once, with its first value, as FOCUS demands."""
    content = f"TRY_CAST({tags} AS JSON)"
    keys, values = f"json_keys({content})", f"json_extract({content}, '$.*')"
    odd = f"regexp_matches({tags}, ':\\s*[\\[{{]') OR len({keys}) <> len(list_distinct({keys}))"
    value = (
        "CASE WHEN json_type(p[2]) IN ('OBJECT', 'ARRAY') THEN to_json(CAST(p[2] AS VARCHAR)) ELSE p[2] END"
    )
    pair = f"CAST(to_json(p[1]) AS VARCHAR) || ':' || CAST({value} AS VARCHAR)"
    first = f"list_filter(list_zip({keys}, {values}), lambda p, i: list_position({keys}, p[1]) = i)"
    flat = f"'{{' || array_to_string(list_transform({first}, lambda p: {pair}), ',') || '}}'"
    return f"CASE WHEN {odd} THEN {flat} ELSE {tags} END"


def _times_quantity(price: str) -> str:
    """SQL: price x quantity to 12 decimals."""
    return f"TRY_CAST({product(price)} AS DECIMAL(38,12))"


def _fitting(kind: str) -> str:
    """SQL: the unit price, if its product with the quantity is the cost, 1e-9 of it or of 1 apart."""
    price, cost = f"{kind}UnitPrice", f"CAST({kind}Cost AS DOUBLE)"
    off = f"abs({product(price)} - {cost}) > 1e-9 * greatest(abs({cost}), 1)"
    return f"CASE WHEN {off} THEN NULL ELSE {price} END AS {price}"


def _unit(column: str) -> str:
    """SQL: the unit as FOCUS spells it: `Hrs`, `GB-Mo`, `1K tokens` -> `Hours`, `GB-Months`, `1000 tokens`."""
    unit = column
    for spelling, written in SPELLINGS.items():
        unit = f"regexp_replace({unit}, {literal(spelling)}, {literal(written)})"
    for spelling, name in TIME_UNITS.items():
        unit = f"regexp_replace({unit}, '(^|-)(?i:{spelling})$', '\\1{name}')"
    return unit


def _columns(engine: DuckDBEngine, version: Version) -> list[focus.FocusColumn]:
    """The columns of a version. In 1.4 a conditional one without any value is left out; 1.2 has them all."""
    wanted = focus.columns(version)
    if version == "1.2":
        return list(wanted)
    counts = ", ".join(f"count({identifier(c.name)}) AS {identifier(c.name)}" for c in wanted)
    found = engine.query(f"SELECT {counts} FROM charges").row(0, named=True)
    return [c for c in wanted if not c.conditional or found[c.name]]


def _write(
    engine: DuckDBEngine, columns: list[focus.FocusColumn], month: date, stem: Path
) -> tuple[int, tuple[Path, Path]]:
    """Writes the two files of a month, sorted so that the same charges give the same bytes."""
    csv, parquet = stem.parent / f"{stem.name}.csv", stem.parent / f"{stem.name}.parquet"
    where = f"FROM charges WHERE x_billing_month = DATE {literal(month.isoformat())} ORDER BY ALL"
    rows = engine.copy(f"SELECT {', '.join(_typed(c) for c in columns)} {where}", parquet)
    engine.execute(
        f"COPY (SELECT {', '.join(_text(c) for c in columns)} {where}) TO {literal(csv)} (FORMAT csv, HEADER true)"
    )
    return rows, (csv, parquet)


def _typed(column: focus.FocusColumn) -> str:
    """A column as Parquet has it: instants with their zone, JSON as text that any reader takes."""
    name = identifier(column.name)
    types = {"timestamp": "TIMESTAMPTZ", "json": "VARCHAR"}
    return f"CAST({name} AS {types[column.type]}) AS {name}" if column.type in types else name


def _text(column: focus.FocusColumn) -> str:
    """A column as FOCUS writes it in CSV: instants of UTC with a Z."""
    name = identifier(column.name)
    if column.type == "timestamp":
        return f"strftime({name}, '%Y-%m-%dT%H:%M:%SZ') AS {name}"
    return _typed(column)
