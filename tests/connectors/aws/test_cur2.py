"""CUR 2.0 from Data Exports: maps, the same rules as the legacy report, and bad input; `test_cur2_deliveries.py` has the rest."""

from __future__ import annotations

import json
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest

from connectors.base import Loaded, SourceError
from tests.connectors.aws.exports import BASE, csv, export, parquet, row
from tests.connectors.bills.helpers import Rows, counted, cur, facts, load, write

SEPTEMBER = date(2026, 9, 1)
PLAN = "arn:aws:savingsplans::1:savingsplan/x"
RESERVED = "arn:aws:ec2:us-east-1:1:reserved-instances/y"
FORMS = ["gpu-00001.snappy.parquet", "gpu-00001.csv.gz"]

# (kind, columns, BilledCost, EffectiveCost, ListCost, category): worked out by hand from AWS's own rules
KINDS: list[tuple[str, dict[str, Any], str, str, str, str]] = [
    ("Usage", {}, "10", "10", "12", "Usage"),
    ("SavingsPlanCoveredUsage", {"savings_plan_savings_plan_a_r_n": PLAN, "savings_plan_savings_plan_effective_cost": 6.1}, "10", "6.1", "12", "Usage"),
    ("SavingsPlanNegation", {"savings_plan_savings_plan_a_r_n": PLAN, "line_item_unblended_cost": -10.0}, "-10", "0", "0", "Usage"),
    ("SavingsPlanUpfrontFee", {"savings_plan_savings_plan_a_r_n": PLAN}, "10", "0", "10", "Purchase"),
    ("SavingsPlanRecurringFee", {"savings_plan_savings_plan_a_r_n": PLAN, "savings_plan_total_commitment_to_date": 10.0, "savings_plan_used_commitment": 7.4}, "10", "2.6", "10", "Purchase"),
    ("DiscountedUsage", {"reservation_reservation_a_r_n": RESERVED, "line_item_unblended_cost": 0.0, "reservation_effective_cost": 4.2}, "0", "4.2", "12", "Usage"),
    ("RIFee", {"reservation_reservation_a_r_n": RESERVED, "reservation_unused_amortized_upfront_fee_for_billing_period": 1.25, "reservation_unused_recurring_fee": 0.5}, "10", "1.75", "10", "Purchase"),
    ("Fee", {"reservation_reservation_a_r_n": RESERVED}, "10", "0", "10", "Purchase"),
    ("Refund", {"line_item_unblended_cost": -3.3}, "-3.3", "-3.3", "-3.3", "Adjustment"),
    ("Credit", {"line_item_unblended_cost": -2.0}, "-2", "-2", "-2", "Credit"),
    ("EdpDiscount", {"line_item_unblended_cost": -0.7}, "-0.7", "-0.7", "-0.7", "Credit"),
    ("Tax", {"line_item_unblended_cost": 0.19}, "0.19", "0.19", "0.19", "Tax"),
]  # fmt: skip


ROWS = Rows()
Bills = dict[str, tuple[Loaded, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def bills(tmp_path_factory: pytest.TempPathFactory) -> Bills:
    """Form -> a delivery of `ROWS`, each with its place as its resource, and what each becomes."""
    found: Bills = {}
    for form in FORMS:
        folder = tmp_path_factory.mktemp("rows")
        rows = [r | {"line_item_resource_id": str(n)} for n, r in enumerate(ROWS.all)]
        export(folder / "bucket", {form: rows})
        loaded = load("aws_cur2", folder / "bucket", folder)[SEPTEMBER]
        found[form] = loaded, sorted(facts(loaded).to_dicts(), key=lambda line: int(line["ResourceId"]))
        assert len(found[form][1]) == len(rows)
    return found


KIND_ROWS = ROWS.add(*(row(line_item_line_item_type=kind, **more) for kind, more, *_ in KINDS))


@pytest.mark.parametrize("form", FORMS)
def test_each_kind_of_line_costs_what_it_does_in_the_legacy_report(form: str, bills: Bills) -> None:
    names = ("BilledCost", "EffectiveCost", "ListCost", "ChargeCategory")
    found = [tuple(line[name] for name in names) for line in bills[form][1][KIND_ROWS]]
    assert found == [(Decimal(b), Decimal(e), Decimal(lc), category) for _, _, b, e, lc, category in KINDS]


def test_parquet_csv_and_legacy_give_the_same_facts(tmp_path: Path) -> None:
    export(tmp_path / "a", {FORMS[0]: [row()]})
    export(tmp_path / "b", {FORMS[1]: [row()]})
    write(tmp_path / "c" / "legacy.csv", [cur()])
    two = [facts(load("aws_cur2", tmp_path / p, tmp_path / f"t{p}")[SEPTEMBER]) for p in "ab"]
    legacy = facts(load("aws_cur", tmp_path / "c", tmp_path / "tc")[SEPTEMBER])
    assert two[0].equals(two[1])
    assert two[0].equals(legacy)
    assert two[0]["Tags"].to_list() == ['{"team":"vision"}']
    assert two[0]["SubAccountId"].to_list() == ["000111122224"]


TAGGED = ROWS.add(
    row(resource_tags={"user_team": 'a "b",\n c\\', "user:Project": 'x,"user_', "aws_createdBy": "root", "user_aws_zone": "z"}),
    row(resource_tags={"user_team": "", "user_it's": ',{"user_x":""}'}),
    row(resource_tags={"user_team": ""}),
    row(resource_tags={}),
)  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_tags_of_the_map_whatever_they_contain(form: str, bills: Bills) -> None:
    first, second, *others = [line["Tags"] for line in bills[form][1][TAGGED]]
    assert json.loads(first) == {
        "team": 'a "b",\n c\\', "Project": 'x,"user_', "aws:createdBy": "root", "aws_zone": "z",
    }  # fmt: skip
    assert json.loads(second) == {"it's": ',{"user_x":""}'}
    assert others == [None, None]


MAPS: dict[str, Any] = {
    "product": {"product_name": "Amazon EC2", "region": "eu-west-1", "capacitystatus": "UnusedCapacityReservation"},
    "cost_category": {"team": "other"}, "discount": {"edp": "0.1"}, "resource_tags": {"user_team": "vision"},
}  # fmt: skip
MAPPED = ROWS.add(row(product_region_code=None, **MAPS))


@pytest.mark.parametrize("form", FORMS)
def test_maps_are_read_and_only_tags_become_tags(form: str, bills: Bills) -> None:
    [found] = bills[form][1][MAPPED]
    of_product = (found["ServiceName"], found["RegionId"], found["x_cost_kind"])
    assert of_product == ("Amazon EC2", "eu-west-1", "idle")
    assert (found["Tags"], found["BilledCost"]) == ('{"team":"vision"}', Decimal(10))


SOLD = ROWS.add(row(bill_billing_entity="AWS Marketplace", line_item_legal_entity="Red Hat"))


@pytest.mark.parametrize("form", FORMS)
def test_marketplace_is_sold_by_the_seller_and_invoiced_by_aws(form: str, bills: Bills) -> None:
    [found] = bills[form][1][SOLD]
    assert (found["ServiceProviderName"], found["InvoiceIssuerName"]) == ("Red Hat", "AWS Marketplace")


COSTS = [0.1, 1e-12, 2.5e-12, 1.25e-11, 0.1 + 0.2, 999.999999999999, 1000.1, 12345678.9, 1646.4954, -0.0, 1e15 / 7]  # fmt: skip
DECIMALS = [Decimal(repr(c)).quantize(Decimal("1e-12"), "ROUND_HALF_UP") for c in COSTS]
DOUBLES = ROWS.add(*(row(line_item_unblended_cost=c) for c in COSTS))


@pytest.mark.parametrize("form", FORMS)
def test_doubles_are_the_decimals_they_are_written_as(form: str, bills: Bills) -> None:
    assert [line["BilledCost"] for line in bills[form][1][DOUBLES]] == DECIMALS


YUAN = ROWS.add(row(line_item_currency_code="CNY"))


@pytest.mark.parametrize("form", FORMS)
def test_currencies_are_never_added_and_nothing_is_wrong_with_these_rows(form: str, bills: Bills) -> None:
    """In USD the kinds of line, the doubles, and 4 + 1 + 1 rows of 10 of tags, maps and the marketplace."""
    loaded, lines = bills[form]
    usd = sum((Decimal(k[2]) for k in KINDS), Decimal(60)) + sum(DECIMALS, Decimal(0))
    assert loaded.totals == {"USD": usd, "CNY": Decimal(10)}
    assert [line["BillingCurrency"] for line in lines[YUAN]] == ["CNY"]
    assert loaded.issues.is_empty()


def test_split_lines_of_containers_are_left_out_because_their_parent_has_the_cost(tmp_path: Path) -> None:
    rows = [row(), row(split_line_item_parent_resource_id="i-1", line_item_unblended_cost=7.0)]
    export(tmp_path / "bucket", {FORMS[0]: rows})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert (loaded.rows_read, loaded.rows_loaded, loaded.totals) == (2, 1, {"USD": Decimal(10)})
    assert counted(loaded) == {("flagged", "repeats_parent_cost", "BilledCost"): 1}


def test_columns_not_selected_are_null(tmp_path: Path) -> None:
    few = (
        "line_item_unblended_cost", "line_item_currency_code", "line_item_line_item_type",
        "line_item_usage_start_date", "line_item_usage_end_date", "line_item_usage_account_id",
        "bill_billing_period_start_date", "bill_billing_period_end_date",
    )  # fmt: skip
    export(tmp_path / "bucket", {FORMS[0]: [{k: row()[k] for k in few}]})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    found = facts(loaded).row(0, named=True)
    assert (found["BilledCost"], found["EffectiveCost"]) == (Decimal(10), Decimal(10))
    assert [found[c] for c in ("Tags", "ResourceId", "ServiceName", "ListCost")] == [None] * 4
    assert counted(loaded)["flagged", "missing_mandatory", "ListCost"] == 1


def test_a_final_month_says_so_and_names_its_payer(tmp_path: Path) -> None:
    export(tmp_path / "a", {FORMS[0]: [row(bill_invoice_id="7")]})
    export(tmp_path / "b", {FORMS[0]: [row(bill_invoice_id="7"), row()]})
    final = load("aws_cur2", tmp_path / "a", tmp_path / "x")[SEPTEMBER].note
    assert final == "final: every row has an invoice; payer accounts: 000111122223"
    open_ = load("aws_cur2", tmp_path / "b", tmp_path / "y")[SEPTEMBER].note
    assert open_.startswith("not final: 1 of 2 rows have no invoice yet")


BAD_ROWS: list[tuple[dict[str, Any], str, str]] = [
    ({"line_item_unblended_cost": float("nan")}, "not_a_number", "BilledCost"),
    ({"line_item_unblended_cost": float("inf")}, "not_a_number", "BilledCost"),
    ({"line_item_unblended_cost": 1e30}, "not_a_number", "BilledCost"),
    ({"line_item_unblended_cost": None}, "missing_value", "BilledCost"),
    ({"line_item_currency_code": None}, "missing_value", "BillingCurrency"),
    ({"line_item_line_item_type": "Surprise"}, "unknown_charge_category", "ChargeCategory"),
    ({"line_item_usage_start_date": None}, "missing_value", "ChargePeriodStart"),
    ({"line_item_usage_end_date": datetime(2026, 8, 1)}, "period_ends_before_start", "ChargePeriodEnd"),  # noqa: DTZ001
    ({"line_item_usage_end_date": datetime(1999, 8, 1)}, "bad_date", "ChargePeriodEnd"),  # noqa: DTZ001
    ({"bill_billing_period_start_date": datetime(2026, 8, 1)}, "unexpected_month", "BillingPeriodStart"),  # noqa: DTZ001
    ({"line_item_line_item_type": "SavingsPlanCoveredUsage", "savings_plan_savings_plan_effective_cost": None}, "missing_value", "EffectiveCost"),
]  # fmt: skip


@pytest.fixture(scope="module")
def bad_rows(tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    """A good row, one of each that has no meaning, and a good row."""
    folder = tmp_path_factory.mktemp("rows")
    export(folder / "bucket", {FORMS[0]: [row(), *(row(**change) for change, *_ in BAD_ROWS), row()]})
    return load("aws_cur2", folder / "bucket", folder)[SEPTEMBER]


@pytest.mark.parametrize("place", range(len(BAD_ROWS)))
def test_a_bad_row_is_named_with_its_place(bad_rows: Loaded, place: int) -> None:
    _, rule, column = BAD_ROWS[place]
    at = pl.col("location").str.ends_with(f".snappy.parquet:{place + 2}")
    [issue] = bad_rows.issues.filter(at).iter_rows(named=True)
    assert (issue["action"], issue["rule"], issue["column_name"]) == ("rejected", rule, column)


def test_rows_beside_bad_ones_are_kept(bad_rows: Loaded) -> None:
    assert sum(counted(bad_rows).values()) == len(BAD_ROWS)
    assert (bad_rows.rows_read, bad_rows.rows_loaded) == (len(BAD_ROWS) + 2, 2)


def _spoil(path: Path, rows: list[dict[str, Any]]) -> None:
    (csv if path.name.endswith(".gz") else parquet)(path, rows)


BAD_FILES = {
    "mandatory column 'line_item_unblended_cost' is missing": [row(line_item_unblended_cost=...)],
    "mandatory column 'line_item_usage_account_id' is missing": [
        row(line_item_usage_account_id=..., line_item_usage_account="1")
    ],
    "twice in different spellings": [row(lineItem_UnblendedCost=1.0)],
}


@pytest.mark.parametrize("words", BAD_FILES)
@pytest.mark.parametrize("form", FORMS)
def test_files_without_meaning_are_refused(form: str, words: str, tmp_path: Path) -> None:
    export(tmp_path / "bucket", {form: [row()]})
    _spoil(tmp_path / "bucket/cur2/gpu/data/BILLING_PERIOD=2026-09" / form, BAD_FILES[words])
    with pytest.raises(SourceError, match=words):
        load("aws_cur2", tmp_path / "bucket", tmp_path)
    assert not list((tmp_path / "work").glob("*"))


@pytest.mark.parametrize("cut", [0, 3, 2000])
def test_partial_objects_are_refused(cut: int, tmp_path: Path) -> None:
    export(tmp_path / "bucket", {FORMS[0]: [row()]})
    path = tmp_path / "bucket/cur2/gpu/data/BILLING_PERIOD=2026-09" / FORMS[0]
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(SourceError, match=r"empty|damaged|missing"):
        load("aws_cur2", tmp_path / "bucket", tmp_path)


def test_malformed_tag_text_is_repaired_and_a_text_cost_rejected(tmp_path: Path) -> None:
    name = FORMS[1]
    rows = [row(resource_tags="{user_team"), row(resource_tags='["x"]'), row(line_item_unblended_cost="ten")]
    export(tmp_path / "bucket", {name: rows})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert counted(loaded) == {
        ("repaired", "malformed_tags", "Tags"): 2,
        ("rejected", "not_a_number", "BilledCost"): 1,
    }


def test_retyped_columns_are_read_as_what_they_say(tmp_path: Path) -> None:
    export(tmp_path / "bucket", {FORMS[0]: [row(line_item_unblended_cost="10.10", pricing_unit=5)]})
    found = facts(load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]).row(0, named=True)
    assert (found["BilledCost"], found["PricingUnit"]) == (Decimal("10.1"), "5")


def test_accounts_that_became_numbers_get_their_zeros_back(tmp_path: Path) -> None:
    target = tmp_path / "bills"
    target.mkdir()
    types = ("BIGINT", "DOUBLE", "DECIMAL(18,0)")
    for n, type_ in enumerate(types):
        path = parquet(tmp_path / f"{n}.parquet", [row(line_item_resource_id=type_)])
        accounts = ", ".join(f"CAST({c} AS {type_}) AS {c}" for c in BASE if c.endswith("_account_id"))
        duckdb.execute(
            f"COPY (SELECT * REPLACE ({accounts}) FROM '{path}') TO '{target / path.name}' (FORMAT parquet)"
        )
    found = facts(load("aws_cur2", target, tmp_path)[SEPTEMBER])
    assert set(found.select("ResourceId", "BillingAccountId", "SubAccountId").rows()) == {
        (type_, "000111122223", "000111122224") for type_ in types
    }


def test_parquet_files_of_different_columns_are_united_by_name(tmp_path: Path) -> None:
    export(
        tmp_path / "bucket",
        {FORMS[0]: [row()], "gpu-00002.snappy.parquet": [row(pricing_unit=..., line_item_resource_id="i-1")]},
    )
    found = facts(load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER])
    assert set(found.select("PricingUnit", "ResourceId").rows()) == {("Hrs", None), (None, "i-1")}
    assert isinstance(found.schema["BilledCost"], pl.Decimal)


@pytest.mark.parametrize("form", FORMS)
def test_maps_that_were_written_anew_as_lists(form: str, tmp_path: Path) -> None:
    """Polars has no maps. A pair without a key is left out and counted, one without a value is no tag of AWS."""
    tags = [
        {"key": "user_team", "value": "vision"}, {"key": None, "value": "lost"}, {"key": "aws_createdBy", "value": "root"},
        {"key": "user_env", "value": ""}, {"key": "user_gpu", "value": None},
    ]  # fmt: skip
    product = [{"key": "product_name", "value": "Elastic"}, {"key": None, "value": "lost"}]
    export(tmp_path / "bills", {form: [row()]})
    file = next(f for f in (tmp_path / "bills").rglob("*") if f.name == form)
    if form.endswith(".parquet"):
        pl.DataFrame([row(resource_tags=tags, product=product)]).write_parquet(file)
    else:
        texts = row(resource_tags=json.dumps(tags), product=json.dumps({"product_name": "Elastic"}))
        csv(file, [texts])
    loaded = load("aws_cur2", tmp_path / "bills", tmp_path)[SEPTEMBER]
    found = facts(loaded).row(0, named=True)
    assert json.loads(found["Tags"]) == {"team": "vision", "aws:createdBy": "root"}
    assert (found["ServiceName"], counted(loaded)) == (
        "Elastic",
        {("repaired", "malformed_tags", "Tags"): 1},
    )
