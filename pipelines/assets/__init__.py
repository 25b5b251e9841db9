"""Dagster assets, one module a layer. An asset reads, calls one step, and says what it made; no formula lives here."""
