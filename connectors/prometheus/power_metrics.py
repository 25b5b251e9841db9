"""Metrics that measure the power of nodes and racks, their units, and what tells their parts apart.

What is made of them belongs to `power.py`, which method counts for a node to `connectors/meters.py`.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.meters import NO_SUPPLY, SUPPLIES, WHOLE

J_PER_KWH = 3.6e6


@dataclass(frozen=True)
class Meter:
    """A metric that measures power or energy.

    Attributes:
        method: A key of `meters.SCOPES`.
        metrics: Names of the metric, old and new.
        factor: W of one unit of a gauge, or kWh of one unit of a counter.
        counter: It only rises, whatever its exporter says of its type.
        sensors: Labels that tell apart parts of one device that are added up.
        matchers: More label matchers.
        choice: Of one method and device the meters with the lowest choice that are there count, all of them.
        tag: Added to the meter's name where two metrics have the same labels.
        scale: Metric that holds the decimal digits of each sensor.
    """

    method: str
    metrics: tuple[str, ...]
    factor: float
    counter: bool = False
    sensors: tuple[str, ...] = ()
    matchers: tuple[str, ...] = ()
    choice: int = 0
    tag: str = ""
    scale: str = ""

    @property
    def names(self) -> set[str]:
        """Names of all its metrics."""
        return {*self.metrics, *((self.scale,) if self.scale else ())}


PDU = ("rPDU2DeviceStatusIndex", "rPDU2DeviceStatusName")
OUTLET = (
    "rPDU2OutletMeteredStatusIndex", "rPDU2OutletMeteredStatusName", "st4OutletIndex", "st4OutletID", "st4OutletName",
)  # fmt: skip
SUPPLY = ("chassis_id", "power_supply_id", "power_supply", "id")
RARITAN = ("pduId", "inletId", "outletId")
DIGITS = "measurementsUnitSensorDecimalDigits"
TOTAL_SENSOR = f'name=~"{WHOLE}"'
SUPPLY_SENSORS = (f'name=~"{SUPPLIES}"', f'name!~"{NO_SUPPLY}"')

METERS = (
    Meter("pdu_outlet", ("rPDU2OutletMeteredStatusEnergy", "st4OutletEnergy"), 0.1, counter=True, sensors=OUTLET),
    Meter("pdu_outlet", ("rPDU2OutletMeteredStatusPower", "st4OutletActivePower"), 1.0, sensors=OUTLET, choice=1),
    Meter(
        "redfish", ("redfish_chassis_power_average_consumed_watts", "idrac_power_control_avg_consumed_watts"), 1.0,
        sensors=("chassis_id", "id"),
    ),
    Meter(
        "redfish", ("redfish_chassis_power_powersupply_power_input_watts", "idrac_power_supply_input_watts"), 1.0,
        sensors=SUPPLY, choice=1,
    ),
    Meter("ipmi_dcmi", ("ipmi_dcmi_power_consumption_watts", "ipmi_dcmi_power_consumption_current_watts"), 1.0),
    Meter("ipmi_sensor", ("ipmi_power_watts",), 1.0, matchers=(TOTAL_SENSOR,)),
    Meter("ipmi_sensor", ("ipmi_power_watts",), 1.0, sensors=("id", "name"), matchers=SUPPLY_SENSORS, choice=1),
    Meter("kepler_platform", ("kepler_node_platform_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("mode",)),
    Meter("kepler_platform", ("kepler_platform_watts",), 1.0, sensors=("source", "chassis_id"), choice=1),
    Meter(
        "acpi", ("node_hwmon_power_average_watt", "node_hwmon_power_input_watt"), 1.0, sensors=("chip", "sensor"),
        matchers=('chip=~"(?i).*(acpi|power_meter).*"',),
    ),
    Meter("pdu", ("rPDU2DeviceStatusEnergy",), 0.1, counter=True, sensors=PDU),
    Meter("pdu", ("rPDU2DeviceStatusPower",), 10.0, sensors=PDU, choice=1),
    Meter(
        "pdu", ("measurementsUnitSensorValue",), 0.001, counter=True, sensors=RARITAN,
        matchers=('sensorType=~"activeEnergy|8"',), scale=DIGITS,
    ),
    Meter(
        "pdu", ("measurementsUnitSensorValue",), 1.0, sensors=RARITAN, matchers=('sensorType=~"activePower|5"',),
        choice=1, scale=DIGITS,
    ),
    Meter(
        "kepler", ("kepler_node_cpu_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("zone", "path"),
        matchers=('zone=~"(?i)(package|dram).*"',),
    ),
    Meter("kepler", ("kepler_node_package_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("package", "mode"), choice=1),
    Meter("kepler", ("kepler_node_dram_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("package", "mode"), choice=1, tag="dram"),
    Meter("rapl", ("node_rapl_package_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("index",)),
    Meter("rapl", ("node_rapl_dram_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("index",), tag="dram"),
    Meter(
        "rapl", ("node_rapl_joules_total",), 1 / J_PER_KWH, counter=True, sensors=("index", "rapl_zone"),
        matchers=('rapl_zone=~"(package|dram).*"',), choice=1,
    ),
)  # fmt: skip
"""Zones that lie within others (core, uncore) or hold them (psys) are not read. rPDU2DeviceStatusPower is in hundredths
of a kW; energy of APC and ServerTech is in tenths of a kWh and called a gauge."""

ANY = "|".join(sorted(set().union(*(m.names for m in METERS))))
"""Regular expression of all metrics."""
