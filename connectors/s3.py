"""An S3 bucket as a store of files. Credentials come from the environment, as boto3 finds them.

The interface belongs to `connectors/objects.py`, local copies to `connectors/downloads.py`; what the files
mean, to the connectors.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any

from connectors.aws_session import session
from connectors.base import Object, SourceError
from connectors.bucket import Bucket
from connectors.downloads import CHUNK, BrokenDownloadError, ChangedError, Downloads
from connectors.objects import LocationOptions

_DENIED = (
    "access is denied; allow s3:ListBucket on the bucket and s3:GetObject on its objects "
    "(kms:Decrypt where a KMS key encrypts them), and set requester_pays where the reader pays"
)
_TROUBLE = "the service has trouble, or is no S3; run again later, or correct `endpoint_url`"
_REGION = "the bucket is in another region; correct `region`"

ADVICE = {
    "NoSuchBucket": "there is no such bucket; correct `location`, or `region` and `endpoint_url`",
    "NoSuchKey": "the object is gone; a delivery may be under way, run again later",
    "404": "there is no such bucket or object; correct `location`",
    "AccessDenied": _DENIED,
    "403": _DENIED,
    "AllAccessDisabled": _DENIED,
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired; renew the credentials",
    "InvalidToken": "the session token is not valid there; renew the credentials",
    "RequestTimeTooSkewed": "this machine's clock is wrong; set it",
    "PermanentRedirect": _REGION,
    "301": _REGION,
    "AuthorizationHeaderMalformed": _REGION,
    "InvalidObjectState": "the object is archived; restore it to a class that can be read at once",
    "500": _TROUBLE,
    "503": _TROUBLE,
    "InternalError": _TROUBLE,
    "ServiceUnavailable": _TROUBLE,
    "SlowDown": "the bucket is asked too often; run again later",
}
"""Error code of S3 -> what is wrong and what to do."""

MAKING = Lock()
"""boto3 makes clients for one thread at a time only; who has one may use it in several."""


class S3Store(Bucket):
    """A bucket of S3, or of a service that speaks like it. The version of an object is its etag and size."""

    scheme = "s3"
    names = r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]"

    @property
    def _payer(self) -> dict[str, str]:
        return {"RequestPayer": "requester"} if self._options.requester_pays else {}

    def _copies(self, cache: Path) -> Downloads:
        return Downloads(cache / "s3", self.uri(""))

    @cached_property
    def _client(self) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        options = self._options
        config = Config(
            retries={"mode": "standard", "max_attempts": 4},
            connect_timeout=10,
            read_timeout=60,
            s3={"addressing_style": "path"} if options.endpoint_url else None,
            signature_version=UNSIGNED if options.anonymous else None,
        )
        with MAKING:
            own = _assumed(options) if options.role_arn else session(profile=options.profile)
            return own.client(
                "s3", endpoint_url=options.endpoint_url, region_name=options.region, config=config
            )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turns errors of boto3 into messages for a person."""
        from botocore import exceptions as boto
        from botocore.parsers import ResponseParserError

        try:
            yield
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
            msg = (
                f"{what}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, "
                "or run where a role gives them (anonymous: true for a public bucket)"
            )
            raise SourceError(msg) from error
        except boto.ProfileNotFound as error:
            name = self._options.profile
            msg = f"{what}: AWS's own files have no profile {name!r}; add it (`aws configure --profile NAME`), or correct `profile`"
            raise SourceError(msg) from error
        except boto.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ("PreconditionFailed", "412"):
                raise ChangedError(what) from error
            advice = ADVICE.get(code, str(error))
            if error.operation_name == "AssumeRole" and code == "AccessDenied":
                advice = (
                    f"role {self._options.role_arn} may not be assumed; allow sts:AssumeRole to these credentials, "
                    "name them in the role's trust policy, and set external_id if that asks for one"
                )
            msg = f"{what}: {advice}"
            raise SourceError(msg) from error
        except (boto.ConnectionError, boto.HTTPClientError) as error:
            where = self._options.endpoint_url or "S3"
            msg = (
                f"{what}: {where} cannot be reached ({error}); check the network, `endpoint_url` and `region`"
            )
            raise SourceError(msg) from error
        except (boto.BotoCoreError, ResponseParserError, ValueError) as error:
            msg = f"{what}: {error}; check `location`, `endpoint_url` and `region`"
            raise SourceError(msg) from error

    def _listed(self, prefix: str) -> Iterator[Object]:
        with self._explained(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix, **self._payer
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    version = f"{entry['ETag'].strip(chr(34))}-{entry['Size']}"
                    yield Object(entry["Key"].removeprefix(self.prefix), entry["Size"], version)

    def _content(self, wanted: Object, start: int) -> tuple[int, Iterator[bytes]]:
        uri = self.uri(wanted.key)
        etag = wanted.version.rsplit("-", 1)[0]
        span = {"Range": f"bytes={start}-"} if start else {}
        with self._explained(uri):
            response = self._client.get_object(
                Bucket=self.bucket, Key=self.prefix + wanted.key, IfMatch=f'"{etag}"', **span, **self._payer
            )
        if response["ETag"].strip('"') != etag:  # not every server knows If-Match
            response["Body"].close()
            raise ChangedError(uri)
        return start if "ContentRange" in response else 0, _chunks(response["Body"])


def _assumed(options: LocationOptions) -> Any:
    """A session with the credentials of a role, renewed before they expire."""
    from botocore.credentials import (
        CredentialProvider,
        CredentialResolver,
        DeferredRefreshableCredentials,
        create_assume_role_refresher,
    )

    own = session(profile=options.profile)
    sts = own.client("sts", region_name=options.region or own.region_name or "us-east-1")
    asked = {"RoleArn": options.role_arn, "RoleSessionName": "tierwise"}
    if options.external_id:
        asked["ExternalId"] = options.external_id

    class Role(CredentialProvider):  # type: ignore[misc]
        METHOD = "assume-role"

        def load(self) -> Any:
            return DeferredRefreshableCredentials(create_assume_role_refresher(sts, asked), self.METHOD)

    return session(CredentialResolver([Role()]))


def _chunks(body: Any) -> Iterator[bytes]:
    from botocore import exceptions as boto
    from urllib3.exceptions import HTTPError

    try:
        yield from body.iter_chunks(CHUNK)
    except (
        boto.IncompleteReadError,
        boto.ResponseStreamingError,
        boto.HTTPClientError,
        boto.FlexibleChecksumError,
        HTTPError,
        OSError,
    ) as error:
        raise BrokenDownloadError(str(error)) from error
    finally:
        body.close()
