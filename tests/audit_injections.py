"""Differences put into what a processor says of a random merchant, or into the ledger, each with the cause it has.

Each is given to customers whom it fits, to one customer at most one, so that it is known which rows must differ.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, text

from bridge.audit.records import Cause
from bridge.ledger.state import dump, load
from bridge.store.schema import compress, decompress
from processors import values
from tests.audit_merchant import WEEKLY, Buyer, Moved, monthly, revalued

Place = TypeVar("Place")
Change = Callable[[Place, Buyer], str | None]  # the key of the row that differs now; None: it does not fit the customer
DAY = timedelta(days=1)
EARLIER = timedelta(days=12)  # that a churn is counted when it was requested
OF_CUSTOMER = ("outbox", "inbox", "states", "subscriptions", "streams", "links")


def inject(
    place: Place, changes: Iterable[tuple[Cause, Change[Place]]], buyers: Sequence[Buyer], share: float, seed: int
) -> dict[str, Cause]:
    """Gives each difference to that share of the customers, at least to one. Returns the causes by key."""
    times = max(1, round(len(buyers) * share))
    left = list(buyers)
    random.Random(seed).shuffle(left)
    expected: dict[str, Cause] = {}
    for cause, change in changes:
        given = 0
        for one in left[:]:
            key = change(place, one) if given < times else None
            if key is not None:
                left.remove(one)
                expected[key] = cause
                given += 1
        assert given, f"{cause}: it fits no customer"
    return expected


def stream_of(one: Buyer) -> str:
    """The stream of a customer."""
    return f"stripe||live|{one.simulated.customer_id}"


def set_status(tx: Connection, status: str, column: str, value: str) -> None:
    """The state of the delivery of revenue events."""
    tx.execute(text(f"UPDATE outbox SET status = :status WHERE {column} = :value"), {"status": status, "value": value})


# ---- Exports of movements ------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Export:
    """The rows of each customer, and who is in another currency.

    `kind` of a row: its name in the ledger; `customer_kind`: the name by the other of the two buckets.
    """

    tx: Connection
    fresh_until: datetime
    rows: dict[str, list[Moved]]
    by_customer: bool
    foreign: set[str] = field(default_factory=set)

    def of(self, one: Buyer) -> list[Moved] | None:
        """The rows of a customer with one subscription, all of which the export should have."""
        rows = self.rows[one.simulated.customer_id]
        return rows if len(one.started) == 1 and rows[-1].at + DAY < self.fresh_until else None

    def put(self, one: Buyer, rows: list[Moved]) -> str:
        """Replaces the rows. Returns the key."""
        self.rows[one.simulated.customer_id] = rows
        return one.simulated.customer_id if self.by_customer else one.moved[0].subscription

    def revalue(self, one: Buyer, value: Callable[[int], int]) -> str:
        """Each level is another."""
        return self.put(one, revalued(self.rows[one.simulated.customer_id], lambda _, level: value(level)))


def next_day(export: Export, one: Buyer) -> str | None:
    """The last movement is on the next day."""
    rows = export.of(one)
    return export.put(one, [*rows[:-1], replace(rows[-1], at=rows[-1].at + DAY)]) if rows else None


def other_currency(export: Export, one: Buyer) -> str | None:
    """Everything is in another currency."""
    rows = export.of(one)
    if not rows:
        return None
    export.foreign.add(one.simulated.customer_id)
    return export.put(one, rows)


def not_there_yet(export: Export, one: Buyer) -> str | None:
    """Nothing of the last days is there."""
    rows = export.rows[one.simulated.customer_id]
    kept = [moved for moved in rows if moved.at < export.fresh_until]
    return export.put(one, kept) if len(one.started) == 1 and len(kept) < len(rows) else None


def churn_at_request(export: Export, one: Buyer) -> str | None:
    """The churn is some days earlier, after the movement before it."""
    rows = export.of(one)
    if not rows or len(rows) < 2 or one.paused or rows[-1].kind != "churn":
        return None
    if rows[-1].at - rows[-2].at < EARLIER + 2 * DAY:
        return None
    return export.put(one, [*rows[:-1], replace(rows[-1], at=rows[-1].at - EARLIER)])


def undiscounted(export: Export, one: Buyer) -> str | None:
    """The levels before a quarter off."""
    has_coupon = export.of(one) and one.simulated.subscriptions["1"].coupon is not None
    return export.revalue(one, lambda level: round(level * 4 / 3)) if has_coupon else None


def four_weeks(export: Export, one: Buyer) -> str | None:
    """A month has four weeks instead of 52/12."""
    is_weekly = export.of(one) and one.simulated.subscriptions["1"].plan == WEEKLY
    return export.revalue(one, lambda level: round(level * 12 / 13)) if is_weekly else None


def counts_while_paused(export: Export, one: Buyer) -> str | None:
    """The last pause and its resumption change nothing."""
    rows = export.of(one)
    if not rows or not one.paused or one.simulated.subscriptions["1"].status == "canceled":
        return None
    value = one.paused["1"]
    return export.put(
        one, [moved for moved in rows if abs(moved.minor) != value or moved.kind not in ("churn", "reactivation")]
    )


def waived_counts_nothing(export: Export, one: Buyer) -> str | None:
    """A subscription whose invoices are waived has left."""
    rows, at = export.of(one), one.simulated.at + EARLIER
    if not rows or not one.let_off or at + DAY > export.fresh_until:
        return None
    return export.put(one, [*rows, replace(rows[-1], at=at, minor=-one.mrr["1"], kind="churn")])


def another_name(export: Export, one: Buyer) -> str | None:
    """The movements have the names that they have in the other bucket."""
    rows = export.rows[one.simulated.customer_id]
    days = [moved.at.date() for moved in rows]
    if not any(
        moved.kind != moved.customer_kind
        and not {moved.kind, moved.customer_kind} <= {"new", "reactivation"}
        and days.count(moved.at.date()) == 1
        for moved in rows
    ):
        return None
    return export.put(one, [replace(moved, kind=moved.customer_kind, customer_kind=moved.kind) for moved in rows])


def guessed(export: Export, one: Buyer) -> str | None:
    """The revenue events are marked as estimated, and the levels are a seventh higher."""
    if not export.of(one):
        return None
    flag = text("UPDATE outbox SET body = replace(body, :old, :new) WHERE subscription_id = :id")
    values = {"old": '"metadata":{', "new": '"metadata":{"mrr_estimated":true,', "id": one.moved[0].subscription}
    export.tx.execute(flag, values)
    return export.revalue(one, lambda level: level + level // 7)


def never_arrived(export: Export, one: Buyer) -> str | None:
    """Nothing of the customer is stored."""
    rows = export.of(one)
    if not rows:
        return None
    for table in OF_CUSTOMER:
        export.tx.execute(text(f"DELETE FROM {table} WHERE stream_id = :stream"), {"stream": stream_of(one)})
    return export.put(one, rows)


def with_status(status: str) -> Change[Export]:
    """The revenue events of the customer are in that state."""

    def change(export: Export, one: Buyer) -> str | None:
        rows = export.of(one)
        if not rows:
            return None
        set_status(export.tx, status, "stream_id", stream_of(one))
        return export.put(one, rows)

    return change


def odd(export: Export, one: Buyer) -> str | None:
    """1.23 more on the first day, for no reason."""
    rows = export.of(one)
    return export.put(one, [replace(rows[0], minor=rows[0].minor + 123), *rows[1:]]) if rows else None


# Those that fit few customers come first.
OF_EXPORTS: Sequence[tuple[Cause, Change[Export]]] = (
    (Cause.FRESHNESS, not_there_yet),
    (Cause.PAUSED, counts_while_paused),
    (Cause.PAUSED, waived_counts_nothing),
    (Cause.CHURN_TIME, churn_at_request),
    (Cause.DISCOUNT, undiscounted),
    (Cause.FACTOR, four_weeks),
    (Cause.TIME_ZONE, next_day),
    (Cause.CURRENCY, other_currency),
    (Cause.ESTIMATED, guessed),
    (Cause.MISSING, never_arrived),
    (Cause.WAITING, with_status("held")),
    (Cause.WAITING, with_status("pending")),
    (Cause.WAITING, with_status("failed")),
    (Cause.NOT_FORWARDED, with_status("not_forwarded")),
    (Cause.UNEXPLAINED, odd),
)
OF_CUSTOMERS = (*OF_EXPORTS, (Cause.BUCKET, another_name))  # within one subscription there is no other bucket


# ---- The lists of the API ------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Lists:
    """The lists of Stripe's API, to be changed in place."""

    tx: Connection
    lists: dict[str, list[dict[str, Any]]]
    charges: dict[str, dict[str, Any]] = field(init=False)  # one of each customer that was not refunded
    active: dict[str, dict[str, Any]] = field(init=False)  # subscriptions
    invoices: dict[str, str] = field(init=False)  # by payment intent

    def __post_init__(self) -> None:
        self.charges = {
            one["customer"]: one for one in self.lists["/v1/charges"] if one["customer"] and not one["amount_refunded"]
        }
        self.active = {one["id"]: one for one in self.lists["/v1/subscriptions"]}
        self.invoices = {
            payment["payment"]["payment_intent"]: invoice["id"]
            for invoice in self.lists["/v1/invoices"]
            for payment in invoice["payments"]["data"]
        }

    def payment(self, one: Buyer) -> tuple[dict[str, Any], str] | None:
        """A payment of the customer, and the id that its revenue event has."""
        charge = self.charges.get(one.simulated.customer_id)
        intent = "" if charge is None else charge["payment_intent"]
        return None if charge is None else (charge, self.invoices.get(intent, intent))

    def subscription(self, one: Buyer) -> dict[str, Any] | None:
        """The customer's first subscription, if it counts."""
        return self.active.get(one.moved[0].subscription) if one.mrr["1"] else None

    def set_level(self, one: Buyer, minor: int) -> str:
        """Our MRR of the customer's first subscription, stored in ten-thousandths. Returns its key."""
        key = one.moved[0].subscription
        change = text("UPDATE subscriptions SET mrr = :mrr WHERE subscription_id = :id")
        self.tx.execute(change, {"mrr": minor * 100, "id": key})
        return key


def odd_payment(api: Lists, one: Buyer) -> str | None:
    """A cent more, for no reason."""
    charge, key = api.payment(one) or ({}, None)
    charge |= {"amount": charge.get("amount", 0) + 1, "amount_captured": charge.get("amount_captured", 0) + 1}
    return key


def foreign_payment(api: Lists, one: Buyer) -> str | None:
    """It was settled in another currency."""
    charge, key = api.payment(one) or ({}, None)
    charge["currency"] = "eur"
    return key


def payment_with_status(status: str) -> Change[Lists]:
    """The revenue event of a payment is in that state."""

    def change(api: Lists, one: Buyer) -> str | None:
        _, key = api.payment(one) or ({}, None)
        if key is not None:
            set_status(api.tx, status, "transaction_id", key)
        return key

    return change


def unknown_payment(api: Lists, one: Buyer) -> str | None:
    """A payment that never arrived, of a customer who is known."""
    found = api.payment(one)
    if found is None:
        return None
    key = f"pi_lost_{one.simulated.tag}"
    api.lists["/v1/charges"].append({**found[0], "id": f"ch_lost_{one.simulated.tag}", "payment_intent": key})
    return key


def unknown_subscription(api: Lists, one: Buyer) -> str | None:
    """A subscription that never arrived."""
    found = api.subscription(one)
    if found is None:
        return None
    key = f"sub_lost_{one.simulated.tag}"
    api.lists["/v1/subscriptions"].append({**found, "id": key})
    return key


def ended_unseen(api: Lists, one: Buyer) -> str | None:
    """It has ended, and no webhook said so."""
    found = api.subscription(one)
    if found is not None:
        api.lists["/v1/subscriptions"].remove(found)
    return None if found is None else str(found["id"])


def changed_unseen(**values: Any) -> Change[Lists]:
    """It has changed, and no webhook said so."""

    def change(api: Lists, one: Buyer) -> str | None:
        found = api.subscription(one)
        if found is None:
            return None
        found |= {name: value for name, value in values.items() if name != "quantity"}
        found["items"]["data"][0]["quantity"] += values.get("quantity", 0)
        return str(found["id"])

    return change


def level_without_discount(api: Lists, one: Buyer) -> str | None:
    """Our level is the one before a quarter off."""
    sold = one.simulated.subscriptions["1"]
    fits = api.subscription(one) is not None and sold.coupon is not None
    return api.set_level(one, monthly(sold.plan, sold.quantity)) if fits else None


def left_at_request(api: Lists, one: Buyer) -> str | None:
    """Its end is scheduled, and our level is 0 already."""
    return api.set_level(one, 0) if api.subscription(one) is not None and "1" in one.leaving else None


def waived_level(api: Lists, one: Buyer) -> str | None:
    """Its invoices are waived, and our level is 0."""
    return api.set_level(one, 0) if api.subscription(one) is not None and "1" in one.let_off else None


def level_of_four_weeks(api: Lists, one: Buyer) -> str | None:
    """In our level a month has four weeks."""
    fits = api.subscription(one) is not None and one.simulated.subscriptions["1"].plan == WEEKLY
    return api.set_level(one, round(one.mrr["1"] * 12 / 13)) if fits else None


def guessed_level(api: Lists, one: Buyer) -> str | None:
    """Our level is a seventh higher, and marked as estimated in the state of the customer."""
    if api.subscription(one) is None:
        return None
    stored = text("SELECT state FROM states WHERE stream_id = :stream")
    state = load(decompress(api.tx.execute(stored, {"stream": stream_of(one)}).scalar_one()).decode())
    key = one.moved[0].subscription
    known = {**state.subscriptions, key: values.replace(state.subscriptions[key], estimated=True)}
    changed = compress(dump(values.replace(state, subscriptions=known)).encode())
    written = text("UPDATE states SET state = :state WHERE stream_id = :stream")
    api.tx.execute(written, {"state": changed, "stream": stream_of(one)})
    return api.set_level(one, one.mrr["1"] * 8 // 7)


def odd_level(api: Lists, one: Buyer) -> str | None:
    """Our level is 1.23 higher, for no reason."""
    return api.set_level(one, one.mrr["1"] + 123) if api.subscription(one) is not None else None


OF_API: Sequence[tuple[Cause, Change[Lists]]] = (
    (Cause.CHURN_TIME, left_at_request),
    (Cause.PAUSED, waived_level),
    (Cause.DISCOUNT, level_without_discount),
    (Cause.FACTOR, level_of_four_weeks),
    (Cause.ESTIMATED, guessed_level),
    (Cause.MISSING, ended_unseen),
    (Cause.MISSING, changed_unseen(quantity=5)),
    (Cause.MISSING, changed_unseen(status="paused")),
    (Cause.MISSING, unknown_subscription),
    (Cause.UNEXPLAINED, odd_level),
    (Cause.CURRENCY, foreign_payment),
    (Cause.WAITING, payment_with_status("pending")),
    (Cause.NOT_FORWARDED, payment_with_status("not_forwarded")),
    (Cause.MISSING, unknown_payment),
    (Cause.UNEXPLAINED, odd_payment),
)
