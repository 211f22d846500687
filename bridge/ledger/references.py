"""Which ids belong together (charge, payment, invoice, subscription, checkout session), collected from every fact.

The processors' payloads each name only some of these ids; only together do the payloads give the joins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from processors.facts import Fact, Ids, Payment
from processors.values import Value, field


class References(Value):
    """Joins between ids. The first join seen for an id is kept.

    `matched`: invoices of payments that name none, inferred from time and amount; a stated invoice takes precedence.
    """

    invoice_of: Mapping[str, str] = field(default_factory=dict)  # payment -> invoice
    subscription_of: Mapping[str, str] = field(default_factory=dict)  # invoice or payment -> subscription
    payment_of: Mapping[str, str] = field(default_factory=dict)  # charge -> payment; checkout session -> what it sold
    matched: Mapping[str, str] = field(default_factory=dict)  # payment -> invoice


NO_REFERENCES = References()


def with_facts(references: References, facts: Iterable[Fact]) -> References:
    """The references after these facts. The first join seen for an id is kept."""
    payment_of = dict(references.payment_of)
    invoice_of = dict(references.invoice_of)
    subscription_of = dict(references.subscription_of)
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
    return References(
        invoice_of=invoice_of, subscription_of=subscription_of, payment_of=payment_of, matched=references.matched
    )


def payment_of(references: References, ids: Ids) -> str | None:
    """The economic key of the payment that these ids name."""
    key = ids.payment_id or ids.charge_id
    return None if key is None else references.payment_of.get(key, key)


def receivable_of_payment_key(references: References, payment: str) -> str:
    """The id of the receivable of an economic key: the payment's invoice, else the payment."""
    return references.invoice_of.get(payment) or references.matched.get(payment) or payment


def receivable_of(references: References, ids: Ids) -> str | None:
    """The id of the receivable that these ids belong to: the invoice, else the payment."""
    payment = payment_of(references, ids)
    if payment is None:
        return ids.invoice_id
    return references.invoice_of.get(payment) or ids.invoice_id or receivable_of_payment_key(references, payment)


def receivable_of_payment(references: References, payment: Payment) -> str:
    """The id of the receivable of a payment. An invoice's total belongs to the invoice, whatever payment it names."""
    return payment.key if payment.is_total else receivable_of(references, payment.ids) or payment.key


def subscription_of(references: References, ids: Ids) -> str | None:
    """The subscription that these ids belong to, or None."""
    return ids.subscription_id or references.subscription_of.get(receivable_of(references, ids) or "")
