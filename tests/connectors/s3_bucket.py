"""The bucket of tests of S3: whoever owns it puts objects there, a store reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3

from connectors.objects import LocationOptions, Store, open_store

CLIENTS: dict[str, Any] = {}
"""Endpoint -> the client that puts objects there; making one takes as long as ten requests."""


def owner(endpoint: str) -> Any:
    """A client of whoever owns the bucket."""
    if endpoint not in CLIENTS:
        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
        CLIENTS[endpoint] = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **keys)
    return CLIENTS[endpoint]


def remote(endpoint: str, tmp: Path, location: str = "s3://bills/export", **options: Any) -> Store:
    options = {"region": "us-east-1", **options}
    return open_store(
        LocationOptions(kind="focus", location=location, endpoint_url=endpoint, **options), tmp, tmp / "cache"
    )


def put(endpoint: str, key: str, body: bytes, **more: str) -> None:
    owner(endpoint).put_object(Bucket="bills", Key=key, Body=body, **more)
