"""Nodes whose energy each kind of exporter tells in its own way, with the truth, as OpenMetrics text.

Three local days in Athens, the second of 23 hours. Each node has one card (DCGM) and draws about 9 kW at the wall;
power is constant within a minute, so that the truth is a sum of minutes. Labels and units are those of the exporters:
snmp_exporter, redfish and idrac exporters, ipmi_exporter, Kepler before and after 0.10, node_exporter.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import accumulate
from pathlib import Path

from tests.sites import Labels, Plan, Text

PLAN = Plan("Europe/Athens", date(2026, 3, 28), 41)
DAYS = PLAN.days[:3]
NODES = (
    "apc", "apc-power", "servertech", "raritan-1", "raritan-2", "redfish", "redfish-psu", "idrac", "dcmi", "total", "psu",
    "kepler-platform", "kepler-old", "kepler-new", "kepler-old-cpu", "rapl",
)  # fmt: skip
WRAPS = {"package": 262143.32885, "dram": 65712.999613}
"""J after which the counters of the rapl node start again: max_energy_range_uj / 1e6 of a Xeon."""

METER_NODES = {
    "pdu-a/1/o1": "apc", "pdu-a/2/o2": "apc", "pdu-b": "apc-power", "pdu-c": "servertech", "bmc-redfish": "redfish",
    "bmc-redfish-psu": "redfish-psu", "bmc-idrac": "idrac", "bmc-dcmi": "dcmi", "bmc-total": "total", "bmc-psu": "psu",
    "bmc-kepler-old": "kepler-old",
}  # fmt: skip
"""What no label says: which node is behind an outlet or a management controller."""

Watts = Sequence[float]
Value = Callable[[int], float]
"""What a series shows at the end of minute m."""


@dataclass
class Metered:
    """The truth: kWh of (node, day) at the wall, of its card, and of its processors and memory."""

    wall: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    card: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))
    parts: dict[tuple[str, date], float] = field(default_factory=lambda: defaultdict(float))


@dataclass(frozen=True)
class Node:
    """A node's power (W) by minute: its wall, its card, its two processors and their memory."""

    name: str
    address: str
    wall: Watts
    card: Watts
    packages: tuple[Watts, Watts]
    drams: tuple[Watts, Watts]


def _node(number: int, name: str, rng: random.Random) -> Node:
    def load(low: float, high: float) -> Watts:
        return [rng.uniform(low, high) for _ in range(PLAN.minutes + 1)]

    card, packages, drams = (
        load(300, 650),
        (load(150, 350), load(150, 350)),
        (load(30, 60), load(30, 60)),
    )
    rest = load(7500, 8500)
    wall = [sum(parts) for parts in zip(rest, card, *packages, *drams, strict=True)]
    return Node(name, f"10.1.0.{number}", wall, card, packages, drams)


def _gauge(watts: Watts, unit: float = 1.0) -> Value:
    """A gauge that shows the minute before."""
    return lambda m: watts[max(0, m - 1)] / unit


def _counter(
    watts: Watts, unit_j: float, start: float = 0.0, reset: int | None = None, nought: int | None = None
) -> Value:
    """A counter of joules in units of `unit_j`; it starts again at 0 in a minute, or shows 0 in one alone."""
    joules = [0.0, *accumulate(w * 60 for w in watts)]

    def value(m: int) -> float:
        if m == nought:
            return 0.0
        if reset is not None and m >= reset:
            return (joules[m] - joules[reset]) / unit_j
        return start + joules[m] / unit_j

    return value


def _whole(value: Value) -> Value:
    """A counter that shows whole units only, as SNMP's."""
    return lambda m: float(int(value(m)))


def _wrapping(watts: Watts, range_j: float, start: float) -> Value:
    """A counter of joules that starts again after `range_j`."""
    plain = _counter(watts, 1.0, start)
    return lambda m: plain(m) % range_j


def _half(watts: Watts, part: float = 0.5) -> Watts:
    return [w * part for w in watts]


class Writer:
    """Writes series of one minute's step; `lost` are hours after the first midnight without scrapes."""

    def __init__(self, text: Text) -> None:
        self.text = text

    def add(self, metric: str, labels: Labels, value: Value, lost: tuple[float, float] | None = None) -> None:
        silent = (PLAN.at(lost[0]), PLAN.at(lost[1])) if lost else (0, 0)
        times = ((m, PLAN.t0 + 60 * m) for m in range(PLAN.minutes + 1))
        self.text.add(metric, labels, ((ts, value(m)) for m, ts in times if not silent[0] <= ts < silent[1]))


def _card(out: Writer, node: Node) -> None:
    labels = {
        "UUID": f"GPU-{node.name}", "Hostname": node.name, "modelName": "NVIDIA H100 80GB HBM3",
        "instance": f"{node.address}:9400",
    }  # fmt: skip
    out.add("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", labels, _counter(node.card, 0.001, 1e12))
    out.add("DCGM_FI_DEV_POWER_USAGE", labels, _gauge(node.card))


def _pdus(out: Writer, nodes: dict[str, Node]) -> None:
    """Energy in tenths of a kWh, called a gauge; power in W (outlets) or hundredths of a kW (the whole PDU)."""
    tenth = 360_000.0
    first, second = _half(nodes["apc"].wall, 0.6), _half(nodes["apc"].wall, 0.4)
    for index, watts, reset in (("1", first, 1843), ("2", second, None)):
        outlet = {
            "instance": "pdu-a", "job": "snmp", "rPDU2OutletMeteredStatusIndex": index,
            "rPDU2OutletMeteredStatusName": f"o{index}",
        }  # fmt: skip
        energy = _whole(_counter(watts, tenth, 51234.0, reset))
        out.add("rPDU2OutletMeteredStatusEnergy", outlet, energy)
        out.add("rPDU2OutletMeteredStatusPower", outlet, _gauge(watts))
    device = {"instance": "pdu-a", "job": "snmp", "rPDU2DeviceStatusIndex": "1", "rPDU2DeviceStatusName": "A"}
    out.add("rPDU2DeviceStatusEnergy", device, _whole(_counter(nodes["apc"].wall, tenth, 91234.0)))
    out.add("rPDU2DeviceStatusPower", device, _gauge(nodes["apc"].wall, 10.0))
    outlet = {"instance": "pdu-b", "job": "snmp", "rPDU2OutletMeteredStatusIndex": "7"}
    out.add("rPDU2OutletMeteredStatusPower", outlet, _gauge(nodes["apc-power"].wall))
    for number in ("A1", "A2"):
        outlet = {
            "instance": "pdu-c",
            "job": "snmp",
            "st4OutletID": number,
            "st4OutletName": f"name-{number}",
        }
        energy = _whole(_counter(_half(nodes["servertech"].wall), tenth, 4321.0))
        # the exporter is silent for three hours over the second midnight
        out.add("st4OutletEnergy", outlet, energy, lost=(22.5, 25.5))
    rack = [a + b for a, b in zip(nodes["raritan-1"].wall, nodes["raritan-2"].wall, strict=True)]
    for kind, digits, value in (
        ("activeEnergy", 1, _whole(_counter(rack, 360.0, 7_000_000.0))),
        ("activePower", 0, _gauge(rack)),
        ("rmsVoltage", 1, lambda m: 2301.0),
    ):
        sensor = {"instance": "pdu-d", "job": "snmp", "pduId": "1", "inletId": "1", "sensorType": kind}
        out.add("measurementsUnitSensorValue", sensor, value)
        out.add("measurementsUnitSensorDecimalDigits", sensor, lambda m, d=digits: float(d))  # type: ignore[misc]


def _controllers(out: Writer, nodes: dict[str, Node]) -> None:
    """Redfish, iDRAC and IPMI: `instance` is the management controller."""

    def bmc(name: str, /, **more: str) -> Labels:
        return {"instance": f"bmc-{name}", "job": "bmc", **more}

    average = "redfish_chassis_power_average_consumed_watts"
    supply = "redfish_chassis_power_powersupply_power_input_watts"
    out.add(average, bmc("redfish", chassis_id="1"), _gauge(nodes["redfish"].wall))
    # 5 % more than its counter says
    out.add(average, bmc("kepler-old", chassis_id="1"), _gauge(_half(nodes["kepler-old"].wall, 1.05)))
    for name in ("redfish", "redfish-psu"):
        for part, share in (("0", 0.45), ("1", 0.55)):
            labels = bmc(name, chassis_id="1", power_supply_id=part)
            out.add(supply, labels, _gauge(_half(nodes[name].wall, share)))
    out.add(
        "idrac_power_control_avg_consumed_watts",
        bmc("idrac", id="0", name="System Power Control"),
        _gauge(nodes["idrac"].wall),
    )
    out.add("ipmi_dcmi_power_consumption_watts", bmc("dcmi"), _gauge(nodes["dcmi"].wall))
    for name in ("dcmi", "total", "psu"):
        if name != "psu":
            out.add("ipmi_power_watts", bmc(name, id="20", name="Total_Power"), _gauge(nodes[name].wall))
        for part, share in (("1", 0.5), ("2", 0.5)):
            labels = bmc(name, id=f"3{part}", name=f"PSU{part}_Input")
            out.add("ipmi_power_watts", labels, _gauge(_half(nodes[name].wall, share)))
        for part, watts in enumerate(nodes[name].packages):
            out.add("ipmi_power_watts", bmc(name, id=f"4{part}", name=f"CPU{part}_Power"), _gauge(watts))


def _kepler(out: Writer, nodes: dict[str, Node]) -> None:
    """Before 0.10 a package and mode a series; since then a zone a series, of all packages."""
    for name in ("kepler-old", "kepler-old-cpu"):
        node = nodes[name]
        at = {"instance": f"{node.address}:9102", "job": "kepler", "exported_instance": name}
        # the exporter shows 0 once, in the middle of an hour of the second day
        nought = 2010 if name == "kepler-old-cpu" else None
        for metric, zones in (("package", node.packages), ("dram", node.drams)):
            for number, watts in enumerate(zones):
                for mode, share in (("dynamic", 0.7), ("idle", 0.3)):
                    labels = at | {"package": str(number), "mode": mode, "source": "rapl-sysfs"}
                    value = _counter(_half(watts, share), 1.0, 5e8, nought=nought)
                    out.add(f"kepler_node_{metric}_joules_total", labels, value)
        core = at | {"package": "0", "mode": "dynamic"}
        out.add("kepler_node_core_joules_total", core, _counter(_half(node.packages[0], 0.9), 1.0))
        if name == "kepler-old":
            for mode, share in (("dynamic", 0.6), ("idle", 0.4)):
                # Kepler is restarted on the second day
                value = _counter(_half(node.wall, share), 1.0, 5e6, 1999)
                out.add("kepler_node_platform_joules_total", at | {"mode": mode, "source": "acpi"}, value)
    node = nodes["kepler-new"]
    at = {"instance": f"{node.address}:28282", "job": "kepler", "node_name": node.name}
    both = [a + b for a, b in zip(*node.packages, strict=True)]
    memory = [a + b for a, b in zip(*node.drams, strict=True)]
    for zone, watts in (("package", both), ("core", _half(both, 0.8)), ("dram", memory), ("psys", node.wall)):
        labels = at | {"zone": zone, "path": f"/sys/class/powercap/intel-rapl/{zone}"}
        out.add("kepler_node_cpu_joules_total", labels, _counter(watts, 1.0, 100.0))
    node = nodes["kepler-platform"]
    at = {"instance": f"{node.address}:28282", "job": "kepler", "node_name": node.name}
    labels = at | {"source": "redfish", "bmc_id": "bmc-9", "chassis_id": "System.Embedded.1"}
    out.add("kepler_platform_watts", labels, _gauge(node.wall))
    labels = at | {"zone": "package", "path": "/sys/class/powercap/intel-rapl/intel-rapl:0"}
    out.add("kepler_node_cpu_joules_total", labels, _counter(node.packages[0], 1.0))


def _rapl(out: Writer, node: Node) -> None:
    at = {"instance": f"{node.address}:9100", "job": "node"}
    for metric, zones in (("package", node.packages), ("dram", node.drams)):
        for number, watts in enumerate(zones):
            labels = at | {"index": str(number), "path": f"/host/sys/class/powercap/intel-rapl:{number}"}
            value = _wrapping(watts, WRAPS[metric], 12345.6 * (number + 1))
            out.add(f"node_rapl_{metric}_joules_total", labels, value)
    out.add("node_rapl_core_joules_total", at | {"index": "0"}, _counter(_half(node.packages[0]), 1.0))


def write_meters(path: Path) -> Metered:
    """Writes the series and returns the truth."""
    rng = random.Random(PLAN.seed)
    text, truth = Text(), Metered()
    nodes = {name: _node(number, name, rng) for number, name in enumerate(NODES)}
    out = Writer(text)
    for node in nodes.values():
        _card(out, node)
        for minute in range(PLAN.minutes):
            day = PLAN.day_of(PLAN.t0 + 60 * minute)
            truth.wall[node.name, day] += node.wall[minute] / 60_000
            truth.card[node.name, day] += node.card[minute] / 60_000
            parts = sum(zone[minute] for zone in (*node.packages, *node.drams))
            truth.parts[node.name, day] += parts / 60_000
    _pdus(out, nodes)
    _controllers(out, nodes)
    _kepler(out, nodes)
    _rapl(out, nodes["rapl"])
    text.write(path)
    return truth
