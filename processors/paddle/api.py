"""Reading Paddle's API: data that webhooks leave out, and past events.

Returns Paddle's own JSON values. Only the worker and the command line import this.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime

from processors.http_client import TIMEOUT_SECONDS, JsonApi, Params, Refusal, segment
from processors.paddle.connection import API_BASE
from processors.paddle.envelope import ENVIRONMENT
from processors.payload import NOTHING, Json, at, ident, instant, rows, table

LIVE = "https://api.paddle.com"
SANDBOX = "https://sandbox-api.paddle.com"
VERSION = "1"
ADVICE = {
    401: ". Is the API key right, and of the same environment (live or sandbox)?",
    403: ". Give the key read permission for this, and use the environment (live or sandbox) that it is of.",
}
PAGE = 200
RUNNING = "active,trialing,past_due,paused"


class PaddleApiError(Refusal):
    """Paddle's API refused a request."""

    whose = "Paddle's"
    shown = ("type", "code")
    advice = ADVICE


def host_of(key: str, environment: str | None) -> str:
    """The host for a key: newer keys name their environment, older ones need PADDLE_ENVIRONMENT."""
    if key.startswith("pdl_sdbx_"):
        return SANDBOX
    if key.startswith("pdl_live_"):
        return LIVE
    return SANDBOX if environment == "sandbox" else LIVE


def base_url(key: str, options: Mapping[str, str]) -> str:
    """The API's address: PADDLE_API_BASE, else the host of the key's environment."""
    return options.get(API_BASE.name) or host_of(key, options.get(ENVIRONMENT.name))


class PaddleApi:
    """The API of one account."""

    def __init__(
        self,
        key: str,
        base_url: str = LIVE,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
        wait: Callable[[float], None] = time.sleep,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Paddle-Version": VERSION}
        self._json = JsonApi(base_url, headers, PaddleApiError, timeout, wait)

    def __repr__(self) -> str:
        return f"PaddleApi({self._json.base_url})"

    def now(self) -> datetime:
        """The current time, for the state of entities."""
        return datetime.now(UTC)

    # ---- Data that webhooks leave out ----

    def price(self, price_id: str) -> Json | None:
        """A price; None: there is no such price."""
        return self._one(f"/prices/{segment(price_id)}")

    def product(self, product_id: str) -> Json | None:
        """A product; None: there is no such product."""
        return self._one(f"/products/{segment(product_id)}")

    def discount(self, discount_id: str) -> Json | None:
        """A discount; None: there is no such discount."""
        return self._one(f"/discounts/{segment(discount_id)}")

    def subscription(self, subscription_id: str) -> Json | None:
        """A subscription with the cost of its next periods; None: there is no such subscription."""
        asked = {"include": "recurring_transaction_details"}
        return self._one(f"/subscriptions/{segment(subscription_id)}", asked)

    # ---- Past events and current subscriptions ----

    def events(self, since: datetime, types: Sequence[str]) -> Iterator[Json]:
        """The events of these types since then (Paddle keeps 90 days), newest first."""
        asked = {"event_type": ",".join(types), "order_by": "id[DESC]"}
        for found in self._pages("/events", asked, "event_id"):
            occurred_at = instant(found.get("occurred_at"))
            if occurred_at is not None and occurred_at < since:
                return
            yield found

    def subscriptions(self) -> Iterator[Json]:
        """Every subscription that has not ended."""
        yield from self._pages("/subscriptions", {"status": RUNNING, "order_by": "id[ASC]"}, "id")

    # ---- What an audit compares ----

    def transactions(self, since: datetime, until: datetime) -> Iterator[Json]:
        """The completed transactions that were billed in a time span."""
        asked = {
            "status": "completed",
            "billed_at[GTE]": since.isoformat().replace("+00:00", "Z"),
            "billed_at[LT]": until.isoformat().replace("+00:00", "Z"),
            "order_by": "id[ASC]",
        }
        yield from self._pages("/transactions", asked, "id")

    def adjustments(self) -> Iterator[Json]:
        """Every adjustment: Paddle filters them by no time."""
        yield from self._pages("/adjustments", {"order_by": "id[ASC]"}, "id")

    def metric(self, name: str, first: date, after: date) -> Json:
        """A metric by day, from the first day until before `after` (UTC)."""
        return table(self._json.get(f"/metrics/{name}", {"from": first.isoformat(), "to": after.isoformat()}), "data")

    def entity(self, path: str, entity_id: str) -> Json | None:
        """One entity of a list. Adjustments can only be listed, by id."""
        if path == "/adjustments":
            return next(self._pages(path, {"id": entity_id}, "id"), None)
        return self._one(f"{path}/{segment(entity_id)}")

    # ---- Notification settings ----

    def notification_settings(self) -> Iterator[Json]:
        """Every notification destination, each with its secret key."""
        yield from self._pages("/notification-settings", NOTHING, "id")

    def create_notification_setting(self, body: Params) -> Json:
        """A new notification destination. Sent once, since Paddle has no idempotency keys."""
        return table(self._json.send("POST", "/notification-settings", body=body, repeatable=False), "data")

    def update_notification_setting(self, setting_id: str, body: Params) -> Json:
        """The changed notification destination."""
        path = f"/notification-settings/{segment(setting_id)}"
        return table(self._json.send("PATCH", path, body=body, repeatable=True), "data")

    def probe(self, path: str) -> None:
        """Reads one row of a list. Raises PaddleApiError if the key may not."""
        self._json.get(path, {"per_page": 1})

    # ---- Requests ----

    def _one(self, path: str, params: Params = NOTHING) -> Json | None:
        found = self._json.find(path, params)
        return None if found is None else table(found, "data")

    def _pages(self, path: str, params: Params, key: str) -> Iterator[Json]:
        """All rows, page by page: each page begins after the id of the last row of the previous one."""
        asked = {**params, "per_page": PAGE}
        while True:
            page = self._json.get(path, asked)
            last = None
            for row in rows(page, "data"):
                last = ident(row.get(key))
                yield row
            if at(page, "meta.pagination.has_more") is not True or last in (None, asked.get("after")):
                return
            asked["after"] = last
