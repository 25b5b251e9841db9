"""Slices, options, and the rules that turn samples into hours."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import Context, SourceError, Window
from connectors.prometheus.holders import PODS, holders
from connectors.prometheus.pace import pace
from connectors.prometheus.question import expected_samples, observed, one_replica, spans
from connectors.prometheus.reader import Options, PrometheusReader
from models.config import Site
from tests.connectors.prometheus.server import Answer, ok, serve

HOUR = datetime.fromisoformat("2026-09-01T10:00")


def reader(folder: Path, zone: str = "Europe/Athens", **options: object) -> PrometheusReader:
    context = Context("dc1", folder, folder / "cache", {"dc1": Site(time_zone=zone, tariff="0.1")})
    settings = {"kind": "prometheus", "url": "http://127.0.0.1:9", "site": "dc1"} | options
    return PrometheusReader(Options.model_validate(settings), context)


def test_only_complete_days_are_offered(tmp_path: Path) -> None:
    source = reader(tmp_path, start="2026-09-01", lateness_hours=2, bridge_hours=20)
    # 3 September ends at 21:00 UTC in Athens
    before = source.slices(Window(date(2026, 9, 3), datetime(2026, 9, 3, 22, 59, tzinfo=UTC)))
    after = source.slices(Window(date(2026, 9, 3), datetime(2026, 9, 3, 23, 0, tzinfo=UTC)))
    assert [s.period.day for s in before] == [1, 2]
    assert [s.period.day for s in after] == [1, 2, 3]
    assert after[0].fingerprint == before[0].fingerprint


def test_a_day_is_read_again_when_a_gap_over_its_midnight_has_ended(tmp_path: Path) -> None:
    source = reader(tmp_path, start="2026-09-01", lateness_hours=2, bridge_hours=24)
    # 1 September ends at 21:00 UTC in Athens: complete at 23:00, gaps have ended a day later, power meters are known after two
    hours = ((1, 23), (2, 22), (2, 23), (3, 22), (3, 23), (9, 0))
    times = [datetime(2026, 9, day, hour, tzinfo=UTC) for day, hour in hours]
    marks = [source.slices(Window(date(2026, 9, 1), now))[0].fingerprint for now in times]
    assert marks[0] == marks[1] != marks[2] == marks[3] != marks[4] == marks[5] != marks[0]


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
        ({"cert_file": "me.pem"}, "cert_file and key_file go together"),
        ({"power_order": ["ipmi_dcmi", "guess"]}, "allowed are pdu_outlet, redfish"),
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
        schema=["gpu", "ha", "hour", "count"],
        orient="row",
    )
    assert one_replica(frame, ["gpu"]).sort("gpu").select("gpu", "ha").rows() == [("g", "b"), ("h", "a")]


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


def paced(
    *counts: tuple[str, Sequence[float | None]], interval_s: float | None = None
) -> tuple[float, list[float]]:
    """Samples of a full hour of the slowest, and part of each hour with samples that they cover, thing by thing."""
    rows = [
        (name, HOUR + timedelta(hours=k), count, 1.0)
        for name, of in counts
        for k, count in enumerate(of)
        if count is not None
    ]
    frame = pl.DataFrame(rows, schema=["gpu", "hour", "count", "length"], orient="row")
    found = pace(frame, ["gpu"], interval_s)
    covered = found.even(frame, "count").with_columns(h=observed(found.expected, ["gpu"]))
    return found.expected, covered["h"].to_list()


def test_a_thing_that_is_scraped_more_seldom_is_not_half_there() -> None:
    # a: 240 an hour, then 120 of them; b: 60, then 30 of them
    assert paced(("a", [240] * 5 + [120]), ("b", [60, 60, 60, 60, 30])) == (
        60,
        [*[1.0] * 5, 0.5, *[1.0] * 4, 0.5],
    )
    # the configuration says 30 s, a meter shows 60 s; where nothing shows it, the configuration counts
    assert paced(("a", [60] * 4), interval_s=30) == (60, [1.0] * 4)
    assert paced(("a", [60, 60, None, 60]), interval_s=30) == (120, [0.5] * 3)


def test_a_card_whose_exporter_has_another_address_every_two_hours() -> None:
    """Beside one that is scraped every 15 s, 60 samples an hour are whole, but for that of the change, seen in two halves."""
    rows = [("a", "x", HOUR + timedelta(hours=k), 240.0) for k in range(24)]
    rows += [("b", f"x{k // 2}", HOUR + timedelta(hours=k), 60.0) for k in range(20)]
    rows += [("b", f"x{k}", HOUR + timedelta(hours=20), 30.0) for k in (10, 11)]
    frame = pl.DataFrame(rows, schema=["gpu", "exporter", "hour", "count"], orient="row")
    found = pace(frame, ["gpu", "exporter"], None, ["gpu"])
    assert (found.expected, found.fuller.select("gpu", "full").unique().rows()) == (60, [("a", 240.0)])


def test_an_interval_that_changes() -> None:
    """From 60 s to 15 s within the fifth hour, as 4 hours of many show; a gap of half an hour at either pace is one."""
    counts = [60, 60, 30, 60, 60, 60, 180, 240, 240, 240, 120, *[240] * 9]
    assert paced(("a", counts)) == (60, [1, 1, 0.5, *[1] * 7, 0.5, *[1] * 9])


@pytest.mark.parametrize("few", [[5] * 6, [200] * 6, [30, 40, 30, 40, 30], [120, 120, None, 120]])
def test_what_gaps_leave_is_no_interval(few: list[float | None]) -> None:
    """Too few to tell, too many to be another interval, irregular, or not in a row: such hours lack samples."""
    expected, covered = paced(("a", [240] * 20), ("b", few))
    assert expected == 240
    assert covered[20:] == pytest.approx([count / 240 for count in few if count is not None])


def test_holders() -> None:
    exporter = {"namespace": "monitoring", "pod": "nvidia-dcgm-exporter-x"}
    rows: list[tuple[dict[str, str], tuple[str | None, str | None, str | None]]] = [
        ({"namespace": "ml", "pod": "train"}, ("ml", "train", None)),
        (exporter | {"exported_namespace": "ml", "exported_pod": "train"}, ("ml", "train", None)),
        (exporter | {"pod_namespace": "ml", "pod_name": "train", "pod_uid": "u1"}, ("ml", "train", "u1")),
        (exporter, (None, None, None)),
        ({}, (None, None, None)),
        ({"hpc_job": "4711"}, (None, "4711", None)),
        (exporter | {"hpc_job": "4711"}, (None, "4711", None)),
    ]
    frame = pl.DataFrame([dict.fromkeys(PODS, "") | labels for labels, _ in rows])
    found = holders(frame, ".*dcgm-exporter.*").select("namespace", "pod", "uid").rows()
    assert found == [wanted for _, wanted in rows]


@pytest.mark.parametrize(
    ("zone", "day", "wanted"),
    [
        # first hour (UTC), hours, length of the last one
        ("Asia/Kolkata", date(2026, 5, 4), ("2026-05-03T18:30", 24, 1.0)),
        ("Australia/Adelaide", date(2026, 10, 4), ("2026-10-03T14:30", 23, 1.0)),
        ("Australia/Lord_Howe", date(2026, 4, 5), ("2026-04-04T13:00", 25, 0.5)),
        ("Australia/Lord_Howe", date(2026, 10, 4), ("2026-10-03T13:30", 24, 0.5)),
        ("Asia/Kathmandu", date(2026, 1, 1), ("2025-12-31T18:15", 24, 1.0)),
    ],
)
def test_hours_are_those_of_the_site(zone: str, day: date, wanted: tuple[str, int, float]) -> None:
    found = spans([day], ZoneInfo(zone))
    starts = [start for span in found for start in span.starts()]
    assert starts[0].isoformat()[:16] == wanted[0]
    assert (len(starts), found[-1].step.total_seconds() / 3600) == wanted[1:]
    assert len(found) == (1 if wanted[2] == 1 else 2)
