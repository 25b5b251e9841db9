"""Who may read an S3 bucket: requester pays, public, profiles, roles; and what errors say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import requests

from connectors.base import Object, SourceError
from tests.connectors.gcs_server import serve
from tests.connectors.s3_bucket import put, remote
from tests.connectors.wire import wire


def test_requester_pays_is_said_in_every_request(bucket: str, tmp_path: Path) -> None:
    put(bucket, "export/a.csv", b"one")
    with wire(bucket) as proxy:
        store = remote(proxy.url, tmp_path, requester_pays=True)
        store.fetch(store.list())
        assert len(proxy.requests(b"GET ")) == 2
        assert len(proxy.requests(b"x-amz-request-payer: requester")) == 2
        proxy.sent.clear()
        remote(proxy.url, tmp_path).list()
        assert proxy.requests(b"x-amz-request-payer") == []


def test_public_bucket_needs_no_credentials(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "export/a.csv", b"one", ACL="public-read")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with wire(bucket) as proxy:
        store = remote(proxy.url, tmp_path, anonymous=True)
        assert store.fetch(store.list())[0].read_bytes() == b"one"
        assert proxy.requests(b"Authorization") == []


def test_two_sources_have_profiles_of_their_own(
    bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(bucket, "export/a.csv", b"one")
    lines = (f"[{n}]\naws_access_key_id = AKIA{n.upper()}\naws_secret_access_key = x" for n in ("one", "two"))
    (tmp_path / "credentials").write_text("\n".join(lines))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    with wire(bucket) as proxy:
        for name in ("one", "two"):
            assert len(remote(proxy.url, tmp_path, profile=name).list()) == 1
            (asked,) = proxy.requests(b"Authorization")
            assert f"Credential=AKIA{name.upper()}/".encode() in asked
            proxy.sent.clear()
    with pytest.raises(SourceError, match="AWS's own files have no profile 'three'; add it"):
        remote(bucket, tmp_path, profile="three").list()


def allow(action: str, resource: str) -> str:
    statement = {"Effect": "Allow", "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def reader_role(bucket: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that checks signatures and policies: the user may assume a role and nothing else."""
    put(bucket, "export/a.csv", b"one")
    iam = boto3.client("iam", endpoint_url=bucket, region_name="us-east-1")
    iam.create_user(UserName="tierwise")
    key = iam.create_access_key(UserName="tierwise")["AccessKey"]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="bills", AssumeRolePolicyDocument=policy)["Role"]["Arn"]
    iam.put_user_policy(UserName="tierwise", PolicyName="p", PolicyDocument=allow("sts:AssumeRole", role))
    iam.put_role_policy(RoleName="bills", PolicyName="p", PolicyDocument=allow("s3:*", "*"))
    with monkeypatch.context() as user:
        user.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
        user.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
        user.setenv("AWS_ENDPOINT_URL_STS", bucket)
        requests.post(f"{bucket}/moto-api/reset-auth", data=b"0", timeout=5)
        yield role
        requests.post(f"{bucket}/moto-api/reset-auth", data=b"inf", timeout=5)
    iam.delete_user_policy(UserName="tierwise", PolicyName="p")
    iam.delete_access_key(UserName="tierwise", AccessKeyId=key["AccessKeyId"])
    iam.delete_user(UserName="tierwise")
    iam.delete_role_policy(RoleName="bills", PolicyName="p")
    iam.delete_role(RoleName="bills")
    iam.close()


def test_role_is_assumed(
    bucket: str, reader_role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SourceError, match=r"s3://bills/export/: access is denied; allow s3:ListBucket"):
        remote(bucket, tmp_path).list()
    with wire(bucket) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", proxy.url)
        store = remote(bucket, tmp_path, role_arn=reader_role, external_id="acme-17")
        assert store.fetch(store.list())[0].read_bytes() == b"one"
        (asked,) = proxy.requests(b"Action=AssumeRole")
    assert b"ExternalId=acme-17" in asked
    assert b"RoleSessionName=tierwise" in asked


def test_role_that_may_not_be_assumed_says_what_to_allow(
    bucket: str, reader_role: str, tmp_path: Path
) -> None:
    other = "arn:aws:iam::123456789012:role/other"
    with pytest.raises(SourceError, match=f"role {other} may not be assumed; allow sts:AssumeRole"):
        remote(bucket, tmp_path, role_arn=other).list()


def test_wrong_keys_say_which(
    bucket: str, reader_role: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="check AWS_SECRET_ACCESS_KEY"):
        remote(bucket, tmp_path).list()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    with pytest.raises(SourceError, match="check AWS_ACCESS_KEY_ID"):
        remote(bucket, tmp_path).list()


def test_errors_say_what_to_do(bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceError, match=r"s3://nobody/x.*no such bucket"):
        remote(bucket, tmp_path, "s3://nobody/x").list()
    with pytest.raises(SourceError, match="object is gone"):
        remote(bucket, tmp_path).read(Object("missing.json", 1, "etag-1"))
    put(bucket, "export/cold.csv", b"x", StorageClass="GLACIER")
    store = remote(bucket, tmp_path)
    with pytest.raises(SourceError, match=r"cold\.csv: the object is archived; restore it"):
        store.fetch(store.list())
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(SourceError, match="no AWS credentials; set AWS_ACCESS_KEY_ID"):
        remote(bucket, tmp_path).list()


def test_unreachable_endpoint_says_where(s3: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"http://127\.0\.0\.1:9 cannot be reached"):
        remote("http://127.0.0.1:9", tmp_path).list()


def test_endpoint_that_is_no_s3_says_so(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as other:
        other.failures = [200] * 9  # a login page, say
        with pytest.raises(SourceError, match=r"s3://bills/export/: the service has trouble, or is no S3"):
            remote(other.url, tmp_path).list()
        monkeypatch.setenv("AWS_ENDPOINT_URL_STS", other.url)
        role = "arn:aws:iam::123456789012:role/bills"
        with pytest.raises(SourceError, match="s3://bills/export/: Unable to parse response"):
            remote(s3, tmp_path, role_arn=role).list()
