"""A Google Cloud Storage bucket as a store of files, over its JSON API. Credentials are found by google-auth.

The interface belongs to `connectors/objects.py`, local copies to `connectors/downloads.py`; what the files
mean, to the connectors.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from connectors.base import Object, SourceError
from connectors.bucket import Bucket
from connectors.downloads import CHUNK, BrokenDownloadError, ChangedError, Downloads
from connectors.objects import LocationOptions

if TYPE_CHECKING:
    from requests import Response, Session

ENDPOINT = "https://storage.googleapis.com"
SCOPE = "https://www.googleapis.com/auth/devstorage.read_only"
TIMEOUT_S = (10, 60)
"""To connect, and between two bytes."""

ADVICE = {
    400: "the request is refused as wrong; correct `location`",
    401: "the credentials are not accepted; renew them (gcloud auth application-default login), or correct "
    "GOOGLE_APPLICATION_CREDENTIALS",
    403: "access is denied; grant roles/storage.objectViewer on the bucket, and set GOOGLE_CLOUD_QUOTA_PROJECT "
    "where the reader pays",
    404: "there is no such bucket or object; correct `location`",
    429: "the bucket is asked too often; run again later",
}
"""HTTP status -> what is wrong and what to do."""


class GCSStore(Bucket):
    """A bucket of Google Cloud Storage.

    The version of an object is the MD5 of its content and its size, so that the same content written again is
    no change; its generation where the service knows no MD5 (composed objects).
    """

    scheme = "gs"
    names = r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"

    def __init__(self, options: LocationOptions, cache: Path) -> None:
        self._endpoint = (options.endpoint_url or ENDPOINT).rstrip("/")
        self._generations: dict[tuple[str, str], str] = {}
        super().__init__(options, cache)

    def _copies(self, cache: Path) -> Downloads:
        return Downloads(cache / "gcs", f"{self._endpoint} {self.uri('')}")

    @cached_property
    def _session(self) -> Session:
        from requests import Session
        from requests.adapters import HTTPAdapter
        from urllib3 import Retry

        if self._options.anonymous:
            session = Session()
        else:
            import google.auth
            from google.auth.transport.requests import AuthorizedSession

            credentials, _ = google.auth.default(scopes=[SCOPE])
            session = AuthorizedSession(credentials)  # type: ignore[no-untyped-call]
        again = Retry(
            total=4,
            connect=2,
            backoff_factor=0.5,
            status_forcelist=(429, 500, 502, 503, 504),
            allowed_methods=("GET",),
            raise_on_status=False,
        )
        for scheme in ("https://", "http://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        return session

    @contextmanager
    def _explained(self, what: str) -> Iterator[None]:
        """Turns errors of google-auth and requests into messages for a person."""
        from google.auth.exceptions import DefaultCredentialsError, GoogleAuthError, TransportError
        from requests import RequestException

        try:
            yield
        except DefaultCredentialsError as error:
            msg = (
                f"{what}: no Google credentials ({error}); set GOOGLE_APPLICATION_CREDENTIALS, run "
                "`gcloud auth application-default login`, or run where a service account gives them "
                "(anonymous: true for a public bucket)"
            )
            raise SourceError(msg) from error
        except (RequestException, TransportError) as error:
            msg = (
                f"{what}: {self._endpoint} cannot be reached ({error}); check the network and `endpoint_url`"
            )
            raise SourceError(msg) from error
        except GoogleAuthError as error:
            msg = f"{what}: {ADVICE[401]} ({error})"
            raise SourceError(msg) from error

    def _get(
        self, what: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], *, stream: bool
    ) -> Response:
        """One answer, whatever its status. Content comes as it is stored, never unpacked on the way."""
        with self._explained(what):
            response = self._session.get(
                f"{self._endpoint}/storage/v1/b/{self.bucket}/o{path}",
                params=query,
                headers={"Accept-Encoding": "gzip", **headers},
                timeout=TIMEOUT_S,
                stream=stream,
            )
            if not response.ok:
                _ = response.content  # so that its connection can be used again
            return response

    def _listed(self, prefix: str) -> Iterator[Object]:
        what = self.uri(prefix)
        query = {
            "prefix": self.prefix + prefix,
            "fields": "nextPageToken,items(name,size,generation,md5Hash)",
        }
        while True:
            response = self._get(what, "", query, {}, stream=False)
            if response.status_code != HTTPStatus.OK:
                raise _refused(what, response)
            page = _page(what, response)
            for entry in page.get("items", ()):
                listed = _object(entry["name"].removeprefix(self.prefix), entry)
                self._generations[listed.key, listed.version] = entry["generation"]
                yield listed
            if not page.get("nextPageToken"):
                break
            query["pageToken"] = page["nextPageToken"]

    def _content(self, wanted: Object, start: int) -> tuple[int, Iterator[bytes]]:
        what, known = self.uri(wanted.key), (wanted.key, wanted.version)
        if known not in self._generations:
            self.list(wanted.key)
        if known not in self._generations:
            raise ChangedError(what)
        query = {"alt": "media", "generation": self._generations[known]}
        span = {"Range": f"bytes={start}-"} if start else {}
        response = self._get(what, self._path(wanted.key), query, span, stream=True)
        if response.status_code == HTTPStatus.NOT_FOUND:
            raise ChangedError(what)
        if response.status_code == HTTPStatus.PARTIAL_CONTENT:
            return start, _chunks(response)
        if response.status_code == HTTPStatus.OK:
            return 0, _chunks(response)
        raise _refused(what, response)

    def _path(self, key: str) -> str:
        return "/" + quote(self.prefix + key, safe="")

    def _md5(self, wanted: Object) -> str | None:
        return None if wanted.version.startswith("generation ") else wanted.version.rsplit("-", 1)[0]


def _object(key: str, entry: Mapping[str, Any]) -> Object:
    size = int(entry["size"])
    if entry.get("md5Hash"):
        return Object(key, size, f"{base64.b64decode(entry['md5Hash']).hex()}-{size}")
    return Object(key, size, f"generation {entry['generation']}")


def _page(what: str, response: Response) -> dict[str, Any]:
    try:
        page = response.json()
    except ValueError as error:
        msg = f"{what}: the answer is not JSON ({response.text[:80]!r}); check `endpoint_url`"
        raise SourceError(msg) from error
    if not isinstance(page, dict):
        msg = f"{what}: the answer is no list of objects ({response.text[:80]!r}); check `endpoint_url`"
        raise SourceError(msg)
    return page


def _refused(what: str, response: Response) -> SourceError:
    """The error of an answer that is no success, with the service's own words."""
    try:
        said = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = response.text[:200]
    advice = ADVICE.get(response.status_code, "run again later")
    return SourceError(f"{what}: {advice} (HTTP {response.status_code}: {said})")


def _chunks(response: Response) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from response.raw.stream(CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise BrokenDownloadError(str(error)) from error
    finally:
        response.close()
