"""Samples of edge devices' series to days, by hand and without a server; what the options refuse."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.base import Context, SourceError, Window
from connectors.edge.passes import finish
from connectors.edge.series import Series
from connectors.edge.series_days import series_days_sql
from connectors.edge.series_options import KWH, WATTS, Labels, Metrics
from connectors.edge.series_reader import EdgePrometheusReader, Options
from connectors.prometheus.client import Access, Client
from connectors.sql import literal, literals
from models.config import Site
from tests.engine import Session

START = datetime(2026, 9, 1, tzinfo=UTC)
METRICS = Metrics().named()
Points = Sequence[tuple[float, float]]
"""Minutes since 1 September, and values."""


class Canned(Client):
    """Answers questions with given series instead of a server's."""

    def __init__(self, series: Sequence[tuple[str, dict[str, str], Points]]) -> None:
        super().__init__(Access("http://127.0.0.1:1"))
        self.canned = series

    def steps(self, query: str, first: datetime, last: datetime, labels: Sequence[str], step: timedelta = timedelta(hours=1)) -> pl.DataFrame:  # fmt: skip
        del query, last, step
        schema: dict[str, Any] = {
            **dict.fromkeys(labels, pl.String),
            "hour": pl.Datetime("us"),
            "value": pl.Float64,
        }
        return pl.DataFrame(
            [(*("" for _ in labels), first.replace(tzinfo=None), 1.0)], schema=schema, orient="row"
        )

    def series(self, selector: str, time: datetime) -> list[dict[str, Any]]:
        del time
        name = selector.split("{", maxsplit=1)[0]
        return [
            {
                "metric": {"__name__": kind, **labels},
                "values": [(START.timestamp() + 60 * m, str(v)) for m, v in points],
            }
            for kind, labels, points in self.canned
            if kind == name
        ]


def found(
    tmp_path: Path, *series: tuple[str, dict[str, str], Points], bridge_days: int = 7, first_day: int = 0
) -> pl.DataFrame:
    """Days of series, with what is unknown; a sample every ten minutes covers at most 25."""
    starts = [START + timedelta(days=d) for d in range(first_day, 10)]
    bounds = {at.date(): (at, at + timedelta(days=1)) for at in starts}
    naive = {d: (a.replace(tzinfo=None), b.replace(tzinfo=None)) for d, (a, b) in bounds.items()}
    paths, about = Series(Canned(series), METRICS, Labels(), "").write(START, 24, tmp_path)
    minute = 60_000_000
    with Session() as engine:
        sql = series_days_sql(
            f"read_parquet({literals(paths)})", f"read_parquet({literal(about)})", naive, 25 * minute, bridge_days * 1440 * minute,
            kwh=KWH["joules"], watts=WATTS["watts"],
        )  # fmt: skip
        raw = engine.query(sql)
        return (
            finish(raw, bounds)
            .with_columns(raw.select("turned", "lost", "dropped", "alike"))
            .sort("day", "device", "model")
        )


CAM = {"device": "cam-1", "team": "vision"}


def test_counts_restarts_and_gaps(tmp_path: Path) -> None:
    """10 at 00:10 is the base; +15; restart to 4; an hour's gap to 34; the next day's sample takes what lies between."""
    counts = [(10, 10), (20, 25), (30, 4), (90, 34), (1445, 40)]
    joules = [(m, 3.6e6 * m) for m, _ in counts]
    got = found(tmp_path, ("edge_inferences_total", CAM, counts), ("edge_energy_joules_total", CAM, joules))
    assert got["inferences"].to_list() == [15 + 4 + 30, 6]
    assert got["energy_kwh"].to_list() == [20, 0]
    assert got["energy_estimated_kwh"].to_list() == [60, 1355]
    # 10 + 10 minutes, 25 before 01:30, and 20 of the 25 before 00:05
    assert got["online_hours"].to_list() == pytest.approx([65 / 60, 5 / 60])
    assert got["messages"].to_list() == [4, 1]


def test_uptime_shows_a_restart_that_the_counter_hides(tmp_path: Path) -> None:
    """Silent from 00:10 to 10:00; the device started at 01:00 and has counted 500 since, more than the 100 before."""
    counts, uptime = [(0, 90), (10, 100), (600, 500)], [(0, 3600), (10, 4200), (600, 32_400)]
    hidden = found(tmp_path, ("edge_inferences_total", CAM, counts))
    assert hidden["inferences"].to_list() == [10 + 400]
    told = found(tmp_path, ("edge_inferences_total", CAM, counts), ("edge_uptime_seconds", CAM, uptime))
    assert told["inferences"].to_list() == [10 + 500]


def test_power_counts_where_there_is_no_counter_of_energy(tmp_path: Path) -> None:
    """10 W for 10 minutes, 10 to 20 W for ten, then a gap of an hour that no gauge fills: 60 x (100 + 150) J."""
    power = [(0, 10), (10, 10), (20, 20), (80, 20)]
    got = found(
        tmp_path, ("edge_inferences_total", CAM, [(m, 0) for m, _ in power]), ("edge_power_watts", CAM, power)
    )
    assert got["energy_kwh"].to_list() == pytest.approx([60 * 250 / 3.6e6])
    assert got["energy_estimated_kwh"].to_list() == [0]


def test_replicas_are_one_series_and_another_owner_goes_on(tmp_path: Path) -> None:
    """Two agents scrape the same counter a minute apart; at noon the device goes to another team."""
    one = [(m, m) for m in range(0, 720, 10)]
    other = [(m + 1, m + 1) for m, _ in one]
    later = [(m, m) for m in range(720, 1440, 10)]
    name = "edge_inferences_total"
    got = found(
        tmp_path, (name, CAM | {"replica": "a"}, one), (name, CAM | {"replica": "b"}, other), (name, CAM | {"team": "search"}, later),
    )  # fmt: skip
    assert got["inferences"].to_list() == [1430]
    assert got["team"].to_list() == ["search"]


def test_a_replica_whose_clock_is_ahead_shows_the_life_before_a_restart_and_counts_nothing(
    tmp_path: Path,
) -> None:
    """One a minute from 5,000; the device starts anew at 00:47. Replica b scrapes five minutes after a, and says twelve.

    At 00:50 a shows 3; what b says at 00:52 is 5,045, of 00:45. 40 until 00:40, and 73 from the restart to 02:00.
    """

    def count(minute: int) -> int:
        return minute - 47 if minute >= 47 else 5000 + minute

    name = "edge_inferences_total"
    one = [(m, count(m)) for m in range(0, 121, 10)]
    ahead = [(m + 7, count(m)) for m in range(5, 110, 10)]
    counts = [(name, CAM | {"replica": "a"}, one), (name, CAM | {"replica": "b"}, ahead)]
    assert found(tmp_path, *counts)["inferences"].to_list() == [113]
    told = [(m, 60 * (m - 47 if m >= 47 else 9000 + m)) for m, _ in one]
    uptime = ("edge_uptime_seconds", CAM | {"replica": "a"}, told)
    assert found(tmp_path, *counts, uptime)["inferences"].to_list() == [113]


def test_a_first_sample_alone_says_nothing_and_a_long_silence_starts_anew(tmp_path: Path) -> None:
    got = found(
        tmp_path, ("edge_inferences_total", CAM, [(0, 5), (3 * 1440, 50), (3 * 1440 + 10, 60)]), bridge_days=1
    )
    assert got.select(pl.col("day").dt.day(), "inferences").rows() == [(1, None), (4, 10)]


@pytest.mark.parametrize(
    "wrong", [{"metrics": {"inference": "x"}}, {"metrics": {"energy": "a b"}}, {"labels": {"device": "a-b"}}, {"energy_unit": "kWh"}]
)  # fmt: skip
def test_options_refuse_what_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Options.model_validate({"kind": "edge_prometheus", "url": "http://x:9090", "site": "plant"} | wrong)


def test_a_server_that_does_not_answer_is_named(tmp_path: Path) -> None:
    options = Options.model_validate(
        {"kind": "edge_prometheus", "url": "http://127.0.0.1:1", "site": "plant"}
    )
    sites = {"plant": Site.model_validate({"time_zone": "UTC", "tariff": "0.1"})}
    reader = EdgePrometheusReader(options, Context("cams", tmp_path, tmp_path / "cache", sites))
    for ask in (
        reader.check,
        lambda: reader.slices(Window(date(2026, 9, 1), datetime(2026, 9, 5, tzinfo=UTC))),
    ):
        with pytest.raises(SourceError, match=r"127\.0\.0\.1:1"):
            ask()
