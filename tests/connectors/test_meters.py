"""Which of several power meters of one node counts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import polars as pl
import pytest

from connectors.meters import METHODS, with_counts

Meter = tuple[str, str, bool, float]
"""Meter, method, whether it counts energy, and kWh of the day."""

GAUGE, COUNTER = False, True


def counting(meters: Sequence[Meter], order: Sequence[str] | None = None) -> set[str]:
    """The meters that stand for a node with these."""
    frame = pl.DataFrame(
        meters, schema=["meter", "method", "counter", "energy_kwh"], orient="row"
    ).with_columns(day=date(2026, 9, 1), hour=0, node=pl.lit("n1"), energy_estimated_kwh=0.0, coverage=1.0)
    found = with_counts(frame, order)
    assert "counter" not in found.columns
    return set(found.filter("counts")["meter"])


@pytest.mark.parametrize(
    ("meters", "wanted"),
    [
        # of one scope a counter of energy, whatever its method
        ([("bmc", "redfish", GAUGE, 9.0), ("k", "kepler_platform", COUNTER, 9.1)], {"k"}),
        ([("bmc", "ipmi_dcmi", GAUGE, 9.0), ("o1", "pdu_outlet", COUNTER, 5.0), ("o2", "pdu_outlet", COUNTER, 4.0)], {"o1", "o2"}),
        # processors do not see what cards, fans and supplies draw, however well they count
        ([("bmc", "redfish", GAUGE, 9.0), ("k", "kepler", COUNTER, 1.5)], {"bmc"}),
        # two outlets of one node are one method: the gauge of the second is not left out
        ([("o1", "pdu_outlet", COUNTER, 5.0), ("o2", "pdu_outlet", GAUGE, 4.0), ("bmc", "redfish", GAUGE, 9.0)], {"o1", "o2"}),
        # a counter that stands still is no meter
        ([("k", "kepler_platform", COUNTER, 0.0), ("bmc", "redfish", GAUGE, 9.0)], {"bmc"}),
        # nor one that counts another unit, or stands still in an hour
        ([("k", "kepler_platform", COUNTER, 0.5), ("bmc", "redfish", GAUGE, 9.0)], {"bmc"}),
        # a rack's counter is no node's
        ([("rack", "pdu", COUNTER, 80.0), ("bmc", "redfish", GAUGE, 9.0)], {"bmc"}),
        # a Grace's meters of module, CPU and I/O lie within each other, and are no wall
        ([("module", "acpi", GAUGE, 6.0), ("cpu", "acpi", GAUGE, 2.0), ("r", "rapl", COUNTER, 1.5)], {"r"}),
        ([("all", "acpi", GAUGE, 9.0), ("r", "rapl", COUNTER, 1.5)], {"all"}),
    ],
)  # fmt: skip
def test_the_wall_before_parts_and_a_counter_before_a_gauge(meters: list[Meter], wanted: set[str]) -> None:
    assert counting(meters) == wanted
    assert counting(meters[::-1]) == wanted


def test_an_order_that_is_written_holds_as_it_is() -> None:
    meters = [
        ("bmc", "redfish", GAUGE, 9.0),
        ("k", "kepler_platform", COUNTER, 9.1),
        ("r", "rapl", COUNTER, 1.5),
    ]
    assert counting(meters, ["redfish", "kepler_platform"]) == {"bmc"}
    assert counting(meters, ["rapl", "redfish"]) == {"r"}
    assert counting(meters, METHODS) == {"bmc"}
