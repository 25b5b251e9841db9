"""Power meters: how they measure, what they see, and which of several meters of one node counts.

Never are two methods of one node added up: they see the same watts. What a meter says belongs to the connectors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

SCOPES: Mapping[str, str] = {
    "pdu_outlet": "wall",
    "redfish": "wall",
    "ipmi_dcmi": "wall",
    "ipmi_sensor": "wall",
    "kepler_platform": "wall",
    "acpi": "wall",
    "file": "wall",
    "pdu": "rack",
    "kepler": "components",
    "rapl": "components",
}
"""Method -> scope, the best first: a meter in the socket sees what the supplies lose, a processor's counter sees
the processor alone."""

METHODS = tuple(SCOPES)

WHOLE = "(?i).*(total|system|sys[ _]|pwr consumption|power meter|node power|instantaneous).*"
"""Regular expression: names of IPMI sensors of a whole node's power."""

SUPPLIES, NO_SUPPLY = "(?i).*(ps|psu|power supply|pwr supply).*", "(?i).*(out|total).*"
"""Regular expressions: names of sensors of what supplies draw, and of those that are none though they match."""

METER = "COALESCE(meter, node, run_id)"
"""SQL: a meter in a file; without a name it is called after its node, or after the run that its log is of."""


def with_counts(meters: pl.DataFrame, order: Sequence[str] = METHODS) -> pl.DataFrame:
    """Adds `scope` and `counts`: whether a meter stands for its node.

    For each node and day the first method in order that has energy that day counts, with all of its meters (two
    supplies on two sockets are one node). A rack's meter stands for no node.

    Args:
        meters: day, node, method, energy_kwh, energy_estimated_kwh.
        order: Methods, best first; others come after them.

    Returns:
        The frame with scope and counts (NULL where the node is not known, or for a rack).
    """
    rank = {method: i for i, method in enumerate([*order, *(m for m in METHODS if m not in order)])}
    energy = pl.col("energy_kwh") + pl.col("energy_estimated_kwh")
    place = pl.col("method").replace_strict(rank, return_dtype=pl.Int64)
    usable = pl.when((pl.col("scope") != "rack") & (energy > 0)).then(place)
    return meters.with_columns(
        scope=pl.col("method").replace_strict(SCOPES, return_dtype=pl.String)
    ).with_columns(
        counts=pl.when(pl.col("node").is_not_null() & (pl.col("scope") != "rack")).then(
            (place == usable.min().over("day", "node")).fill_null(value=False)
        )
    )
