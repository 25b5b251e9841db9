"""The `cloudwatch` source against moto's server: what was put in comes out, hour by local hour."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import boto3
import polars as pl
import pytest
import requests
from pydantic import ValidationError

from connectors.base import Context, Loaded, SourceError, Window
from connectors.cloudwatch.metrics import SERVICES, counts, latencies
from connectors.cloudwatch.reader import CloudWatchReader, Options
from models.config import Site
from tests.services.prometheus import free_port

FIRST = date(2026, 9, 1)
START = datetime(2026, 8, 31, 18, 30, tzinfo=UTC)
"""Midnight in Kolkata."""

CHAT = {"EndpointName": "chat", "VariantName": "blue"}
NOVA = {"ModelId": "amazon.nova-pro-v1:0"}
TITAN = {"ModelId": "amazon.titan-embed-text-v2:0"}


def reader(folder: Path, url: str, **options: object) -> CloudWatchReader:
    zone = str(options.pop("zone", "Asia/Kolkata"))
    context = Context("aws", folder, folder / "cache", {"aws": Site(time_zone=zone, tariff="0.1")})
    given = {"kind": "cloudwatch", "region": "eu-west-1", "site": "aws", "start": FIRST, "endpoint_url": url}
    return CloudWatchReader(Options.model_validate(given | options), context)


def load(source: CloudWatchReader, folder: Path, days: int = 2) -> list[Loaded]:
    slices = source.slices(Window(FIRST + timedelta(days=days - 1), datetime(2026, 10, 1, tzinfo=UTC)))
    return list(source.load(slices, folder / "work", None))  # type: ignore[arg-type]


@pytest.fixture
def truth(s3: str) -> Iterator[tuple[str, dict[tuple[str, datetime, str], float]]]:
    """Two days of values every 20 minutes; the URL, and (series, hour, metric) -> sum."""
    client = boto3.client("cloudwatch", region_name="eu-west-1", endpoint_url=s3)
    sums: dict[tuple[str, datetime, str], float] = defaultdict(float)
    data: dict[str, list[dict[str, object]]] = defaultdict(list)

    def put(namespace: str, dimensions: dict[str, str], metric: str, at: datetime, value: float) -> None:
        where = [{"Name": k, "Value": v} for k, v in dimensions.items()]
        data[namespace].append({"MetricName": metric, "Dimensions": where, "Timestamp": at, "Value": value})
        hour = START + (at - START) // timedelta(hours=1) * timedelta(hours=1)
        sums[next(iter(dimensions.values())), hour.replace(tzinfo=None), metric] += value

    for step in range(-6, 3 * 48 + 6):  # two hours before and after, which belong to other days
        at = START + timedelta(minutes=20 * step)
        if step % 9 == 4:  # nothing in some
            continue
        put("AWS/SageMaker", CHAT, "Invocations", at, 100 + step)
        put("AWS/SageMaker", CHAT, "ModelLatency", at, 250_000)
        put("AWS/SageMaker", CHAT, "Invocation4XXErrors", at, step % 3)
        put("AWS/Bedrock", NOVA, "Invocations", at, 7)
        put("AWS/Bedrock", NOVA, "InputTokenCount", at, 1000 + step)
        put("AWS/Bedrock", NOVA, "CacheReadInputTokenCount", at, 300)
        put("AWS/Bedrock", NOVA, "CacheWriteInputTokenCount", at, 50)
        put("AWS/Bedrock", NOVA, "OutputTokenCount", at, 400)
        if step % 5 == 0:
            put("AWS/Bedrock", TITAN, "Invocations", at, 2)
            put("AWS/Bedrock", TITAN, "InputTokenCount", at, 90)
            put("AWS/Bedrock", TITAN, "InvocationServerErrors", at, 1)
    whole = {"MetricName": "Invocations", "Dimensions": [{"Name": "EndpointName", "Value": "chat"}]}
    data["AWS/SageMaker"].append(
        whole | {"Timestamp": START, "Value": 9999}
    )  # of all variants: the same again
    for namespace, rows in data.items():
        for start in range(0, len(rows), 500):
            client.put_metric_data(Namespace=namespace, MetricData=rows[start : start + 500])
    yield s3, sums
    requests.post(f"{s3}/moto-api/reset", timeout=5)


def frame(loaded: list[Loaded]) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(item.facts["telemetry.inference_hourly"]) for item in loaded])


def test_counts_of_each_local_hour(
    truth: tuple[str, dict[tuple[str, datetime, str], float]], tmp_path: Path
) -> None:
    url, sums = truth
    rows = frame(load(reader(tmp_path, url), tmp_path))
    days = set(rows["day"])
    assert days == {FIRST, FIRST + timedelta(days=1)}
    zone = ZoneInfo("Asia/Kolkata")
    inside = {
        (series, hour) for series, hour, _ in sums if hour.replace(tzinfo=UTC).astimezone(zone).date() in days
    }
    assert {(r["workload"], r["hour"]) for r in rows.iter_rows(named=True)} == inside
    for row in rows.iter_rows(named=True):

        def total(*metrics: str, row: dict[str, object] = row) -> float:
            return sum(sums.get((str(row["workload"]), row["hour"], m), 0.0) for m in metrics)  # type: ignore[arg-type]

        if row["workload"] == "chat":
            errors = total("Invocation4XXErrors")
            assert (row["inferences"], row["failed"]) == (total("Invocations") - errors, errors)
            assert (row["tier"], row["model"], row["pod"], row["tokens_in"]) == ("cloud", None, "blue", None)
            continue
        assert row["inferences"] == total("Invocations")
        assert row["failed"] == total("InvocationServerErrors")
        tokens = ("InputTokenCount", "CacheReadInputTokenCount", "CacheWriteInputTokenCount")
        assert row["tokens_in"] == total(*tokens)
        assert (row["tier"], row["model"], row["pod"]) == ("api", row["workload"], None)
        nova = row["workload"] == NOVA["ModelId"]
        assert row["tokens_cached"] == (total("CacheReadInputTokenCount") if nova else None)
        assert row["tokens_out"] == (total("OutputTokenCount") if nova else None)


def test_whole_hours_are_asked_by_the_hour_and_errors_of_bedrock_may_be_within(
    truth: tuple[str, dict[tuple[str, datetime, str], float]], tmp_path: Path
) -> None:
    source = reader(tmp_path, truth[0], zone="UTC", errors_within=["bedrock"], services=["bedrock"])
    rows = frame(load(source, tmp_path)).filter(pl.col("model") == TITAN["ModelId"])
    # each time 2 invocations, one of which failed; every 100 minutes but where nothing is put
    assert set(rows["inferences"]) == {1.0}
    assert set(rows["failed"]) == {1.0}
    assert source.check().endswith("series with requests in two weeks: 2 of bedrock")


def test_a_day_without_requests(s3: str, tmp_path: Path) -> None:
    (loaded,) = load(reader(tmp_path, s3), tmp_path, days=1)
    assert (loaded.facts, loaded.rows_loaded, loaded.note) == ({}, 0, "no requests that day")


def test_more_errors_than_requests_are_no_count() -> None:
    hour = datetime.fromisoformat("2026-09-01T10:00")
    sums = pl.DataFrame(
        [("chat", "blue", hour, "Invocations", 3.0), ("chat", "blue", hour, "Invocation5XXErrors", 4.0)],
        schema=["EndpointName", "VariantName", "hour", "metric", "value"],
        orient="row",
    )
    found = counts(sums, SERVICES["sagemaker"], errors_within=True)
    assert found.select("inferences", "failed").rows() == [(None, 4.0)]


def test_what_cannot_be_reached_or_read(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(
        SourceError, match=r"CloudWatch http://127\.0\.0\.1:\d+: .*check the network, `region`"
    ):
        reader(tmp_path, f"http://127.0.0.1:{free_port()}").check()
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="no AWS credentials"):
        reader(tmp_path, s3).check()
    with pytest.raises(ValidationError, match="sagemaker"):
        reader(tmp_path, s3, services=["lambda"])


def test_only_complete_days_are_offered(tmp_path: Path) -> None:
    source = reader(tmp_path, "http://127.0.0.1:9", lateness_hours=3)
    # 1 September ends at 18:30 UTC in Kolkata
    ends = datetime(2026, 9, 1, 21, 30, tzinfo=UTC)
    assert source.slices(Window(FIRST, ends - timedelta(seconds=1))) == []
    assert [s.period for s in source.slices(Window(FIRST, ends))] == [FIRST]


BOUNDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 25, 60, 120)


@pytest.fixture
def ranked(s3: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """moto's server, which knows no percentile rank, with it: by AWS, PR(:300) is the percentage of values of 300 or less."""
    from moto.cloudwatch.models import Statistics

    plain = Statistics.get_statistics_for_type

    def rank(self: Statistics, stat: str) -> object:
        if not stat.startswith("PR(:"):
            return plain(self, stat)
        values = self.metric_single_values_list
        return 100 * sum(v <= float(stat[4:-1]) for v in values) / len(values)

    monkeypatch.setattr(Statistics, "get_statistics_for_type", rank)
    yield s3
    requests.post(f"{s3}/moto-api/reset", timeout=5)


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kolkata"])
def test_latency_is_a_histogram_of_each_hour(ranked: str, tmp_path: Path, zone: str) -> None:
    """Requests of SageMaker in microseconds, of Bedrock in milliseconds, some at a bound, some beyond the last."""
    seconds = [0.004, 0.01, 0.0101, 0.3, 0.3, 2.5, 7, 61, 121, 600]
    client = boto3.client("cloudwatch", region_name="eu-west-1", endpoint_url=ranked)
    start = START + timedelta(hours=12)
    told: dict[tuple[str, datetime], list[float]] = defaultdict(list)
    for series, namespace, metric, second in (
        (CHAT, "AWS/SageMaker", "ModelLatency", 1e6),
        (NOVA, "AWS/Bedrock", "InvocationLatency", 1e3),
    ):
        where = [{"Name": k, "Value": v} for k, v in series.items()]
        for n in range(60):
            at = start + timedelta(minutes=2 * n)
            value = seconds[(n * 7 + n // 10) % len(seconds)]
            past = 30 if zone == "Asia/Kolkata" else 0
            hour = (at - timedelta(minutes=past)).replace(minute=0) + timedelta(minutes=past)
            told[next(iter(series.values())), hour.replace(tzinfo=None)].append(value)
            data = [
                {"MetricName": metric, "Dimensions": where, "Timestamp": at, "Value": value * second},
                {"MetricName": "Invocations", "Dimensions": where, "Timestamp": at, "Value": 1},
            ]
            client.put_metric_data(Namespace=namespace, MetricData=data)
    source = reader(tmp_path, ranked, zone=zone, latency=["sagemaker", "bedrock"])
    loaded = load(source, tmp_path)
    rows = frame([item for item in loaded if item.facts])
    assert len(told) >= 4
    assert {(r["workload"], r["hour"]) for r in rows.iter_rows(named=True)} == set(told)
    for row in rows.iter_rows(named=True):
        values = told[row["workload"], row["hour"]]
        expected = {b: sum(v <= b for v in values) for b in BOUNDS} | {float("inf"): len(values)}
        found = {float(bound): count for bound, count in json.loads(row["latency_buckets"]).items()}
        assert found == pytest.approx(expected)
    assert all(item.issues.is_empty() for item in loaded)
    assert (
        frame([i for i in load(reader(tmp_path, ranked, zone=zone), tmp_path) if i.facts])[
            "latency_buckets"
        ].null_count()
        == rows.height
    )


@pytest.mark.parametrize(
    ("ranks", "told"),
    [
        ([10.0 * n for n in range(10)] + [100.0] * 3, True),
        ([0.0] * 13, True),  # all beyond the last bound
        ([10.0 * n for n in range(10)] + [100.0, 100.0], False),  # one is missing
        ([50.0, 40.0] + [100.0] * 11, False),  # it falls
        ([0.5] * 12 + [100.1], False),
        ([-1.0] + [100.0] * 12, False),
        ([], False),  # CloudWatch was given sums, not single values
    ],
)
def test_percentages_that_are_none_give_no_histogram(ranks: list[float], told: bool) -> None:
    service, hour = SERVICES["bedrock"], datetime.fromisoformat("2026-09-01T10:00")
    whole = dict.fromkeys(service.ranks(), 100.0)
    found = pl.DataFrame(
        [
            ("nova", hour, at, stat, value)
            for at, stats in (
                (1, {"SampleCount": 8.0, **whole}),
                (2, {"SampleCount": 4.0, **dict(zip(whole, ranks, strict=False))}),
            )
            for stat, value in stats.items()
        ],
        schema=["ModelId", "hour", "at", "stat", "value"],
        orient="row",
    )
    ((_, _, text),) = latencies(found, service).rows()
    assert (text is not None) == told
    if told:
        assert list(json.loads(text).values()) == pytest.approx([8 + 4 * r / 100 for r in ranks] + [12])


def test_latency_that_cloudwatch_does_not_know_is_flagged(ranked: str, tmp_path: Path) -> None:
    client = boto3.client("cloudwatch", region_name="eu-west-1", endpoint_url=ranked)
    where = [{"Name": k, "Value": v} for k, v in CHAT.items()]
    data = {"MetricName": "Invocations", "Dimensions": where, "Timestamp": START, "Value": 3}
    client.put_metric_data(Namespace="AWS/SageMaker", MetricData=[data])
    (item,) = load(reader(tmp_path, ranked, latency=["sagemaker"]), tmp_path, days=1)
    assert item.issues.select("rule", "value", "rows").rows() == [("latency_unknown", "chat", 1)]
