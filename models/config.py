"""The configuration: one YAML file as frozen settings; unknown keys are refused.

What each kind of source accepts belongs to its connector (`connectors/*/reader.py`, class `Options`); reading
the file and telling a person what is wrong with it, to `pipelines/settings.py`. The rows of the lists that it names
are in `models/register.py` and `models/records.py`.
"""

from __future__ import annotations

import re
from datetime import date
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    Tag,
    model_validator,
)

from models.fields import Currency, Frozen, Name, TimeZone
from models.placement.settings import Workload
from models.records import Price, Rate, Revenue, TrainingRun
from models.register import Asset, Contract, Staff
from models.tariffs.settings import Money, Share, Tariff

_MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")

DIMENSIONS = ("team", "project", "environment", "workload_type", "workload")
"""What ownership resolves for every charge."""


def _pue(value: Any) -> Any:
    if isinstance(value, dict):
        wrong = [f"{m}: {v}" for m, v in value.items() if not (_MONTH.fullmatch(str(m)) and _is_pue(v))]
    else:
        wrong = [] if _is_pue(value) else [str(value)]
    if wrong or value == {}:
        msg = f"must be a number from 1 to 5, or a map of months (YYYY-MM) to such numbers; {', '.join(wrong) or 'empty'}"
        raise ValueError(msg)
    return value


def _is_pue(value: Any) -> bool:
    try:
        return 1 <= float(value) <= 5
    except (TypeError, ValueError):
        return False


Pue = Annotated[float | dict[str, float], BeforeValidator(_pue)]


class Site(Frozen):
    """A place with owned hardware.

    Attributes:
        time_zone: IANA zone of the site; days and tariffs are local.
        region: Region id for FOCUS and residency rules.
        pue: Facility energy / IT energy: one value, or first month (YYYY-MM) -> value that holds from it on.
        tariff: Price per kWh, flat or as periods, or a whole tariff (`models/tariffs/settings.py`).
        currency: Currency of the tariff; the organisation's where absent.
        facility_meters: Names of power meters that already see the whole facility: their energy takes no PUE.
        rented: Its GPUs are paid for in a cloud's bill: telemetry gives their hours, no register their cost.
        rented_gpu_hour: Price of an hour of such a GPU while its machine runs: what switching it off would save.
    """

    time_zone: TimeZone
    region: str | None = None
    pue: Pue = 1.0
    tariff: Tariff
    currency: Currency | None = None
    facility_meters: tuple[str, ...] = ()
    rented: bool = False
    rented_gpu_hour: Money | None = None

    @model_validator(mode="after")
    def _price_of_rented_cards(self) -> Site:
        if self.rented_gpu_hour is not None and not self.rented:
            msg = "rented_gpu_hour is the price of rented GPUs; write `rented: true` too, or leave it out"
            raise ValueError(msg)
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone as an object."""
        return ZoneInfo(self.time_zone)

    def pue_of(self, day: date) -> float:
        """The PUE of the month of a local day.

        Raises:
            ValueError: The month is before the first for which there is one.
        """
        if not isinstance(self.pue, dict):
            return self.pue
        first = max((month for month in self.pue if month <= f"{day:%Y-%m}"), default=None)
        if first is None:
            msg = f"pue: no value for {day:%Y-%m}, the first is for {min(self.pue)}; add that month"
            raise ValueError(msg)
        return self.pue[first]


class PriceFile(Frozen):
    """A price list in a CSV file with the columns of `Price`, its path relative to the configuration file."""

    file: str = Field(min_length=1)


class GoogleList(Frozen):
    """Where Google's list of prices is asked for.

    Attributes:
        endpoint_url: Another endpoint than Google's.
        anonymous: Send no credentials.
    """

    endpoint_url: str | None = None
    anonymous: bool = False


class ListPrices(Frozen):
    """Public price lists, for options of workloads with `list_price`."""

    google: GoogleList = GoogleList()


class Api(Frozen):
    """Names of model APIs where gateway, provider and bill spell one thing so differently that it is not seen.

    Attributes:
        models: Spelling found (compared without regard to case) -> name of the model.
        providers: Spelling found (compared without regard to case) -> name of the provider.
    """

    models: dict[str, str] = {}
    providers: dict[str, str] = {}


class TokenWeights(Frozen):
    """How much of a service's cost a token of each kind carries, relative to the others.

    They split the cost of a model that has no price list of its own; only their ratios matter.
    """

    input: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=6)]
    cached: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=6)]
    output: Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=6)]

    @model_validator(mode="after")
    def _something(self) -> TokenWeights:
        if not (self.input or self.cached or self.output):
            msg = "all weights are 0; give one of them"
            raise ValueError(msg)
        return self


class ModelScope(Frozen):
    """Which charges belong to a model over its life, by what ownership resolved (compared without regard to case).

    Attributes:
        workloads: Workloads whose charges are its own.
        projects: The same of projects.
        version: What runs, where the name of the entry is that of a served model.
        update_source: Where its updates come from.
    """

    workloads: tuple[str, ...] = ()
    projects: tuple[str, ...] = ()
    version: Annotated[str, Field(min_length=1)] | None = None
    update_source: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _something(self) -> ModelScope:
        if not (self.workloads or self.projects or self.version or self.update_source):
            msg = "names neither workloads nor projects, version nor update_source"
            raise ValueError(msg)
        return self


class Targets(Frozen):
    """What is aimed at. A target that is missed is shown; it blocks nothing.

    Attributes:
        gpu_utilisation: Used / allocated GPU-hours must be over it.
        gpu_allocation: Allocated / capacity GPU-hours must be over it.
        uptime: Observed part of the time; at least.
        request_success: Requests answered / all requests; at least.
        ai_cost_share_of_revenue: At most.
    """

    gpu_utilisation: Share = 0.7
    gpu_allocation: Share | None = None
    uptime: Share = 0.999
    request_success: Share | None = None
    ai_cost_share_of_revenue: Share | None = None


class Anomalies(Frozen):
    """What of the unusual days of a team's service is told.

    Attributes:
        min_impact: Least difference from what is usual, in the currency of the charge; absent: a hundredth of what an
            ordinary day of all teams costs.
        min_share: Least difference / what is usual.
    """

    min_impact: Money | None = None
    min_share: Annotated[float, Field(ge=0, le=100, allow_inf_nan=False)] = 0.25


class IdlePolicy(Frozen):
    """When an idle machine with GPUs would be switched off (`marts.idle_policy`).

    Attributes:
        after_minutes: Idle for so long, it is switched off.
        restart_minutes: It must be on again so long before it is needed: boot, and loading what was in memory.
        min_off_minutes: Switched off for less than this, it is not worth it.
        max_utilisation: Used / observed hours of each of its cards up to which an hour is idle.
        min_observed: Least part of an hour whose use must be known for it to count as idle.
    """

    after_minutes: Annotated[float, Field(ge=0, le=10_080)] = 15
    restart_minutes: Annotated[float, Field(ge=0, le=1_440)] = 10
    min_off_minutes: Annotated[float, Field(ge=0, le=10_080)] = 30
    max_utilisation: Share = 0.01
    min_observed: Annotated[float, Field(gt=0, le=1)] = 0.95


class Sharing(Frozen):
    """How full shared cards and MIG slices may be (`marts.gpu_sharing`, `marts.mig_packing`).

    Attributes:
        max_utilisation: Most of the time for which a shared card (on its busiest day) or a slice (in its busiest hour) works.
        max_memory: Most of a slice's nominal memory that is taken; the driver keeps some of it.
        memory_gb: Workload -> most memory that it takes of one card, GB (10^9 bytes). Telemetry does not say it: a card
            with a workload that is not here gets no slice. Of several spellings of one name the most counts.
        min_coverage: Least part of a card's held hours whose use must be known.
    """

    max_utilisation: Annotated[float, Field(gt=0, le=1)] = 0.85
    max_memory: Annotated[float, Field(gt=0, le=1)] = 0.9
    memory_gb: dict[str, Annotated[float, Field(gt=0, le=10_000, allow_inf_nan=False)]] = {}
    min_coverage: Annotated[float, Field(gt=0, le=1)] = 0.95


def _owner(name: str) -> str:
    if not name.strip():
        msg = "must name an owner; write untagged for what has none"
        raise ValueError(msg)
    return name


Owner = Annotated[str, AfterValidator(_owner)]


class Ownership(Frozen):
    """Who owns a charge: the first tag key with a value, put through aliases; else a default by account or namespace.

    Attributes:
        tags: Dimension -> tag keys in order of preference (compared without regard to case).
        aliases: Dimension -> spelling found -> name to use (compared without regard to case and outer blanks).
        accounts: SubAccountId (an owned site's is the site's name) -> dimension -> name, where no tag says.
        namespaces: Kubernetes namespace -> dimension -> name, where no pod label says.
        platform_team: Team that carries what nobody held.
    """

    tags: dict[Literal["team", "project", "environment", "workload_type", "workload"], tuple[str, ...]] = {
        "team": ("team",),
        "project": ("project",),
        "environment": ("environment", "env"),
        "workload_type": ("workload_type", "workload-type"),
        "workload": ("workload",),
    }
    aliases: dict[
        Literal["team", "project", "environment", "workload_type", "workload"], dict[str, Owner]
    ] = {}
    accounts: dict[
        str, dict[Literal["team", "project", "environment", "workload_type", "workload"], Owner]
    ] = {}
    namespaces: dict[
        str, dict[Literal["team", "project", "environment", "workload_type", "workload"], Owner]
    ] = {}
    platform_team: Owner = "platform"


class Gates(Frozen):
    """Bounds inside which a result may be published. A bound that is absent is measured and shown, not enforced.

    Attributes:
        reconciliation_max_difference: Money that may differ between a source and the ledger.
        quarantine_max_share: Rejected rows / rows read, of the worst source.
        freshness_max_days: Days between the day of the run and the last day with data, of the worst source.
        gpu_coverage_min: Observed / installed GPU-hours of the worst site.
        untagged_max_share: Effective cost without an owner / all effective cost, of the worst currency.
        api_charged_twice_max: Providers and months of model APIs whose money both a gateway and a bill put into the ledger.
        accounts_billed_twice_max: Accounts and months that a legacy CUR and a CUR 2.0 both bill.
        contradicted_totals_max: Files of bills whose total is not that of their rows.
        repeated_bill_max_rows: Charges of a source and month that are in two of its files and too many to be alike by chance.
        api_variance_max_share: Difference between gateway, provider's usage and bill by the latter, of the worst month
            that is over, model and kind of token; a warning.
        not_ready_max_months: Months of required sources whose delivery cannot be read yet.
        focus_max_rows: Charges that break a rule of FOCUS which its validators do not check, of each gate `focus_*`; a warning.
    """

    reconciliation_max_difference: Money = Decimal(0)
    quarantine_max_share: Share = 0.0
    freshness_max_days: Annotated[int, Field(ge=0)] | None = None
    gpu_coverage_min: Share | None = None
    untagged_max_share: Share | None = None
    api_charged_twice_max: Annotated[int, Field(ge=0)] = 0
    accounts_billed_twice_max: Annotated[int, Field(ge=0)] = 0
    contradicted_totals_max: Annotated[int, Field(ge=0)] = 0
    repeated_bill_max_rows: Annotated[int, Field(ge=0)] = 0
    api_variance_max_share: Share | None = None
    not_ready_max_months: Annotated[int, Field(ge=0)] = 0
    focus_max_rows: Annotated[int, Field(ge=0)] | None = 0


class Publish(Frozen):
    """How results are published.

    Attributes:
        keep: Publications kept for readers that still hold an older one.
        metrics_file: File for Prometheus' textfile collector, relative to the configuration file; its name must
            end in `.prom`. Written with each publication; none where absent.
    """

    keep: Annotated[int, Field(ge=1, le=365)] = 3
    metrics_file: Annotated[str, Field(pattern=r"\.prom$")] | None = None


class Schedule(Frozen):
    """When the daily job runs."""

    cron: str = "0 6 * * *"
    time_zone: TimeZone | None = None


class Settings(Frozen):
    """The whole file. `sources` keeps each source's keys as written; its connector validates them."""

    data_dir: str = "./data"
    currency: Currency = "USD"
    time_zone: TimeZone = "UTC"
    schedule: Schedule = Schedule()
    sources: dict[Name, dict[str, Any]] = Field(min_length=1)
    sites: dict[Name, Site] = {}
    assets: str | tuple[Asset, ...] = ()
    staff: tuple[Staff, ...] = ()
    contracts: dict[Name, Contract] = {}
    prices: Annotated[
        Annotated[PriceFile, Tag("file")] | Annotated[tuple[Price, ...], Tag("list")],
        Discriminator(lambda value: "list" if isinstance(value, list | tuple) else "file"),
    ] = ()
    api: Api = Api()
    list_prices: ListPrices = ListPrices()
    rates: str | tuple[Rate, ...] = ()
    revenue: str | tuple[Revenue, ...] = ()
    training_runs: str | tuple[TrainingRun, ...] = ()
    models: dict[str, ModelScope] = {}
    token_weights: TokenWeights | None = None
    targets: Targets = Targets()
    anomalies: Anomalies = Anomalies()
    idle: IdlePolicy = IdlePolicy()
    sharing: Sharing = Sharing()
    ownership: Ownership = Ownership()
    workloads: dict[Name, Workload] = {}
    gates: Gates = Gates()
    publish: Publish = Publish()
