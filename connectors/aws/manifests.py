"""CUR manifests: which files are the current delivery of a month. Pure but for reading the manifests.

A legacy report lies in `<prefix>/<report>/<YYYYMMDD-YYYYMMDD>/`: each delivery (assembly) in a folder of its own
with a copy of its manifest, and the period's top manifest, which names the files of the delivery that counts.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from connectors.base import Object, SourceError
from connectors.bills.months import parse_month
from connectors.objects import Store

SUFFIX = "-Manifest.json"
PERIOD = re.compile(r"\d{8}-\d{8}")


@dataclass(frozen=True)
class Delivery:
    """The current delivery of one report and month.

    Attributes:
        report: Name of the report.
        account: Payer account.
        month: First day of the billing month.
        manifest: Key of the top manifest.
        objects: Its files.
        not_ready: Why it cannot be read yet; empty when it can.
    """

    report: str
    account: str
    month: date
    manifest: str
    objects: tuple[Object, ...]
    not_ready: str = ""


def top_manifests(keys: Iterable[str]) -> list[str]:
    """Of all manifests, the topmost of each period folder (or of the location, below a period folder)."""
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for key in keys:
        if not key.endswith(SUFFIX):
            continue
        *folders, name = key.split("/")
        depth = next((i for i, part in enumerate(folders) if PERIOD.fullmatch(part)), -1)
        groups["/".join(folders[: depth + 1]) if depth >= 0 else "", name].append(key)
    tops = []
    for group in groups.values():
        least = min(key.count("/") for key in group)
        tops += [key for key in group if key.count("/") == least]
    return sorted(tops)


def locate(
    manifest: str, wanted: Sequence[str], keys: Mapping[str, Object]
) -> tuple[list[Object], list[str]]:
    """Finds the files that a manifest names by their keys in the bucket.

    The location may be the bucket, a folder in it, or a folder above a copy of the bucket: the same start is
    taken off, or put before, every name; the way that finds most files counts.

    Returns:
        The files found, and the names not found.
    """
    ways: list[list[str]] = []
    above = manifest.split("/")[:-1]
    ways += [["/".join([*above[:n], name]) for name in wanted] for n in range(len(above) + 1)]
    parts = [name.split("/") for name in wanted]
    ways += [["/".join(p[n:]) for p in parts] for n in range(1, min((len(p) for p in parts), default=0))]
    best = max(ways, key=lambda way: sum(key in keys for key in way))
    found = [keys[key] for key in best if key in keys]
    return found, [name for name, key in zip(wanted, best, strict=True) if key not in keys]


def deliveries(store: Store, objects: Sequence[Object], report: str | None) -> list[Delivery]:
    """The current deliveries at a location.

    Args:
        store: For reading the top manifests.
        objects: Everything at the location.
        report: Only this report; None for all.

    Raises:
        SourceError: A manifest of an unknown month is damaged, or two reports bill the same.
    """
    keys = {o.key: o for o in objects}
    result = []
    seen: dict[tuple[str, date], Delivery] = {}
    for key in top_manifests(keys):
        if report is not None and key.rsplit("/", 1)[-1] != f"{report}{SUFFIX}":
            continue
        delivery = _delivery(store, key, keys)
        if delivery.not_ready:
            result.append(delivery)
            continue
        same = seen.setdefault((delivery.account, delivery.month), delivery)
        if same is not delivery:
            msg = (
                f"{store.uri(same.manifest)} and {store.uri(key)} both bill account {delivery.account} for "
                f"{delivery.month:%Y-%m}: every charge would count twice; {choice('report', same.report, delivery.report)}"
            )
            raise SourceError(msg)
        result.append(delivery)
    if report is not None and not result:
        there = sorted({k.rsplit("/", 1)[-1].removesuffix(SUFFIX) for k in keys if k.endswith(SUFFIX)})
        msg = f"{store.uri('')} holds no manifest of report {report!r}; there are {there}: correct `report`"
        raise SourceError(msg)
    return result


def choice(option: str, one: str, other: str) -> str:
    """What to do about two reports that bill the same; a copy of a report has its name, so that only the place tells."""
    named = f"set `{option}` to one of {one!r} and {other!r}, or " if one != other else "set "
    return f"{named}`location` to the folder of one"


def _delivery(store: Store, key: str, keys: Mapping[str, Object]) -> Delivery:
    uri = store.uri(key)
    try:
        manifest = json.loads(store.read(keys[key]))
        names = [str(name) for name in manifest["reportKeys"]]
        start = str(manifest["billingPeriod"]["start"])
        assembly = str(manifest.get("assemblyId", ""))
        account, report = str(manifest.get("account", "")), str(manifest.get("reportName", ""))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"manifest {uri} is damaged ({type(error).__name__}: {error}); have the report delivered again"
        month = month_above(key)
        if month is None:
            raise SourceError(msg) from error
        return Delivery(key.rsplit("/", 1)[-1].removesuffix(SUFFIX), "", month, key, (), msg)
    month = parse_month(f"{start[:4]}-{start[4:6]}-{start[6:8]}" if start[:8].isdigit() else start)
    if month is None:
        msg = f"manifest {uri}: billingPeriod.start {start!r} is no date such as 20260901T000000.000Z"
        raise SourceError(msg)
    folders = key.split("/")[:-1]
    if assembly and folders and folders[-1] == assembly:
        reason = (
            f"{uri} belongs to one delivery, and the month's top manifest is not there, so which delivery "
            "counts cannot be known; delivery not ready: run again later, or restore the top manifest"
        )
        return Delivery(report, account, month, key, (), reason)
    found, missing = locate(key, names, keys)
    return Delivery(report, account, month, key, tuple(found), incomplete(uri, names, missing))


def incomplete(uri: str, names: Sequence[str], missing: Sequence[str]) -> str:
    """Why a delivery cannot be read yet: its manifest names nothing, or what is not there; empty when it can."""
    if not names:
        return f"delivery not ready: manifest {uri} names no file; run again when the delivery is complete"
    if not missing:
        return ""
    more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
    return (
        f"delivery not ready: manifest {uri} names {missing[0]}{more}, which is not there yet; "
        "run again when the delivery is complete, or restore the file"
    )


def month_above(key: str) -> date | None:
    """The month of the period folder that a file lies in; None if it lies in none."""
    period = next((part for part in key.split("/")[:-1] if PERIOD.fullmatch(part)), None)
    return parse_month(f"{period[:4]}-{period[4:6]}-{period[6:8]}") if period else None
