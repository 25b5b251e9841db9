"""The page `docs/tables.md`, written from `models/tables/`: `python -m pipelines.document > docs/tables.md`.

What the figures mean and how they are computed is written by hand in `docs/metrics.md`.
"""

from __future__ import annotations

import sys

from models.tables import FACTS, TABLES, TYPES, Column, Table

_HEAD = """# Every published table

Written by `make docs` from `models/tables/`; change it there. Formulas and worked examples: [metrics.md](metrics.md); questions in SQL: [queries.md](queries.md).

Timestamps are UTC. `not null` columns always have a value; in the others NULL means unknown or not applicable, never zero."""


def tables_markdown() -> str:
    """All tables in publication order, as one Markdown page that ends with a line break."""
    return "\n\n".join([_HEAD, _index(), *(_section(table) for table in TABLES.values())]) + "\n"


def _index() -> str:
    """Every table with a link and the first sentence of what a row is."""
    rows = [
        f"| [`{t.name}`](#{t.name.replace('.', '')}) | {t.doc.partition('. ')[0].removesuffix('.')} |"
        for t in TABLES.values()
    ]
    return "\n".join(["| table | a row is |", "|---|---|", *rows])


def _section(table: Table) -> str:
    key = ", ".join(f"`{name}`" for name in table.key) or "none; rows may repeat"
    kind = "View over Parquet facts" if table in FACTS else "Table"
    lines = [
        f"## {table.name}",
        "",
        table.doc,
        "",
        f"{kind}. Key: {key}.",
        "",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
        *(_row(column) for column in table.columns),
    ]
    return "\n".join(lines)


def _row(column: Column) -> str:
    type_ = TYPES[column.type][0] + ("" if column.nullable else ", not null")
    cells = (f"`{column.name}`", type_, column.unit, column.doc.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(tables_markdown())
