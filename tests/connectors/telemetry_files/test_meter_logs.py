"""Logs of PTDaemon and of ipmitool, as they are written, to hours of meters."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.connectors.telemetry_files.samples import POWER, load, table
from tests.connectors.telemetry_files.test_logs import local, put

DCMI = """
    Instantaneous power reading:                   {watts} Watts
    Minimum during sampling period:                 68 Watts
    Maximum during sampling period:                504 Watts
    Average power reading over sample period:      348 Watts
    IPMI timestamp:                           {at}{end}    Sampling period:                          00000001 Seconds.
    Power reading state is:                   {state}

"""
ONE_LINE = "Instantaneous power reading:                   {watts} Watts     IPMI timestamp:                           {at}\n"


@pytest.mark.parametrize("name", ["power/n1.log", "power/n1/spl.log", "power-n1.log"])
def test_ptdaemon(tmp_path: Path, name: str) -> None:
    """An hour of 6 kW from 10:00 in Los Angeles, 17:00 UTC; a reading of no power and a cut line are counted."""
    lines = [
        f"Time,{at:%m-%d-%Y %H:%M:%S}.802,Watts,6000.000000,Volts,229.5,Amps,26.1,PF,1.0,Mark,notset\n"
        for at in local("2026-09-01T10:00", 61)
    ]
    lines[20] = lines[20].replace("6000.000000", "-1.000000")
    lines[40] = "Time,09-01-20\n"
    put(tmp_path, name, "".join(lines))
    (item,) = load(tmp_path, "America/Los_Angeles")
    hours = table([item], POWER).sort("hour")
    assert hours["hour"].dt.hour().to_list() == [17, 18]
    assert hours["energy_kwh"].sum() == pytest.approx(6)
    assert hours.select("meter", "node", "method", "scope").unique().rows() == [("n1", "n1", "file", "wall")]
    found = {(r["rule"], r["value"]): r["rows"] for r in item.issues.iter_rows(named=True)}
    assert found == {("value_dropped", "power_w=-1.000000"): 1, ("ts_unreadable", "Time,09-01-20"): 1}


@pytest.mark.parametrize(
    ("form", "zone", "end"),
    [
        ("%a %b %d %H:%M:%S %Y", "Europe/Athens", "\n"),
        ("%m/%d/%Y %H:%M:%S UTC", "UTC", ""),
        ("%m/%d/%y %H:%M:%S UTC", "UTC", "\n"),
    ],
)
@pytest.mark.parametrize("block", [DCMI, ONE_LINE])
def test_ipmitool(tmp_path: Path, form: str, zone: str, end: str, block: str) -> None:
    """An hour of 500 W from 07:00 UTC, 10:00 in Athens, as one line or as six."""
    start = "2026-09-01T10:00" if zone == "Europe/Athens" else "2026-09-01T07:00"
    text = "".join(
        block.format(watts=500, at=at.strftime(form), end=end, state="activated") for at in local(start, 61)
    )
    put(tmp_path, "power/n1-2026-09-01.log", text)
    (item,) = load(tmp_path, "Europe/Athens")
    hours = table([item], POWER)
    assert hours.select("hour", "energy_kwh", "coverage", "method", "node").rows() == [
        (local("2026-09-01T07:00", 1)[0], pytest.approx(0.5), pytest.approx(1), "ipmi_dcmi", "n1")
    ]
    assert item.issues.is_empty()


def test_ipmitool_without_clock_or_measurement(tmp_path: Path) -> None:
    """One reading from before the clock was set, one while the controller did not measure: both are none."""
    first, *others = local("2026-09-01T07:00", 61)
    form = "%m/%d/%Y %H:%M:%S UTC"
    blocks = [DCMI.format(watts=0, at=f"{first:{form}}", end="", state="deactivated")]
    blocks += [DCMI.format(watts=500, at="Thu Jan  1 00:00:00 1970", end="\n", state="activated")]
    blocks += [DCMI.format(watts=500, at=f"{at:{form}}", end="", state="activated") for at in others]
    put(tmp_path, "power/n1.log", "".join(blocks))
    (item,) = load(tmp_path)
    assert table([item], POWER)["energy_kwh"].to_list() == pytest.approx([0.5 * 59 / 60])
    assert item.issues.select("rule", "value", "rows").rows() == [
        ("ts_unreadable", "500 W, Thu Jan  1 00:00:00 1970", 1)
    ]
