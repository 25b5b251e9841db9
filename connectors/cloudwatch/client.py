"""Questions to CloudWatch: which series there are, and their sums by period. Credentials are as boto3 finds them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from connectors.aws_session import session
from connectors.base import SourceError
from connectors.cloudwatch.metrics import REQUESTS, Service

QUERIES = 500
"""Series asked for at once: the most that GetMetricData takes."""

ADVICE = {
    "AccessDenied": "access is denied; allow cloudwatch:ListMetrics and cloudwatch:GetMetricData",
    "AccessDeniedException": "access is denied; allow cloudwatch:ListMetrics and cloudwatch:GetMetricData",
    "InvalidClientTokenId": "the access key is not known there; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired; renew the credentials",
    "Throttling": "CloudWatch is asked too often; run again later",
}
"""Error code -> what is wrong and what to do."""


class CloudWatch:
    """CloudWatch of one region. Collects what it remarks on its answers in `messages`."""

    def __init__(self, region: str, endpoint_url: str | None) -> None:
        from botocore.config import Config

        self.messages: set[str] = set()
        self.where = f"CloudWatch {endpoint_url or region}"
        self._client = session().client(
            "cloudwatch",
            region_name=region,
            endpoint_url=endpoint_url,
            config=Config(
                retries={"mode": "standard", "max_attempts": 6}, connect_timeout=10, read_timeout=60
            ),
        )

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from botocore import exceptions as boto

        try:
            yield
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
            msg = f"{self.where}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
            raise SourceError(msg) from error
        except boto.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise SourceError(f"{self.where}: {ADVICE.get(code, str(error))}") from error
        except boto.BotoCoreError as error:
            msg = f"{self.where}: {error}; check the network, `region` and `endpoint_url`"
            raise SourceError(msg) from error

    def series(self, service: Service) -> list[tuple[str, ...]]:
        """Values of the dimensions of each series with requests, sorted. CloudWatch lists those of two weeks.

        Raises:
            SourceError: There is no answer.
        """
        found = set()
        with self._explained():
            pages = self._client.get_paginator("list_metrics").paginate(
                Namespace=service.namespace, MetricName=REQUESTS
            )
            for metric in (m for page in pages for m in page["Metrics"]):
                values = {d["Name"]: d["Value"] for d in metric["Dimensions"]}
                if values.keys() == set(service.dimensions):
                    found.add(tuple(values[name] for name in service.dimensions))
        return sorted(found)

    def sums(
        self,
        service: Service,
        series: Sequence[tuple[str, ...]],
        first: datetime,
        end: datetime,
        period: timedelta,
        *,
        latency: bool,
    ) -> pl.DataFrame:
        """Sums of all metrics of some series, and what is known of their latency.

        Args:
            service: Whose.
            series: Values of its dimensions.
            first: Start, on a period, with a zone.
            end: End.
            period: Length of a period.
            latency: Ask for it, too.

        Returns:
            The dimensions, metric, stat, at (start of the period, UTC without a zone) and value; only where there are data.

        Raises:
            SourceError: There is no answer, or only a part of one.
        """
        asked = [(values, *metric) for values in series for metric in service.asked(latency=latency)]
        rows: list[tuple[Any, ...]] = []
        for start in range(0, len(asked), QUERIES):
            part = asked[start : start + QUERIES]
            queries = [self._query(f"q{i}", service, one, period) for i, one in enumerate(part)]
            with self._explained():
                pages = self._client.get_paginator("get_metric_data").paginate(
                    MetricDataQueries=queries, StartTime=first, EndTime=end, ScanBy="TimestampAscending"
                )
                for page in pages:
                    self.messages.update(m["Value"] for m in page.get("Messages", ()))
                    for result in page["MetricDataResults"]:
                        rows += self._rows(result, *part[int(result["Id"][1:])])
        names = dict.fromkeys((*service.dimensions, "metric", "stat"), pl.String())
        schema = pl.Schema({**names, "at": pl.Datetime("us", "UTC"), "value": pl.Float64()})
        return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
            pl.col("at").dt.replace_time_zone(None)
        )

    def _rows(
        self, result: dict[str, Any], values: tuple[str, ...], metric: str, stat: str
    ) -> list[tuple[Any, ...]]:
        if result["StatusCode"] not in ("Complete", "PartialData"):  # of the latter there is another page
            msg = f"{self.where}: {metric} of {'/'.join(values)}: {result['StatusCode']}; run again later"
            raise SourceError(msg)
        self.messages.update(m["Value"] for m in result.get("Messages", ()))
        return [
            (*values, metric, stat, at, value)
            for at, value in zip(result["Timestamps"], result["Values"], strict=True)
        ]

    @staticmethod
    def _query(
        name: str, service: Service, asked: tuple[tuple[str, ...], str, str], period: timedelta
    ) -> dict[str, Any]:
        values, metric, stat = asked
        dimensions = [{"Name": k, "Value": v} for k, v in zip(service.dimensions, values, strict=True)]
        return {
            "Id": name,
            "MetricStat": {
                "Metric": {"Namespace": service.namespace, "MetricName": metric, "Dimensions": dimensions},
                "Period": int(period.total_seconds()),
                "Stat": stat,
            },
        }
