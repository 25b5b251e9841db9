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
    """

    name: str
    type: str
    required: bool = False
    allowed: tuple[str, ...] = ()


COLUMNS: tuple[FocusColumn, ...] = (
    FocusColumn("AllocatedMethodDetails", "json"),
    FocusColumn("AllocatedMethodId", "text"),
    FocusColumn("AllocatedResourceId", "text"),
    FocusColumn("AllocatedResourceName", "text"),
    FocusColumn("AllocatedTags", "json"),
    FocusColumn("AvailabilityZone", "text"),
    FocusColumn("BilledCost", "decimal", required=True),
    FocusColumn("BillingAccountId", "text", required=True),
    FocusColumn("BillingAccountName", "text"),
    FocusColumn("BillingAccountType", "text"),
    FocusColumn("BillingCurrency", "text", required=True),
    FocusColumn("BillingPeriodEnd", "timestamp", required=True),
    FocusColumn("BillingPeriodStart", "timestamp", required=True),
    FocusColumn("CapacityReservationId", "text"),
    FocusColumn("CapacityReservationStatus", "text", allowed=("Used", "Unused")),
    FocusColumn(
        "ChargeCategory", "text", required=True, allowed=("Usage", "Purchase", "Tax", "Credit", "Adjustment")
    ),
    FocusColumn("ChargeClass", "text", allowed=("Correction",)),
    FocusColumn("ChargeDescription", "text"),
    FocusColumn("ChargeFrequency", "text", allowed=("One-Time", "Recurring", "Usage-Based")),
    FocusColumn("ChargePeriodEnd", "timestamp", required=True),
    FocusColumn("ChargePeriodStart", "timestamp", required=True),
    FocusColumn("CommitmentDiscountCategory", "text", allowed=("Spend", "Usage")),
    FocusColumn("CommitmentDiscountId", "text"),
    FocusColumn("CommitmentDiscountName", "text"),
    FocusColumn("CommitmentDiscountQuantity", "decimal"),
    FocusColumn("CommitmentDiscountStatus", "text", allowed=("Used", "Unused")),
    FocusColumn("CommitmentDiscountType", "text"),
    FocusColumn("CommitmentDiscountUnit", "text"),
    FocusColumn("CommitmentProgramEligibilityDetails", "json"),
    FocusColumn("ConsumedQuantity", "decimal"),
    FocusColumn("ConsumedUnit", "text"),
    FocusColumn("ContractApplied", "json"),
    FocusColumn("ContractedCost", "decimal", required=True),
    FocusColumn("ContractedUnitPrice", "decimal"),
    FocusColumn("EffectiveCost", "decimal", required=True),
    FocusColumn("HostProviderName", "text"),
    FocusColumn("InvoiceDetailId", "text"),
    FocusColumn("InvoiceId", "text"),
    FocusColumn("InvoiceIssuerName", "text", required=True),
    FocusColumn("ListCost", "decimal", required=True),
    FocusColumn("ListUnitPrice", "decimal"),
    FocusColumn("PricingCategory", "text", allowed=("Standard", "Dynamic", "Committed", "Other")),
    FocusColumn("PricingCurrency", "text"),
    FocusColumn("PricingCurrencyContractedUnitPrice", "decimal"),
    FocusColumn("PricingCurrencyEffectiveCost", "decimal"),
    FocusColumn("PricingCurrencyListUnitPrice", "decimal"),
    FocusColumn("PricingQuantity", "decimal"),
    FocusColumn("PricingUnit", "text"),
    FocusColumn("RegionId", "text"),
    FocusColumn("RegionName", "text"),
    FocusColumn("ResourceId", "text"),
    FocusColumn("ResourceName", "text"),
    FocusColumn("ResourceType", "text"),
    FocusColumn("ServiceCategory", "text", required=True, allowed=SERVICE_CATEGORIES),
    FocusColumn("ServiceName", "text", required=True),
    FocusColumn("ServiceProviderName", "text", required=True),
    FocusColumn("ServiceSubcategory", "text"),
    FocusColumn("SkuId", "text"),
    FocusColumn("SkuMeter", "text"),
    FocusColumn("SkuPriceDetails", "json"),
    FocusColumn("SkuPriceId", "text"),
    FocusColumn("SubAccountId", "text"),
    FocusColumn("SubAccountName", "text"),
    FocusColumn("SubAccountType", "text"),
    FocusColumn("Tags", "json"),
)
