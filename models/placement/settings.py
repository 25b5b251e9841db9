"""What a person declares about a workload: what it must meet, what it does in a month, and where it may run.

How a declaration is judged and priced belongs to the other modules of this package. Amounts are in the
organisation's currency (`currency` of the configuration) and a month has 730 hours. An example, in YAML:

    workloads:
      support-chat:
        team: support
        workload_type: realtime_inference
        current: eu-cloud             # one of the options; leave out if it runs nowhere yet
        latency_p95_ms: 300           # service level: network + queue + inference, 95th percentile
        regions: [gr, eu-central-1]   # data, model and artefacts may be nowhere else
        regulated: [gdpr]             # or true, where any agreement will do
        eval_passed: true             # quality test on the new place: false blocks a move, unset plans it
        egress_gb_month: 200          # volumes left out are taken from telemetry
        options:
          eu-cloud:                   # 4 rented cards, always on
            tier: cloud
            region: eu-central-1
            rtt_p95_ms: 40
            infer_p95_ms: 180
            attestations: [gdpr]
            price_per_gpu_hour: 3.10
            gpus: 4
            egress_per_gb: 0.09
            price_date: 2026-08-01
            price_source: public price list
          eu-api:                     # paid by the token
            tier: api
            region: eu-central-1
            rtt_p95_ms: 60
            infer_p95_ms: 360
            frontier: true
            attestations: [gdpr]
            price_per_1m_tokens_in: 2.50
            price_per_1m_tokens_out: 10
            egress_per_gb: 0
            migration_cost: 4000
          dc1:                        # bought hardware
            tier: onprem
            region: gr
            rtt_p95_ms: 15
            infer_p95_ms: 180
            capex: 60000
            salvage: 6000
            opex_month: 900
            power_kw: 2.4
            pue: 1.25
            tariff_kwh: 0.12
            capacity_gpu_hours_month: 2920
            migration_cost: 8000
            lead_time_months: 3
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, model_validator

from models.fields import Day, Frozen, Name

MONTH_HOURS = 730
"""Hours of a month: 8,760 / 12."""

Tier = Literal["cloud", "api", "onprem", "edge"]
Amount = Annotated[Decimal, Field(ge=0, max_digits=26, decimal_places=12)]
Quantity = Annotated[Decimal, Field(ge=0, max_digits=26, decimal_places=12)]
Milliseconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Label = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]*$")]
"""A regime or attestation in lower case: hipaa, gdpr, pci, fedramp, soc2, sr11_7, dora, or your own."""


class ListPriceKey(Frozen):
    """Which price of a provider's public list an option takes.

    Attributes:
        provider: google: the Cloud Billing Catalog.
        gpu: Model, as h100-80gb, or a SKU id.
        region: Region of the provider; the option's where absent.
        usage: OnDemand, Preemptible, Commit1Yr or Commit3Yr.
    """

    provider: Literal["google"]
    gpu: Annotated[str, Field(min_length=1)]
    region: str | None = None
    usage: Literal["OnDemand", "Preemptible", "Commit1Yr", "Commit3Yr"] = "OnDemand"


class Option(Frozen):
    """One place a workload could run. A price left out is unknown, never zero: write 0 for "costs nothing".

    Attributes:
        tier: cloud, api, onprem, edge.
        region: Where data is stored and processed; compared with the workload's `regions` in any case.
        rtt_p95_ms: Network round trip, 95th percentile; 0 on the device itself.
        infer_p95_ms: Queue and inference, 95th percentile.
        frontier: A frontier model can be had here.
        offline_capable: An edge option that says false cannot serve an offline workload.
        attestations: Regimes covered here by an agreement or certificate of this service (BAA, DPA, report).
        data_leaves_perimeter: Data passes through another company's systems. Unset: true for cloud and api,
            false for onprem and edge.
        available: It can be had today; false blocks a move but not its pricing.
        lead_time_months: Delivery and installation, for the explanation.
        price_per_gpu_hour: Rented card: for `gpus` x 730 h where `gpus` is given (always on), else for the
            workload's GPU-hours.
        list_price: In place of price_per_gpu_hour: the dated price of a provider's list.
        gpus: Rented cards that are always on.
        price_per_1m_tokens_in: Per million prompt tokens.
        price_per_1m_tokens_out: Per million generated tokens.
        price_per_1m_inferences: Per million requests.
        monthly_fee: Fixed rent, licence or commitment per month.
        capex: Still to be spent on hardware, network, build-out, installation; 0 for what is already bought.
        salvage: Value of that hardware at the end of the horizon.
        opex_month: Support, space, staff, connectivity, fleet management per month.
        power_kw: Mean electrical draw of the equipment; 0 where energy is inside `opex_month`.
        pue: Facility energy / equipment energy.
        tariff_kwh: Price per kWh.
        capacity_gpu_hours_month: What it can serve in a month; more makes it infeasible. Unset with `gpus`:
            gpus x 730.
        egress_per_gb: Per GB that leaves; needed for cloud and api where the workload has egress.
        migration_cost: One-off cost of moving there: evaluation, dual running, data move.
        price_date: Day of the prices.
        price_source: Where the prices come from; of a list price that is not known, why.
    """

    tier: Tier
    region: str | None = None
    rtt_p95_ms: Milliseconds | None = None
    infer_p95_ms: Milliseconds | None = None
    frontier: bool = False
    offline_capable: bool | None = None
    attestations: tuple[Label, ...] = ()
    data_leaves_perimeter: bool | None = None
    available: bool = True
    lead_time_months: Annotated[int, Field(ge=0, le=240)] | None = None
    price_per_gpu_hour: Amount | None = None
    list_price: ListPriceKey | None = None
    gpus: Annotated[int, Field(ge=1)] | None = None
    price_per_1m_tokens_in: Amount | None = None
    price_per_1m_tokens_out: Amount | None = None
    price_per_1m_inferences: Amount | None = None
    monthly_fee: Amount | None = None
    capex: Amount | None = None
    salvage: Amount | None = None
    opex_month: Amount | None = None
    power_kw: Quantity | None = None
    pue: Annotated[Decimal, Field(ge=1, le=5)] | None = None
    tariff_kwh: Amount | None = None
    capacity_gpu_hours_month: Quantity | None = None
    egress_per_gb: Amount | None = None
    migration_cost: Amount | None = None
    price_date: Day | None = None
    price_source: str | None = None

    @property
    def leaves_perimeter(self) -> bool:
        """Whether data passes through another company's systems, as stated or else by tier."""
        if self.data_leaves_perimeter is not None:
            return self.data_leaves_perimeter
        return self.tier in ("cloud", "api")

    @model_validator(mode="after")
    def _pairs(self) -> Option:
        if self.list_price is not None and self.price_per_gpu_hour is not None:
            msg = "list_price and price_per_gpu_hour are both the price of one card-hour; keep one of them"
            raise ValueError(msg)
        if self.list_price is not None and self.list_price.region is None and self.region is None:
            msg = "list_price needs a region, its own or the option's"
            raise ValueError(msg)
        if self.gpus is not None and self.price_per_gpu_hour is None and self.list_price is None:
            msg = (
                f"gpus is {self.gpus} and price_per_gpu_hour is missing; write the price of one card-hour, "
                "or list_price"
            )
            raise ValueError(msg)
        if (self.price_per_1m_tokens_in is None) != (self.price_per_1m_tokens_out is None):
            msg = "price_per_1m_tokens_in and price_per_1m_tokens_out go together; write 0 if one is free"
            raise ValueError(msg)
        energy = {"power_kw": self.power_kw, "pue": self.pue, "tariff_kwh": self.tariff_kwh}
        missing = [key for key, value in energy.items() if value is None]
        if self.power_kw and missing:
            msg = f"power_kw is {self.power_kw} and {' and '.join(missing)} missing; energy needs all three"
            raise ValueError(msg)
        if self.salvage and self.capex is None:
            msg = f"salvage is {self.salvage} and capex is missing; write capex, 0 for what is already bought"
            raise ValueError(msg)
        if self.capex and self.salvage is not None and self.salvage > self.capex:
            msg = f"salvage {self.salvage} is more than capex {self.capex}"
            raise ValueError(msg)
        return self


class Workload(Frozen):
    """One workload: what it must meet, its monthly volumes and the options it may run on.

    Attributes:
        team: Team that owns it.
        workload_type: Type of work, as in the ownership tags.
        current: The option it runs on today; unset if it runs nowhere yet.
        options: Name -> option, at least one.
        latency_p95_ms: Most the sum of network, queue and inference may take, 95th percentile.
        regions: Where it may run; empty means anywhere.
        offline_required: It must work without a network: edge options only.
        air_gapped: It must run on an isolated site of our own: onprem options only.
        needs_frontier: It needs a frontier model.
        regulated: Regimes that apply, or true for "regulated, any agreement will do", or false.
        data_may_leave_perimeter: False keeps it on our own systems, whatever agreements there are.
        inferences_month: Requests a month; overrides the measured volume, as do the next three.
        tokens_in_month: Prompt tokens a month.
        tokens_out_month: Generated tokens a month.
        gpu_hours_month: GPU-hours held a month.
        egress_gb_month: GB a month that leave the place it runs in; never measured.
        current_cost_month: What leaving the current option would save a month; overrides the measured cost.
        eval_passed: The quality test on the recommended place: false blocks a move, unset leaves it a plan.
        horizon_months: Over which total cost is compared.
        discount_rate: Yearly rate for the net present value, 0.1 for 10%.
        implement_line_month: Monthly spend below which a move that buys hardware stays a plan; unset: none.
        min_saving_share: Least saving, as a share of the cost of staying, that is worth a move.
    """

    team: str | None = None
    workload_type: str | None = None
    current: str | None = None
    options: dict[Name, Option] = Field(min_length=1)
    latency_p95_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    regions: tuple[str, ...] = ()
    offline_required: bool = False
    air_gapped: bool = False
    needs_frontier: bool = False
    regulated: bool | tuple[Label, ...] = False
    data_may_leave_perimeter: bool = True
    inferences_month: Quantity | None = None
    tokens_in_month: Quantity | None = None
    tokens_out_month: Quantity | None = None
    gpu_hours_month: Quantity | None = None
    egress_gb_month: Quantity | None = None
    current_cost_month: Amount | None = None
    eval_passed: bool | None = None
    horizon_months: Annotated[int, Field(ge=1, le=240)] = 36
    discount_rate: Annotated[Decimal, Field(ge=0, le=10)] = Decimal(0)
    implement_line_month: Amount | None = None
    min_saving_share: Annotated[Decimal, Field(ge=0, le=1)] = Decimal(0)

    @model_validator(mode="after")
    def _current_is_an_option(self) -> Workload:
        if self.current is not None and self.current not in self.options:
            msg = f"current is {self.current!r}, which is not one of the options {sorted(self.options)}"
            raise ValueError(msg)
        return self
