"""Reading Paddle's API: what webhooks leave out, and what happened before the bridge was there.

Answers are JSON values as Paddle gave them. Only the worker and the command line import this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import requests

from processors.base import ApiError
from processors.reading import NOTHING, Json, Unreadable, at, ident, instant, parse, rows, table, text

LIVE = "https://api.paddle.com"
SANDBOX = "https://sandbox-api.paddle.com"
VERSION = "1"
TIMEOUT_SECONDS = (5.0, 20.0)  # to connect, to read
ATTEMPTS = 4
LONGEST_WAIT_SECONDS = 20.0
ADVICE = {
    401: ". Is the API key right, and of the same environment (live or sandbox)?",
    403: ". Give the key read permission for this, and use the environment (live or sandbox) that it is of.",
}
TRY_AGAIN = frozenset({409, 429, 500, 502, 503, 504})
PAGE = 200
RUNNING = "active,trialing,past_due,paused"

Params = Mapping[str, Any]


class PaddleApiError(ApiError):
    """Paddle's API did not give what was asked for. `status` None: there was no answer at all."""

    def __init__(self, path: str, what: str, status: int | None = None, retry_after: float | None = None) -> None:
        super().__init__(f"Paddle's API, {path}: {what}")
        self.status = status
        self.retry_after = retry_after

    @property
    def permanent(self) -> bool:
        """Whether asking again will not help: the key may not read this, or the question is wrong."""
        return self.status is not None and self.status not in TRY_AGAIN


def host_of(key: str, environment: str | None) -> str:
    """Where a key is good: newer keys say it themselves, older ones need PADDLE_ENVIRONMENT."""
    if key.startswith("pdl_sdbx_"):
        return SANDBOX
    if key.startswith("pdl_live_"):
        return LIVE
    return SANDBOX if environment == "sandbox" else LIVE


class PaddleApi:
    """One account's API. Where Paddle is busy it waits a little and asks again, a few times at most."""

    def __init__(
        self,
        key: str,
        base_url: str = LIVE,
        session: requests.Session | None = None,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._session = session or requests.Session()
        self._timeout = timeout
        self._wait = wait
        self._headers = {"Authorization": f"Bearer {key}", "Paddle-Version": VERSION}

    def __repr__(self) -> str:
        return f"PaddleApi({self._base_url})"

    def now(self) -> datetime:
        """The present, which its answers are of."""
        return datetime.now(UTC)

    # ---- What webhooks leave out ----

    def price(self, price_id: str) -> Json | None:
        """A price; None: there is no such price."""
        return self._one(f"/prices/{_segment(price_id)}")

    def product(self, product_id: str) -> Json | None:
        """A product; None: there is no such product."""
        return self._one(f"/products/{_segment(product_id)}")

    def discount(self, discount_id: str) -> Json | None:
        """A discount; None: there is no such discount."""
        return self._one(f"/discounts/{_segment(discount_id)}")

    def subscription(self, subscription_id: str) -> Json | None:
        """A subscription with what its next periods will cost; None: there is no such subscription."""
        asked = {"include": "recurring_transaction_details"}
        return self._one(f"/subscriptions/{_segment(subscription_id)}", asked)

    # ---- What happened before ----

    def events(self, since: datetime, types: Sequence[str]) -> Iterator[Json]:
        """The events of these types since then (Paddle keeps 90 days), the newest first."""
        asked = {"event_type": ",".join(types), "order_by": "id[DESC]"}
        for found in self._pages("/events", asked, "event_id"):
            occurred_at = instant(found.get("occurred_at"))
            if occurred_at is not None and occurred_at < since:
                return
            yield found

    def subscriptions(self) -> Iterator[Json]:
        """Every subscription that has not ended."""
        yield from self._pages("/subscriptions", {"status": RUNNING, "order_by": "id[ASC]"}, "id")

    # ---- Asking ----

    def get(self, path: str, params: Params = NOTHING) -> Json:
        """One answer. Raises `PaddleApiError`, after a few tries where trying again may help."""
        for attempt in range(1, ATTEMPTS):
            try:
                return self._asked(path, params)
            except PaddleApiError as error:
                if error.permanent:
                    raise
                self._wait(_pause(error, attempt))
        return self._asked(path, params)

    def _asked(self, path: str, params: Params) -> Json:
        try:
            answer = self._session.get(
                self._base_url + path,
                params=params,
                headers=self._headers,
                timeout=self._timeout,
                allow_redirects=False,
            )
        except (requests.RequestException, UnicodeError) as error:
            raise PaddleApiError(path, f"no answer ({type(error).__name__})") from None  # its text may hold the address
        if answer.status_code != 200:
            raise PaddleApiError(path, _complaint(answer), answer.status_code, _retry_after(answer))
        try:
            return parse(answer.content)
        except Unreadable as unreadable:
            raise PaddleApiError(path, f"an answer that cannot be read: {unreadable}") from None

    def _one(self, path: str, params: Params = NOTHING) -> Json | None:
        try:
            return table(self.get(path, params), "data")
        except PaddleApiError as error:
            if error.status == 404:
                return None
            raise

    def _pages(self, path: str, params: Params, key: str) -> Iterator[Json]:
        """All rows, page by page: each page begins after the last row of the one before, by its id."""
        asked = {**params, "per_page": PAGE}
        while True:
            page = self.get(path, asked)
            last = None
            for row in rows(page, "data"):
                last = ident(row.get(key))
                yield row
            if at(page, "meta.pagination.has_more") is not True or last in (None, asked.get("after")):
                return
            asked["after"] = last


def _segment(value: str) -> str:
    return quote(value, safe="")


def _pause(error: PaddleApiError, attempt: int) -> float:
    """How long to wait: as long as Paddle asks, within bounds, else half a second, one, two."""
    asked = error.retry_after if error.retry_after is not None else 0.25 * 2**attempt
    return min(max(asked, 0.0), LONGEST_WAIT_SECONDS)


def _retry_after(answer: requests.Response) -> float | None:
    stated = answer.headers.get("Retry-After", "")
    return float(stated) if stated.isdecimal() and stated.isascii() and len(stated) < 10 else None


def _complaint(answer: requests.Response) -> str:
    """What Paddle complains of: its type and code, never its sentence."""
    try:
        error = table(parse(answer.content), "error")
    except Unreadable:
        error = NOTHING
    named = [text(error.get("type"), 60), text(error.get("code"), 60)]
    told = " ".join(["answered", str(answer.status_code), *(word for word in named if word)])
    return told + ADVICE.get(answer.status_code, "")
