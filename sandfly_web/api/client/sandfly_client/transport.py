"""HTTP: token, certificates, time limits, retries, pages, exports, errors. It follows no redirect with the token."""

from __future__ import annotations

import ssl
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qs, quote, urlencode, urlsplit

import msgspec
import urllib3
from msgspec import UNSET, UnsetType

from . import errors

T = TypeVar("T")
MAX_ANSWER_BYTES = 64 << 20
MAX_LINE_BYTES = 16 << 20
CHUNK_BYTES = 64 << 10
# Longer waits than this are no wait but an outage, which the caller should hear of.
MAX_RETRY_AFTER_S = 120.0
BACKOFF_S = 0.5
BUSY = frozenset({429, 503})
LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class Form(dict[str, Any]):
    """A body that is sent as multipart/form-data."""


class _Problem(msgspec.Struct, frozen=True):
    detail: str = ""
    code: Any = ""
    errors: tuple[errors.FieldError, ...] = ()


class _Page(msgspec.Struct, frozen=True):
    results: tuple[msgspec.Raw, ...]
    next: str | None


class _Retry(urllib3.Retry):
    """Waits as long as the server asks for, within reason."""

    def parse_retry_after(self, retry_after: str) -> float:
        return min(super().parse_retry_after(retry_after), MAX_RETRY_AFTER_S)


@dataclass(frozen=True)
class Options:
    """How to reach a server. `ca_file`: PEM of the authority that signed its certificate, besides the system's own.

    Times are in seconds. Plain `http://` would show the token to the network: it needs `is_plain_http_allowed`, except
    for this machine.
    """

    ca_file: str | None = None
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    retries: int = 5
    is_plain_http_allowed: bool = False


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Only what the caller said."""
    return {name: value for name, value in values.items() if value is not UNSET}


def part(value: object) -> str:
    """One part of a path, whatever is in it."""
    return quote(str(value), safe="")


def as_query(values: Mapping[str, Any]) -> str:
    """Lists as repeated names, moments as RFC 3339."""
    pairs = []
    for name, value in msgspec.to_builtins(dict(values)).items():
        for one in value if isinstance(value, list | tuple) else [value]:
            pairs.append((name, str(one).lower() if isinstance(one, bool) else str(one)))
    return urlencode(pairs)


class Transport:
    """One server and one token. Safe to share between threads."""

    def __init__(self, url: str, token: str, options: Options) -> None:
        """Raises ValueError for an address that is none, or that would show the token to the network."""
        parts = urlsplit(url)
        if parts.scheme not in {"https", "http"} or not parts.hostname or parts.query or parts.username:
            raise ValueError("the address is https://host or https://host:port")
        if parts.scheme == "http" and parts.hostname not in LOCAL and not options.is_plain_http_allowed:
            raise ValueError("plain http would show the token to the network; use https")
        self.url, self.options, self._token = url.rstrip("/"), options, token
        context = ssl.create_default_context()
        if options.ca_file:
            context.load_verify_locations(options.ca_file)
        timeout = urllib3.Timeout(connect=options.connect_timeout_s, read=options.read_timeout_s)
        self._pool = urllib3.PoolManager(ssl_context=context, timeout=timeout, maxsize=8, block=False)

    def call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        idempotency_key: str | UnsetType | None = UNSET,
        is_safe: bool = True,
    ) -> T:
        """The decoded answer. `idempotency_key`: None makes one. `is_safe`: asking twice does no harm."""
        headers: dict[str, str] = {}
        content: dict[str, Any] = {}
        if idempotency_key is not UNSET:
            headers["Idempotency-Key"] = idempotency_key or str(uuid.uuid4())
        if isinstance(body, Form):
            content["fields"] = {name: as_part(name, value) for name, value in body.items()}
        elif body is not None:
            headers["Content-Type"] = "application/json"
            content["body"] = msgspec.json.encode(body)
        with self._send(method, path, query, headers, is_safe=is_safe, **content) as response:
            data = read_bounded(response)
        return decode(data or b"null", answer)

    def close(self) -> None:
        self._pool.clear()

    def listing(self, path: str, row: type[T], *, query: Mapping[str, Any] | None = None) -> Listing[T]:
        return Listing(self, path, row, query or {})

    def lines(self, path: str, query: Mapping[str, Any] | None = None) -> Iterator[bytes]:
        """An answer line by line, as it comes."""
        with self._send("GET", path, query, {}) as response:
            yield from split_lines(response)

    def _send(
        self,
        method: str,
        path: str,
        query: Mapping[str, Any] | None,
        headers: dict[str, str],
        *,
        is_safe: bool = True,
        **content: Any,
    ) -> urllib3.BaseHTTPResponse:
        url = self.url + path + (f"?{as_query(query)}" if query else "")
        headers |= {"Authorization": f"Bearer {self._token}", "Accept": "application/json, application/problem+json"}
        retries = _Retry(
            total=self.options.retries,
            # An answer that got lost: what was deleted is not there the second time.
            read=self.options.retries if is_safe and method != "DELETE" else 0,
            status=self.options.retries if is_safe else 0,
            redirect=0,
            allowed_methods=None,
            status_forcelist=BUSY,
            backoff_factor=BACKOFF_S,
            raise_on_status=False,
            raise_on_redirect=False,
        )
        try:
            response = self._pool.request(
                method, url, headers=headers, retries=retries, redirect=False, preload_content=False, **content
            )
        except urllib3.exceptions.HTTPError as error:
            raise translate(error) from None
        if response.status >= 300:
            with response:
                raise refusal(response)
        return response


def as_part(name: str, value: Any) -> Any:
    """A field of a form; bytes are a file."""
    if isinstance(value, bytes):
        return (f"{name}.txt", value, "application/octet-stream")
    return str(value).lower() if isinstance(value, bool) else str(msgspec.to_builtins(value))


def translate(error: urllib3.exceptions.HTTPError) -> errors.ConnectionFailedError:
    cause: Any = error
    while isinstance(cause, urllib3.exceptions.MaxRetryError) and cause.reason is not None:
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.SSLError):
        return errors.CertificateError(str(cause))
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return errors.TimedOutError("no answer in time")
    return errors.ConnectionFailedError(str(cause))


def read_bounded(response: urllib3.BaseHTTPResponse) -> bytes:
    """The whole body. Raises UnexpectedAnswerError beyond MAX_ANSWER_BYTES."""
    parts, size = [], 0
    try:
        for part in response.stream(CHUNK_BYTES):
            size += len(part)
            if size > MAX_ANSWER_BYTES:
                raise errors.UnexpectedAnswerError(f"an answer of more than {MAX_ANSWER_BYTES} bytes")
            parts.append(part)
    except urllib3.exceptions.HTTPError as error:
        raise translate(error) from None
    return b"".join(parts)


def split_lines(response: urllib3.BaseHTTPResponse) -> Iterator[bytes]:
    """Lines without their ends. Raises ConnectionFailedError where the answer breaks off: what came is not all."""
    rest = b""
    try:
        for part in response.stream(CHUNK_BYTES):
            *whole, rest = (rest + part).split(b"\n")
            yield from filter(None, whole)
            if len(rest) > MAX_LINE_BYTES:
                raise errors.UnexpectedAnswerError(f"a line of more than {MAX_LINE_BYTES} bytes")
    except urllib3.exceptions.HTTPError as error:
        raise translate(error) from None
    if rest:
        raise errors.ConnectionFailedError("the answer broke off within a line")


def decode(data: bytes | msgspec.Raw, answer: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=answer)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise errors.UnexpectedAnswerError(f"not what the API answers: {error}") from None


def refusal(response: urllib3.BaseHTTPResponse) -> errors.SandflyError:
    """The error that a status of 300 and above stands for."""
    status, request_id = response.status, response.headers.get("X-Request-Id", "")
    if status < 400:
        return errors.UnexpectedAnswerError(f"{status}: the server leads elsewhere; use its final address")
    kind = errors.BY_STATUS.get(status, errors.ServerError if status >= 500 else errors.ApiError)
    try:
        problem = msgspec.json.decode(read_bounded(response), type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError, errors.SandflyError):
        # A proxy's page, or an answer that broke off: the status says enough.
        return kind(status, response.reason or "no reason given", request_id=request_id)
    code = problem.code if isinstance(problem.code, str) else ""
    return kind(status, problem.detail, code, problem.errors, request_id)


class Listing(Generic[T]):
    """The rows of a list. Iterating asks page by page; `export()` asks once and reads as they come."""

    def __init__(self, transport: Transport, path: str, row: type[T], query: Mapping[str, Any]) -> None:
        self._transport, self._path, self._row, self._query = transport, path, row, dict(query)

    def __iter__(self) -> Iterator[T]:
        for page in self.pages():
            yield from page

    def pages(self) -> Iterator[tuple[T, ...]]:
        query = dict(self._query)
        while True:
            page = self._transport.call("GET", self._path, _Page, query=query)
            yield tuple(decode(row, self._row) for row in page.results)
            if page.next is None:
                return
            # Only the cursor: the address that the server has of itself may be one behind a proxy.
            cursor = parse_qs(urlsplit(page.next).query).get("cursor", [""])[0]
            if not cursor or cursor == query.get("cursor"):
                raise errors.UnexpectedAnswerError("a next page without a cursor of its own")
            query["cursor"] = cursor

    def first(self) -> T | None:
        """The first row, if there is any."""
        return next(iter(Listing(self._transport, self._path, self._row, self._query | {"page_size": 1})), None)

    def export(self) -> Iterator[T]:
        """All rows through one streamed answer: the way for a million of them."""
        for line in self._transport.lines(self._path, self._query | {"export": "ndjson"}):
            yield decode(line, self._row)
