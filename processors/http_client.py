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
    (requests.exceptions.ConnectTimeout, "the connection timed out"),
    (ConnectionRefusedError, "the connection was refused"),
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

    def __init__(self, path: str, what: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"{self.whose} API, {path}: {what}")
        self.status = status
        self.retry_after = retry_after

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
        for attempt in range(1, ATTEMPTS):
            try:
                return self._request(path, params)
            except Refusal as refused:
                if refused.permanent:
                    raise
                self._wait(_pause(refused, attempt))
        return self._request(path, params)

    def find(self, path: str, params: Params = NOTHING) -> Json | None:
        """The JSON object at a path, or None: 404. Raises like `get`."""
        try:
            return self.get(path, params)
        except Refusal as refused:
            if refused.status == 404:
                return None
            raise

    def _request(self, path: str, params: Params) -> Json:
        try:
            response = self._session.get(
                self.base_url + path,
                params=params,
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,  # never send the key to another host
            )
        except (requests.RequestException, UnicodeError) as error:
            # `from None`: the error's own text may contain the address.
            raise self._refusal(path, f"no response: {explain_network_error(error)}") from None
        if response.status_code != 200:
            wait = retry_after_seconds(response.headers.get("Retry-After"), datetime.now(UTC))
            raise self._refusal(path, self._problem(response), response.status_code, wait)
        try:
            return parse(response.content)
        except Unreadable as unreadable:
            raise self._refusal(path, f"a response that cannot be read: {unreadable}") from None

    def _problem(self, response: requests.Response) -> str:
        """Status, type and code of an error, never its message, which may contain parts of the key."""
        try:
            error = table(parse(response.content), "error")
        except Unreadable:
            error = NOTHING
        named = [text(error.get(name), 60) for name in self._refusal.shown]
        problem = " ".join(["responded", str(response.status_code), *(word for word in named if word)])
        return problem + self._refusal.advice.get(response.status_code, "")


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
