"""Charges and payment intents. A payment reported by both counts once, under the intent's id, else the charge's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from processors.facts import Ids, Membership, Payment, Reason
from processors.interface import Translation
from processors.money import whole_minor
from processors.payload import Json, at, first, has, ident, instant, rows, strings, text
from processors.stripe.envelope import Snapshot, customer_of, ignored, is_guest, money_of, with_facts

SUCCEEDED = frozenset({None, "succeeded", "paid"})  # absent or "paid" before 2015
CAPTURE = ("captured", "amount_captured", "status", "paid")
YOUNG = timedelta(days=1)


def from_charge(event: Snapshot) -> Translation:
    """The payment of a captured charge, or a payment of 0 for one that is only authorised.

    The 0 matters: Stripe reports a released authorisation as a refund, which must not exceed what was paid.
    """
    found = event.object
    if is_authorised(found):
        return _payment(event, charge_ids(found), 0)
    if not is_captured(found):
        return ignored("a charge that is not captured (yet): pending or failed")
    return _payment(event, charge_ids(found), first(found, "amount_captured", "amount"), released_part(found))


def from_updated_charge(event: Snapshot) -> Translation:
    """The payment of a charge that was captured later. Other changes of older charges are ignored."""
    created_at = instant(event.object.get("created"))
    is_capture = any(key in (event.previous or {}) for key in CAPTURE)
    if not is_capture and created_at is not None and event.at - created_at > YOUNG:
        return ignored("an older charge whose capture did not change")
    return from_charge(event)


def from_intent(event: Snapshot) -> Translation:
    """The payment of an intent that succeeded: the same money as its charge's."""
    found = event.object
    ids = Ids(
        customer_id=customer_of(found),
        invoice_id=ident(found.get("invoice")),
        payment_id=ident(found.get("id")),
        charge_id=_charge_of(found),
        guest=is_guest(found),
    )
    return _payment(event, ids, first(found, "amount_received", "amount"))


def is_captured(found: Json) -> bool:
    """Whether a charge has moved money."""
    refused = found.get("captured") is False or found.get("paid") is False
    return not refused and text(found.get("status")) in SUCCEEDED


def is_authorised(found: Json) -> bool:
    """Whether a charge is authorised and not captured."""
    return found.get("captured") is False and is_captured({**found, "captured": True})


def charge_ids(found: Json) -> Ids:
    """The ids of a charge, with the payment's key as `payment_id`."""
    charge_id = ident(found.get("id"))
    return Ids(
        customer_id=customer_of(found),
        invoice_id=ident(found.get("invoice")),
        payment_id=ident(found.get("payment_intent")) or charge_id,
        charge_id=charge_id,
        guest=is_guest(found),
    )


def released_part(found: Json) -> int | None:
    """The uncaptured part of an authorisation, if Stripe counts it as refunded. None: there is none, or it is unknown.

    Stripe did so until basil, and created a refund for it. Since basil, which also removed `invoice`, it does not.
    """
    amount, captured = whole_minor(found.get("amount")), whole_minor(found.get("amount_captured"))
    refunded = whole_minor(found.get("amount_refunded"))
    if amount is None or captured is None or refunded is None or found.get("captured") is False:
        return None
    released = amount - captured
    if released <= 0:
        return None
    if refunded >= released:
        return released
    return None if has(found, "invoice") else 0


def membership_of(found: Json) -> Membership:
    """Whether the payment belongs to an invoice. Unknown since basil, which removed the field."""
    if not has(found, "invoice"):
        return Membership.UNKNOWN
    return Membership.INVOICE if ident(found["invoice"]) else Membership.NONE


def _payment(event: Snapshot, ids: Ids, minor: Any, released: int | None = None) -> Translation:
    amount = money_of(minor, event.object.get("currency"))
    if ids.payment_id is None or amount is None or amount.minor < 0:
        return ignored("a payment without id, amount or currency")
    membership = membership_of(event.object)
    return with_facts(
        Payment(
            key=ids.payment_id,
            at=event.at,
            ids=ids,
            amount=amount,
            released=released,
            membership=membership,
            reason=Reason.ONE_OFF if membership is Membership.NONE else Reason.UNKNOWN,
            metadata=strings(event.object.get("metadata")),
            is_primary=_is_primary(event),
            processor_event_id=event.id,
        )
    )


def _is_primary(event: Snapshot) -> bool:
    """Whether it is the one webhook that reports the capture: at once, or later of what was authorised."""
    return event.type == "charge.captured" or (event.type == "charge.succeeded" and not is_authorised(event.object))


def _charge_of(found: Json) -> str | None:
    """The intent's charge: `latest_charge` since 2022-11-15, before that the first of `charges`."""
    latest = ident(at(found, "latest_charge"))
    return latest or next((ident(row) for row in rows(found, "charges") if is_captured(row)), None)
