"""A local S3 endpoint, spoken to over HTTP by boto3 as it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.connectors.s3_bucket import CLIENTS, owner


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """URL of an S3 endpoint on the loopback."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """The endpoint, with credentials in the environment and no profile of the person who runs the test."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, "/nonexistent")
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    return s3_server


@pytest.fixture(scope="module")
def owners() -> Iterator[None]:
    """Clients that put objects are closed at the end."""
    yield
    while CLIENTS:
        CLIENTS.popitem()[1].close()


@pytest.fixture
def bucket(s3: str, owners: None) -> Iterator[str]:
    """The endpoint, with an empty bucket `bills`."""
    client = owner(s3)
    client.create_bucket(Bucket="bills")
    yield s3
    for page in client.get_paginator("list_objects_v2").paginate(Bucket="bills"):
        if keys := [{"Key": entry["Key"]} for entry in page.get("Contents", ())]:
            client.delete_objects(Bucket="bills", Delete={"Objects": keys})
    client.delete_bucket(Bucket="bills")
