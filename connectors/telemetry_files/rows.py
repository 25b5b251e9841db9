"""Rows of sample files in our columns and units, in SQL: one by one, or unchecked with what says of many that all are good.

Which columns there are and what they are called belongs to `columns.py`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from connectors.epochs import is_numeric, sql_epoch, sql_epoch_text
from connectors.sql import files, identifier, literal
from connectors.telemetry import sql_timestamp
from connectors.telemetry_files.columns import (
    DATASETS,
    GPU,
    OF_WHOLE_CARDS,
    TIME,
    Column,
    present,
    time_column,
)

OLD_AND_NEW = ("exported_pod", "pod_name", "exported_namespace", "pod_namespace")
"""Names of the pod that holds a card, by new and old exporters; of each kind they complete each other."""


def scan_sql(paths: Sequence[Path], *, parquet: bool) -> str:
    """SQL: the rows of files of one layout as they are, with `filename`; CSV as text."""
    if parquet:
        return f"SELECT * FROM read_parquet({files(paths)}, filename=true)"
    return (
        f"SELECT * FROM read_csv({files(paths)}, delim=',', quote='\"', escape='\"', header=true, all_varchar=true, "
        "null_padding=true, filename=true)"
    )


def samples_sql(dataset: str, scan: str, types: Mapping[str, str], *, labelled: bool = False) -> str:
    """SQL: the samples of files of one layout in our columns and units.

    Args:
        dataset: gpu, inference or power.
        scan: Result of `scan_sql`.
        types: Its columns and DuckDB types.
        labelled: With the number of `label_sql` for file and texts.

    Returns:
        file and each text of the dataset (or label), ts_text, ts (UTC), each number, and for each of these `NAME_bad`:
        the value that was dropped because it is no number or not plausible, else NULL.
    """
    told = (
        [f"{label_sql(dataset, types)} AS label"]
        if labelled
        else ["filename AS file", *texts(dataset, types)]
    )
    parts = [*told, f"CAST({identifier(_time(types))} AS VARCHAR) AS ts_text", f"{stamp_sql(types)} AS ts"]
    for column in DATASETS[dataset]:
        if column.condition:
            parts += _number(column, types)
    return f"SELECT {', '.join(parts)} FROM ({scan})"


def _time(types: Mapping[str, str]) -> str:
    return time_column(types) or TIME[0]


def stamp_sql(types: Mapping[str, str]) -> str:
    """SQL: the time of a row, UTC; NULL where it cannot be read."""
    time = _time(types)
    ts = identifier(time)
    if types[time] == "VARCHAR":
        return f"COALESCE({sql_timestamp(ts)}, {sql_epoch_text(ts)})"
    if is_numeric(types[time]):
        return sql_epoch(f"CAST({ts} AS DOUBLE)")
    if types[time] in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ_NS"):
        return f"make_timestamp(epoch_us(CAST({ts} AS TIMESTAMPTZ)))"
    return f"CAST({ts} AS TIMESTAMP)" if types[time].startswith("TIMESTAMP") else "CAST(NULL AS TIMESTAMP)"


def texts(dataset: str, types: Mapping[str, str]) -> list[str]:
    """SQL: the text columns of the dataset, trimmed, from those of a file."""
    return [
        f"{_text_value(c, present(c, _names(types)))} AS {c.name}"
        for c in DATASETS[dataset]
        if not c.condition
    ]


def given_texts(dataset: str, types: Mapping[str, str]) -> list[str]:
    """The columns of a file, quoted, from which `texts` follow."""
    names = _names(types)
    return [identifier(n) for c in DATASETS[dataset] if not c.condition for n, _ in present(c, names)]


def label_sql(dataset: str, types: Mapping[str, str]) -> str:
    """SQL: a number of 64 bits for the file and all texts of a row: rows with the same number have the same labels."""
    return f"hash({', '.join(('filename', *given_texts(dataset, types)))})"


def _names(types: Iterable[str]) -> dict[str, str]:
    return {n.lower(): n for n in types if n != "filename"}


def _text_value(column: Column, names: Sequence[tuple[str, float]]) -> str:
    """The first name that is there; spellings of one name complete each other, and so do names of old and new exporters.

    `exported_pod` is not completed by `pod`: where both are, the latter is the exporter's own pod. A `pod` that is
    called after the exporter holds nothing.
    """
    if not names:
        return "CAST(NULL AS VARCHAR)"
    plain = [n.lower().removesuffix("_1") for n, _ in names]
    together = {plain[0], *(OLD_AND_NEW if plain[0] in OLD_AND_NEW else ())}
    renamed = column.name in ("pod", "namespace") and not plain[0].startswith("exported_")
    values = []
    for (name, _), lower in zip(names, plain, strict=True):
        value = f"NULLIF(TRIM(CAST({identifier(name)} AS VARCHAR)), '')"
        if lower in together or column.name in ("node", "gpu") or renamed:
            values.append(
                f"CASE WHEN {value} NOT LIKE '%dcgm-exporter%' THEN {value} END" if lower == "pod" else value
            )
    return f"COALESCE({', '.join(values)})"


def _read(column: Column, types: Mapping[str, str]) -> list[tuple[str, str, str]]:
    """SQL of a number for each name in the file that holds it: the value in our unit, whether one is given, the name."""
    found = []
    for name, factor in present(column, _names(types)):
        quoted = identifier(name)
        given = f"TRIM({quoted}) <> ''" if types[name] == "VARCHAR" else f"{quoted} IS NOT NULL"
        value = f"(TRY_CAST({quoted} AS DOUBLE) * {factor!r})"
        if name.lower() in OF_WHOLE_CARDS and (sliced := _sliced(types)):
            value, given = f"CASE WHEN NOT ({sliced}) THEN {value} END", f"NOT ({sliced}) AND {given}"
        found.append((value, given, name))
    return found


def _sliced(types: Mapping[str, str]) -> str:
    """SQL: a row is of a MIG instance; empty where no column says so."""
    of = [
        _text_value(c, names)
        for c in GPU
        if c.name in ("mig_id", "mig_profile") and (names := present(c, _names(types)))
    ]
    return " OR ".join(f"{value} IS NOT NULL" for value in of)


def _number(column: Column, types: Mapping[str, str]) -> list[str]:
    values, wrong = ["CAST(NULL AS DOUBLE)"], ["CAST(NULL AS VARCHAR)"]
    for value, given, name in _read(column, types):
        plausible = f"COALESCE({column.plausible(value, value)}, FALSE)"
        values.append(f"CASE WHEN {plausible} THEN {value} END")
        wrong.append(
            f"CASE WHEN {given} AND NOT {plausible} THEN {literal(name + '=')} || CAST({identifier(name)} AS VARCHAR) END"
        )
    return [
        f"COALESCE({', '.join(values)}) AS {column.name}",
        f"COALESCE({', '.join(wrong)}) AS {column.name}_bad",
    ]


def unchecked(column: Column, types: Mapping[str, str]) -> list[str]:
    """SQL: a number as `samples_sql` has it if none is dropped; `dropped_sql` says of many rows whether one is."""
    values = [value for value, _, _ in _read(column, types)] or ["CAST(NULL AS DOUBLE)"]
    parts = [f"COALESCE({', '.join(values)}) AS {column.name}"]
    if len(values) > 1:
        parts += [f"{f}({', '.join(values)}) AS {column.name}_{f.lower()}" for f in ("LEAST", "GREATEST")]
    if text := _no_number(column, types):
        parts.append(f"{text} AS {column.name}_text")
    return parts


def _no_number(column: Column, types: Mapping[str, str]) -> str:
    """SQL: text is given and is no number; empty where all columns are numbers."""
    read = _read(column, types)
    return " OR ".join(f"{given} AND {value} IS NULL" for value, given, n in read if types[n] == "VARCHAR")


def dropped_sql(column: Column, types: Mapping[str, str]) -> str:
    """SQL: of rows with `unchecked`, `samples_sql` may drop a value: the least or the greatest is not plausible, or a blank lies between."""
    several = len(_read(column, types)) > 1
    low, high = (f"{column.name}_{f}" if several else column.name for f in ("least", "greatest"))
    text = f" OR COALESCE(BOOL_OR({column.name}_text), FALSE)" if _no_number(column, types) else ""
    return f"NOT COALESCE({column.plausible(f'MIN({low})', f'MAX({high})')}, TRUE){text}"
