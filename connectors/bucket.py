"""What buckets of all services have in common: listing below a prefix, and local copies of objects.

How a service is asked belongs to `connectors/s3.py` and `connectors/gcs.py`; the copies, to `connectors/downloads.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import ClassVar

from connectors.base import Object
from connectors.downloads import Downloads
from connectors.objects import LocationOptions, bucket_and_prefix, hidden


class Bucket(ABC):
    """Objects below a prefix of a bucket.

    Args:
        options: With the location; nothing is reached before the first call.
        cache: Folder for downloads.

    Raises:
        ValueError: The location does not name a bucket.
    """

    scheme: ClassVar[str]
    """Of its URIs."""
    names: ClassVar[str]
    """Pattern of names that a bucket may have."""

    def __init__(self, options: LocationOptions, cache: Path) -> None:
        self.bucket, self.prefix = bucket_and_prefix(options.location, self.scheme, self.names)
        self._options = options
        self._downloads = self._copies(cache)

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All objects below the prefix, in order of key; hidden ones are left out.

        Raises:
            SourceError: The bucket cannot be listed.
        """
        found = (o for o in self._listed(prefix) if o.key and not o.key.endswith("/") and not hidden(o.key))
        objects = sorted(found, key=lambda o: o.key)
        if not prefix:
            self._downloads.prune(objects)
        return objects

    def read(self, item: Object) -> bytes:
        """The content of an object, asked for once a version.

        Raises:
            SourceError: It cannot be read, or is no longer what was listed.
        """
        return self.fetch([item])[0].read_bytes()

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """Local copies, downloaded once a version, several at a time; a broken download is continued.

        Raises:
            SourceError: An object cannot be read, or is no longer what was listed.
        """
        return self._downloads.get_all(
            objects,
            lambda o: self._downloads.get(o, self.uri(o.key), partial(self._content, o), md5=self._md5(o)),
        )

    def uri(self, key: str) -> str:
        """The URI of an object."""
        return f"{self.scheme}://{self.bucket}/{self.prefix}{key}"

    @abstractmethod
    def _copies(self, cache: Path) -> Downloads:
        """The local copies of this location."""

    @abstractmethod
    def _listed(self, prefix: str) -> Iterator[Object]:
        """All objects below the prefix as the service lists them; keys without the location's prefix."""

    @abstractmethod
    def _content(self, wanted: Object, start: int) -> tuple[int, Iterator[bytes]]:
        """The bytes of an object from `start` on, or from an earlier one: the first, and what comes."""

    def _md5(self, wanted: Object) -> str | None:  # noqa: ARG002
        """Hex digest of the content, where the service says it."""
        return None
