"""Sessions of one DuckDB instance: to set an instance up costs 20 ms of CPU, more than most of what tests ask of it."""

from __future__ import annotations

import atexit
import functools

import duckdb

from pipelines.engines.duckdb import DuckDBEngine


@functools.cache
def _instance() -> duckdb.DuckDBPyConnection:
    atexit.register(_instance.cache_clear)  # while the library can still close it
    instance = duckdb.connect(":memory:", config={"threads": 1})
    instance.execute("SET GLOBAL TimeZone = 'UTC'")  # of all sessions, what `prepare` sets in each
    return instance


class Session(DuckDBEngine):
    """An engine whose temporary tables and settings of a session are its own; one thread, so rows stay in one order.

    For what reads files and keeps nothing but temporary tables, as connectors do.
    """

    def __init__(self) -> None:
        self.connection = _instance().cursor()
