"""An S3 bucket as a store of files. Credentials come from the environment, as boto3 finds them.

The interface belongs to `connectors/objects.py`; what the files mean, to the connectors.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_exponential

from connectors.base import Object, SourceError
from connectors.objects import LocationOptions, hidden

ADVICE = {
    "NoSuchBucket": "there is no such bucket; correct `location`, or `region` and `endpoint_url`",
    "NoSuchKey": "the object is gone; a delivery may be under way, run again later",
    "404": "there is no such bucket or object; correct `location`",
    "AccessDenied": "access is denied; allow s3:ListBucket on the bucket and s3:GetObject on its objects",
    "403": "access is denied; allow s3:ListBucket on the bucket and s3:GetObject on its objects",
    "InvalidAccessKeyId": "the access key is not known there; check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "the session token has expired; renew the credentials",
    "PreconditionFailed": "the object changed while it was being read; run again",
}
"""Error code of S3 -> what is wrong and what to do."""

LOCATION = re.compile(r"s3://(?P<bucket>[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9])(?:/(?P<prefix>.*))?")


class _BrokenDownloadError(Exception):
    """The body of an object ended early."""


class S3Store:
    """Objects below a prefix of a bucket. The version of an object is its etag and size.

    Args:
        options: With the location; nothing is reached before the first call.
        cache: Folder for downloads.

    Raises:
        ValueError: The location does not name a bucket.
    """

    def __init__(self, options: LocationOptions, cache: Path) -> None:
        match = LOCATION.fullmatch(options.location)
        if match is None:
            msg = f"location {options.location!r} names no bucket; write s3://bucket/prefix"
            raise ValueError(msg)
        self.bucket = match["bucket"]
        prefix = (match["prefix"] or "").strip("/")
        self.prefix = f"{prefix}/" if prefix else ""
        self._options = options
        self._cache = cache / "s3"

    @cached_property
    def _client(self) -> Any:
        from boto3.session import Session
        from botocore.config import Config

        return Session().client(
            "s3",
            endpoint_url=self._options.endpoint_url,
            region_name=self._options.region,
            config=Config(
                retries={"mode": "standard", "max_attempts": 4},
                connect_timeout=10,
                read_timeout=60,
                s3={"addressing_style": "path"} if self._options.endpoint_url else None,
            ),
        )

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turns errors of boto3 into messages for a person."""
        from botocore import exceptions as boto

        try:
            yield
        except (boto.NoCredentialsError, boto.PartialCredentialsError) as error:
            msg = (
                f"{what}: no AWS credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, "
                "or run where a role gives them"
            )
            raise SourceError(msg) from error
        except boto.ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            msg = f"{what}: {ADVICE.get(code, str(error))}"
            raise SourceError(msg) from error
        except (boto.ConnectionError, boto.HTTPClientError) as error:
            where = self._options.endpoint_url or "S3"
            msg = (
                f"{what}: {where} cannot be reached ({error}); check the network, `endpoint_url` and `region`"
            )
            raise SourceError(msg) from error
        except (boto.BotoCoreError, ValueError) as error:
            msg = f"{what}: {error}; check `location`, `endpoint_url` and `region`"
            raise SourceError(msg) from error

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All objects below the prefix, in order of key; hidden ones are left out.

        Raises:
            SourceError: The bucket cannot be listed.
        """
        objects = []
        with self._explained(self.uri(prefix)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix + prefix
            )
            for page in pages:
                for entry in page.get("Contents", ()):
                    key = entry["Key"].removeprefix(self.prefix)
                    if key and not key.endswith("/") and not hidden(key):
                        version = f"{entry['ETag'].strip(chr(34))}-{entry['Size']}"
                        objects.append(Object(key, entry["Size"], version))
        return sorted(objects, key=lambda o: o.key)

    def read(self, key: str) -> bytes:
        """The content of an object.

        Raises:
            SourceError: It cannot be read.
        """
        with self._explained(self.uri(key)):
            body: bytes = self._client.get_object(Bucket=self.bucket, Key=self.prefix + key)["Body"].read()
            return body

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """Local copies, downloaded once a version; a copy is either there as a whole or not at all.

        Raises:
            SourceError: An object cannot be read, or is no longer what was listed.
        """
        paths = []
        for wanted in objects:
            identity = "\0".join((self.bucket, self.prefix + wanted.key, wanted.version))
            path = self._cache / hashlib.sha256(identity.encode()).hexdigest()[:40]
            if not path.exists():
                self._cache.mkdir(parents=True, exist_ok=True)
                with self._explained(self.uri(wanted.key)):
                    try:
                        self._download(wanted, path)
                    except _BrokenDownloadError as error:
                        msg = f"{self.uri(wanted.key)}: the download broke off ({error}); run again"
                        raise SourceError(msg) from error
            paths.append(path)
        return paths

    @retry(
        retry=retry_if_exception_type(_BrokenDownloadError),
        stop=stop_after_attempt(3),
        wait=wait_exponential(multiplier=0.5, max=5),
        reraise=True,
    )
    def _download(self, wanted: Object, path: Path) -> None:
        from botocore.exceptions import HTTPClientError, IncompleteReadError
        from botocore.exceptions import ResponseStreamingError as StreamingError

        etag = wanted.version.rsplit("-", 1)[0]
        response = self._client.get_object(
            Bucket=self.bucket, Key=self.prefix + wanted.key, IfMatch=f'"{etag}"'
        )
        if response["ETag"].strip('"') != etag:
            msg = f"{self.uri(wanted.key)}: {ADVICE['PreconditionFailed']}"
            raise SourceError(msg)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            with part.open("wb") as file:
                shutil.copyfileobj(response["Body"], file, 1 << 20)
            if part.stat().st_size != wanted.size:
                msg = f"{part.stat().st_size} of {wanted.size} bytes came"
                raise _BrokenDownloadError(msg)
            part.replace(path)
        except (IncompleteReadError, StreamingError, HTTPClientError, OSError) as error:
            raise _BrokenDownloadError(str(error)) from error
        finally:
            part.unlink(missing_ok=True)

    def uri(self, key: str) -> str:
        """The S3 URI of an object."""
        return f"s3://{self.bucket}/{self.prefix}{key}"
