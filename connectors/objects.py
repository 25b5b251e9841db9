"""Where files lie: a folder on disk or an S3 bucket, behind one interface: list, read, fetch what changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from connectors.base import Object, SourceOptions


class LocationOptions(SourceOptions):
    """Options of a source that consists of files. S3 credentials come from the environment, as boto3 finds them.

    Attributes:
        location: A folder (relative to the configuration file) or `s3://bucket/prefix`.
        endpoint_url: For S3-compatible stores.
        region: AWS region of the bucket.
    """

    location: str
    endpoint_url: str | None = None
    region: str | None = None


class Store(Protocol):
    """Files at a location. Keys are relative to it, with `/` between folders."""

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All objects below the prefix, in order of key."""
        ...

    def read(self, key: str) -> bytes:
        """The content of a small object (a manifest)."""
        ...

    def fetch(self, objects: Sequence[Object]) -> list[Path]:
        """Local paths of the objects: the files themselves on disk, cached downloads from S3."""
        ...

    def uri(self, key: str) -> str:
        """How to name the object to a person."""
        ...


def open_store(options: LocationOptions, base: Path, cache: Path) -> Store:
    """The store of a location. PLACEHOLDER: completed by the bill connectors' work."""
    raise NotImplementedError(options, base, cache)
