"""The billing export read where Google writes it: a BigQuery table as a store of one Parquet file an invoice month.

Listing asks the table for the rows and the last export time of each month; only months in which these changed are
fetched, and read as files like any others. What the columns mean belongs to `mapping.py` beside this.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.base import Object, SourceError
from connectors.downloads import ChangedError, Downloads
from connectors.objects import LocationOptions

if TYPE_CHECKING:
    from google.cloud.bigquery import Client

SCHEME = "bigquery://"
LOCATION = re.compile(r"bigquery://(?P<project>[a-z][a-z0-9.:-]+)\.(?P<dataset>\w+)\.(?P<table>[\w-]+)")
SUFFIX = ".parquet"
ADVICE = {
    400: "the query is refused: the table is no billing export, or `location` is wrong",
    401: "the credentials are not accepted; renew them (gcloud auth application-default login)",
    403: "access is denied; grant roles/bigquery.dataViewer on the dataset and roles/bigquery.jobUser on the project "
    "that pays for the queries (GOOGLE_CLOUD_PROJECT)",
    404: "there is no such table; correct `location`",
    429: "BigQuery is asked too often; run again later",
}
"""HTTP status -> what is wrong and what to do."""


@dataclass(frozen=True)
class _Month:
    """How many rows an invoice month has, and the condition that selects them."""

    where: str
    rows: int


def _literal(value: str | datetime) -> str:
    """A text or a moment as BigQuery's SQL writes it: the escapes of its strings are those of JSON."""
    return json.dumps(value) if isinstance(value, str) else f"TIMESTAMP {json.dumps(value.isoformat())}"


class TableStore:
    """A table of the export. The version of a month is the number of its rows and the last export time among them.

    Args:
        options: With the location; nothing is reached before the first call.
        cache: Folder for the months fetched.

    Raises:
        ValueError: The location does not name a table.
    """

    def __init__(self, options: LocationOptions, cache: Path) -> None:
        match = LOCATION.fullmatch(options.location)
        if match is None:
            msg = f"location {options.location!r} names no table; write bigquery://project.dataset.table"
            raise ValueError(msg)
        self._table = ".".join(match.groups())
        self._options = options
        self._downloads = Downloads(cache / "bigquery", f"{options.endpoint_url or ''} {self._table}")
        self._months: dict[Object, _Month] = {}

    @cached_property
    def _client(self) -> Client:
        try:
            from google.cloud.bigquery import Client
        except ImportError as error:
            msg = (
                f"{self.uri('')}: reading from BigQuery needs google-cloud-bigquery; "
                "install it with: pip install 'tierwise[bigquery]'"
            )
            raise SourceError(msg) from error
        import google.auth
        from google.auth.credentials import AnonymousCredentials

        own = self._table.rsplit(".", 2)[0]
        credentials: Any = AnonymousCredentials()  # type: ignore[no-untyped-call]
        project: str | None = None
        if not self._options.anonymous:
            credentials, project = google.auth.default(scopes=["https://www.googleapis.com/auth/bigquery"])
        endpoint = {"api_endpoint": self._options.endpoint_url} if self._options.endpoint_url else None
        return Client(project=project or own, credentials=credentials, client_options=endpoint)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turns errors of Google's libraries into messages for a person."""
        from google.api_core.exceptions import GoogleAPICallError, RetryError
        from google.auth.exceptions import GoogleAuthError
        from requests import RequestException

        what = self.uri("")
        try:
            yield
        except GoogleAPICallError as error:
            advice = ADVICE.get(int(error.code or 0), "run again later")
            msg = f"{what}: {advice} ({error.message})"
            raise SourceError(msg) from error
        except GoogleAuthError as error:
            msg = f"{what}: no Google credentials ({error}); set GOOGLE_APPLICATION_CREDENTIALS, or run `gcloud auth application-default login`"
            raise SourceError(msg) from error
        except (RequestException, RetryError) as error:
            msg = f"{what}: BigQuery cannot be reached ({error}); check the network and `endpoint_url`"
            raise SourceError(msg) from error

    def list(self, prefix: str = "") -> Sequence[Object]:
        """One object an invoice month; asks for two columns of the table and for no row.

        Raises:
            SourceError: The table cannot be read.
        """
        client = self._client
        with self._explained():
            table = client.get_table(self._table)
            partitioned = table.time_partitioning is not None and table.time_partitioning.field is None
            span = ", MIN(_PARTITIONTIME) AS first, MAX(_PARTITIONTIME) AS last" if partitioned else ""
            query = (
                "SELECT invoice.month AS month, COUNT(*) AS number, MAX(export_time) AS exported"
                f"{span} FROM `{self._table}` GROUP BY 1 ORDER BY 1"
            )
            found = [dict(row.items()) for row in client.query(query).result()]
        total = sum(row["number"] for row in found)
        months = {}
        for row in found:
            key = f"{row['month'] or 'no-month'}{SUFFIX}"
            month = row["month"]
            where = "invoice.month IS NULL" if month is None else f"invoice.month = {_literal(month)}"
            if row["exported"] is not None:
                where += f" AND (export_time IS NULL OR export_time <= {_literal(row['exported'])})"
            if partitioned and row["first"] is not None:
                span = f"{_literal(row['first'])} AND {_literal(row['last'])}"
                where += f" AND (_PARTITIONTIME IS NULL OR _PARTITIONTIME BETWEEN {span})"
            size = (table.num_bytes or 0) * row["number"] // total
            version = f"{key} {row['number']} rows to {row['exported']}"
            months[Object(key, size, version)] = _Month(where, row["number"])
        self._months = months
        return [o for o in months if o.key.startswith(prefix)]

    def read(self, item: Object) -> bytes:
        """The content of a month.

        Raises:
            SourceError: It cannot be read.
        """
        return self.fetch([item])[0].read_bytes()

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """The months as local Parquet files, queried once a version; superseded ones are pruned.

        Raises:
            SourceError: A month cannot be read, or is no longer what was listed.
        """
        if any(o not in self._months for o in objects):
            self.list()
        paths = [self._fetched(wanted) for wanted in objects]
        self._downloads.prune((*self._months, *objects))
        return paths

    def _fetched(self, wanted: Object) -> Path:
        path = self._downloads.path(wanted)
        if path.is_file():
            path.touch()
            return path
        month = self._months.get(wanted)
        if month is None or self._query(month, path) != month.rows:
            path.unlink(missing_ok=True)
            raise ChangedError(self.uri(wanted.key))
        return path

    def _query(self, month: _Month, path: Path) -> int:
        """Streams the rows of a month to a file; the number of rows."""
        from pyarrow.parquet import ParquetWriter

        path.parent.mkdir(parents=True, exist_ok=True)
        part, number = path.with_name(f"{path.name}.part"), 0
        writer: ParquetWriter | None = None
        query = f"SELECT * FROM `{self._table}` WHERE {month.where}"
        try:
            with self._explained():
                rows = self._client.query(query).result()
                for batch in rows.to_arrow_iterable():
                    writer = writer or ParquetWriter(part, batch.schema, compression="zstd")
                    writer.write_batch(batch)
                    number += batch.num_rows
        finally:
            if writer is not None:
                writer.close()
        if number == month.rows:
            part.replace(path)
        return number

    def uri(self, key: str) -> str:
        """The name of the table, or of a month of it."""
        return f"{SCHEME}{self._table}" + (f" {key.removesuffix(SUFFIX)}" if key else "")
