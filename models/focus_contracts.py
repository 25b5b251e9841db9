"""FOCUS ContractCommitment, the dataset of 1.3 and 1.4 with what was contracted: column names and types.

Facts of the FinOps Open Cost and Usage Specification (Community Specification, CC BY 4.0). The charges themselves
are in `models/focus.py`.
"""

from __future__ import annotations

from models.focus import FocusColumn

CONTRACT_COMMITMENT: tuple[FocusColumn, ...] = (
    FocusColumn("BillingCurrency", "text", since="1.3"),
    FocusColumn("ContractCommitmentApplicability", "json", since="1.4"),
    FocusColumn(
        "ContractCommitmentBenefitCategory",
        "text",
        allowed=(
            "Discount",
            "Entitlement",
            "Availability",
            "Other",
        ),
        since="1.4",
    ),
    FocusColumn(
        "ContractCommitmentCategory",
        "text",
        required=True,
        allowed=(
            "Spend",
            "Usage",
        ),
        since="1.3",
    ),
    FocusColumn("ContractCommitmentCost", "decimal", since="1.3"),
    FocusColumn("ContractCommitmentCreated", "timestamp", since="1.4"),
    FocusColumn("ContractCommitmentDescription", "text", since="1.3"),
    FocusColumn("ContractCommitmentDiscountPercentage", "decimal", since="1.4"),
    FocusColumn("ContractCommitmentDurationType", "text", since="1.4"),
    FocusColumn(
        "ContractCommitmentFulfillmentInterval",
        "text",
        allowed=(
            "Hourly",
            "Daily",
            "Weekly",
            "Monthly",
            "Quarterly",
            "Semi-Annual",
            "Annual",
            "Full Period",
            "Transactional",
            "Custom",
        ),
        since="1.4",
    ),
    FocusColumn("ContractCommitmentId", "text", required=True, since="1.3"),
    FocusColumn("ContractCommitmentLastUpdated", "timestamp", since="1.4"),
    FocusColumn(
        "ContractCommitmentLifecycleStatus",
        "text",
        allowed=(
            "Proposed",
            "Pending",
            "Active",
            "Exhausted",
            "Expired",
            "Canceled",
            "Superseded",
        ),
        since="1.4",
    ),
    FocusColumn(
        "ContractCommitmentModel",
        "text",
        allowed=(
            "Continuous",
            "Discontinuous",
        ),
        since="1.4",
    ),
    FocusColumn(
        "ContractCommitmentOfferCategory",
        "text",
        allowed=(
            "Negotiated",
            "Public",
        ),
        since="1.4",
    ),
    FocusColumn(
        "ContractCommitmentPaymentInterval",
        "text",
        allowed=(
            "One-Time",
            "Monthly",
            "Quarterly",
            "Semi-Annual",
            "Annual",
            "Custom",
        ),
        since="1.4",
    ),
    FocusColumn(
        "ContractCommitmentPaymentModel",
        "text",
        allowed=(
            "No Upfront",
            "Partial Upfront",
            "All Upfront",
        ),
        since="1.4",
    ),
    FocusColumn("ContractCommitmentPaymentUpfrontPercentage", "decimal", since="1.4"),
    FocusColumn("ContractCommitmentPeriodEnd", "timestamp", required=True, since="1.3"),
    FocusColumn("ContractCommitmentPeriodStart", "timestamp", required=True, since="1.3"),
    FocusColumn("ContractCommitmentQuantity", "decimal", since="1.3"),
    FocusColumn("ContractCommitmentType", "text", required=True, since="1.3"),
    FocusColumn("ContractCommitmentUnit", "text", since="1.3"),
    FocusColumn("ContractId", "text", required=True, since="1.3"),
    FocusColumn("ContractPeriodEnd", "timestamp", required=True, since="1.3"),
    FocusColumn("ContractPeriodStart", "timestamp", required=True, since="1.3"),
    FocusColumn("InvoiceIssuerName", "text", since="1.4"),
    FocusColumn("PricingCurrency", "text", since="1.4"),
    FocusColumn("PricingCurrencyContractCommitmentCost", "decimal", since="1.4"),
    FocusColumn("ServiceProviderName", "text", since="1.4"),
)
"""`required`: mandatory and not null in both versions."""
