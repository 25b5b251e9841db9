"""FOCUS ContractCommitment files: what was contracted, and whether the charges that name a contract agree.

A file has no billing month: the files of a location are the state at its newest month, and belong to that.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from connectors.base import Engine, SourceError
from connectors.bills.amounts import amount
from connectors.bills.files import BillFile
from connectors.bills.rules import is_null_text
from connectors.bills.shapes import Shape, shapes
from connectors.focus.mapping import key
from connectors.sql import files as sql_files
from connectors.sql import identifier, literal
from models import tables
from models.focus_contracts import CONTRACT_COMMITMENT

KEY = ("ContractId", "ContractCommitmentId")
NEEDED = (*KEY, "ContractCommitmentPeriodStart", "ContractCommitmentPeriodEnd")
"""Without one of these values a commitment has no meaning."""

RULES = {
    c.name: {"decimal": "not_a_number", "timestamp": "bad_date"}[c.type]
    for c in CONTRACT_COMMITMENT
    if c.type in ("decimal", "timestamp")
}
"""Column whose text may not fit it -> what is then wrong."""


def load_contracts(
    source: str, bills: Sequence[BillFile], path: Path, engine: Engine
) -> tuple[int, int, list[dict[str, Any]]]:
    """Writes the commitments of some files.

    Args:
        source: Name of the source.
        bills: The files.
        path: Where the Parquet file goes.
        engine: Runs the SQL.

    Returns:
        Rows read, rows written, and issues. A commitment that is there twice in equal words counts once; in
        different words, none of them counts.

    Raises:
        SourceError: A file lacks a mandatory column.
    """
    from duckdb import Error

    try:
        return _load(source, bills, path, engine)
    except Error as error:
        reason = str(error).strip().split("\n", maxsplit=1)[0]
        msg = f"{', '.join(b.uri for b in bills)} cannot be read as commitments of contracts: {reason}"
        raise SourceError(msg) from error


def _load(
    source: str, bills: Sequence[BillFile], path: Path, engine: Engine
) -> tuple[int, int, list[dict[str, Any]]]:
    natives = " UNION ALL ".join(_native(shape) for shape in shapes(bills, engine))
    needed = " AND ".join(f"{identifier(c)} IS NOT NULL" for c in NEEDED)
    starts, ends = "ContractCommitmentPeriodStart", "ContractCommitmentPeriodEnd"
    key = ", ".join(map(identifier, KEY))
    checked = (
        f"SELECT *, CASE WHEN NOT ({needed}) THEN 'missing_value' WHEN {ends} < {starts} THEN 'period_ends_before_start' "
        f"WHEN count(*) OVER (PARTITION BY {key}) > 1 THEN 'repeated_commitment' END AS __reject "
        f"FROM (SELECT DISTINCT * FROM ({natives}))"
    )
    columns = ", ".join(identifier(c.name) for c in CONTRACT_COMMITMENT)
    written = engine.copy(
        f"SELECT {columns}, {literal(source)} AS x_source FROM ({checked}) WHERE __reject IS NULL ORDER BY {key}",
        path,
    )
    read = engine.rows(f"SELECT count(*) AS n FROM ({natives})")[0]["n"]
    found = engine.rows(
        f"SELECT __reject AS rule, min(ContractCommitmentId) AS value, count(*) AS n FROM ({checked}) "
        "WHERE __reject IS NOT NULL GROUP BY 1 ORDER BY 1"
    )
    where = {"location": ", ".join(b.uri for b in bills)}
    issues = [
        {"action": "rejected", "rule": rule, "column_name": "ContractCommitmentId", "value": value, "rows": n} | where
        for rule, value, n in (row.values() for row in found)
    ]  # fmt: skip
    return read, written, [*issues, *(issue | where for issue in _dropped(natives, engine))]


def _dropped(natives: str, engine: Engine) -> Iterator[dict[str, Any]]:
    """Values that do not fit their column, which is null for them; without those of `NEEDED` the row is rejected."""
    for name in (name for name in RULES if name not in NEEDED):
        lost = _lost(name)
        (row,) = engine.rows(f"SELECT left(min({lost}), 200) AS value, count({lost}) AS n FROM ({natives})")
        if row["n"]:
            yield {"action": "repaired", "rule": RULES[name], "column_name": name, "value": row["value"], "rows": row["n"]}  # fmt: skip


def _lost(column: str) -> str:
    """The text of a value that does not fit its column, beside it."""
    return identifier(f"__lost_{column}")


def _native(shape: Shape) -> str:
    by_name = {key(column): text for column, text in shape.text.items()}
    for name in NEEDED:
        if key(name) not in by_name:
            msg = (
                f"{shape.files[0].uri}: a ContractCommitment file without the mandatory column {name!r}; it has: "
                f"{', '.join(sorted(shape.text))}. Put the column back into the export"
            )
            raise SourceError(msg)
    selected = []
    for column in CONTRACT_COMMITMENT:
        text = f"CAST({by_name.get(key(column.name), 'NULL')} AS VARCHAR)"
        clean = f"CASE WHEN NOT {is_null_text(text)} THEN {text} END"
        type_ = {"timestamp": "TIMESTAMPTZ", "json": "VARCHAR"}.get(column.type, tables.TYPES[column.type][0])
        currency = by_name.get(
            f"{'pricing' if column.name.startswith('Pricing') else 'billing'}currency", "NULL"
        )
        value = amount(clean, currency) if column.type == "decimal" else f"TRY_CAST({clean} AS {type_})"
        if column.type == "timestamp":
            value = f"CAST({value} AS TIMESTAMP)"
        selected.append(f"{value} AS {identifier(column.name)}")
        if column.name in RULES:
            selected.append(f"CASE WHEN {value} IS NULL THEN {clean} END AS {_lost(column.name)}")
    return f"SELECT {', '.join(selected)} FROM {shape.scan}"


def disagreements(rows: str, contracts: Path, engine: Engine) -> Iterator[dict[str, Any]]:
    """Issues of charges (SQL table expression) whose ContractApplied does not agree with the commitments, by rule.

    - unknown_commitment: it names a commitment that the files do not have
    - other_currency: the charge is billed in another currency than the commitment
    - applied_exceeds_commitment: what is applied in the month alone is more than the whole commitment
    """
    known = f"read_parquet({sql_files([contracts])}, hive_partitioning=false)"
    applied = f"""SELECT BillingCurrency AS currency, json_extract_string(e, '$.ContractCommitmentId') AS id,
        TRY_CAST(json_extract_string(e, '$.ContractCommitmentAppliedCost') AS DECIMAL(38,12)) AS cost
        FROM (SELECT BillingCurrency, unnest(CAST(json_extract(CAST(ContractApplied AS JSON), '$.Elements[*]') AS JSON[])) AS e
              FROM {rows} WHERE ContractApplied IS NOT NULL)"""
    joined = f"""SELECT a.*, c.ContractCommitmentId AS known, c.BillingCurrency AS committed_in,
        c.ContractCommitmentCost AS committed FROM ({applied}) AS a
        LEFT JOIN {known} AS c ON c.ContractCommitmentId = a.id"""
    found = engine.rows(f"""
        SELECT 'unknown_commitment' AS rule, min(id) AS value, count(*) AS n FROM ({joined}) WHERE known IS NULL
        UNION ALL SELECT 'other_currency', min(id), count(*) FROM ({joined}) WHERE committed_in <> currency
        UNION ALL SELECT 'applied_exceeds_commitment', min(id), count(*) FROM (
            SELECT id FROM ({joined}) WHERE committed_in = currency
            GROUP BY id, committed HAVING sum(cost) > committed)""")
    for rule, value, n in (row.values() for row in found):
        if n:
            yield {
                "action": "flagged", "rule": rule, "column_name": "ContractApplied", "value": value, "rows": n,
            }  # fmt: skip
