"""Bills as plain files without a manifest: every file counts, and its rows say which month they are billed in."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from connectors.base import Context, Object, Slice, SourceError, require_ready
from connectors.bills import so_far
from connectors.bills.files import SUFFIXES, BillFile, is_bill, open_bill
from connectors.bills.months import Column, MonthIndex, Parse, Prepare, parse_month
from connectors.objects import Store


def fingerprint(version: str, options: Sequence[str], objects: Sequence[Object]) -> str:
    """Hex text that changes when the reader's version, its options, or the content of the files does.

    A file counts by its content (`Object.version`) and form, not by its name: a month that is delivered again with
    the same bytes in another folder is not read again.
    """
    content = [version, list(options), sorted((o.version, _form(o.key)) for o in objects)]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _form(key: str) -> str:
    """The ending of the name, which says how to read the file."""
    name = key.lower().rpartition("/")[2].removesuffix(".gz")
    return name.rpartition(".")[2] if "." in name else ""


BELONGING = (
    "manifest.json", ".sql", ".yml", ".yaml", "_success", ".crc", ".md5", ".sha256", "/", "status.parquet",
)  # fmt: skip
"""How names end of what providers put beside bills."""

PARTITION = re.compile(r"(^|/)BILLING_PERIOD=", re.IGNORECASE)
"""In keys of AWS Data Exports, whose manifests lie in another folder than the files of all deliveries."""

NAMED = 5
"""Files that a remark names; further ones are counted."""


def left_alone(objects: Sequence[Object], suffixes: tuple[str, ...]) -> str:
    """A remark that names the files that are no bill files and do not belong to one; empty where there is none."""
    others = [o.key for o in objects if not is_bill(o.key, suffixes) and not is_bill(o.key, BELONGING)]
    return _named("no bill files by their names, left alone", others)


def in_no_delivery(objects: Sequence[Object], manifests: Collection[str], named: Collection[Object]) -> str:
    """A remark that names the bill files of which no manifest knows: neither of those that count nor of a former delivery.

    Args:
        objects: Everything at the location.
        manifests: Keys of the manifests; a delivery lies beside or below its own.
        named: The files that the manifests that count name.
    """
    folders, counted = {key.rpartition("/")[0] for key in manifests}, {o.key for o in named}
    stray = [
        o.key
        for o in objects
        if is_bill(o.key)
        and o.key not in counted
        and not is_bill(o.key, BELONGING)
        and not PARTITION.search(o.key)
        and folders.isdisjoint(o.key[: m.start()] for m in re.finditer("/|^", o.key))
    ]
    return _named("bill files that no manifest names, left alone", stray)


def _named(words: str, keys: Sequence[str]) -> str:
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return f"{words}: {', '.join(keys[:NAMED])}{more}" if keys else ""


@dataclass(frozen=True)
class Told:
    """What manifests say of months.

    Attributes:
        months: File -> the months it was delivered for: a file without rows says that they are empty.
        manifests: File -> the manifest that names it: the files of one delivery do not repeat each other.
        empty: Months that were delivered without a file.
        not_ready: Month -> why its delivery cannot be read yet.
        waiting: File of a delivery of which another is not there yet -> why: no month that its rows name can be read.
    """

    months: Mapping[Object, tuple[date, ...]] = field(default_factory=dict)
    manifests: Mapping[Object, str] = field(default_factory=dict)
    empty: frozenset[date] = frozenset()
    not_ready: Mapping[date, str] = field(default_factory=dict)
    waiting: Mapping[Object, str] = field(default_factory=dict)


NOTHING_TOLD = Told()


def _one_delivery(objects: Sequence[Object], told: Told) -> dict[str, str]:
    """The manifest that names all files of a month, where there is one such."""
    found = {told.manifests.get(o, "") for o in objects}
    return {"manifests": found.pop()} if len(found) == 1 and "" not in found else {}


class PlainFiles:
    """The bill files at a location, by month.

    Args:
        store: The location.
        context: For the cache.
        version: Version of the reader.
        column: Finds the native column with the start of the billing period.
        parse: How that column names a month.
        suffixes: Names of files that may be bills.
        optional: Columns that a JSON file may have even if none of its first lines names them.
        prepare: Looks further into each file.
    """

    def __init__(
        self,
        store: Store,
        context: Context,
        version: str,
        column: Column,
        *,
        parse: Parse = parse_month,
        suffixes: tuple[str, ...] = SUFFIXES,
        optional: Sequence[str] = (),
        prepare: Prepare = lambda bill: bill,
    ) -> None:
        self._store = store
        self._version = version
        self._column = column
        self._suffixes = suffixes
        self._optional = optional
        self._others = ""
        self._prepare = prepare
        self._index = MonthIndex(
            store,
            context.cache / f"months-{context.name}.json",
            version,
            parse,
            prepare=prepare,
            optional=optional,
        )

    def objects(self) -> list[Object]:
        """The bill files at the location.

        Raises:
            SourceError: There is none.
        """
        objects = [o for o in self.noted(self._store.list()) if is_bill(o.key, self._suffixes)]
        if not objects:
            msg = f"{self._store.uri('')} holds no bill file ({', '.join(self._suffixes)}); put the export there, or correct `location`"
            raise SourceError(msg)
        return objects

    def noted(self, listed: Sequence[Object]) -> Sequence[Object]:
        """All objects of the location, as they are; what is no bill file among them will be named."""
        self._others = left_alone(listed, self._suffixes)
        return listed

    def noted_by_manifests(
        self, listed: Sequence[Object], manifests: Collection[str], named: Collection[Object]
    ) -> str:
        """What will be named of a location whose manifests say which files count, as in `in_no_delivery`."""
        self.noted(listed)
        self._others = "; ".join(filter(None, [self._others, in_no_delivery(listed, manifests, named)]))
        return self._others

    def slices(
        self,
        *options: str,
        note: str = "",
        objects: Sequence[Object] | None = None,
        told: Told = NOTHING_TOLD,
    ) -> list[Slice]:
        """One slice for each billing month.

        Args:
            options: Settings that change what the facts hold.
            note: Remark for every slice.
            objects: The files that count; None for all.
            told: What manifests say.

        Raises:
            SourceError: There is no bill file, one is there twice, or one of an unknown month is damaged.
        """
        objects = self.objects() if objects is None else objects
        months, damaged = self._index.look(objects, self._column)
        self._refuse_copies([o for o in objects if months.get(o.key)])
        by_month: dict[date, list[Object]] = defaultdict(list)
        for item in objects:
            for month in self._months(item, months, damaged, told):
                by_month[month].append(item)
        not_ready = {m: reason for of, reason in reversed(damaged.values()) for m in of}
        not_ready |= {m: told.waiting[o] for m, of in by_month.items() for o in of if o in told.waiting}
        not_ready |= told.not_ready
        hollow = [o.key for o in objects if months.get(o.key) == () and not told.months.get(o)]
        notes = [note] if note else []
        if hollow:
            notes.append(f"files with no rows: {', '.join(hollow)}")
        listed = sorted({*by_month, *not_ready, *told.empty})
        newest = listed[-1] if listed else None
        return [
            Slice(
                period=month,
                grain="month",
                fingerprint=fingerprint(self._version, options, by_month[month]),
                objects=tuple(by_month[month]),
                detail={
                    "note": "; ".join(filter(None, [*notes, self._others if month == newest else ""])),
                    **_one_delivery(by_month[month], told),
                },
                not_ready=not_ready.get(month, ""),
            )
            for month in listed
        ]

    @staticmethod
    def _months(
        item: Object,
        months: Mapping[str, tuple[date, ...]],
        damaged: Mapping[str, tuple[tuple[date, ...], str]],
        told: Told,
    ) -> tuple[date, ...]:
        """The months that a file counts in: those of its rows, or where it has none those it was delivered for."""
        if item.key in damaged:
            return damaged[item.key][0]
        return months[item.key] or told.months.get(item, ())

    def _refuse_copies(self, objects: Sequence[Object]) -> None:
        seen: dict[str, str] = {}
        for item in objects:
            other = seen.setdefault(item.version, item.key)
            if other != item.key and not so_far.may_follow(other, item.key):
                msg = (
                    f"{self._store.uri(item.key)} and {self._store.uri(other)} have the same content: "
                    "every charge would count twice; remove one of them"
                )
                raise SourceError(msg)

    def open(self, slices: Sequence[Slice]) -> list[BillFile]:
        """The files of the slices, ready to be read, each once.

        Raises:
            SourceError: A file cannot be read.
        """
        require_ready(slices)
        objects = sorted({o for s in slices for o in s.objects}, key=lambda o: o.key)
        months = self._index.months(objects, self._column)
        for item in slices:
            months |= {o.key: (item.period,) for o in item.objects if not months[o.key]}
        paths = self._store.fetch(objects)
        return [
            self._prepare(open_bill(o, self._store.uri(o.key), path, months[o.key], self._optional))
            for o, path in zip(objects, paths, strict=True)
        ]

    def describe(self, slices: Sequence[Slice], kind: str) -> str:
        """One line: files, size, months.

        Raises:
            SourceError: A month is not ready.
        """
        require_ready(slices)
        objects = {o for s in slices for o in s.objects}
        if not slices:
            return f"{self._store.uri('')}: {kind} files with no rows"
        span = f"{slices[0].period:%Y-%m} to {slices[-1].period:%Y-%m}"
        size = sum(o.size for o in objects) / 1e6
        return (
            f"{self._store.uri('')}: {len(objects)} {kind} files, {size:.1f} MB, {len(slices)} billing months, {span}"
            f"{'; ' if self._others else ''}{self._others}"
        )
