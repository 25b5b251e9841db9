"""Prices of Azure with the sign or code of a currency: read, or unknown and counted."""

from __future__ import annotations

from collections import Counter
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from tests.connectors.azure.rows import row
from tests.connectors.bills.helpers import counted, facts, load, write

PRICES = ("ListUnitPrice", "ContractedUnitPrice", "ListCost")
MCA = {"BillingCurrency": "USD", "PricingCurrency": "EUR", "ExchangeRatePricingToBilling": "1.25"}

RATE = "0.84961767204758"


def product(price: str) -> str:
    """Times the rate, to the twelfth decimal."""
    return str((Decimal(price) * Decimal(RATE)).quantize(Decimal("1e-12"), ROUND_HALF_UP))


# what a row of 10 USD has instead; list price, contracted price and list cost; columns counted as no number
WRITTEN: list[tuple[dict[str, str], tuple[str | None, ...], set[str]]] = [
    ({"PayGPrice": "$7.00", "UnitPrice": "5 USD", "EffectivePrice": "$5"}, ("7", "5", None), set()),
    ({"PayGPrice": "$5.00", "EffectivePrice": "USD 5", "Cost": "$10.00"}, ("5", "5", "10"), set()),
    ({"PayGPrice": "$0.00", "UnitPrice": "0 USD"}, (None, None, None), set()),
    ({"PayGPrice": "0E-10", "UnitPrice": "€0.00"}, (None, None, None), set()),
    ({"PayGPrice": "€7", "UnitPrice": "five"}, (None, None, None), {"ListUnitPrice", "ContractedUnitPrice"}),
    ({"EffectivePrice": "€5"}, ("7", "5", None), {"ListCost"}),
    ({"PayGCostInBillingCurrency": "$ 12.50"}, ("7", "5", "12.5"), set()),
    # 8 x 1.25 = 10; 4 x 1.25 = 5
    ({**MCA, "PayGPrice": "€ 8.00", "UnitPrice": "4 EUR"}, ("10", "5", None), set()),
    ({**MCA, "PayGPrice": "8", "EffectivePrice": "€8"}, ("10", "6.25", "10"), set()),
    # 2 hours at 4 EUR less 15 % earned by a partner, 3.4 x 1.25 = 4.25; a partner that earned none pays 4 x 1.25
    (
        {
            **MCA,
            "PayGPrice": "8",
            "UnitPrice": "4",
            "EffectivePrice": "3.4",
            "PartnerEarnedCreditApplied": "1",
        },
        ("10", "4.25", None),
        set(),
    ),
    (
        {
            **MCA,
            "PayGPrice": "8",
            "UnitPrice": "4",
            "EffectivePrice": "3.4",
            "PartnerEarnedCreditApplied": "0",
        },
        ("10", "5", None),
        set(),
    ),
    # to the twelfth decimal: 1.123456789012 x 0.84961767204758 = 0.954508741726..., 12345678.12345678 x that = 10489106.307...
    (
        {
            **MCA,
            "ExchangeRatePricingToBilling": RATE,
            "PayGPrice": "1.123456789012",
            "UnitPrice": "12345678.12345678",
        },
        (product("1.123456789012"), product("12345678.12345678"), None),
        set(),
    ),
    # 8 dollars among prices in euros are neither
    (
        {**MCA, "PayGPrice": "$8"},
        (None, "6.25", None),
        {"ListUnitPrice", "PricingCurrencyListUnitPrice"},
    ),
    (
        {**MCA, "ExchangeRatePricingToBilling": "high"},
        (None, None, None),
        {"ListUnitPrice", "ContractedUnitPrice"},
    ),
    ({**MCA, "ExchangeRatePricingToBilling": ""}, (None, None, None), set()),
]


def test_prices_with_signs(tmp_path: Path) -> None:
    write(tmp_path / "bills" / "a.csv", [row(**change) for change, _, _ in WRITTEN])
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert loaded.totals == {"USD": Decimal(10 * len(WRITTEN))}
    prices = [tuple(None if p is None else Decimal(p) for p in prices) for _, prices, _ in WRITTEN]
    assert facts(loaded).select(PRICES).rows() == prices
    odd = Counter(column for _, _, columns in WRITTEN for column in columns)
    assert {c: n for (_, rule, c), n in counted(loaded).items() if rule == "not_a_number"} == odd


def test_the_effective_price_of_a_commitment_is_not_what_is_contracted_without_it(tmp_path: Path) -> None:
    """An hour is 4 EUR, covered by a reservation at 2: contracted are 4 x 1.25, with partner earned credit as without."""
    covered = {
        **MCA, "UnitPrice": "4", "EffectivePrice": "2", "PricingModel": "Reservation", "ReservationId": "r-1",
    }  # fmt: skip
    rows = [row(**covered, PartnerEarnedCreditApplied=applied) for applied in ("1", "0")]
    write(tmp_path / "bills" / "a.csv", rows)
    (loaded,) = load("azure_export", tmp_path / "bills", tmp_path).values()
    assert facts(loaded)["ContractedUnitPrice"].to_list() == [Decimal(5), Decimal(5)]
