"""Where files lie: a folder, an S3 or a GCS bucket, behind one interface: list, read, fetch what changed.

What the files mean belongs to the connectors; how a bucket is spoken to, to `connectors/s3.py` and `gcs.py`.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from pydantic import Field, model_validator

from connectors.base import Object, SourceError, SourceOptions

SETTLED_S = 2.0
"""A file written less than this long before it was hashed may be written again within one clock tick."""


class LocationOptions(SourceOptions):
    """Options of a source that consists of files. Credentials come from the environment, never from here.

    Attributes:
        location: A folder (relative to the configuration file), `s3://bucket/prefix` or `gs://bucket/prefix`.
        endpoint_url: For stores that speak S3, or an emulator of GCS; the provider's own where absent.
        anonymous: Read a public bucket without credentials.
        region: S3: AWS region of the bucket.
        profile: S3: profile in AWS's own files whose credentials are used, instead of the environment's.
        role_arn: S3: role to assume for reading, with the credentials of the environment or profile.
        external_id: S3: what the role's trust policy asks for, where it does.
        requester_pays: S3: the reader's account pays for requests and transfer.
    """

    location: str = Field(min_length=1)
    endpoint_url: str | None = None
    anonymous: bool = False
    region: str | None = None
    profile: str | None = Field(default=None, min_length=1)
    role_arn: str | None = Field(default=None, pattern=r"^arn:aws[a-z-]*:iam::\d{12}:role/.+$")
    external_id: str | None = Field(default=None, min_length=2, max_length=1224)
    requester_pays: bool = False

    @model_validator(mode="after")
    def _fits_location(self) -> LocationOptions:
        scheme = self.location.split("://", maxsplit=1)[0] if "://" in self.location else None
        for key, schemes in _ONLY.items():
            if getattr(self, key) and scheme not in schemes:
                allowed = " or ".join(f"{s}://" for s in schemes)
                instead = _INSTEAD.get((key, scheme), "")
                msg = f"{key} is for {allowed} only, location is {self.location!r}; remove {key}{instead}"
                raise ValueError(msg)
        if self.external_id and not self.role_arn:
            msg = "external_id goes with role_arn; write the role that asks for it, or remove external_id"
            raise ValueError(msg)
        if self.anonymous and (self.role_arn or self.requester_pays or self.profile):
            msg = "anonymous reading has no profile, no role and nobody who pays; remove anonymous, or the others"
            raise ValueError(msg)
        return self


_ONLY = {
    "endpoint_url": ("s3", "gs", "bigquery"),
    "anonymous": ("s3", "gs", "bigquery"),
    "region": ("s3",),
    "profile": ("s3",),
    "role_arn": ("s3",),
    "external_id": ("s3",),
    "requester_pays": ("s3",),
}
"""Option -> the kinds of location that know it."""

_INSTEAD: dict[tuple[str, str | None], str] = {
    ("requester_pays", "gs"): " and set GOOGLE_CLOUD_QUOTA_PROJECT to the project that pays",
    ("role_arn", "gs"): " and impersonate a service account through GOOGLE_APPLICATION_CREDENTIALS",
}


class Store(Protocol):
    """Files at a location. Keys are relative to it, with `/` between folders."""

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All objects below the prefix, in order of key."""
        ...

    def read(self, item: Object) -> bytes:
        """The content of a small object (a manifest)."""
        ...

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """Local paths of the objects: the files themselves on disk, cached downloads of remote ones."""
        ...

    def uri(self, key: str) -> str:
        """How to name the object to a person."""
        ...


def open_store(options: LocationOptions, base: Path, cache: Path) -> Store:
    """The store of a location. Touches neither network nor disk.

    Args:
        options: With the location.
        base: Folder where relative locations start.
        cache: Folder for hashes of files and for downloads.

    Raises:
        ValueError: The location is of a kind that is not supported.
    """
    location = options.location
    if location.startswith("s3://"):
        from connectors.s3 import S3Store

        return S3Store(options, cache)
    if location.startswith("gs://"):
        from connectors.gcs import GCSStore

        return GCSStore(options, cache)
    if "://" in location:
        scheme = location.split("://", maxsplit=1)[0]
        msg = (
            f"location {location!r}: {scheme}:// is not supported; write a folder, gs://bucket/prefix, "
            "or s3://bucket/prefix (any S3-compatible store, with endpoint_url)"
        )
        raise ValueError(msg)
    return LocalStore(base / Path(location).expanduser(), cache)


def bucket_and_prefix(location: str, scheme: str, names: str) -> tuple[str, str]:
    """The parts of `scheme://bucket/prefix`; the prefix ends with `/`, or is empty.

    Args:
        location: As in the configuration.
        scheme: s3 or gs.
        names: Regular expression of the names that a bucket may have there.

    Raises:
        ValueError: The location does not name a bucket.
    """
    match = re.fullmatch(rf"{scheme}://(?P<bucket>{names})(?:/(?P<prefix>.*))?", location)
    if match is None:
        msg = f"location {location!r} names no bucket; write {scheme}://bucket/prefix"
        raise ValueError(msg)
    prefix = (match["prefix"] or "").strip("/")
    return match["bucket"], f"{prefix}/" if prefix else ""


def fetch_ahead(store: Store, objects: Sequence[Object]) -> None:
    """Fetches objects that are then read one by one: a store far away sends several at once.

    What cannot be fetched is told where it is read.
    """
    with suppress(SourceError):
        store.fetch(objects)


def hidden(key: str) -> bool:
    """The object is hidden: its name, or a folder above it, starts with a dot, or with `~$` as what Excel writes beside an open file."""
    return any(part.startswith((".", "~$")) for part in key.split("/"))


def write_json(path: Path, content: object) -> None:
    """Writes a JSON file that is either there as a whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_text(json.dumps(content, sort_keys=True))
    part.replace(path)


def read_json(path: Path) -> dict[str, list[str]]:
    """A cache file; empty if it is not there or damaged, since a cache may be lost."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


class LocalStore:
    """A folder. The version of a file is a hash of its content, read again only if size or time changed.

    Args:
        root: The folder.
        cache: Folder for the hashes.
    """

    def __init__(self, root: Path, cache: Path) -> None:
        self.root = root
        self._hashes = cache / f"hashes-{hashlib.sha256(str(root.absolute()).encode()).hexdigest()[:16]}.json"
        self._listed: dict[str, list[str]] = {}

    def list(self, prefix: str = "") -> Sequence[Object]:
        """All files below the prefix, in order of key; hidden ones are left out.

        Raises:
            SourceError: The folder is not there or cannot be read.
        """
        if not self.root.is_dir():
            found = "is a file" if self.root.exists() else "does not exist"
            msg = (
                f"folder {self.root} {found}; create the folder and put the files in it, "
                "or correct `location` in the configuration"
            )
            raise SourceError(msg)
        known = read_json(self._hashes)
        fresh: dict[str, list[str]] = {}
        objects = []
        for key in sorted(self._keys()):
            if not key.startswith(prefix):
                continue
            version, stamp = self._version(key, known.get(key))
            if stamp:
                fresh[key] = [*stamp, version]
            objects.append(Object(key, (self.root / key).stat().st_size, version))
        kept = {key: entry for key, entry in known.items() if not key.startswith(prefix)}
        self._listed = kept | fresh
        if self._listed != known:
            write_json(self._hashes, self._listed)
        return objects

    def _keys(self) -> Iterator[str]:
        def fail(error: OSError) -> None:
            msg = f"folder {error.filename} cannot be read: {error.strerror}; allow this user to read it"
            raise SourceError(msg) from error

        for folder, _, names in os.walk(self.root, onerror=fail):
            for name in names:
                path = Path(folder, name)
                key = path.relative_to(self.root).as_posix()
                if not hidden(key) and path.is_file():
                    yield key

    def _version(self, key: str, known: Sequence[str] | None) -> tuple[str, tuple[str, str] | None]:
        """The version, and the size and time to remember it under; None while the file may still change."""
        path = self.root / key
        try:
            stat = path.stat()
            stamp = (str(stat.st_size), str(stat.st_mtime_ns))
            if known is not None and tuple(known[:2]) == stamp:
                return known[2], stamp
            settled = time.time() - stat.st_mtime > SETTLED_S
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()[:32]
        except OSError as error:
            msg = f"file {path} cannot be read: {error.strerror}; allow this user to read it"
            raise SourceError(msg) from error
        return digest, stamp if settled else None

    def read(self, item: Object) -> bytes:
        """The content of a file.

        Raises:
            SourceError: It is gone, or is no longer what was listed.
        """
        return self.fetch([item])[0].read_bytes()

    def fetch(self, objects: Sequence[Object]) -> Sequence[Path]:
        """The files themselves.

        Raises:
            SourceError: A file is gone, or is no longer what was listed.
        """
        known = self._listed or read_json(self._hashes)
        for wanted in objects:
            version, _ = self._version(wanted.key, known.get(wanted.key))
            if version != wanted.version:
                msg = f"file {self.root / wanted.key} changed while it was being read; run again"
                raise SourceError(msg)
        return [self.root / wanted.key for wanted in objects]

    def uri(self, key: str) -> str:
        """The path of a file."""
        return str(self.root / key)
