"""Which id belongs to which, learnt from every fact: the joins that the processors' payloads leave to their readers."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.ledger.state import Links
from processors.facts import Fact, Ids, Payment


def linked(links: Links, facts: Iterable[Fact]) -> Links:
    """The links after these facts. The first that is learnt of an id stays."""
    payment_of = dict(links.payment_of)
    invoice_of = dict(links.invoice_of)
    subscription_of = dict(links.subscription_of)
    for fact in facts:
        ids = fact.ids
        if ids.charge_id and ids.payment_id and ids.charge_id != ids.payment_id:
            payment_of.setdefault(ids.charge_id, ids.payment_id)
        bought = ids.subscription_id or ids.payment_id or ids.invoice_id
        if ids.checkout_id and bought:
            payment_of.setdefault(ids.checkout_id, bought)
        if ids.payment_id and ids.invoice_id and ids.payment_id != ids.invoice_id:
            invoice_of.setdefault(ids.payment_id, ids.invoice_id)
        owed = ids.invoice_id or ids.payment_id
        if owed and ids.subscription_id:
            subscription_of.setdefault(owed, ids.subscription_id)
    return Links(invoice_of=invoice_of, subscription_of=subscription_of, payment_of=payment_of, matched=links.matched)


def payment_of(links: Links, ids: Ids) -> str | None:
    """The economic key of the payment that these ids name."""
    named = ids.payment_id or ids.charge_id
    return None if named is None else links.payment_of.get(named, named)


def home_of(links: Links, payment: str) -> str:
    """The invoice that a payment belongs to, else the payment."""
    return links.invoice_of.get(payment) or links.matched.get(payment) or payment


def bill_of(links: Links, ids: Ids) -> str | None:
    """The invoice that these ids belong to, else the payment."""
    payment = payment_of(links, ids)
    if payment is None:
        return ids.invoice_id
    return links.invoice_of.get(payment) or ids.invoice_id or home_of(links, payment)


def bill_of_payment(links: Links, payment: Payment) -> str:
    """The bill that a payment stands on: an invoice's total on the invoice, whatever payment it names."""
    return payment.key if payment.is_total else bill_of(links, payment.ids) or payment.key


def subscription_of(links: Links, ids: Ids) -> str | None:
    """The subscription that these ids belong to, or None."""
    return ids.subscription_id or links.subscription_of.get(bill_of(links, ids) or "")
