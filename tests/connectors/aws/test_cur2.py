"""CUR 2.0 from Data Exports: current deliveries, maps, the same rules as the legacy report, and bad input."""

from __future__ import annotations

import json
import shutil
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.base import Loaded, SourceError, require_ready
from tests.connectors.aws.exports import BASE, csv, export, parquet, row
from tests.connectors.bills.helpers import WINDOW, counted, cur, facts, load, reader, write

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


@pytest.mark.parametrize("form", FORMS)
def test_each_kind_of_line_costs_what_it_does_in_the_legacy_report(form: str, tmp_path: Path) -> None:
    rows = [row(line_item_line_item_type=kind, **more) for kind, more, *_ in KINDS]
    export(tmp_path / "bucket", {form: rows})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    found = facts(loaded).select("BilledCost", "EffectiveCost", "ListCost", "ChargeCategory").rows()
    assert found == [(Decimal(b), Decimal(e), Decimal(lc), category) for _, _, b, e, lc, category in KINDS]
    assert loaded.totals == {"USD": sum((Decimal(k[2]) for k in KINDS), Decimal(0))}
    assert loaded.issues.is_empty()


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


@pytest.mark.parametrize("form", FORMS)
def test_tags_of_the_map_whatever_they_contain(form: str, tmp_path: Path) -> None:
    tags: list[Any] = [
        {
            "user_team": 'a "b",\n c\\',
            "user:Project": 'x,"user_',
            "aws_createdBy": "root",
            "user_aws_zone": "z",
        },
        {"user_team": "", "user_it's": ',{"user_x":""}'},
        {"user_team": ""},
        {},
    ]
    export(tmp_path / "bucket", {form: [row(resource_tags=t) for t in tags]})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    first, second, *others = facts(loaded)["Tags"]
    assert json.loads(first) == {
        "team": 'a "b",\n c\\', "Project": 'x,"user_', "aws:createdBy": "root", "aws_zone": "z",
    }  # fmt: skip
    assert json.loads(second) == {"it's": ',{"user_x":""}'}
    assert others == [None, None]
    assert loaded.issues.is_empty()


def test_maps_are_read_and_only_tags_become_tags(tmp_path: Path) -> None:
    maps: dict[str, Any] = {
        "product": {"product_name": "Amazon EC2", "region": "eu-west-1", "capacitystatus": "UnusedCapacityReservation"},
        "cost_category": {"team": "other"}, "discount": {"edp": "0.1"}, "resource_tags": {"user_team": "vision"},
    }  # fmt: skip
    for form in FORMS:
        export(tmp_path / form / "bucket", {form: [row(product_region_code=None, **maps)]})
        (loaded,) = load("aws_cur2", tmp_path / form / "bucket", tmp_path / form).values()
        found = facts(loaded).row(0, named=True)
        assert (found["ServiceName"], found["RegionId"], found["x_cost_kind"]) == (
            "Amazon EC2",
            "eu-west-1",
            "idle",
        )
        assert (found["Tags"], found["BilledCost"]) == ('{"team":"vision"}', Decimal(10))


def test_marketplace_is_sold_by_the_seller_and_invoiced_by_aws(tmp_path: Path) -> None:
    sold = row(bill_billing_entity="AWS Marketplace", line_item_legal_entity="Red Hat")
    export(tmp_path / "bucket", {FORMS[0]: [sold]})
    found = facts(load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]).row(0, named=True)
    assert (found["ServiceProviderName"], found["InvoiceIssuerName"]) == ("Red Hat", "AWS Marketplace")


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


def test_doubles_are_the_decimals_they_are_written_as(tmp_path: Path) -> None:
    costs = [
        0.1,
        1e-12,
        2.5e-12,
        1.25e-11,
        0.1 + 0.2,
        999.999999999999,
        1000.1,
        12345678.9,
        1646.4954,
        -0.0,
        1e15 / 7,
    ]
    export(tmp_path / "bucket", {FORMS[0]: [row(line_item_unblended_cost=c) for c in costs]})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    expected = [Decimal(repr(c)).quantize(Decimal("1e-12"), "ROUND_HALF_UP") for c in costs]
    assert facts(loaded)["BilledCost"].to_list() == expected
    assert loaded.totals == {"USD": sum(expected, Decimal(0))}


def test_create_new_delivery_counts_the_current_execution_only(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FORMS[0]: [row()]}, execution="20260902T000000Z-e1")
    export(root, {FORMS[0]: [row(), row()]}, execution="20260903T000000Z-e2")
    (item,) = reader("aws_cur2", root, tmp_path).slices(WINDOW)
    assert [o.key.split("/")[-2] for o in item.objects] == ["20260903T000000Z-e2"]
    (root / "cur2/gpu/metadata/BILLING_PERIOD=2026-09/gpu-Manifest.json").unlink()
    assert reader("aws_cur2", root, tmp_path).slices(WINDOW) == [
        item.__class__(**{**item.__dict__, "detail": {"manifests": "cur2/gpu/metadata/BILLING_PERIOD=2026-09/20260903T000000Z-e2/gpu-Manifest.json"}})
    ]  # fmt: skip


def test_overwritten_delivery_leaves_out_what_the_manifest_does_not_name(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FORMS[0]: [row()], "gpu-00002.snappy.parquet": [row()]})
    export(root, {FORMS[0]: [row(line_item_unblended_cost=3.0)]})  # smaller now; the second file is left over
    assert load("aws_cur2", root, tmp_path)[SEPTEMBER].totals == {"USD": Decimal(3)}


def test_a_final_month_says_so_and_names_its_payer(tmp_path: Path) -> None:
    export(tmp_path / "a", {FORMS[0]: [row(bill_invoice_id="7")]})
    export(tmp_path / "b", {FORMS[0]: [row(bill_invoice_id="7"), row()]})
    final = load("aws_cur2", tmp_path / "a", tmp_path / "x")[SEPTEMBER].note
    assert final == "final: every row has an invoice; payer accounts: 000111122223"
    open_ = load("aws_cur2", tmp_path / "b", tmp_path / "y")[SEPTEMBER].note
    assert open_.startswith("not final: 1 of 2 rows have no invoice yet")


def test_two_exports_of_one_account_and_month_would_count_twice(tmp_path: Path) -> None:
    export(tmp_path / "bucket", {FORMS[0]: [row()]}, name="one")
    export(tmp_path / "bucket", {FORMS[0]: [row()]}, name="two")
    with pytest.raises(SourceError, match=r"count twice; set `export` to one of 'one' and 'two'"):
        reader("aws_cur2", tmp_path / "bucket", tmp_path).slices(WINDOW)
    assert load("aws_cur2", tmp_path / "bucket", tmp_path, export="two")[SEPTEMBER].rows_read == 1


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


@pytest.mark.parametrize("type_", ["BIGINT", "DOUBLE", "DECIMAL(18,0)"])
def test_accounts_that_became_numbers_get_their_zeros_back(type_: str, tmp_path: Path) -> None:
    path = parquet(tmp_path / "text.parquet", [row()])
    target = tmp_path / "bills" / "a.parquet"
    target.parent.mkdir()
    accounts = ", ".join(f"CAST({c} AS {type_}) AS {c}" for c in BASE if c.endswith("_account_id"))
    duckdb.execute(f"COPY (SELECT * REPLACE ({accounts}) FROM '{path}') TO '{target}' (FORMAT parquet)")
    found = facts(load("aws_cur2", target.parent, tmp_path)[SEPTEMBER]).row(0, named=True)
    assert (found["BillingAccountId"], found["SubAccountId"]) == ("000111122223", "000111122224")


def test_currencies_are_never_added(tmp_path: Path) -> None:
    export(tmp_path / "bucket", {FORMS[0]: [row(), row(line_item_currency_code="CNY")]})
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(10), "CNY": Decimal(10)}


def test_not_ready_and_damaged_manifests(tmp_path: Path) -> None:
    root = tmp_path / "bucket"
    export(root, {FORMS[0]: [row()]})
    path = root / "cur2/gpu/metadata/BILLING_PERIOD=2026-09/gpu-Manifest.json"
    whole = json.loads(path.read_text())
    other = [f.replace("2026-09", "2026-08") for f in whole["dataFiles"]]
    cases = {
        "is damaged": "{",
        "no list `dataFiles`": json.dumps({"reportKeys": []}),
        "names no file": json.dumps(whole | {"dataFiles": []}),
        "not ready.*gpu-9": json.dumps(whole | {"dataFiles": [*whole["dataFiles"], "s3://b/cur2/gpu/data/BILLING_PERIOD=2026-09/gpu-9.parquet"]}),
        "of another month": json.dumps(whole | {"dataFiles": other}),
        "a file twice": json.dumps(whole | {"dataFiles": whole["dataFiles"] * 2}),
        "holds no export of this kind": json.dumps(whole | {"columns": [{"name": "BilledCost"}]}),
    }  # fmt: skip
    for words, content in cases.items():
        path.write_text(content)
        with pytest.raises(SourceError, match=words):
            require_ready(reader("aws_cur2", root, tmp_path).slices(WINDOW))


def test_files_without_manifest_count_unless_they_are_of_two_executions(tmp_path: Path) -> None:
    data = tmp_path / "bucket" / "data" / "BILLING_PERIOD=2026-09"
    parquet(data / "20260902T000000Z-e1" / "a.parquet", [row()])
    assert load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER].totals == {"USD": Decimal(10)}
    parquet(data / "20260903T000000Z-e2" / "a.parquet", [row(), row()])
    with pytest.raises(SourceError, match="different runs of one export"):
        reader("aws_cur2", tmp_path / "bucket", tmp_path).slices(WINDOW)


STATES = [[row(line_item_unblended_cost=float(n))] * n for n in (1, 2, 3)]


@pytest.mark.long
@settings(
    max_examples=settings.default.max_examples // 4,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.integers(0, 2), min_size=1, max_size=4), st.booleans())
def test_any_sequence_of_deliveries_ends_as_if_only_the_last_had_come(
    tmp_path: Path, order: list[int], new_folders: bool
) -> None:
    shutil.rmtree(tmp_path / "bucket", ignore_errors=True)
    for turn, state in enumerate(order):
        execution = f"2026090{turn + 1}T000000Z-e" if new_folders else ""
        export(tmp_path / "bucket", {FORMS[0]: STATES[state]}, execution=execution)
    loaded = load("aws_cur2", tmp_path / "bucket", tmp_path)[SEPTEMBER]
    n = order[-1] + 1
    assert facts(loaded)["BilledCost"].to_list() == [Decimal(n)] * n
    assert loaded.totals == {"USD": Decimal(n * n)}


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
