"""Checkout sessions and customers: attributions, and the money of sessions without an invoice."""

from __future__ import annotations

from processors.facts import Attribution, Fact, Ids, Link, Membership, Payment, Place, Reason
from processors.interface import Translation
from processors.money import whole_minor
from processors.payload import Json, at, ident, strings
from processors.stripe import discounts
from processors.stripe.envelope import Snapshot, customer_of, ignored, is_guest, money_of, with_facts
from processors.visit import REFERENCE, is_composite


def from_session(event: Snapshot) -> Translation:
    """A completed session: its attribution, the ids that belong together, and its payment."""
    ids = _ids(event.object)
    if ids.checkout_id is None:
        return ignored("a checkout session without an id")
    origin = Attribution(
        place=Place.CHECKOUT, at=event.at, ids=ids, metadata=_metadata(event.object), processor_event_id=event.id
    )
    payment = _payment(event, ids)
    facts: tuple[Fact, ...] = (origin,) if payment is None else (origin, payment)
    return with_facts(*facts)


def from_customer(event: Snapshot) -> Translation:
    """A customer's metadata, which may contain the attribution, and the discount on the customer."""
    ids, stated = Ids(customer_id=ident(event.object.get("id"))), strings(event.object.get("metadata"))
    if ids.customer_id is None:
        return ignored("a customer without an id")
    origin = Attribution(
        place=Place.CUSTOMER_METADATA, at=event.at, ids=ids, metadata=stated, processor_event_id=event.id
    )
    found = discounts.on_customer(event)
    links = tuple(
        Link(at=event.at, ids=ids, customer_discount=discount, processor_event_id=event.id) for discount in found
    )
    if not stated and not links:
        return ignored("a customer without metadata")
    return with_facts(*((origin,) if stated else ()), *links, catalog=discounts.catalog_of(found))


def _ids(found: Json) -> Ids:
    return Ids(
        customer_id=customer_of(found),
        subscription_id=ident(found.get("subscription")),
        invoice_id=ident(found.get("invoice")),
        payment_id=ident(found.get("payment_intent")),
        checkout_id=ident(found.get("id")),
        guest=is_guest(found) and found.get("mode") == "payment",
    )


def _metadata(found: Json) -> dict[str, str]:
    """The session's metadata, and its client_reference_id under that name: the visit, or the merchant's own value."""
    metadata = strings(found.get("metadata"))
    reference = strings({REFERENCE: found.get(REFERENCE)})
    return {**metadata, **reference} if is_composite(reference.get(REFERENCE)) else {**reference, **metadata}


def _payment(event: Snapshot, ids: Ids) -> Payment | None:
    """The payment of a session in payment mode. A subscription's payment is reported by its invoice."""
    found = event.object
    amount = money_of(found.get("amount_total"), found.get("currency"))
    if found.get("mode") != "payment" or found.get("payment_status") != "paid":
        return None
    if ids.payment_id is None or amount is None or amount.minor < 0:
        return None
    membership = _membership(found, ids)
    return Payment(
        key=ids.payment_id,
        at=event.at,
        ids=ids,
        amount=amount,
        tax=whole_minor(at(found, "total_details.amount_tax")),
        membership=membership,
        reason=Reason.ONE_OFF if membership is Membership.NONE else Reason.UNKNOWN,
        metadata=strings(found.get("metadata")),
        is_primary=False,
        processor_event_id=event.id,
    )


def _membership(found: Json, ids: Ids) -> Membership:
    """A session that creates an invoice afterwards may not name it yet."""
    if ids.invoice_id is not None:
        return Membership.INVOICE
    return Membership.UNKNOWN if at(found, "invoice_creation.enabled") is True else Membership.NONE
