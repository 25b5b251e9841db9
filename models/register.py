"""The register of owned hardware: what each asset cost, how long it serves, and what runs beside it.

What a day of it costs belongs to `models/ratecard.py`.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.fields import Currency, Day, Frozen
from models.tariffs.settings import Money, Share

Kind = Literal["gpu_server", "edge_device"]
UnitPrice = Annotated[Decimal, Field(ge=0, max_digits=24, decimal_places=6)]
Size = Annotated[Decimal, Field(ge=0, max_digits=12, decimal_places=6)]


class Asset(Frozen):
    """One line of the owned-hardware register. All amounts are in `currency`, a month is a calendar month.

    Attributes:
        asset: Unique name.
        site: A key of `sites`.
        node: Host name as telemetry reports it (a GPU server), or the device id (an edge device).
        kind: gpu_server or edge_device.
        units: GPUs in the server; 1 for a device.
        meter: Power meter that measures it together with others, such as a rack's; empty: the node's own.
        model: Hardware model.
        capex: Price of the hardware; of all that was bought with it, where that is not given apart.
        capex_network: Its part of the network.
        capex_cooling: Its part of the cooling plant.
        capex_build_out: Its part of rooms, racks and power feeds.
        capex_installation: Bringing it in, cabling, commissioning.
        currency: Of all amounts.
        in_service: First day of depreciation.
        retired: First day out of service; empty while in service.
        life_months: Depreciation period.
        salvage: Value of the hardware at the end of life.
        depreciation: straight_line, or capital_recovery: equal payments that also earn `discount_rate`.
        discount_rate: Cost of capital a year, 0.08 for 8%, 0 for equal payments alone; with capital_recovery only.
        planned_availability: Part of the time in which its GPUs are planned to be available; 1 where absent.
        opex_month: Fixed operating cost that is not given apart below.
        maintenance_month: Maintenance contract.
        maintenance_year_share: Maintenance a year as a part of `capex`.
        space_month: Rent of its space.
        rated_kw: Power for which space is rented.
        space_kw_month: Rent of a kW.
        rack_units: Height for which space is rented.
        space_rack_unit_month: Rent of a rack unit.
        software_month: Subscriptions of the asset.
        software_unit_month: Subscriptions of each of its units.
        contract: A key of `contracts` under which it is paid by use.
    """

    asset: str = Field(min_length=1)
    site: str
    node: str = Field(min_length=1)
    kind: Kind
    units: Annotated[int, Field(ge=1, le=1024)] = 1
    meter: str | None = None
    model: str = ""
    capex: Money
    capex_network: Money = Decimal(0)
    capex_cooling: Money = Decimal(0)
    capex_build_out: Money = Decimal(0)
    capex_installation: Money = Decimal(0)
    currency: Currency
    in_service: Day
    retired: Day | None = None
    life_months: Annotated[int, Field(ge=1, le=240)]
    salvage: Money = Decimal(0)
    depreciation: Literal["straight_line", "capital_recovery"] = "straight_line"
    discount_rate: Annotated[Decimal, Field(ge=0, le=1, max_digits=8, decimal_places=6)] | None = None
    planned_availability: Annotated[Decimal, Field(gt=0, le=1, max_digits=8, decimal_places=6)] = Decimal(1)
    opex_month: Money = Decimal(0)
    maintenance_month: Money = Decimal(0)
    maintenance_year_share: Share = 0.0
    space_month: Money = Decimal(0)
    rated_kw: Size = Decimal(0)
    space_kw_month: UnitPrice = Decimal(0)
    rack_units: Size = Decimal(0)
    space_rack_unit_month: UnitPrice = Decimal(0)
    software_month: Money = Decimal(0)
    software_unit_month: UnitPrice = Decimal(0)
    contract: str | None = None

    @model_validator(mode="after")
    def _order(self) -> Asset:
        if self.salvage > self.capex:
            msg = f"salvage {self.salvage} is more than capex {self.capex}"
            raise ValueError(msg)
        if self.retired is not None and self.retired < self.in_service:
            msg = f"retired {self.retired} is before in_service {self.in_service}"
            raise ValueError(msg)
        if (self.depreciation == "capital_recovery") != (self.discount_rate is not None):
            msg = "discount_rate goes with depreciation capital_recovery, and only with it; give both or none"
            raise ValueError(msg)
        if self.space_kw_month and not self.rated_kw:
            msg = "space_kw_month is a price of a kW; give rated_kw too"
            raise ValueError(msg)
        if self.space_rack_unit_month and not self.rack_units:
            msg = "space_rack_unit_month is a price of a rack unit; give rack_units too"
            raise ValueError(msg)
        if self.contract is not None and self.kind != "gpu_server":
            msg = "a contract is paid by GPU-hours; only a gpu_server can have one"
            raise ValueError(msg)
        return self

    @property
    def capex_parts(self) -> dict[str, Decimal]:
        """Part of the capex basis -> amount."""
        return {
            "hardware": self.capex,
            "network": self.capex_network,
            "cooling": self.capex_cooling,
            "build_out": self.capex_build_out,
            "installation": self.capex_installation,
        }


class Staff(Frozen):
    """People who look after assets, hired in whole steps: one for each `per` nodes or GPUs, or part of it.

    Attributes:
        name: What they are, for messages.
        cost_month: Full cost of one of them a calendar month.
        currency: Of the cost: that of the sites.
        per: Nodes (or devices) or GPUs that one of them can look after.
        of: What is counted, and by what the cost is shared.
        sites: Sites they look after, together; all where empty.
        kind: Assets they look after.
    """

    name: str = Field(min_length=1)
    cost_month: Money
    currency: Currency
    per: Annotated[int, Field(ge=1)]
    of: Literal["nodes", "gpus"] = "nodes"
    sites: tuple[str, ...] = ()
    kind: Kind = "gpu_server"

    def covers(self, asset: Asset) -> bool:
        """Whether they look after an asset."""
        return asset.kind == self.kind and (not self.sites or asset.site in self.sites)


class Contract(Frozen):
    """Hardware that is paid by use: rate x max(GPU-hours, commitment) a calendar month.

    Attributes:
        rate: Price of a GPU-hour.
        currency: Of the rate: that of the site.
        of: The hours that the meter counts: used, or allocated.
        commitment_gpu_hours: Hours of a calendar month that are paid in any case.
    """

    rate: UnitPrice
    currency: Currency
    of: Literal["used", "allocated"] = "used"
    commitment_gpu_hours: Size = Decimal(0)
