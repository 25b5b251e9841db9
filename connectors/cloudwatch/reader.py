"""Source kind `cloudwatch`: requests and tokens of SageMaker endpoints and Bedrock models, by hour.

A slice is a local day of the site, offered once it is complete.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, ClassVar, Literal, cast

import polars as pl
from pydantic import Field

from connectors.base import Context, Engine, Loaded, Slice, SourceOptions, Window
from connectors.cloudwatch.client import CloudWatch
from connectors.cloudwatch.metrics import SERVICES, counts, latencies
from connectors.telemetry import (
    HOUR,
    day_bounds,
    fingerprint,
    issues,
    local_day,
    local_hours,
    site_of,
    write_days,
)
from models.fields import Day
from models.tables import INFERENCE_HOURLY

VERSION = "cloudwatch-1"
"""Changes whenever the same series would give other facts."""

DAYS_BACK = 35
"""Days before the day of the run that are read where `start` does not say."""

Name = Literal["sagemaker", "bedrock"]


class Options(SourceOptions):
    """Options of the kind.

    Attributes:
        region: AWS region.
        site: A key of `sites`, for its time zone.
        services: Services to read.
        errors_within: Services whose Invocations hold those that failed. AWS says so of SageMaker; of Bedrock its
            pages say both, so check it against the bill.
        latency: Services whose latency is read: how many requests took at most so long, which is 14 more questions a series.
        start: First local day to read; 35 days before the day of the run where absent.
        lateness_hours: A day is complete this long after its end.
        endpoint_url: Another endpoint, for VPCs and tests.
    """

    region: str = Field(min_length=1)
    site: str
    services: tuple[Name, ...] = Field(default=("sagemaker", "bedrock"), min_length=1)
    errors_within: tuple[Name, ...] = ("sagemaker",)
    latency: tuple[Name, ...] = ()
    start: Day | None = None
    lateness_hours: float = Field(default=3, ge=0, le=720)
    endpoint_url: str | None = None


class CloudWatchReader:
    """CloudWatch of one region."""

    Options: ClassVar[type[SourceOptions]] = Options

    def __init__(self, options: SourceOptions, context: Context) -> None:
        self.options = cast("Options", options)
        self.context = context
        self.zone = site_of(self.options.site, context).zone

    def _client(self) -> CloudWatch:
        return CloudWatch(self.options.region, self.options.endpoint_url)

    def check(self) -> str:
        """Counts the endpoints and models.

        Raises:
            SourceError: There is no answer.
        """
        client = self._client()
        found = [f"{len(client.series(SERVICES[name]))} of {name}" for name in self.options.services]
        return f"{client.where} answers: series with requests in two weeks: {', '.join(found)}"

    def slices(self, window: Window) -> Sequence[Slice]:
        """The complete local days; CloudWatch is not asked."""
        options = self.options
        first = options.start or window.day - timedelta(days=DAYS_BACK)
        if window.only is not None and options.start is None:
            first = min(first, window.only[0])
        settings = options.model_dump(mode="json", include={"region", "site", "services", "errors_within"})
        settings |= {"latency": sorted(options.latency)} if options.latency else {}
        mark = fingerprint(VERSION, settings | {"zone": self.zone.key})
        days = [first + timedelta(days=d) for d in range((window.day - first).days + 1)]
        late = timedelta(hours=options.lateness_hours)
        return [Slice(day, "day", mark) for day in days if day_bounds(day, self.zone)[1] + late <= window.now]

    def load(self, slices: Sequence[Slice], work: Path, engine: Engine) -> Iterator[Loaded]:
        """Asks for the days, one at a time.

        Raises:
            SourceError: There is no answer.
        """
        del engine
        client = self._client()
        series = {name: client.series(SERVICES[name]) for name in self.options.services}
        for item in slices:
            client.messages.clear()
            frames = [self._day(client, name, found, item.period) for name, found in series.items() if found]
            rows = pl.concat(
                [f for f in frames if f.height] or [INFERENCE_HOURLY.schema.to_frame()],
                how="diagonal_relaxed",
            )
            found: list[Mapping[str, Any]] = []
            if wrong := rows["inferences"].null_count():
                found.append(_issue("more_errors_than_requests", "inferences", str(wrong), wrong))
            tiers = [SERVICES[name].tier for name in self.options.latency]
            untimed = rows.filter(
                pl.col("tier").is_in(tiers), pl.col("latency_buckets").is_null(), pl.col("inferences") > 0
            )
            if untimed.height:
                example = str(untimed["workload"].min())
                found.append(_issue("latency_unknown", "latency_buckets", example, untimed.height))
            note = "; ".join(sorted(client.messages))[:800]
            if note:
                found.append(_issue("partial_data", "*", note, rows.height))
            for _, facts, count in write_days({INFERENCE_HOURLY: rows}, [item.period], work):
                yield Loaded(
                    item,
                    facts,
                    count,
                    count,
                    issues=issues(found),
                    note=note or ("" if facts else "no requests that day"),
                )

    def _day(
        self, client: CloudWatch, name: str, series: Sequence[tuple[str, ...]], day: date
    ) -> pl.DataFrame:
        service, (start, end) = SERVICES[name], day_bounds(day, self.zone)
        hours = local_hours(day, self.zone)
        whole = all(at.minute == 0 and length == HOUR for at, length in hours)
        latency = name in self.options.latency
        sums = client.sums(service, series, start, end, HOUR if whole else HOUR / 4, latency=latency)
        starts = pl.DataFrame(
            [(at.replace(tzinfo=None), length / HOUR) for at, length in hours],
            schema={"hour": pl.Datetime("us"), "coverage": pl.Float64()},
            orient="row",
        )
        within = (pl.col("at") >= start.replace(tzinfo=None)) & (pl.col("at") < end.replace(tzinfo=None))
        by_hour = sums.filter(within).sort("at").join_asof(starts.sort("hour"), left_on="at", right_on="hour")
        is_latency = pl.col("metric") == service.latency
        found = counts(by_hour.filter(~is_latency), service, errors_within=name in self.options.errors_within)
        times = latencies(by_hour.filter(is_latency), service)
        found = found.join(times, on=[*service.dimensions, "hour"], how="left")
        workload = pl.col(service.dimensions[0])
        sagemaker = name == "sagemaker"
        return found.join(starts, on="hour").with_columns(
            local_day("hour", self.zone).alias("day"),
            source=pl.lit(self.context.name),
            site=pl.lit(self.options.site),
            tier=pl.lit(service.tier),
            workload=workload,
            model=pl.lit(None, pl.String) if sagemaker else workload,
            pod=pl.col("VariantName") if sagemaker else pl.lit(None, pl.String),
        )


def _issue(rule: str, column: str, value: str, rows: int) -> Mapping[str, Any]:
    return {"action": "flagged", "rule": rule, "column_name": column, "value": value, "rows": rows}


__all__ = ["CloudWatchReader", "Options"]
