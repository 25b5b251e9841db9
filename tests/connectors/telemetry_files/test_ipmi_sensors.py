"""Logs of `date; ipmitool sdr` and `date; ipmitool sensor` to hours of meters."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.base import SourceError
from tests.connectors.telemetry_files.samples import POWER, load, table
from tests.connectors.telemetry_files.test_logs import local, put

SDR = "CPU1 Temp        | 51 degrees C      | ok\nPwr Consumption  | {watts} Watts         | ok\nPS1 Input        | 900 Watts | ok\n"
SENSOR = (
    "Temp             | 51.000     | degrees C  | ok    | na        | na\n"
    "Pwr Consumption  | {watts}.000    | Watts      | ok    | na        | na\n"
)
ELIST = "Pwr Consumption  | 77h | ok  |  7.1 | {watts} Watts\n"
SUPPLIES = "PS1 Input Power | 300 Watts | ok\nPS2 Input Power | 200 Watts | ok\nPS1 Power Out | 280 Watts | ok\nPS3 Input Power | no reading | ns\n"


@pytest.mark.parametrize(
    ("form", "start"),
    [
        ("%a %b %e %H:%M:%S EEST %Y", "2026-09-01T10:00"),
        ("%a %b %e %I:%M:%S %p UTC %Y", "2026-09-01T07:00"),
        ("%Y-%m-%d %H:%M:%S", "2026-09-01T10:00"),
        ("%Y-%m-%dT%H:%M:%S+02:00", "2026-09-01T09:00"),
        ("epoch", "2026-09-01T07:00"),
    ],
)
def test_an_hour(tmp_path: Path, form: str, start: str) -> None:
    """500 W from 07:00 UTC, 10:00 in Athens, in each kind of block from a node of its own."""
    times = local(start, 61)
    stamps = [
        str(1788246000 + 60 * n) if form == "epoch" else at.strftime(form) for n, at in enumerate(times)
    ]
    nodes = {"n1": SDR, "n2": SENSOR, "n3": ELIST, "n4": SUPPLIES}
    for node, block in nodes.items():
        text = "".join(at + "\n" + block.format(watts=500) for at in stamps)
        put(tmp_path, f"power/{node}-2026-09-01.log", text)
    (item,) = load(tmp_path, "Europe/Athens")
    found = table([item], POWER).select("hour", "energy_kwh", "coverage", "method", "node").sort("node")
    assert found.rows() == [
        (local("2026-09-01T07:00", 1)[0], pytest.approx(0.5), pytest.approx(1), "ipmi_sensor", node)
        for node in nodes
    ]
    assert item.issues.is_empty()


def test_a_block_without_a_time_or_of_another_zone_is_counted(tmp_path: Path) -> None:
    stamps = [f"{at:%a %b %e %H:%M:%S} UTC 2026\n" for at in local("2026-09-01T07:00", 61)]
    stamps[20] = ""
    stamps[40] = stamps[40].replace("UTC", "PDT")
    blocks = [at + SDR.format(watts=500) for at in stamps]
    blocks[39] = stamps[39] + "Unable to establish IPMI session\n"
    put(tmp_path, "power/n1.log", "".join(blocks))
    (item,) = load(tmp_path)
    assert item.issues.select("rule", "value", "rows").rows() == [("ts_unreadable", "500 W, no time", 2)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (SDR.format(watts=500) * 3, "no time; write it before each"),
        ("Tue Sep  1 10:00:00 UTC 2026\nCPU1 Temp | 51 degrees C | ok\n", r"in watts \(none\)"),
        (
            "Tue Sep  1 10:00:00 UTC 2026\nTotal Power | 5 Watts | ok\nSys Power | 6 Watts | ok\n",
            "Sys Power, Total Power 2 are of the whole node",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(tmp_path: Path, text: str, words: str) -> None:
    put(tmp_path, "power/n1.log", text)
    with pytest.raises(SourceError, match=words):
        load(tmp_path)
