"""Costs and usage that a provider's organisation API knows, from the API or as saved answers of it.

Answers for costs are a bill, answers for usage are usage. A slice is a UTC day. A bucket that several files hold counts
once: as the last file, in order of key, has it, which must have all that the earlier ones have. A page that says that
another one follows, which is not there, is flagged on its last day: what the API goes on to say is in no figure.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import ClassVar, Self, cast
from urllib.parse import urlsplit

import polars as pl
from pydantic import SecretStr, model_validator

from connectors.base import Context, Engine, Loaded, Object, Slice, SourceError, SourceOptions, Window
from connectors.llm.buckets import Findings, charges, counted, hours, once, totals
from connectors.llm.charges import to_focus, write_charges
from connectors.llm.organisation_api import Api, OrganisationStore
from connectors.llm.pages import COSTS, USAGE, Bucket, read_buckets
from connectors.objects import LocationOptions, Store, open_store
from connectors.telemetry import QUARTER_S, fingerprint, write_days
from connectors.telemetry_index import UTC_ZONE, Indexed, data_files, days, index, settings, utc_days
from models.fields import Day, Frozen
from models.tables import API_USAGE, FOCUS, INFERENCE_HOURLY, Table


class Labels(Frozen):
    """Labels of a project, as providers know no tags."""

    team: str | None = None
    workload: str | None = None


class OrganisationOptions(LocationOptions):
    """Options of the kinds.

    Attributes:
        usage: Usage files are telemetry; false where a gateway's log already reports the same requests. They are held
            against log and bill all the same.
        url: The API, instead of a location.
        admin_key: With `url`: a variable of the environment.
        since: With `url`: first day (UTC) to ask for.
    """

    api: ClassVar[Api]
    location: str = ""
    usage: bool = True
    url: str | None = None
    admin_key: SecretStr | None = None
    since: Day | None = None

    @property
    @abstractmethod
    def labels(self) -> Mapping[str, Labels]:
        """Project id -> its labels. Without a workload it is the model's name."""

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if bool(self.location) == bool(self.url):
            msg = "give location (saved pages), or url with admin_key and since (the API itself)"
            raise ValueError(msg)
        live = [
            self.admin_key is not None and bool(self.admin_key.get_secret_value()),
            self.since is not None,
        ]
        if any(live) if self.url is None else not all(live):
            variable = f"${{{self.api.provider.upper()}_ADMIN_KEY}}"
            msg = f"url, admin_key and since go together; write admin_key: {variable} and the first day as since"
            raise ValueError(msg)
        parts = urlsplit(self.url or "https://none")
        if not parts.hostname or (parts.scheme != "https" and (parts.scheme, parts.hostname) not in _PLAIN):
            msg = f"url {self.url!r}: the key is sent over https only; write {self.api.url}"
            raise ValueError(msg)
        return self


_PLAIN = (("http", "127.0.0.1"), ("http", "localhost"))
"""Where an unencrypted connection does not leave the machine."""


class OrganisationReader:
    """Answers of one provider's API."""

    Options: ClassVar[type[SourceOptions]]
    version: ClassVar[str]
    """Changes whenever the same files would give other facts."""
    suffixes: ClassVar[tuple[str, ...]]
    """Names of files that are read."""

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("OrganisationOptions", options)
        self.api = self.options.api
        self.context = context
        self.store = self._store()

    def _store(self) -> Store:
        options, context = self.options, self.context
        if options.url and options.admin_key and options.since:
            key = options.admin_key.get_secret_value()
            return OrganisationStore(self.api, options.url, key, options.since, context.cache)
        return open_store(options, context.base, context.cache)

    def check(self) -> str:
        """Says what is there.

        Raises:
            SourceError: The location cannot be read or holds nothing usable.
        """
        files = self._files()
        found = days(files, UTC_ZONE)
        if not found:
            empty = (
                "save pages of the costs or usage API there" if self.options.location else "is since right?"
            )
            msg = f"{self.store.uri('')} holds no buckets; {empty}"
            raise SourceError(msg)
        return f"{len(files)} files of pages, {found[0]} to {found[-1]} (UTC)"

    def _files(self) -> list[Indexed]:
        objects = data_files(self.store, self.suffixes, "saved page")
        name = f"{self.version}/{self.context.name}/{self.options.location or self.options.url}"
        return index(self.store, objects, self._scan, self.context.cache, name)

    def _buckets(self, item: Object) -> list[Bucket]:
        path, uri = self.store.fetch([item])[0], self.store.uri(item.key)
        return read_buckets(path, item.key, uri, self.api)

    def _scan(self, item: Object) -> tuple[set[int], str]:
        """Quarter hours, and as the layout the kind, and start and end of buckets after which another page follows."""
        buckets = self._buckets(item)
        last = sorted((b.start, b.end) for b in buckets if b.more)
        return {b.start // QUARTER_S for b in buckets}, json.dumps([buckets[0].kind if buckets else "", last])

    def slices(self, window: Window) -> Sequence[Slice]:
        """The UTC days with buckets. Files not seen before are read, others not.

        Raises:
            SourceError: The location cannot be read, or a file is damaged.
        """
        files = self._files()
        options = settings(self.options.model_dump(exclude={"url", "admin_key", "since"}))
        lacking = _lacking(files)
        found = []
        for day, objects in utc_days(files, window.day):
            ends = {str(end): key for of, end, key in lacking if of == day}
            print_ = fingerprint(self.version, options | ({"lacking": ends} if ends else {}), objects)
            found.append(Slice(day, "day", print_, objects, ends))
        return found

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Reads the pages; they are small, since the API adds requests up.

        Raises:
            SourceError: A file cannot be read, or buckets overlap without being the same.
        """
        del engine
        read = {
            o: self._buckets(o) for o in sorted({o for s in slices for o in s.objects}, key=lambda o: o.key)
        }
        for piece in slices:
            mine = [b for o in piece.objects for b in read[o] if b.day == piece.period]
            yield self._loaded(piece, mine, work)

    def _loaded(self, piece: Slice, buckets: Sequence[Bucket], work: Path) -> Loaded:
        findings = Findings(self.store)
        kept = once(buckets, findings)
        for bucket in buckets:
            if bucket.more and piece.detail.get(str(bucket.end)) == bucket.file:
                findings.add(bucket, "flagged", ("page_missing", "has_more"), None)
            for line in bucket.after:
                findings.add(bucket, "flagged", ("footer", None), line)
        costs = [b for b in kept if b.kind == COSTS]
        usage = [b for b in kept if b.kind in USAGE]
        labels = {k: (v.team, v.workload) for k, v in self.options.labels.items()}
        charged = to_focus(
            charges(costs, labels, self.context.name, self.api.provider, findings), self.context
        )
        worked = hours(usage, labels, findings).with_columns(source=pl.lit(self.context.name))
        written = write_charges(charged, [piece.period], work)
        own = counted(worked, self.api.provider).with_columns(source=pl.lit(self.context.name))
        telemetry: dict[Table, pl.DataFrame] = {API_USAGE: own}
        if self.options.usage:
            telemetry[INFERENCE_HOURLY] = worked
        _, facts, rows = next(write_days(telemetry, [piece.period], work))
        if piece.period in written:
            facts[FOCUS.name], more = written[piece.period]
            rows += more
        read = sum(len(b.results) for b in buckets)
        return Loaded(piece, facts, read, rows, totals(costs), findings.frame())


def _lacking(files: Sequence[Indexed]) -> list[tuple[date, int, str]]:
    """Day, end and file of the last bucket of pages that another follows, where no file of the kind goes on there."""
    known = [(f, *json.loads(f.layout)) for f in files]
    return [
        (datetime.fromtimestamp(start, UTC).date(), end, file.object.key)
        for file, kind, last in known
        for start, end in last
        if not any(
            other in (kind, "") and f.touches(end // QUARTER_S, end // QUARTER_S) for f, other, _ in known
        )
    ]
