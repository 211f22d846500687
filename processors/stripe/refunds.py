"""Refunds and disputes."""

from __future__ import annotations

from collections.abc import Mapping

from processors.facts import Ids, Refund, RefundKind, RefundStatus
from processors.interface import Translation
from processors.money import Money, whole_minor
from processors.payload import Json, at, first, ident, rows, strings, text
from processors.stripe.envelope import Snapshot, customer_of, ignored, linked, money_of, with_facts
from processors.stripe.payments import charge_ids

STATUSES: Mapping[str, RefundStatus] = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}


def from_refund(event: Snapshot) -> Translation:
    """One refund in its current state, from `refund.*` or `charge.refund.updated`."""
    if event.object.get("reason") == "expired_uncaptured_charge":
        return ignored("an expired authorisation: no money had moved")
    fact = _refund(event, event.object, None)
    if fact is None:
        return ignored("a refund without id, amount or currency")
    return with_facts(fact)


def from_refunded_charge(event: Snapshot) -> Translation:
    """The refunds of a charge: each one where the payload contains them, else as a total.

    Payloads contain refunds only before 2022-11-15; since 2024-10-28 each refund also has its own event.
    """
    found = event.object
    if found.get("captured") is False:
        return ignored("an authorisation that was released: no money had moved")
    ids = charge_ids(found)
    listed = [] if _has_released_part(found) else _new_refunds(event)
    facts = [fact for row in listed if (fact := _refund(event, row, ids)) is not None]
    if facts and at(found, "refunds.has_more") is not True:
        return with_facts(*facts)
    total = _total(event, ids)
    if total is None:
        return ignored("a refunded charge without id, amount or currency")
    return with_facts(*facts, total)


def from_withdrawal(event: Snapshot) -> Translation:
    """The money withdrawn by a dispute."""
    return _dispute_leg(event, "withdrawn", RefundKind.DISPUTE, money_of(event.object.get("amount"), _code(event)))


def from_reinstatement(event: Snapshot) -> Translation:
    """The money reinstated after a dispute: all of it, or the part stated by the balance transactions."""
    return _dispute_leg(event, "reinstated", RefundKind.REVERSAL, _reinstated_amount(event))


def from_dispute(event: Snapshot) -> Translation:
    """The payment of a dispute. Opening, changing or closing it moves no money: withdrawal and reinstatement do."""
    return linked(event, _dispute_ids(event.object), "a dispute that moved no money with this event")


# ---- Refunds ------------------------------------------------------------------------------------------------------


def _refund(event: Snapshot, found: Json, of_charge: Ids | None) -> Refund | None:
    refund_id, amount = ident(found.get("id")), money_of(found.get("amount"), found.get("currency"))
    if refund_id is None or amount is None or amount.minor < 0:
        return None
    return Refund(
        key=refund_id,
        at=event.at,
        ids=of_charge or _refund_ids(found),
        amount=amount,
        transaction_id=refund_id,
        status=_status(event, found),
        reason=text(found.get("reason")),
        metadata=strings(found.get("metadata")),
        processor_event_id=event.id,
    )


def _refund_ids(found: Json) -> Ids:
    charge_id = ident(found.get("charge"))
    return Ids(
        customer_id=customer_of(found),  # since endive
        payment_id=ident(found.get("payment_intent")) or charge_id,
        charge_id=charge_id,
    )


def _status(event: Snapshot, found: Json) -> RefundStatus:
    """The refund's status. Before 2016 it had none, and every refund had succeeded."""
    if event.type == "refund.failed":
        return RefundStatus.FAILED
    stated = found.get("status")
    return RefundStatus.SUCCEEDED if stated is None else STATUSES.get(str(stated), RefundStatus.PENDING)


def _new_refunds(event: Snapshot) -> list[Json]:
    """The refunds in the charge that this event added."""
    earlier = {ident(row) for row in rows(event.previous, "refunds")}
    return [row for row in rows(event.object, "refunds") if ident(row) not in earlier]


def _total(event: Snapshot, ids: Ids) -> Refund | None:
    amount = money_of(_refunded(event.object), _code(event))
    if ids.charge_id is None or amount is None:
        return None
    return Refund(
        key=f"{ids.charge_id}:refunded",
        at=event.at,
        ids=ids,
        amount=amount,
        transaction_id=ids.charge_id,
        is_total=True,
        processor_event_id=event.id,
    )


def _refunded(found: Json) -> int | None:
    """The refund of captured money: Stripe also counts the released part of an authorisation as refunded."""
    refunded = whole_minor(found.get("amount_refunded"))
    return None if refunded is None else max(0, refunded - _released_part(found))


def _released_part(found: Json) -> int:
    amount, captured = whole_minor(found.get("amount")), whole_minor(found.get("amount_captured"))
    return max(0, amount - captured) if amount is not None and captured is not None else 0


def _has_released_part(found: Json) -> bool:
    return _released_part(found) > 0  # then one of its refunds is the released part, and nothing marks it


# ---- Disputes -----------------------------------------------------------------------------------------------------


def _dispute_leg(event: Snapshot, leg: str, kind: RefundKind, amount: Money | None) -> Translation:
    dispute_id = ident(event.object.get("id"))
    if dispute_id is None or amount is None or amount.minor < 0:
        return ignored("a dispute without id, amount or currency")
    return with_facts(
        Refund(
            key=f"{dispute_id}:{leg}",
            at=event.at,
            ids=_dispute_ids(event.object),
            amount=amount,
            transaction_id=dispute_id if kind is RefundKind.DISPUTE else f"{dispute_id}:{leg}",
            kind=kind,
            reverses=f"{dispute_id}:withdrawn" if kind is RefundKind.REVERSAL else None,
            reason=text(event.object.get("reason")),
            metadata=strings(event.object.get("metadata")),
            processor_event_id=event.id,
        )
    )


def _dispute_ids(found: Json) -> Ids:
    charge_id = ident(found.get("charge"))
    return Ids(
        customer_id=customer_of(found.get("charge")),
        payment_id=ident(found.get("payment_intent")) or charge_id,
        charge_id=charge_id,
    )


def _reinstated_amount(event: Snapshot) -> Money | None:
    """The reinstated amount, by balance transactions only if these are in the dispute's currency."""
    whole = money_of(event.object.get("amount"), _code(event))
    credits = [money_of(row.get("amount"), row.get("currency")) for row in rows(event.object, "balance_transactions")]
    positive = [credit for credit in credits if credit is not None and credit.minor > 0]
    if whole is None or not positive or any(credit.currency != whole.currency for credit in positive):
        return whole
    return Money(minor=min(whole.minor, sum(credit.minor for credit in positive)), currency=whole.currency)


def _code(event: Snapshot) -> object:
    return first(event.object, "currency")
