"""Slices, options, and the rules that turn samples into hours."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import Context, SourceError, Window
from connectors.prometheus.gpu import gap_hours
from connectors.prometheus.question import expected_samples, holders, observed, one_replica
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from tests.connectors.prometheus.server import Answer, ok, serve

HOUR = datetime.fromisoformat("2026-09-01T10:00")


def reader(folder: Path, zone: str = "Europe/Athens", **options: object) -> PrometheusReader:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone=zone, tariff="0.1")})
    settings = {"kind": "prometheus", "url": "http://127.0.0.1:9", "site": "dc1"} | options
    return PrometheusReader(Options.model_validate(settings), context)


def test_only_complete_days_are_offered(tmp_path: Path) -> None:
    source = reader(tmp_path, start="2026-09-01", lateness_hours=2)
    # 3 September ends at 21:00 UTC in Athens
    before = source.slices(Window(date(2026, 9, 3), datetime(2026, 9, 3, 22, 59, tzinfo=UTC)))
    after = source.slices(Window(date(2026, 9, 3), datetime(2026, 9, 3, 23, 0, tzinfo=UTC)))
    assert [s.period.day for s in before] == [1, 2]
    assert [s.period.day for s in after] == [1, 2, 3]
    assert [s.fingerprint for s in after[:2]] == [s.fingerprint for s in before]


def test_the_last_35_days_or_the_days_asked_for(tmp_path: Path) -> None:
    now = datetime(2026, 9, 10, tzinfo=UTC)
    assert len(reader(tmp_path).slices(Window(date(2026, 9, 1), now))) == 36
    asked = reader(tmp_path).slices(Window(date(2026, 9, 1), now, (date(2026, 1, 1), date(2026, 1, 31))))
    assert asked[0].period == date(2026, 1, 1)


def test_fingerprints_follow_what_is_asked_not_how_one_logs_in(tmp_path: Path) -> None:
    window = Window(date(2026, 9, 1), datetime(2026, 9, 10, tzinfo=UTC))

    def mark(**options: object) -> str:
        return reader(tmp_path, **options).slices(window)[0].fingerprint

    same = mark()
    assert mark(bearer_token="secret", timeout_s=5, lateness_hours=3) == same
    assert mark(matchers='cluster="a"') != same
    assert mark(replica_label="replica") != same
    assert mark(zone="Europe/Madrid") != same


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"url": "prometheus:9090"}, "is no http or https URL"),
        ({"username": "u"}, "username and password go together"),
        ({"username": "u", "password": "p", "bearer_token": "t"}, "not both"),
        ({"replica_label": 'a"}'}, "replica_label"),
        ({"urll": "x"}, "urll"),
    ],
)
def test_options_that_cannot_be_right(tmp_path: Path, options: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        reader(tmp_path, **options)


def test_missing_ca_file_is_named(tmp_path: Path) -> None:
    source = reader(tmp_path, ca_file="missing.pem")
    with pytest.raises(SourceError, match=r"missing\.pem is not there"):
        source.check()


def test_partial_data_is_noted_and_flagged(tmp_path: Path) -> None:
    def answer(path: str, params: dict[str, str]) -> Answer:
        return ok([], warnings=["one store is down"])

    with serve(answer) as (url, asked):
        source = reader(tmp_path, url=url, bearer_token="t0ken", start="2026-09-01")
        slices = source.slices(Window(date(2026, 9, 2), datetime(2026, 9, 10, tzinfo=UTC)))
        found = list(source.load(slices, tmp_path / "work", None))  # type: ignore[arg-type]
    assert ["one store is down" in item.note for item in found] == [True, True]
    assert found[0].issues.select("action", "rule").rows() == [("flagged", "partial_data")]
    assert {a["header:Authorization"] for a in asked} == {"Bearer t0ken"}


def test_the_replica_with_more_samples_counts() -> None:
    frame = pl.DataFrame(
        [("g", "a", HOUR, 40.0), ("g", "b", HOUR, 60.0), ("h", "b", HOUR, 60.0), ("h", "a", HOUR, 60.0)],
        schema=["gpu", "replica", "hour", "count"],
        orient="row",
    )
    assert one_replica(frame, ["gpu"]).sort("gpu").select("gpu", "replica").rows() == [("g", "b"), ("h", "a")]


def test_hours_covered_never_exceed_the_hour() -> None:
    counts = pl.DataFrame(
        {"gpu": ["a", "a", "b", "c", "d"], "hour": [HOUR] * 5, "count": [31.0, 30.0, 60.0, 60.0, 30.0]}
    )
    expected = expected_samples(counts, ["gpu"], None)
    assert expected == 60
    covered = (
        counts.with_columns(h=observed(expected, ["gpu"])).group_by("gpu").agg(pl.col("h").sum()).sort("gpu")
    )
    assert covered["h"].to_list() == pytest.approx([1, 1, 1, 0.5])
    assert expected_samples(counts, ["gpu"], 15) == 240


def test_holders() -> None:
    rows = [
        ("ml", "train", "", ""),
        ("monitoring", "nvidia-dcgm-exporter-x", "ml", "train"),
        ("monitoring", "nvidia-dcgm-exporter-x", "", ""),
        ("", "", "", ""),
    ]
    frame = pl.DataFrame(
        rows, schema=["namespace", "pod", "exported_namespace", "exported_pod"], orient="row"
    )
    assert holders(frame, ".*dcgm-exporter.*").rows() == [
        ("ml", "train"),
        ("ml", "train"),
        (None, None),
        (None, None),
    ]


def test_gap_energy_goes_over_the_missing_parts() -> None:
    hours = pl.DataFrame(
        {
            "gpu": ["g", "g"], "hour": [HOUR, HOUR.replace(hour=12)], "mig_id": [None, None], "node": ["n", "n"],
            "gpu_model": ["H100", "H100"], "observed_hours": [0.5, 1.0], "energy_kwh": [0.2, 0.4],
        },
        schema_overrides={"mig_id": pl.String},
    )  # fmt: skip
    day = pl.Series("hour", [HOUR.replace(hour=h) for h in (10, 11, 12)], dtype=pl.Datetime("us"))
    gaps, wrong = gap_hours(hours, pl.DataFrame({"UUID": ["g"], "value": [1.2]}), day, 60)
    # 1.2 - 0.6 = 0.6 kWh over 1.5 missing hours
    assert gaps.sort("hour").select("hour", "energy_estimated_kwh", "node").rows() == [
        (HOUR, pytest.approx(0.2), "n"),
        (HOUR.replace(hour=11), pytest.approx(0.4), "n"),
    ]
    assert wrong == 0
    none, wrong = gap_hours(hours, pl.DataFrame({"UUID": ["g"], "value": [900.0]}), day, 60)
    assert none.is_empty()
    assert wrong == 1
