"""Which id belongs to which, learnt from every fact: the joins that the processors' payloads leave to their readers."""

from __future__ import annotations

from collections.abc import Iterable

from bridge.ledger.state import Links
from processors.facts import Fact, Ids


def linked(links: Links, facts: Iterable[Fact]) -> Links:
    """The links after these facts. The first that is learnt of an id stays."""
    invoice_of = dict(links.invoice_of)
    subscription_of = dict(links.subscription_of)
    payment_of = dict(links.payment_of)
    for fact in facts:
        ids = fact.ids
        if ids.charge_id and ids.payment_id and ids.charge_id != ids.payment_id:
            payment_of.setdefault(ids.charge_id, ids.payment_id)
        if ids.payment_id and ids.invoice_id and ids.payment_id != ids.invoice_id:
            invoice_of.setdefault(ids.payment_id, ids.invoice_id)
        owed = ids.invoice_id or ids.payment_id
        if owed and ids.subscription_id:
            subscription_of.setdefault(owed, ids.subscription_id)
    return Links(invoice_of=invoice_of, subscription_of=subscription_of, payment_of=payment_of)


def payment_of(links: Links, ids: Ids) -> str | None:
    """The economic key of the payment that these ids name."""
    if ids.payment_id is not None:
        return ids.payment_id
    return links.payment_of.get(ids.charge_id or "", ids.charge_id)


def bill_of(links: Links, ids: Ids) -> str | None:
    """The invoice that these ids belong to, else the payment."""
    payment = payment_of(links, ids)
    return ids.invoice_id or links.invoice_of.get(payment or "", payment)


def subscription_of(links: Links, ids: Ids) -> str | None:
    """The subscription that these ids belong to, or None."""
    return ids.subscription_id or links.subscription_of.get(bill_of(links, ids) or "")
