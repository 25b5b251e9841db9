"""FOCUS 1.4 cost and usage: column names, types and allowed values, the one definition of the ledger's shape.

Facts of the FinOps Open Cost and Usage Specification (Community Specification, CC BY 4.0), plus our `x_`
columns. How a native bill becomes these columns belongs to `connectors/`; what we compute from them, to the
other modules here.
"""

from __future__ import annotations

from dataclasses import dataclass

SERVICE_CATEGORIES = (
    "AI and Machine Learning",
    "Analytics",
    "Business Applications",
    "Compute",
    "Databases",
    "Developer Tools",
    "Multicloud",
    "Identity",
    "Integration",
    "Internet of Things",
    "Management and Governance",
    "Media",
    "Migration",
    "Mobile",
    "Networking",
    "Security",
    "Storage",
    "Web",
    "Other",
)


@dataclass(frozen=True)
class FocusColumn:
    """One FOCUS column.

    Attributes:
        name: The column id of the specification.
        type: A type name of `models.tables.TYPES`.
        required: The specification allows no null in it.
        allowed: The closed list of values, empty where any text is allowed.
        conditional: It is left out of data that has no use for it.
        since: The version that introduced it, where that is later than 1.2.
    """

    name: str
    type: str
    required: bool = False
    allowed: tuple[str, ...] = ()
    conditional: bool = False
    since: str = "1.2"


COLUMNS: tuple[FocusColumn, ...] = (
    FocusColumn("AllocatedMethodDetails", "json", since="1.3"),
    FocusColumn("AllocatedMethodId", "text", conditional=True, since="1.3"),
    FocusColumn("AllocatedResourceId", "text", conditional=True, since="1.3"),
    FocusColumn("AllocatedResourceName", "text", conditional=True, since="1.3"),
    FocusColumn("AllocatedTags", "json", conditional=True, since="1.3"),
    FocusColumn("AvailabilityZone", "text"),
    FocusColumn("BilledCost", "decimal", required=True),
    FocusColumn("BillingAccountId", "text", required=True),
    FocusColumn("BillingAccountName", "text"),
    FocusColumn("BillingAccountType", "text", conditional=True),
    FocusColumn("BillingCurrency", "text", required=True),
    FocusColumn("BillingPeriodEnd", "timestamp", required=True),
    FocusColumn("BillingPeriodStart", "timestamp", required=True),
    FocusColumn("CapacityReservationId", "text", conditional=True),
    FocusColumn("CapacityReservationStatus", "text", conditional=True, allowed=("Used", "Unused")),
    FocusColumn(
        "ChargeCategory", "text", required=True, allowed=("Usage", "Purchase", "Tax", "Credit", "Adjustment")
    ),
    FocusColumn("ChargeClass", "text", allowed=("Correction",)),
    FocusColumn("ChargeDescription", "text"),
    FocusColumn("ChargeFrequency", "text", allowed=("One-Time", "Recurring", "Usage-Based")),
    FocusColumn("ChargePeriodEnd", "timestamp", required=True),
    FocusColumn("ChargePeriodStart", "timestamp", required=True),
    FocusColumn("CommitmentDiscountCategory", "text", conditional=True, allowed=("Spend", "Usage")),
    FocusColumn("CommitmentDiscountId", "text", conditional=True),
    FocusColumn("CommitmentDiscountName", "text", conditional=True),
    FocusColumn("CommitmentDiscountQuantity", "decimal", conditional=True),
    FocusColumn("CommitmentDiscountStatus", "text", conditional=True, allowed=("Used", "Unused")),
    FocusColumn("CommitmentDiscountType", "text", conditional=True),
    FocusColumn("CommitmentDiscountUnit", "text", conditional=True),
    FocusColumn("CommitmentProgramEligibilityDetails", "json", conditional=True, since="1.4"),
    FocusColumn("ConsumedQuantity", "decimal", conditional=True),
    FocusColumn("ConsumedUnit", "text", conditional=True),
    FocusColumn("ContractApplied", "json", conditional=True, since="1.3"),
    FocusColumn("ContractedCost", "decimal", required=True),
    FocusColumn("ContractedUnitPrice", "decimal", conditional=True),
    FocusColumn("EffectiveCost", "decimal", required=True),
    FocusColumn("HostProviderName", "text", since="1.3"),
    FocusColumn("InvoiceDetailId", "text", conditional=True, since="1.4"),
    FocusColumn("InvoiceId", "text", conditional=True),
    FocusColumn("InvoiceIssuerName", "text", required=True),
    FocusColumn("ListCost", "decimal", required=True),
    FocusColumn("ListUnitPrice", "decimal", conditional=True),
    FocusColumn(
        "PricingCategory", "text", conditional=True, allowed=("Standard", "Dynamic", "Committed", "Other")
    ),
    FocusColumn("PricingCurrency", "text", conditional=True),
    FocusColumn("PricingCurrencyContractedUnitPrice", "decimal", conditional=True),
    FocusColumn("PricingCurrencyEffectiveCost", "decimal", conditional=True),
    FocusColumn("PricingCurrencyListUnitPrice", "decimal", conditional=True),
    FocusColumn("PricingQuantity", "decimal"),
    FocusColumn("PricingUnit", "text"),
    FocusColumn("RegionId", "text", conditional=True),
    FocusColumn("RegionName", "text", conditional=True),
    FocusColumn("ResourceId", "text", conditional=True),
    FocusColumn("ResourceName", "text", conditional=True),
    FocusColumn("ResourceType", "text", conditional=True),
    FocusColumn("ServiceCategory", "text", required=True, allowed=SERVICE_CATEGORIES),
    FocusColumn("ServiceName", "text", required=True),
    FocusColumn("ServiceProviderName", "text", since="1.3", required=True),
    FocusColumn("ServiceSubcategory", "text"),
    FocusColumn("SkuId", "text", conditional=True),
    FocusColumn("SkuMeter", "text", conditional=True),
    FocusColumn("SkuPriceDetails", "json", conditional=True),
    FocusColumn("SkuPriceId", "text", conditional=True),
    FocusColumn("SubAccountId", "text", conditional=True),
    FocusColumn("SubAccountName", "text", conditional=True),
    FocusColumn("SubAccountType", "text", conditional=True),
    FocusColumn("Tags", "json", conditional=True),
)


REMOVED = (
    FocusColumn("ProviderName", "text", required=True),
    FocusColumn("PublisherName", "text", required=True),
)
"""Columns of 1.2 that 1.4 no longer has."""


def columns(version: str) -> tuple[FocusColumn, ...]:
    """The columns of a version: 1.2 or 1.4."""
    if version == "1.4":
        return COLUMNS
    return tuple(sorted((*(c for c in COLUMNS if c.since == "1.2"), *REMOVED), key=lambda c: c.name))
