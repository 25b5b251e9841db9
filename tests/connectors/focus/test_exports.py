"""Which files of a FOCUS location count: native exports with manifests, runs without, other datasets, versions."""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from connectors.base import SourceError, require_ready
from tests.connectors.bills.helpers import WINDOW, facts, focus, load, reader, write

SEPTEMBER = date(2026, 9, 1)
RUNS = ("11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222")


def aws_export(root: Path, costs: list[str], *, extra: str = "") -> None:
    """Delivers September as AWS Data Exports does, over what was there."""
    data, meta = (f"focus/gpu/{kind}/BILLING_PERIOD=2026-09" for kind in ("data", "metadata"))
    (root / data).mkdir(parents=True, exist_ok=True)
    pl.DataFrame([focus(BilledCost=c) for c in costs]).write_parquet(root / data / "gpu-1.snappy.parquet")
    manifest = {
        "columns": [{"name": c} for c in focus()],
        "dataFiles": [f"s3://acme/{data}/gpu-1.snappy.parquet"]
        + ([f"s3://acme/{data}/{extra}"] if extra else []),
    }
    (root / meta).mkdir(parents=True, exist_ok=True)
    (root / meta / "gpu-Manifest.json").write_text(json.dumps(manifest))


def azure_run(root: Path, run: str, at: str, costs: list[str], *, kind: str = "FocusCost") -> None:
    """A run of an Azure FOCUS export of September."""
    folder = f"exports/focus/20260901-20260930/{run}"
    write(root / folder / "part_0_0001.csv", [focus(BilledCost=c) for c in costs])
    manifest = {
        "blobs": [{"blobName": f"{folder}/part_0_0001.csv"}],
        "dataRowCount": None,
        "exportConfig": {
            "type": kind,
            "resourceId": "/subscriptions/s/providers/Microsoft.CostManagement/exports/f",
        },
        "runInfo": {"submittedTime": at, "startDate": "2026-09-01T00:00:00"},
    }
    (root / folder / "manifest.json").write_text(json.dumps(manifest))


def test_aws_focus_export_counts_what_its_manifest_names(tmp_path: Path) -> None:
    aws_export(tmp_path / "b", ["1", "2"])
    pl.DataFrame([focus()]).write_parquet(
        tmp_path / "b/focus/gpu/data/BILLING_PERIOD=2026-09/gpu-2.snappy.parquet"
    )
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(3)}
    aws_export(tmp_path / "b", ["1"], extra="gpu-3.snappy.parquet")
    with pytest.raises(SourceError, match=r"not ready.*gpu-3"):
        require_ready(reader("focus", tmp_path / "b", tmp_path).slices(WINDOW))


def test_azure_focus_export_counts_the_newest_run_only(tmp_path: Path) -> None:
    azure_run(tmp_path / "b", RUNS[0], "2026-09-03T01:00:00Z", ["1", "2", "3"])
    azure_run(tmp_path / "b", RUNS[1], "2026-09-02T01:00:00Z", ["1", "2"])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(6)}
    assert loaded.rows_read == 3


def test_azure_manifest_of_another_export_is_refused(tmp_path: Path) -> None:
    azure_run(tmp_path / "b", RUNS[0], "2026-09-03T01:00:00Z", ["1"], kind="ActualCost")
    with pytest.raises(SourceError, match="actualcost"):
        reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)


def test_files_beside_exports_that_no_manifest_names_are_refused(tmp_path: Path) -> None:
    azure_run(tmp_path / "b", RUNS[0], "2026-09-03T01:00:00Z", ["1"])
    write(tmp_path / "b" / "other.csv", [focus()])
    with pytest.raises(SourceError, match=r"other\.csv is named by no manifest"):
        reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)


@pytest.mark.parametrize(
    "names", [RUNS, ("20260902T0100", "20260903T0100"), ("202609020100", "202609030100")]
)
def test_two_runs_without_a_manifest_are_refused(names: tuple[str, str], tmp_path: Path) -> None:
    for n, name in enumerate(names):
        write(tmp_path / "b" / "focus" / name / "part.csv", [focus()] * (n + 1))
    with pytest.raises(SourceError, match=r"different runs of one export and both bill 2026-09"):
        load("focus", tmp_path / "b", tmp_path)


def test_of_two_runs_without_a_manifest_the_one_that_reaches_further_counts(tmp_path: Path) -> None:
    """Two parts a run; the second has the third day, too: 1 + 2, then 1 + 2 + 3."""
    days = [
        focus(BilledCost=str(n), ChargePeriodStart=f"2026-09-0{n}T00:00:00Z", ChargePeriodEnd=f"2026-09-0{n + 1}T00:00:00Z")
        for n in (1, 2, 3)
    ]  # fmt: skip
    for name, parts in (("202609030100", days[:2]), ("202609040100", [days[0], days[2], days[1]])):
        for n, row in enumerate(parts):
            write(tmp_path / "b" / "focus" / "20260901-20260930" / name / f"part_{n}_0001.csv", [row])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(6)}
    assert loaded.issues.filter(rule="superseded_file")["billed_cost"].sum() == Decimal(3)


def test_runs_of_different_exports_or_months_are_all_counted(tmp_path: Path) -> None:
    october = focus(BillingPeriodStart="2026-10-01", BillingPeriodEnd="2026-11-01", BilledCost="4")
    write(tmp_path / "b" / "x" / RUNS[0] / "part.csv", [focus(BilledCost="1")])
    write(tmp_path / "b" / "x" / RUNS[1] / "part.csv", [october])
    write(tmp_path / "b" / "y" / RUNS[1] / "part.csv", [focus(BilledCost="2")])
    loaded = load("focus", tmp_path / "b", tmp_path)
    assert [loaded[m].totals["USD"] for m in sorted(loaded)] == [Decimal(3), Decimal(4)]


def test_contract_commitments_alone_are_no_bill(tmp_path: Path) -> None:
    write(tmp_path / "b" / "commitments.csv", [{"ContractCommitmentId": "c", "BillingCurrency": "USD"}])
    with pytest.raises(SourceError, match="only other datasets of FOCUS"):
        reader("focus", tmp_path / "b", tmp_path).slices(WINDOW)


def test_1_4_without_provider_name_and_with_allocation(tmp_path: Path) -> None:
    row = focus(
        ServiceProviderName="AWS",
        HostProviderName="AWS",
        AllocatedMethodId="m",
        AllocatedResourceId="pod/a",
        AllocatedTags='{"pod": "a"}',
        InvoiceDetailId="d",
        AllocatedMethodDetails='{"Elements":[{"AllocatedRatio":1,"UsageUnit":"CPU","UsageQuantity":0.5}]}',
    )
    del row["ProviderName"]
    write(tmp_path / "b" / "a.csv", [row])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    found = facts(loaded).row(0, named=True)
    assert (found["ServiceProviderName"], found["AllocatedResourceId"], found["InvoiceDetailId"]) == (
        "AWS",
        "pod/a",
        "d",
    )
    assert json.loads(found["AllocatedMethodDetails"])["Elements"][0]["AllocatedRatio"] == 1
    assert loaded.issues.is_empty()


def test_1_0r2_of_azure_spells_dates_and_has_columns_of_its_own(tmp_path: Path) -> None:
    write(tmp_path / "b" / "a.csv", [focus(x_ResourceGroupName="rg", BillingPeriodStart="2026-09-01T00:00Z")])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.rows_loaded == 1
    assert "x_ResourceGroupName" in loaded.note


def test_typed_parquet_gives_the_same_facts_as_csv(tmp_path: Path) -> None:
    rows = [focus(BilledCost="0.1", ListCost="2.5"), focus(AvailabilityZone="N/A"), focus(SubAccountName="")]
    write(tmp_path / "a" / "a.csv", rows)
    numbers = [c for c in focus() if c.endswith("Cost") or c.endswith("Quantity")]
    frame = pl.DataFrame(rows).with_columns(
        pl.col(numbers).cast(pl.Float64),
        pl.col("ChargePeriodStart", "BillingPeriodStart").str.to_datetime(time_zone="UTC"),
    )
    (tmp_path / "b").mkdir()
    frame.write_parquet(tmp_path / "b" / "a.parquet")
    text = load("focus", tmp_path / "a", tmp_path / "x")[SEPTEMBER]
    typed = load("focus", tmp_path / "b", tmp_path / "y")[SEPTEMBER]
    assert facts(typed).equals(facts(text))
    assert typed.issues.drop("location").equals(text.issues.drop("location"))


def test_virtual_currency_prices_are_not_added_to_money(tmp_path: Path) -> None:
    tokens = focus(
        PricingCurrency="ACME Tokens", PricingCurrencyEffectiveCost="500", PricingUnit="Hours", BilledCost="0"
    )
    write(tmp_path / "b" / "a.csv", [focus(BilledCost="200000"), tokens])
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    assert loaded.totals == {"USD": Decimal(200000)}
    found = facts(loaded).row(1, named=True)
    assert (found["PricingCurrency"], found["PricingCurrencyEffectiveCost"]) == ("ACME Tokens", Decimal(500))


def test_the_customer_of_a_partner_in_azures_focus(tmp_path: Path) -> None:
    """Of two customers one has 1.5 + 4, the other 2; a row without one stays."""
    rows = [
        focus(x_CustomerId="AB-1", x_CustomerName="Zoë", x_ResellerId="0042", x_ResellerName="Fabrikam"),
        focus(x_CustomerId="ab-1", x_CustomerName="Zoë", BilledCost="4"),
        focus(x_CustomerId="cd-2", x_CustomerName="Yan", BilledCost="2"),
        focus(x_CustomerName="NULL", BilledCost="8"),
    ]
    write(tmp_path / "b" / "a.csv", rows)
    loaded = load("focus", tmp_path / "b", tmp_path)[SEPTEMBER]
    found = facts(loaded).group_by("x_customer_id", "x_customer_name").agg(pl.col("BilledCost").sum())
    assert {*found.iter_rows()} == {("ab-1", "Zoë", Decimal("5.5")), ("cd-2", "Yan", 2), (None, None, 8)}
    assert facts(loaded).filter(pl.col("x_reseller_id") == "0042")["x_reseller_name"].to_list() == [
        "Fabrikam"
    ]
    assert "x_Customer" not in loaded.note
