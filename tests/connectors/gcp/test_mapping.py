"""What each kind of line of the BigQuery export becomes in FOCUS: expected values by hand."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.base import Loaded
from tests.connectors.bills.helpers import Rows, counted, facts, load, write
from tests.connectors.gcp.rows import flat, row, write_lines

KIND = "gcp_billing_export"
SEPTEMBER = date(2026, 9, 1)
at = datetime.fromisoformat


Found = list[list[dict[str, Any]]]
ROWS, MIXED = Rows(), Rows()
"""Rows whose columns are of one type each, and rows whose credits and labels are of any."""


def read(tmp: Path, rows: Rows) -> tuple[Loaded, Found]:
    """A bill of rows, each with its place as the id of its SKU, and the lines that each becomes, its own cost first."""
    write_lines(
        tmp / "bills" / "a.jsonl", [r | {"sku": r["sku"] | {"id": str(n)}} for n, r in enumerate(rows.all)]
    )
    loaded = load(KIND, tmp / "bills", tmp)[SEPTEMBER]
    lines: Found = [[] for _ in rows.all]
    for line in facts(loaded).sort("BilledCost", descending=True).to_dicts():
        lines[int(line["SkuId"])].append(line)
    return loaded, lines


@pytest.fixture(scope="module")
def typed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Loaded, Found]:
    """What became of `ROWS`."""
    return read(tmp_path_factory.mktemp("typed"), ROWS)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Loaded, Found]:
    """What became of `MIXED`."""
    return read(tmp_path_factory.mktemp("mixed"), MIXED)


USED = ROWS.add(row(cost_at_list=12, resource={"name": "vm-1", "global_name": "//vm/1"}))


def test_usage(typed: tuple[Loaded, Found]) -> None:
    [[found]] = typed[1][USED]
    tags = json.loads(found.pop("Tags"))
    assert tags == {
        "team": "vision",
        "spot": True,
        "gcp:project.env": "prod",
        "gcp:compute.googleapis.com/cores": "8",
    }
    assert {k: v for k, v in found.items() if v is not None} == {
        "AvailabilityZone": "us-central1-a",
        "BilledCost": Decimal("10.5"),
        "BillingAccountId": "01AB-02CD",
        "BillingCurrency": "USD",
        "BillingPeriodEnd": at("2026-10-01"),
        "BillingPeriodStart": at("2026-09-01"),
        "ChargeCategory": "Usage",
        "ChargeDescription": "A3 GPU hour",
        "ChargeFrequency": "Usage-Based",
        "ChargePeriodEnd": at("2026-09-01T01:00"),
        "ChargePeriodStart": at("2026-09-01"),
        "ConsumedQuantity": Decimal(3600),
        "ConsumedUnit": "seconds",
        "ContractedCost": Decimal("10.5"),
        "EffectiveCost": Decimal("10.5"),
        "HostProviderName": "Google Cloud",
        "InvoiceIssuerName": "Google Cloud",
        "ListCost": Decimal(12),
        "PricingCategory": "Standard",
        "PricingQuantity": Decimal(1),
        "PricingUnit": "hour",
        "ProviderName": "Google Cloud",
        "RegionId": "us-central1",
        "ResourceId": "//vm/1",
        "ResourceName": "vm-1",
        "ServiceCategory": "Compute",
        "ServiceName": "Compute Engine",
        "ServiceProviderName": "Google Cloud",
        "SkuId": str(USED.start),
        "SkuMeter": "A3 GPU hour",
        "SubAccountId": "p-1",
        "SubAccountName": "Vision",
        "x_billing_month": SEPTEMBER,
        "x_cost_kind": "direct",
        "x_source": "bills",
        "x_tier": "cloud",
    }


MODEL = {"id": "5515", "description": "Compute Flexible CUD - 1 Year"}
BY_MODEL = ROWS.add(
    row(
        cost=7.2, cost_at_effective_price_default=10, cost_at_list=12, consumption_model=MODEL,
        price={"effective_price": 7.2, "effective_price_default": 10, "list_price": 12},
    ),
    row(cost_at_effective_price_default=10.5, consumption_model={"id": "7754", "description": "Default"}),
    row(cost_type="tax", cost=2, cost_at_effective_price_default=0),
)  # fmt: skip


def test_usage_at_the_price_of_a_commitment_keeps_the_contracted_cost_without_it(
    typed: tuple[Loaded, Found],
) -> None:
    [[covered], [default], [tax]] = typed[1][BY_MODEL]
    names = (
        "PricingCategory",
        "BilledCost",
        "EffectiveCost",
        "ContractedCost",
        "ListCost",
        "ContractedUnitPrice",
    )
    costs = [Decimal(c) for c in ("7.2", "7.2", "10", "12", "10")]
    assert [covered[name] for name in names] == ["Committed", *costs]
    assert (default["PricingCategory"], default["ContractedCost"]) == ("Standard", Decimal("10.5"))
    assert tax["ContractedCost"] == Decimal(2)


CUD = {
    "id": "cud-1",
    "name": "Committed",
    "full_name": "Committed use: GPU",
    "type": "COMMITTED_USAGE_DISCOUNT",
    "amount": -3,
}
FREE = {"id": "free", "name": "Free Trial", "full_name": "", "type": "PROMOTION", "amount": -0.25}


CREDITED = ROWS.add(row(credits=[CUD, FREE]))


def test_each_credit_is_a_row_of_its_own_and_the_usage_stays_one(typed: tuple[Loaded, Found]) -> None:
    [[usage, free, cud]] = typed[1][CREDITED]
    costs = [Decimal(c) for c in ("10.5", "-0.25", "-3")]
    assert [line["BilledCost"] for line in (usage, free, cud)] == costs
    assert (usage["ChargeCategory"], usage["ConsumedQuantity"]) == ("Usage", Decimal(3600))
    for credit in (cud, free):
        assert (credit["ChargeCategory"], credit["ConsumedQuantity"], credit["PricingQuantity"]) == (
            "Credit",
            None,
            None,
        )
        assert (credit["EffectiveCost"], credit["ListCost"]) == (credit["BilledCost"], credit["BilledCost"])
        assert (credit["Tags"], credit["SubAccountId"]) == (usage["Tags"], "p-1")
    assert (cud["ChargeDescription"], free["ChargeDescription"]) == ("Committed use: GPU", "Free Trial")
    assert (cud["CommitmentDiscountId"], cud["CommitmentDiscountType"], cud["CommitmentDiscountCategory"]) == (
        "cud-1", "Committed Use Discount", "Usage",
    )  # fmt: skip
    assert free["CommitmentDiscountId"] is None


FORMS = [
    CUD,
    [CUD],
    [None, CUD, {"amount": 0, "name": ""}],
    json.dumps([CUD]),
    str([CUD | {"full_name": None}]),
]
"""An object, an array, one with nothing in it, text, and text as Python writes it."""


FORM_ROWS = MIXED.add(*(row(credits=form) for form in FORMS))


def test_credits_in_every_form(mixed: tuple[Loaded, Found]) -> None:
    found = [[line["BilledCost"] for line in lines] for lines in mixed[1][FORM_ROWS]]
    assert found == [[Decimal("10.5"), Decimal(-3)]] * len(FORMS)


NOTHING: list[Any] = [{}, [], None, {"name": "", "amount": 0, "id": ""}, "None", "NULL", "null", ""]
WITHOUT = MIXED.add(*(row() | {"credits": nothing} for nothing in NOTHING))


def test_no_credit(mixed: tuple[Loaded, Found]) -> None:
    loaded, lines = mixed
    assert [[line["BilledCost"] for line in of] for of in lines[WITHOUT]] == [[Decimal("10.5")]] * len(
        NOTHING
    )
    assert loaded.issues.filter(action="rejected").is_empty()


# (changes, category, class, frequency, list cost)
KINDS = [
    ({"cost_type": "tax"}, "Tax", None, "One-Time", "10.5"),
    ({"cost_type": "adjustment"}, "Adjustment", None, "One-Time", "10.5"),
    ({"cost_type": "adjustment", "usage_start_time": "2026-07-31 00:00:00 UTC"}, "Adjustment", "Correction", "One-Time", "10.5"),
    ({"cost_type": "rounding_error"}, "Adjustment", None, "One-Time", "10.5"),
    ({"sku__description": "Commitment v1: GPU for 1 Year"}, "Purchase", None, "Recurring", None),
    ({"usage_start_time": "2026-08-31 23:00:00 UTC"}, "Usage", None, "Usage-Based", None),  # late, not a correction
    ({"cost_type": None}, "Usage", None, "Usage-Based", None),
]  # fmt: skip


KIND_ROWS = ROWS.add(*(row(**changes) for changes, *_ in KINDS))


def test_each_kind_of_line(typed: tuple[Loaded, Found]) -> None:
    for [line], (changes, category, class_, frequency, list_cost) in zip(
        typed[1][KIND_ROWS], KINDS, strict=True
    ):
        kind = (line["ChargeCategory"], line["ChargeClass"], line["ChargeFrequency"])
        assert kind == (category, class_, frequency), changes
        assert line["ListCost"] == (Decimal(list_cost) if list_cost else None), changes
        assert (line["ConsumedQuantity"] is None) == (category != "Usage"), changes
        priced = (Decimal(1), "hour") if category in ("Usage", "Purchase") else (None, None)
        assert (line["PricingQuantity"], line["PricingUnit"]) == priced, changes


SOLD = ROWS.add(
    row(service__description="Vertex AI", sku__description="Gemini 2.5 Pro Text Input - Predictions"),
    row(service__description="Vertex AI", sku__description="Training/Pipelines on A100"),
    row(sku__description="Spot Preemptible A100 GPU"),
    row(transaction_type="THIRD_PARTY_RESELLER", seller_name="Acme"),
)


def test_models_spot_and_marketplace(typed: tuple[Loaded, Found]) -> None:
    found = [line for [line] in typed[1][SOLD]]
    assert [r["x_tier"] for r in found] == ["api", "cloud", "cloud", "cloud"]
    assert [r["ServiceCategory"] for r in found[:2]] == ["AI and Machine Learning"] * 2
    assert [r["PricingCategory"] for r in found] == ["Standard", "Standard", "Dynamic", "Standard"]
    assert found[3]["ServiceProviderName"] == "Acme"


def test_credits_are_in_the_totals_and_make_no_rows_of_the_file(typed: tuple[Loaded, Found]) -> None:
    """14 rows of 10.5 each, of which one has credits of 3 and 0.25, one of 7.2 and one of 2: 147 - 3.25 + 9.2."""
    loaded, _ = typed
    assert (loaded.rows_read, loaded.rows_loaded) == (16, 18)
    assert loaded.totals == {"USD": Decimal("152.95")}


@pytest.mark.long
def test_every_form_gives_the_same_rows(tmp_path: Path) -> None:
    rows = [row(credits=[CUD, FREE], cost=0.1), row(cost=-2e-7, labels=[{"key": 'a"b', "value": "é,\n'"}])]
    nested = pl.DataFrame(rows, infer_schema_length=None, strict=False).with_columns(
        pl.col("usage_start_time").str.to_datetime("%Y-%m-%d %H:%M:%S UTC", time_zone="UTC"),
    )
    found = {}
    for name in ("a.jsonl", "a.json.gz", "a.parquet", "a.csv", "a.csv.gz"):
        folder = tmp_path / name
        folder.mkdir()
        if name == "a.parquet":
            nested.write_parquet(folder / name)
        elif ".csv" in name:
            write(folder / name, [flat(r) for r in rows])
        else:
            write_lines(folder / name, rows)
        loaded = load(KIND, folder, tmp_path / "x" / name)[SEPTEMBER]
        assert (loaded.rows_read, loaded.rows_loaded) == (2, 4)
        assert loaded.totals == {"USD": Decimal("-3.1500002")}  # 0.1 - 3 - 0.25 - 0.0000002
        found[name] = facts(loaded).sort("BilledCost")
    for name, frame in found.items():
        assert frame.equals(found["a.jsonl"]), name
    assert json.loads(found["a.csv"]["Tags"].to_list()[2])['a"b'] == "é,\n'"


def test_columns_that_come_later_or_only_in_some_rows(tmp_path: Path) -> None:
    write_lines(tmp_path / "bills" / "a.jsonl", [row(project=None, cost_type=None) for _ in range(1200)])
    write_lines(
        tmp_path / "bills" / "b.jsonl", [*(row(project=None) for _ in range(1200)), row(new_column={"x": 1})]
    )
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal("10.5") * 2401}
    assert facts(loaded)["SubAccountId"].drop_nulls().to_list() == ["p-1"]


ANCESTORS = [{"resource_name": "folders/7", "display_name": "Vision"}, {"resource_name": "organizations/1"}]
ADJUSTMENT = {"id": "a-1", "description": "refund", "mode": "COMPLETE_NEGATION", "type": "GENERAL_ADJUSTMENT"}


@pytest.mark.parametrize("form", ["a.jsonl", "a.parquet", "a.csv"])
def test_ancestry_of_the_project_and_adjustments_stay_beside_focus(form: str, tmp_path: Path) -> None:
    native = row(cost_type="adjustment", adjustment_info=ADJUSTMENT, credits=[FREE])
    native["project"] |= {"ancestry_numbers": "/1/7/", "ancestors": ANCESTORS}
    plain = row()
    plain["project"] |= {"ancestry_numbers": "", "ancestors": []}
    (tmp_path / "bills").mkdir()
    if form == "a.parquet":
        pl.DataFrame([native, plain], infer_schema_length=None).write_parquet(tmp_path / "bills" / form)
    elif form == "a.csv":
        names = list(flat(native))
        write(tmp_path / "bills" / form, [flat(native), dict.fromkeys(names, "") | flat(plain)], header=names)
    else:
        write_lines(tmp_path / "bills" / form, [native, plain])
    loaded = load(KIND, tmp_path / "bills", tmp_path)[SEPTEMBER]
    adjusted, credit, usage = facts(loaded).sort("ChargeCategory").to_dicts()
    for found in (adjusted, credit):  # a credit is of the same project
        assert found["x_project_ancestry_numbers"] == "/1/7/"
        named = [
            {k: v for k, v in a.items() if v is not None} for a in json.loads(found["x_project_ancestors"])
        ]
        assert named == ANCESTORS
        assert json.loads(found["x_adjustment_info"]) == ADJUSTMENT
    beside = ("x_project_ancestors", "x_project_ancestry_numbers", "x_adjustment_info")
    assert [usage[c] for c in beside] == [None] * 3
    assert loaded.totals == {"USD": Decimal("20.75")}  # 2 x 10.5 - 0.25
    assert not [name for name in ("adjustment", "ancest") if name in loaded.note]  # columns not used


KEYED = {"key": "team", "value": "a"}
LABELLED = MIXED.add(
    *(
        row(labels=x, system_labels=[], project={"id": "p"})
        for x in ("nonsense", [{"key": None, "value": "x"}], {"team": "a"}, [1, "x"], [KEYED, {"value": "x"}])
    ),
    row(labels="nonsense", system_labels=[], project={"id": "p", "labels": [KEYED]}),
)


def test_labels_that_are_no_labels_are_counted(mixed: tuple[Loaded, Found]) -> None:
    loaded, lines = mixed
    assert [line["Tags"] for [line] in lines[LABELLED]] == [
        None, None, '{"team":"a"}', None, '{"team":"a"}', '{"gcp:project.team":"a"}',
    ]  # fmt: skip
    assert counted(loaded)["repaired", "malformed_tags", "Tags"] == 5  # all but the object
