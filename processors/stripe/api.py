"""Reading Stripe's API with a restricted key: data that webhooks leave out, and past events.

Returns Stripe's own JSON values, which `account` translates. Only the worker and the command line import this.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from processors.http_client import TIMEOUT_SECONDS, JsonApi, Params, Refusal, segment
from processors.payload import NOTHING, Json, at, ident, rows, table

BASE_URL = "https://api.stripe.com"
VERSION = "2026-09-30.endive"  # pinned, so that responses keep the format that `expand` expects
ADVICE = {
    401: ". Is the API key right, and of the same mode?",
    403: ". Give the restricted key read access to this resource.",
}
PAGE = 100
TYPES_PER_QUERY = 20
PRICE = ("tiers", "currency_options", "product")
SUBSCRIPTION = (  # at most four levels deep, Stripe's limit
    "discounts.source.coupon.applies_to",
    "items.data.discounts",
    "items.data.price.tiers",
    "items.data.price.currency_options",
)
LISTED_SUBSCRIPTION = ("data.discounts.source.coupon", "data.items.data.discounts")


class StripeApiError(Refusal):
    """Stripe's API refused a request."""

    whose = "Stripe's"
    shown = ("type", "code", "param")
    advice = ADVICE
    # A 403 ends with: Having the 'rak_subscription_read' permission would allow this request to continue.
    permission = re.compile(r"'(rak_[a-z0-9_]+)'")


class StripeApi:
    """The API of one account."""

    def __init__(
        self,
        key: str,
        base_url: str = BASE_URL,
        timeout: tuple[float, float] = TIMEOUT_SECONDS,
        wait: Callable[[float], None] = time.sleep,
        account: str | None = None,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}", "Stripe-Version": VERSION}
        if account is not None:
            headers["Stripe-Account"] = account
        self._made_of = (key, base_url, timeout, wait)
        self._json = JsonApi(base_url, headers, StripeApiError, timeout, wait)
        self._whole_prices: dict[str, Json] = {}  # prices that were read already

    def on_behalf_of(self, account: str) -> StripeApi:
        """The API of an account that is connected to this one."""
        return type(self)(*self._made_of, account=account)

    def __repr__(self) -> str:
        return f"StripeApi({self._json.base_url})"

    def now(self) -> datetime:
        """The current time, for the state of resources."""
        return datetime.now(UTC)

    # ---- Data that webhooks leave out ----

    def price(self, price_id: str) -> Json | None:
        """A price with its tiers, its options in other currencies and its product; None: there is no such price."""
        return self._one(f"/v1/prices/{segment(price_id)}", PRICE)

    def coupon(self, coupon_id: str) -> Json | None:
        """A coupon; None: there is no such coupon."""
        return self._one(f"/v1/coupons/{segment(coupon_id)}", ("applies_to", "currency_options"))

    def subscription(self, subscription_id: str) -> Json | None:
        """A subscription with all its items, their tiers, and its coupons; None: there is no such subscription."""
        found = self._one(f"/v1/subscriptions/{segment(subscription_id)}", SUBSCRIPTION)
        return None if found is None else self._completed(found)

    def product(self, product_id: str) -> Json | None:
        """A product; None: there is no such product."""
        return self._one(f"/v1/products/{segment(product_id)}", ())

    def invoice_of_payment(self, payment_id: str) -> Json | None:
        """The invoice payment of an intent or a charge, its invoice in it; None: it has none (yet)."""
        kind = "charge" if payment_id.startswith(("ch_", "py_")) else "payment_intent"
        asked = {"payment[type]": kind, f"payment[{kind}]": payment_id, "limit": 1, "expand[]": ["data.invoice"]}
        return next(rows(self._json.get("/v1/invoice_payments", asked)), None)

    def event(self, path: str) -> Json:
        """The object that a thin event points at, by the path in the event."""
        if not path.startswith(("/v1/", "/v2/")):
            raise StripeApiError("a thin event", "points at something that is not a path of the API", status=400)
        return self._json.get(path)

    # ---- Past events and current subscriptions ----

    def events(self, since: datetime, until: datetime, types: Sequence[str]) -> Iterator[Json]:
        """Events of a time span (Stripe keeps 30 days): newest first within each batch of types."""
        for start in range(0, len(types), TYPES_PER_QUERY):
            asked = {
                "created[gte]": int(since.timestamp()),
                "created[lt]": int(until.timestamp()),
                "types[]": list(types[start : start + TYPES_PER_QUERY]),
            }
            yield from self._pages("/v1/events", asked)

    def subscriptions(self, status: str | None = None) -> Iterator[Json]:
        """Every subscription of a status (None: all that have not ended), with all its items and their tiers."""
        asked = {"expand[]": list(LISTED_SUBSCRIPTION), **({} if status is None else {"status": status})}
        for found in self._pages("/v1/subscriptions", asked):
            yield self._completed(found)

    def made_between(
        self, path: str, since: datetime, until: datetime, *, expand: Sequence[str] = (), **more: str
    ) -> Iterator[Json]:
        """A list of what was made in a time span, newest first."""
        asked = {"created[gte]": int(since.timestamp()), "created[lt]": int(until.timestamp()), **more}
        listed = {"expand[]": [f"data.{name}" for name in expand]} if expand else {}
        yield from self._pages(path, {**asked, **listed})

    def resource(self, path: str, resource_id: str, expand: Sequence[str] = ()) -> Json | None:
        """One resource of a list; None: there is none of this id."""
        return self._one(f"{path}/{segment(resource_id)}", expand)

    # ---- Webhook endpoints ----

    def endpoints(self) -> Iterator[Json]:
        """Every webhook endpoint of this account and mode, without its secret."""
        yield from self._pages("/v1/webhook_endpoints", {})

    def create_endpoint(self, form: Params, idempotency_key: str) -> Json:
        """A new webhook endpoint, with its secret, which no other response contains.

        Stripe repeats its first response to a key for at least 24 hours (docs.stripe.com/api/idempotent_requests), so a
        lost response, and with it the secret, can be had again.
        """
        headers = {"Idempotency-Key": idempotency_key}
        return self._json.send("POST", "/v1/webhook_endpoints", form=form, headers=headers, repeatable=True)

    def update_endpoint(self, endpoint_id: str, form: Params) -> Json:
        """The changed webhook endpoint."""
        path = f"/v1/webhook_endpoints/{segment(endpoint_id)}"
        return self._json.send("POST", path, form=form, repeatable=True)

    def probe(self, path: str) -> None:
        """Reads one row of a list. Raises StripeApiError if the key may not."""
        self._json.get(path, {"limit": 1})

    # ---- Requests ----

    def _one(self, path: str, expand: Sequence[str]) -> Json | None:
        return self._json.find(path, {"expand[]": list(expand)} if expand else NOTHING)

    def _pages(self, path: str, params: Params) -> Iterator[Json]:
        asked = {**params, "limit": PAGE}
        while True:
            page = self._json.get(path, asked)
            last = None
            for row in rows(page):
                last = ident(row)
                yield row
            if page.get("has_more") is not True or last is None:
                return
            asked["starting_after"] = last

    def _completed(self, subscription: Json) -> Json:
        """The subscription with all items (a page has ten), and with what is too deep to expand in a list.

        That is tiers, and the options of prices that are listed in another currency.
        """
        items = list(rows(subscription, "items"))
        if at(subscription, "items.has_more") is True:
            asked = {"subscription": ident(subscription), "expand[]": ["data.price.tiers", "data.discounts"]}
            items = list(self._pages("/v1/subscription_items", asked))
        whole = [{**item, "price": self._whole(item.get("price"), subscription.get("currency"))} for item in items]
        return {**subscription, "items": {**table(subscription, "items"), "data": whole, "has_more": False}}

    def _whole(self, price: Any, currency: Any) -> Any:
        price_id = ident(price)
        lacks_tiers = at(price, "billing_scheme") == "tiered" and not isinstance(at(price, "tiers"), list)
        lacks_option = currency not in (None, at(price, "currency")) and not at(price, f"currency_options.{currency}")
        if price_id is None or not (lacks_tiers or lacks_option):
            return price
        if price_id not in self._whole_prices:
            self._whole_prices[price_id] = self.price(price_id) or table(price)
        return self._whole_prices[price_id]
