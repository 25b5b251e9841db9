"""Latency quantiles from cumulative histograms: bucket counts are added first, then the quantile is taken.

Quantiles of parts are never averaged. Reading histograms from a source belongs to `connectors/`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping


def merge(histograms: Iterable[str | None]) -> dict[str, float] | None:
    """Adds up cumulative histograms.

    Args:
        histograms: JSON objects, upper bound in seconds -> requests at or below it; None for requests without one.

    Returns:
        Bound -> requests; None where no histogram is given, where some requests have none, since the others
        do not stand for them, or where bounds differ, since counts between different bounds cannot be added. One
        that counts no request adds nothing, whatever its bounds, but is the result where no other counts any.
    """
    found = []
    for text in histograms:
        if text is None:
            return None
        found.append({float(bound): (str(bound), float(count)) for bound, count in json.loads(text).items()})
    total: dict[float, float] = {}
    names: dict[float, str] = {}
    for buckets in [b for b in found if any(count for _, count in b.values())] or found:
        if total and buckets.keys() != total.keys():
            return None
        for bound, (name, count) in buckets.items():
            names.setdefault(bound, name)
            total[bound] = total.get(bound, 0.0) + count
    return {names[bound]: total[bound] for bound in sorted(total)} or None


def quantile(buckets: Mapping[str, float], q: float) -> float | None:
    """The quantile of a cumulative histogram, by the rule of Prometheus' `histogram_quantile`.

    The rank q x N is interpolated linearly inside its bucket; the first bucket starts at 0 if its bound is
    positive. A rank in the last, open bucket gives the highest finite bound, which is then only a floor.
    Counts that fall from one bound to the next (rounding of rates) are raised to the count before.

    Args:
        buckets: Upper bound (`+Inf` for the last) -> observations at or below it.
        q: 0 to 1.

    Returns:
        The quantile in the unit of the bounds; None without observations, without `+Inf` or without a finite
        bound.

    Raises:
        ValueError: q is not in 0 to 1.
    """
    if not 0 <= q <= 1:
        msg = f"a quantile is between 0 and 1, not {q}"
        raise ValueError(msg)
    bounds = sorted((float(bound), count) for bound, count in buckets.items())
    if len(bounds) < 2 or bounds[-1][0] != math.inf:
        return None
    total = max(count for _, count in bounds)
    if not total > 0:
        return None
    rank, low, below = q * total, 0.0, 0.0
    for place, (bound, found) in enumerate(bounds):
        count = max(found, below)
        if count >= rank:
            if bound == math.inf:
                return bounds[-2][0]
            if place == 0 and bound <= 0:
                return bound
            return bound if count == below else low + (bound - low) * (rank - below) / (count - below)
        low, below = bound, count
    return bounds[-2][0]
