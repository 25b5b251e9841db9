"""Whether a loaded month of an AWS bill is final, and which payer accounts it bills: the remark beside its facts."""

from __future__ import annotations

from dataclasses import replace

from connectors.base import Engine, Loaded


def with_state(loaded: Loaded, engine: Engine) -> Loaded:
    """The month with a note such as `not final: 3 of 7 rows have no invoice yet; payer accounts: 000111122223`.

    AWS fills the invoice of every charge when it closes a month; until then each delivery may change it. Two
    sources whose notes name the same payer account and month bill it twice.

    Args:
        loaded: A month read from a legacy report or from CUR 2.0.
        engine: Reads two columns of its facts.
    """
    if not loaded.rows_loaded:
        return loaded
    found = engine.rows(
        'SELECT "BillingAccountId" AS payer, count(*) AS n, count("InvoiceId") AS invoiced '
        f"FROM {loaded.rows_of('BillingAccountId', 'InvoiceId')} GROUP BY 1 ORDER BY 1"
    )
    rows, invoiced = (sum(row[name] for row in found) for name in ("n", "invoiced"))
    state = (
        "final: every row has an invoice"
        if rows == invoiced
        else f"not final: {rows - invoiced} of {rows} rows have no invoice yet"
    )
    payers = ", ".join(row["payer"] for row in found if row["payer"] is not None) or "not named"
    return replace(
        loaded, note="; ".join([n for n in (loaded.note, state, f"payer accounts: {payers}") if n])
    )
