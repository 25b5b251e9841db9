"""Small OCI cost reports written by tests."""

from __future__ import annotations

ROW = {
    "lineItem/referenceNo": "ref-1",
    "lineItem/tenantId": "ocid1.tenancy.1",
    "lineItem/intervalUsageStart": "2026-09-01T00:00Z",
    "lineItem/intervalUsageEnd": "2026-09-01T01:00Z",
    "product/service": "COMPUTE",
    "product/compartmentId": "ocid1.compartment.1",
    "product/compartmentName": "vision",
    "product/region": "eu-frankfurt-1",
    "product/availabilityDomain": "AD-1",
    "product/resourceId": "ocid1.instance.1",
    "usage/billedQuantity": "8",
    "usage/billedQuantityOverage": "",
    "cost/subscriptionId": "1",
    "cost/productSku": "B95907",
    "product/Description": "GPU - A100",
    "cost/unitPrice": "4",
    "cost/unitPriceOverage": "",
    "cost/myCost": "32",
    "cost/myCostOverage": "",
    "cost/currencyCode": "USD",
    "cost/billingUnitReadable": "GPU HOURS",
    "cost/skuUnitDescription": "GPU Hour",
    "cost/overageFlag": "N",
    "lineItem/isCorrection": "false",
    "lineItem/backreferenceNo": "",
    "tags/team": "vision",
    "tags/Oracle-Tags.CreatedBy": "",
}


def row(**changes: str) -> dict[str, str]:
    """A row; `cost__myCost` stands for `cost/myCost`."""
    return ROW | {k.replace("__", "/"): v for k, v in changes.items()}


def october(**changes: str) -> dict[str, str]:
    """A row of October."""
    return row(
        lineItem__intervalUsageStart="2026-10-01T00:00Z",
        lineItem__intervalUsageEnd="2026-10-01T01:00Z",
        **changes,
    )
