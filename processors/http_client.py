"""A processor's JSON API, asked over HTTP with a key: bounded in time and tries. Only its `api` module uses this."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, ClassVar
from urllib.parse import quote

import requests

from processors.interface import ApiError
from processors.payload import NOTHING, Json, Unreadable, parse, table, text

TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, to read
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 20.0
TRY_AGAIN = frozenset({409, 429, 500, 502, 503, 504})

Params = Mapping[str, Any]


class Refusal(ApiError):
    """An API did not give what was asked for. `status` None: there was no answer at all.

    A processor names its own: whose API it is, which fields of an error may be shown, what to do about a status.
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
        """Whether asking again will not help: the key may not read this, or the question is wrong."""
        return self.status is not None and self.status not in TRY_AGAIN


class JsonApi:
    """One host's API. Where it is busy, this waits a little and asks again, a few times at most."""

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
        """One answer. Raises its `refusal`, after a few tries where trying again may help."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._asked(path, params)
            except Refusal as refused:
                if refused.permanent:
                    raise
                self._wait(_pause(refused, attempt))
        return self._asked(path, params)

    def find(self, path: str, params: Params = NOTHING) -> Json | None:
        """One answer, or None: there is nothing at this path. Raises like `get`."""
        try:
            return self.get(path, params)
        except Refusal as refused:
            if refused.status == 404:
                return None
            raise

    def _asked(self, path: str, params: Params) -> Json:
        try:
            answer = self._session.get(
                self.base_url + path,
                params=params,
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,  # the key is for this host alone
            )
        except (requests.RequestException, UnicodeError) as error:
            raise self._refusal(path, f"no answer ({type(error).__name__})") from None  # its text may hold the address
        if answer.status_code != 200:
            raise self._refusal(path, self._complaint(answer), answer.status_code, _retry_after(answer))
        try:
            return parse(answer.content)
        except Unreadable as unreadable:
            raise self._refusal(path, f"an answer that cannot be read: {unreadable}") from None

    def _complaint(self, answer: requests.Response) -> str:
        """What the API complains of: its type and code, never its sentence, which may show parts of the key."""
        try:
            error = table(parse(answer.content), "error")
        except Unreadable:
            error = NOTHING
        named = [text(error.get(name), 60) for name in self._refusal.shown]
        told = " ".join(["answered", str(answer.status_code), *(word for word in named if word)])
        return told + self._refusal.advice.get(answer.status_code, "")


def segment(value: str) -> str:
    """An id as one segment of a path, whatever stands in it."""
    return quote(value, safe="")


def _pause(refused: Refusal, attempt: int) -> float:
    """How long to wait: as long as the API asks, within bounds, else half a second, one, two."""
    asked = refused.retry_after if refused.retry_after is not None else 0.25 * 2**attempt
    return min(max(asked, 0.0), LONGEST_WAIT_SECONDS)


def _retry_after(answer: requests.Response) -> float | None:
    stated = answer.headers.get("Retry-After", "")
    return float(stated) if stated.isdecimal() and stated.isascii() and len(stated) < 10 else None
