"""The columns of cost and usage in each version of FOCUS, as its specification lists them."""

from __future__ import annotations


def names(text: str) -> tuple[str, ...]:
    """Names that spaces part."""
    return tuple(text.split())


V1_0 = names(
    """AvailabilityZone BilledCost BillingAccountId BillingAccountName BillingCurrency BillingPeriodEnd
    BillingPeriodStart ChargeCategory ChargeClass ChargeDescription ChargeFrequency ChargePeriodEnd
    ChargePeriodStart CommitmentDiscountCategory CommitmentDiscountId CommitmentDiscountName
    CommitmentDiscountStatus CommitmentDiscountType ConsumedQuantity ConsumedUnit ContractedCost
    ContractedUnitPrice EffectiveCost InvoiceIssuerName ListCost ListUnitPrice PricingCategory PricingQuantity
    PricingUnit ProviderName PublisherName RegionId RegionName ResourceId ResourceName ResourceType
    ServiceCategory ServiceName SkuId SkuPriceId SubAccountId SubAccountName Tags"""
)
"""1.0r2 mended the text of 1.0 and has its columns."""

V1_1 = V1_0 + names(
    """CapacityReservationId CapacityReservationStatus CommitmentDiscountQuantity CommitmentDiscountUnit
    ServiceSubcategory SkuMeter SkuPriceDetails"""
)
V1_2 = V1_1 + names(
    """BillingAccountType InvoiceId PricingCurrency PricingCurrencyContractedUnitPrice PricingCurrencyEffectiveCost
    PricingCurrencyListUnitPrice SubAccountType"""
)
V1_3 = V1_2 + names(
    """AllocatedMethodDetails AllocatedMethodId AllocatedResourceId AllocatedResourceName AllocatedTags
    ContractApplied HostProviderName ServiceProviderName"""
)
"""With ProviderName and PublisherName, which 1.3 deprecates."""

V1_4 = (
    *(c for c in V1_3 if c not in ("ProviderName", "PublisherName")),
    "CommitmentProgramEligibilityDetails",
    "InvoiceDetailId",
)
VERSIONS = {"1.0": V1_0, "1.0r2": V1_0, "1.1": V1_1, "1.2": V1_2, "1.3": V1_3, "1.4": V1_4}

NUMBERS = ("Cost", "Price", "Quantity")
"""What the names of columns end with that hold numbers."""

VALUES = {
    "BillingCurrency": "USD",
    "BillingPeriodStart": "2026-09-01T00:00:00Z",
    "BillingPeriodEnd": "2026-10-01T00:00:00Z",
    "ChargePeriodStart": "2026-09-03T04:00:00Z",
    "ChargePeriodEnd": "2026-09-03T05:00:00Z",
    "ChargeCategory": "Usage",
    "ChargeClass": "Correction",
    "ChargeFrequency": "Usage-Based",
    "CommitmentDiscountCategory": "Spend",
    "CommitmentDiscountStatus": "Used",
    "CapacityReservationStatus": "Used",
    "PricingCategory": "Committed",
    "PricingCurrency": "EUR",
    "ServiceCategory": "Compute",
    "ServiceSubcategory": "Virtual Machines",
    "Tags": '{"team":"vision"}',
    "AllocatedTags": '{"pod":"a"}',
    "AllocatedMethodDetails": '{"Elements":[{"AllocatedRatio":1,"UsageUnit":"CPU","UsageQuantity":0.5}]}',
    "SkuPriceDetails": '{"CoreCount":4}',
    "ContractApplied": '{"Elements":[]}',
    "CommitmentProgramEligibilityDetails": '{"Elements":[]}',
}
"""Column -> a value that it allows."""


def row(version: str, number: int) -> dict[str, str]:
    """A charge with every column of a version filled: no two rows, and no two numbers of a row, are alike.

    The n-th column, of a number, has number x (n + 1) / 10 in a row.
    """
    return {
        column: VALUES.get(column)
        or (f"{number * (n + 1) / 10:.1f}" if column.endswith(NUMBERS) else f"{column} {number}")
        for n, column in enumerate(VERSIONS[version])
    }
