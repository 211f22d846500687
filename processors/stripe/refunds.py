"""Refunds and disputes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import timedelta

from processors.facts import Ids, Refund, RefundKind, RefundStatus
from processors.interface import Translation
from processors.money import Money, whole_minor
from processors.payload import Json, at, first, ident, instant, rows, strings, text
from processors.stripe.envelope import Snapshot, customer_of, ignored, linked, money_of, with_facts
from processors.stripe.payments import charge_ids, from_charge, released_part

JUST_CREATED = timedelta(hours=1)
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
    if first(event.object, "charge", "payment_intent") is None:
        return ignored("a refund of a customer's cash balance: money that had not paid for anything")
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
        return from_charge(event)  # a payment of 0: the refund that Stripe creates for it returns no money
    ids = charge_ids(found)
    listed = [] if released_part(found) else _new_refunds(event)  # one of them is the released part, unmarked
    facts = [fact for row in listed if (fact := _refund(event, row, ids)) is not None]
    if facts and at(found, "refunds.has_more") is not True:
        return with_facts(*facts)
    total = _total(event, ids)
    if total is None:
        return ignored("a refunded charge without id, amount or currency")
    return with_facts(*facts, total)


def from_withdrawal(event: Snapshot) -> Translation:
    """The money withdrawn by a dispute, and what was reinstated before."""
    return _moved(event, _legs(event, withdrawn=_whole(event)))


def from_reinstatement(event: Snapshot) -> Translation:
    """The money reinstated after a dispute: all of it, or the part stated by the balance transactions."""
    return _moved(event, _legs(event, reinstated=_whole(event)))


def from_dispute(event: Snapshot) -> Translation:
    """The money moved so far by the balance transactions of a dispute. Opening or closing it moves none.

    A returned debit is a dispute that is lost when it is created; its withdrawal may have no separate event.
    """
    legs = _legs(event)
    if legs:
        return with_facts(*legs)
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
        is_primary=_names_step(event) or of_charge is not None,
        is_move=_names_step(event) or of_charge is not None,
        processor_event_id=event.id,
    )


def _names_step(event: Snapshot) -> bool:
    """Whether it is the one webhook that reports this step of the refund. Each update has a twin, of the charge."""
    if event.type == "refund.updated":
        return "status" in (event.previous or {})
    return event.type in ("refund.created", "refund.failed")


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
    amount = money_of(event.object.get("amount_refunded"), _code(event))
    if ids.charge_id is None or amount is None or amount.minor < 0:
        return None
    return Refund(
        key=f"{ids.charge_id}:refunded",
        at=event.at,
        ids=ids,
        amount=amount,
        transaction_id=ids.charge_id,
        is_total=True,
        total_before=whole_minor((event.previous or {}).get("amount_refunded")) or 0,
        released=released_part(event.object),
        processor_event_id=event.id,
    )


# ---- Disputes -----------------------------------------------------------------------------------------------------


def _moved(event: Snapshot, legs: Sequence[Refund]) -> Translation:
    return with_facts(*legs) if legs else ignored("a dispute without id, amount or currency")


def _legs(event: Snapshot, withdrawn: Money | None = None, reinstated: Money | None = None) -> list[Refund]:
    """Withdrawal and reinstatement, each at its total so far: by the balance transactions, else as given.

    A dispute can be withdrawn, reinstated and withdrawn again, so that one amount may have moved several times.
    """
    by_balance = _moved_by_balance(event)
    totals = (
        (RefundKind.DISPUTE, "withdrawn", by_balance[0] or withdrawn),
        (RefundKind.REVERSAL, "reinstated", by_balance[1] or reinstated),
    )
    legs = (_leg(event, kind, leg, amount) for kind, leg, amount in totals if amount is not None)
    return [leg for leg in legs if leg is not None]


def _leg(event: Snapshot, kind: RefundKind, leg: str, amount: Money) -> Refund | None:
    dispute_id = ident(event.object.get("id"))
    if dispute_id is None or amount.minor < 0:
        return None
    return Refund(
        key=f"{dispute_id}:{leg}",
        at=event.at,
        ids=_dispute_ids(event.object),
        amount=amount,
        transaction_id=dispute_id if kind is RefundKind.DISPUTE else f"{dispute_id}:{leg}",
        kind=kind,
        reverses=f"{dispute_id}:withdrawn" if kind is RefundKind.REVERSAL else None,
        reason=text(event.object.get("reason")),
        metadata=strings(event.object.get("metadata")),
        is_primary=event.type == f"charge.dispute.funds_{leg}",
        is_move=event.type == f"charge.dispute.funds_{leg}" or _is_new(event),
        processor_event_id=event.id,
    )


def _is_new(event: Snapshot) -> bool:
    """Whether the dispute has just been created: a returned debit may have no event but that of its end."""
    created_at = instant(event.object.get("created"))
    is_recent = created_at is not None and event.at - created_at <= JUST_CREATED
    return event.type == "charge.dispute.created" or is_recent


def _dispute_ids(found: Json) -> Ids:
    charge_id = ident(found.get("charge"))
    return Ids(
        customer_id=customer_of(found.get("charge")),
        payment_id=ident(found.get("payment_intent")) or charge_id,
        charge_id=charge_id,
    )


def _moved_by_balance(event: Snapshot) -> tuple[Money | None, Money | None]:
    """The totals withdrawn and reinstated according to the balance transactions; None: there are none of the kind.

    They are in the currency of the merchant's balance. If that is another one, each has moved the whole amount.
    """
    whole = _whole(event)
    listed = [money_of(row.get("amount"), row.get("currency")) for row in rows(event.object, "balance_transactions")]
    moved = [one for one in listed if one is not None and one.minor]
    if whole is None:
        return None, None
    in_its_currency = all(one.currency == whole.currency for one in moved)
    amounts = [one.minor if in_its_currency else math.copysign(whole.minor, one.minor) for one in moved]
    withdrawn = sum(-int(minor) for minor in amounts if minor < 0)
    reinstated = sum(int(minor) for minor in amounts if minor > 0)
    return (
        Money(minor=withdrawn, currency=whole.currency) if withdrawn else None,
        Money(minor=reinstated, currency=whole.currency) if reinstated else None,
    )


def _whole(event: Snapshot) -> Money | None:
    """The disputed amount."""
    return money_of(event.object.get("amount"), _code(event))


def _code(event: Snapshot) -> object:
    return first(event.object, "currency")
