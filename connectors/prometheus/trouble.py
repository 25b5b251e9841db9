"""What the failures of a Prometheus, and of the way to it, mean, and what to do about them. No text holds a secret."""

from __future__ import annotations

from http import HTTPStatus

from connectors.base import SourceError

TOO_MUCH = (
    "too many samples", "maximum resolution", "timed out", "timeout", "time-out", "too many series", "limit",
    "exceeded the maximum", "maxsamples", "maxunique", "too large",
)  # fmt: skip
"""What servers (Prometheus, Thanos, Mimir, VictoriaMetrics) say when a question is too big; a smaller one may do."""

NO_CERTIFICATE = (
    "wants a certificate of ours, and none is given: {cause}. Name it in `cert_file` and `key_file`"
)
CERTIFICATES = (
    (("mismatch, certificate is not valid", "doesn't match"), "has a certificate for another name: {cause}. Write the `url` with the name that is in it"),
    (("has expired", "not yet valid"), "has a certificate out of its time: {cause}. It must be renewed, or the clock set right"),
    (("certificate verify failed", "self-signed", "self signed"), "has a certificate that is not trusted: {cause}. Name the CA's certificate in `ca_file`"),
    (("wrong version number", "record layer failure", "http request"), "speaks no TLS: {cause}. Write http:// in `url`, or name the port that does"),
    (("is encrypted",), "cannot be asked: {cause}. Write a key without a password to `key_file`"),
    (("key values mismatch", "no start line", "pem lib", "bad base64"), "cannot be asked: our certificate and key cannot be used: {cause}. Correct `cert_file` and `key_file`, both PEM"),
    (("certificate required", "bad certificate", "unknown ca", "certificate unknown", "handshake failure", "certificate expired", "certificate revoked", "unsupported certificate"), "refuses our certificate: {cause}. Correct `cert_file` and `key_file`"),
)  # fmt: skip
"""Parts of what TLS says -> what it means; our own trouble with the server's certificate before the server's with ours."""


class TooMuchError(Exception):
    """The server cannot answer so much at once."""


def unreachable(error: BaseException, *, own_certificate: bool) -> str:
    """What it means that a request was not answered, as the end of a sentence about the server.

    Args:
        error: From requests.
        own_certificate: We show a certificate of ours.
    """
    cause, text = _cause(error), str(error).lower()
    for parts, meaning in CERTIFICATES:
        if any(part in text for part in parts):
            asked = meaning.startswith("refuses our") and not own_certificate
            return (NO_CERTIFICATE if asked else meaning).format(cause=cause)
    return f"cannot be reached: {cause}. Start it, open the way to it, or correct `url`"


def refused(text: str, query: str, where: str, retries: int) -> Exception:
    """What an answer other than 200 means.

    Args:
        text: Status and body, as the library puts them into its error.
        query: What was asked.
        where: Names the server.
        retries: How often it was asked again.
    """
    digits = "".join(c for c in text[:24] if c.isdigit())
    status = int(digits) if digits else 0
    body = text[:400]
    if status not in (400, 401, 403, 404) and any(words in text.lower() for words in TOO_MUCH):
        return TooMuchError(body)
    if status == HTTPStatus.BAD_REQUEST and "maximum resolution" in text:
        return TooMuchError(body)
    if status in (401, 403):
        return SourceError(
            f"{where} refuses ({status}): correct `bearer_token`, `headers` or `username` and `password`"
        )
    if status == HTTPStatus.BAD_REQUEST and "HTTPS server" in text:
        return SourceError(f"{where} speaks TLS: {body}. Write https:// in `url`")
    if status in (400, 422):
        return SourceError(
            f"{where} cannot run {query!r}: {body}. Correct `matchers`, `params` and `replica_label`"
        )
    return SourceError(f"{where} failed after {retries} repetitions: {body}. Try later, or look at its log")


def _cause(error: BaseException) -> str:
    """The innermost reason, which names the failure; the outer ones name classes of libraries."""
    reason = getattr(error.args[0], "reason", error.args[0]) if error.args else error
    return str(reason).rsplit(": ", maxsplit=1)[-1]
