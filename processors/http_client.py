"""A client for a processor's JSON API, bounded in time and attempts. Only `api` modules use `JsonApi`.

`retry_after_seconds` and `explain_network_error` serve every HTTP client of the bridge.
"""

from __future__ import annotations

import http.client
import re
import ssl
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, ClassVar
from urllib.parse import quote

import requests
import urllib3

from processors.interface import ApiError
from processors.payload import NOTHING, Json, Unreadable, parse, table, text

TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, to read
ATTEMPTS = 4
MAX_WAIT_SECONDS = 20.0
RETRIED = frozenset({409, 429, 500, 502, 503, 504})

INVALID_ADDRESS = "the address is invalid"

# From the most to the least specific: the first that occurs anywhere in the chain of causes names the error.
NETWORK_ERRORS: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "the host name cannot be resolved"),
    (ssl.SSLCertVerificationError, "the TLS certificate is not trusted"),
    (ssl.SSLError, "the TLS handshake failed"),
    (requests.exceptions.ProxyError, "the proxy failed"),
    (urllib3.exceptions.ProxyError, "the proxy failed"),
    (requests.exceptions.ConnectTimeout, "the connection timed out"),
    (ConnectionRefusedError, "the connection was refused"),
    (urllib3.exceptions.NewConnectionError, "no connection could be opened"),
    (urllib3.exceptions.ConnectTimeoutError, "the connection timed out"),
    (TimeoutError, "the response timed out"),
    (urllib3.exceptions.ReadTimeoutError, "the response timed out"),
    (http.client.RemoteDisconnected, "the connection was closed without a response"),
    (ConnectionError, "the connection was reset"),
    (http.client.HTTPException, "the response is not HTTP"),
    (requests.exceptions.InvalidHeader, "a header contains invalid characters"),
    (ValueError, INVALID_ADDRESS),
)

_SECONDS = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)

Params = Mapping[str, Any]


class Refusal(ApiError):
    """An API refused a request. `status` None: there was no response. `retry_after`: seconds.

    Each processor has a subclass: the API's owner, the error fields that may be shown, advice by status.
    """

    whose: ClassVar[str]
    shown: ClassVar[tuple[str, ...]]
    advice: ClassVar[Mapping[int, str]]
    permission: ClassVar[re.Pattern[str] | None] = None  # finds the name of a missing permission in an error's message

    def __init__(
        self,
        path: str,
        what: str,
        status: int | None = None,
        retry_after: float | None = None,
        missing: str | None = None,
    ) -> None:
        super().__init__(f"{self.whose} API, {path}: {what}")
        self.status = status
        self.retry_after = retry_after
        self.missing = missing  # the permission that the key lacks, where the API names it

    @property
    def permanent(self) -> bool:
        """Whether a retry cannot help: the key has no permission, or the request is wrong."""
        return self.status is not None and self.status not in RETRIED


class JsonApi:
    """The API of one host. Retries a few times, with short waits, where that may help."""

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        refusal: type[Refusal],
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._headers = headers
        self._refusal = refusal
        self._timeout = timeout
        self._wait = wait
        self._session = requests.Session()

    def __repr__(self) -> str:
        return f"JsonApi({self.base_url})"

    def get(self, path: str, params: Params = NOTHING) -> Json:
        """The JSON object at a path. Raises its `refusal`, after a few attempts where a retry may help."""
        return self._retried(path, lambda: self._request("GET", path, params=params))

    def send(
        self,
        method: str,
        path: str,
        *,
        form: Params | None = None,
        body: Params | None = None,
        headers: Mapping[str, str] = NOTHING,
        repeatable: bool,
    ) -> Json:
        """The response to a request that changes something, with a form or a JSON body.

        `repeatable`: doing it twice is the same as once, so it is retried like `get`. Anything else is sent once: after
        a lost response only the caller can find out whether it took effect.
        """

        def request() -> Json:
            return self._request(method, path, data=form, json=body, headers={**self._headers, **headers})

        return self._retried(path, request) if repeatable else request()

    def _retried(self, path: str, request: Callable[[], Json]) -> Json:
        for attempt in range(1, ATTEMPTS):
            try:
                return request()
            except Refusal as refused:
                if refused.permanent:
                    raise
                self._wait(_pause(refused, attempt))
        return request()

    def find(self, path: str, params: Params = NOTHING) -> Json | None:
        """The JSON object at a path, or None: 404. Raises like `get`."""
        try:
            return self.get(path, params)
        except Refusal as refused:
            if refused.status == 404:
                return None
            raise

    def _request(self, method: str, path: str, **given: Any) -> Json:
        asked = {"headers": self._headers, "timeout": self._timeout, **given}
        try:
            # Redirects are not followed: the key must never reach another host.
            response = self._session.request(method, self.base_url + path, allow_redirects=False, **asked)
        except (requests.RequestException, UnicodeError) as error:
            # `from None`: the error's own text may contain the address.
            raise self._refusal(path, f"no response: {explain_network_error(error)}") from None
        if response.status_code not in (200, 201):
            raise self._refused(path, response)
        try:
            return parse(response.content)
        except Unreadable as unreadable:
            raise self._refusal(path, f"a response that cannot be read: {unreadable}") from None

    def _refused(self, path: str, response: requests.Response) -> Refusal:
        """Status, type, code and missing permission of an error, never its message: it may contain parts of the key."""
        try:
            error = table(parse(response.content), "error")
        except Unreadable:
            error = NOTHING
        named = [text(error.get(name), 60) for name in self._refusal.shown]
        problem = " ".join(["responded", str(response.status_code), *(word for word in named if word)])
        pattern, message = self._refusal.permission, text(error.get("message"), 2000)
        found = pattern.search(message) if pattern and message else None
        missing = found[1] if found else None
        advice = f". The key lacks the permission {missing}" if missing else None
        wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
        problem += advice or self._refusal.advice.get(response.status_code, "")
        return self._refusal(path, problem, response.status_code, wait, missing)


def missing_permissions(probe: Callable[[str], None], reads: Mapping[str, tuple[str, str]]) -> dict[str, str]:
    """The permissions that a key lacks, by the API's name for each, else ours, with the purpose of each.

    `reads`: the paths that are read, with permission and purpose. `probe` requests a path and raises `Refusal`.
    """
    missing = {}
    for path, (permission, purpose) in reads.items():
        try:
            probe(path)
        except Refusal as refused:
            if refused.status != 403:
                raise
            missing[refused.missing or permission] = purpose
    return missing


def segment(value: str) -> str:
    """An id as one segment of a path, with everything else escaped."""
    return quote(value, safe="")


def _pause(refused: Refusal, attempt: int) -> float:
    """Seconds to wait: what the API asks for, within bounds, else 0.5, 1, 2."""
    asked = refused.retry_after if refused.retry_after is not None else 0.25 * 2**attempt
    return min(max(asked, 0.0), MAX_WAIT_SECONDS)


def retry_after_seconds(header: str | None, now: datetime) -> float | None:
    """The wait that a `Retry-After` header asks for: seconds or an HTTP date (RFC 9110, 10.2.3). None: not readable.

    Negative when the date has passed. Not bounded: that is for the caller.
    """
    value = (header or "").strip()
    if _SECONDS.fullmatch(value):
        return float(value)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, TypeError, OverflowError):
        return None
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - now).total_seconds()


def explain_network_error(error: BaseException) -> str:
    """One sentence without address or secret for an error of requests, urllib3, `ssl` or a socket."""
    causes = tuple(causes_of(error))
    for kind, sentence in NETWORK_ERRORS:
        if any(isinstance(cause, kind) for cause in causes):
            return sentence
    return f"the network failed ({type(causes[-1]).__name__})"


def causes_of(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 keep causes in `args`, `reason` and `__cause__`."""
    yield error
    for inner in (*error.args, getattr(error, "reason", None), error.__cause__):
        if isinstance(inner, BaseException):
            yield from causes_of(inner)
