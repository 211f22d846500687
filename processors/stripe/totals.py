"""Stripe's own lists of charges, invoices, refunds and disputes, as neutral records for `audit`."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from processors.facts import SubscriptionState
from processors.money import Money, whole_minor
from processors.payload import Json, at, first, ident, instant, rows, text
from processors.stripe.account import Account, connect
from processors.stripe.envelope import customer_of, money_of
from processors.stripe.payments import is_captured
from processors.totals import DailyMrr, Joined, RevenueItem

INVOICE_AGE = timedelta(days=60)  # an invoice may be paid that long after it was made
PATHS: Mapping[str, tuple[str, str]] = {  # by the prefix of the id: the path, and the event that reports the object
    "ch": ("/v1/charges", "charge.succeeded"),
    "py": ("/v1/charges", "charge.succeeded"),
    "in": ("/v1/invoices", "invoice.paid"),
    "re": ("/v1/refunds", "refund.created"),
    "pyr": ("/v1/refunds", "refund.created"),
    "du": ("/v1/disputes", "charge.dispute.created"),
    "dp": ("/v1/disputes", "charge.dispute.created"),
}
NO_MONEY = "expired_uncaptured_charge"


def connect_totals(key: str, options: Mapping[str, str]) -> StripeTotals:
    """The lists that a key can read."""
    return StripeTotals(account=connect(key, options), livemode="_test_" not in key)


@dataclass(kw_only=True)
class StripeTotals:
    """Implements `processors.totals.Totals`."""

    account: Account
    livemode: bool = True

    def revenue(self, since: datetime, until: datetime) -> Iterator[RevenueItem | Joined]:
        """The lists of a time span; invoices first, which say which payments are theirs."""
        api = self.account.api
        for found in api.made_between("/v1/invoices", since - INVOICE_AGE, until, status="paid", expand=("payments",)):
            yield from of_invoice(found, since)
        for path, read in (("/v1/charges", of_charge), ("/v1/refunds", of_refund), ("/v1/disputes", of_dispute)):
            for found in api.made_between(path, since, until):
                item = read(found)
                if item is not None:
                    yield item

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended."""
        return self.account.subscriptions()

    def daily_mrr(self, first: date, last: date) -> Iterator[DailyMrr]:
        """Nothing: Stripe publishes its MRR in exports only."""
        yield from ()

    def event_of(self, object_id: str) -> bytes | None:
        """The object as the event that would have reported it."""
        path, kind = PATHS.get(object_id.partition("_")[0], ("", ""))
        expand = ("payments",) if path == "/v1/invoices" else ()
        found = self.account.api.resource(path, object_id, expand) if path else None
        if found is None:
            return None
        return json.dumps(
            {
                "id": f"audit_{object_id}", "object": "event", "type": kind, "livemode": self.livemode,
                "created": first(found, "status_transitions.paid_at", "created"), "data": {"object": found},
            },
            separators=(",", ":"),
        ).encode()  # fmt: skip


def of_charge(found: Json) -> RevenueItem | None:
    """A captured charge, at what was captured."""
    charge_id, created_at = ident(found.get("id")), instant(found.get("created"))
    amount = money_of(first(found, "amount_captured", "amount"), found.get("currency"))
    if charge_id is None or created_at is None or amount is None or not is_captured(found) or not amount.minor:
        return None
    intent = ident(found.get("payment_intent"))
    return RevenueItem(
        key=intent or charge_id,
        at=created_at,
        amount=amount,
        object_id=charge_id,
        customer_id=customer_of(found),
        refs=(charge_id,) if intent is None else (intent, charge_id),
    )


def of_invoice(found: Json, since: datetime) -> Iterator[RevenueItem | Joined]:
    """The payments of a paid invoice; the invoice itself if nothing but a payment outside Stripe paid it."""
    invoice_id = ident(found.get("id"))
    if invoice_id is None:
        return
    payments = [one for row in rows(found, "payments") if (one := _payment_of(row)) is not None]
    for payment in payments:
        yield Joined(payment=payment, invoice=invoice_id)
    paid_at = instant(first(found, "status_transitions.paid_at", "created"))
    amount = money_of(found.get("amount_paid"), found.get("currency"))
    if payments or amount is None or not amount.minor or paid_at is None or paid_at < since:
        return
    yield RevenueItem(
        key=invoice_id,
        at=paid_at,
        amount=amount,
        object_id=invoice_id,
        customer_id=customer_of(found),
        refs=(invoice_id,),
    )


def _payment_of(row: Json) -> str | None:
    return ident(at(row, "payment.payment_intent")) or ident(at(row, "payment.charge"))


def of_refund(found: Json) -> RevenueItem | None:
    """A refund that succeeded, below 0."""
    refund_id, created_at = ident(found.get("id")), instant(found.get("created"))
    amount = money_of(found.get("amount"), found.get("currency"))
    if refund_id is None or created_at is None or amount is None or text(found.get("status")) != "succeeded":
        return None
    if text(found.get("reason")) == NO_MONEY or first(found, "charge", "payment_intent") is None:
        return None
    return _back(refund_id, created_at, amount, found)


def of_dispute(found: Json) -> RevenueItem | None:
    """The money that a dispute has withdrawn and not given back, below 0."""
    dispute_id, created_at = ident(found.get("id")), instant(found.get("created"))
    amount = money_of(found.get("amount"), found.get("currency"))
    moved = [(one.get("amount"), one.get("currency")) for one in rows(found, "balance_transactions")]
    if dispute_id is None or created_at is None or amount is None or not moved:
        return None
    in_its_currency = {str(code).upper() for _, code in moved} == {amount.currency.code}
    net = sum(whole_minor(minor) or 0 for minor, _ in moved)
    left = -net if in_its_currency else amount.minor if net < 0 else 0
    return _back(dispute_id, created_at, Money(minor=left, currency=amount.currency), found) if left else None


def _back(key: str, at: datetime, amount: Money, found: Json) -> RevenueItem:
    refs = [ident(found.get("payment_intent")), ident(found.get("charge"))]
    return RevenueItem(
        key=key,
        at=at,
        amount=Money(minor=-amount.minor, currency=amount.currency),
        object_id=key,
        refs=tuple(one for one in refs if one is not None),
    )
