"""Payments: which bill each belongs to, what of it is still to be told, and which movement of MRR it pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fractions import Fraction

from bridge.ledger.events import AmountBasis, EventType, Policy
from bridge.ledger.links import bill_of, subscription_of
from bridge.ledger.movements import Movement
from bridge.ledger.state import Bill, Links
from processors.facts import Membership, Payment, Reason
from processors.money import round_minor

# A payment that cannot name its invoice is the one that paid it when customer, currency and amount are equal and the
# two are this close; processors tell of both within seconds.
SAME_PAYMENT = timedelta(hours=1)

_REASON: Mapping[Reason, int] = {
    Reason.START: 0,
    Reason.CHANGE: 1,
    Reason.CYCLE: 2,
    Reason.ONE_OFF: 3,
    Reason.UNKNOWN: 4,
}
_STARTS_BY: Mapping[Reason, int] = {Reason.START: 0, Reason.CYCLE: 1, Reason.UNKNOWN: 2, Reason.CHANGE: 3}


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Money of one bill that is still to be told: `minor` after `AMOUNT_BASIS`. `bill` is the bill once it is told."""

    bill: Bill
    minor: int
    at: datetime
    output_key: str
    transaction_id: str
    is_first: bool
    payment_ids: tuple[str, ...]
    event_ids: tuple[str, ...]


def billed(bills: Mapping[str, Bill], payments: Sequence[Payment], links: Links) -> dict[str, Bill]:
    """The bills with these payments on them. However often and by whatever webhook a payment is told, it counts once."""
    found = _joined(bills, links)
    touched = set()
    for payment in payments:
        key = bill_of(links, payment.ids) or payment.key
        found[key] = _with(found.get(key), key, payment, links)
        touched.add(key)
    return _matched(found, touched)


def dues(
    before: Mapping[str, Bill], bills: Mapping[str, Bill], payments: Sequence[Payment], links: Links, policy: Policy
) -> list[Due]:
    """What is to be told of each bill, in the order of payment."""
    told: dict[str, list[Payment]] = {}
    for payment in payments:
        key = bill_of(links, payment.ids) or payment.key
        told.setdefault(_home(key, bills), []).append(payment)
    found = [
        _due(bill, before, told[bill.id], policy)
        for bill in bills.values()
        if bill.id in told and bill.total > bill.told
    ]
    return sorted(found, key=lambda due: (due.at, due.output_key))


def paired(dues: Sequence[Due], movements: Sequence[Movement]) -> dict[str, Movement]:
    """Which movement each payment carries, by the due's output key. A movement goes with one payment at most.

    A start goes with the first payment that can be its own, a change with the nearest payment for a change.
    """
    pairs: dict[str, Movement] = {}
    for movement in movements:
        free = [due for due in dues if due.output_key not in pairs and _can_carry(due, movement)]
        if free:
            best = min(free, key=lambda due: _fit(due, movement))
            pairs[best.output_key] = movement
    return pairs


def _can_carry(due: Due, movement: Movement) -> bool:
    if not due.is_first or due.bill.subscription_id != movement.subscription_id:
        return False
    if movement.event_type is EventType.SUBSCRIPTION:
        return due.bill.reason in _STARTS_BY
    return due.bill.reason is Reason.CHANGE and movement.event_type in (EventType.UPGRADE, EventType.DOWNGRADE)


def _fit(due: Due, movement: Movement) -> tuple[int, timedelta, str]:
    starting = movement.event_type is EventType.SUBSCRIPTION
    return (_STARTS_BY[due.bill.reason] if starting else 0, abs(due.at - movement.at), due.output_key)


def _with(bill: Bill | None, key: str, payment: Payment, links: Links) -> Bill:
    """The bill with one more telling of a payment on it."""
    if bill is None:
        bill = Bill(id=key, currency=payment.amount.currency, at=payment.at, unsure=key == payment.key)
    if payment.amount.currency.code != bill.currency.code:
        return bill
    bill = replace(
        bill,
        at=min(bill.at, payment.at),
        subscription_id=bill.subscription_id or subscription_of(links, payment.ids),
        plan=bill.plan or payment.plan,
        tax=max(bill.tax, payment.tax or 0),
        unsure=bill.unsure and payment.membership is Membership.UNKNOWN,
    )
    if payment.is_total:
        claimed = max(bill.claimed, payment.amount.minor)
        reason = payment.reason if not bill.invoiced else min(bill.reason, payment.reason, key=_REASON.__getitem__)
        return replace(bill, claimed=claimed, reason=reason, invoiced=True)
    minor = max(bill.payments.get(payment.key, 0), payment.amount.minor)
    reason = bill.reason if bill.invoiced else min(bill.reason, payment.reason, key=_REASON.__getitem__)
    return replace(bill, payments={**bill.payments, payment.key: minor}, reason=reason)


def _joined(bills: Mapping[str, Bill], links: Links) -> dict[str, Bill]:
    """The bills, those of single payments moved to the invoice that they have turned out to belong to."""
    found = dict(bills)
    for key in [key for key in bills if key in links.invoice_of]:
        found = _moved(found, key, links.invoice_of[key])
    return found


def _matched(bills: dict[str, Bill], touched: Set[str]) -> dict[str, Bill]:
    """Payments that cannot name their invoice, joined to the one invoice that they must have paid."""
    for lone in sorted((bill for bill in bills.values() if bill.unsure), key=lambda bill: (bill.at, bill.id)):
        near = bills if lone.id in touched else touched & bills.keys()
        fitting = [bills[key] for key in near if _paid_by(bills[key], lone)]
        if fitting:
            best = min(fitting, key=lambda bill: (abs(bill.at - lone.at), bill.id))
            bills = _moved(bills, lone.id, best.id)
    return bills


def _paid_by(bill: Bill, lone: Bill) -> bool:
    unexplained = bill.claimed - sum(bill.payments.values())
    return (
        bill.invoiced
        and not lone.invoiced
        and unexplained == lone.total
        and bill.currency.code == lone.currency.code
        and abs(bill.at - lone.at) <= SAME_PAYMENT
    )


def _moved(bills: dict[str, Bill], key: str, home: str) -> dict[str, Bill]:
    """The bills with all of one put onto another, what was told of it too."""
    lone = bills[key]
    rest = {other: bill for other, bill in bills.items() if other != key}
    bill = rest.get(home) or replace(lone, id=home, payments={}, told=0, told_net=0, unsure=False, claimed=0)
    rest[home] = replace(
        bill,
        at=min(bill.at, lone.at),
        payments={**bill.payments, **lone.payments},
        told=bill.told + lone.told,
        told_net=bill.told_net + lone.told_net,
        transaction_id=bill.transaction_id or lone.transaction_id,
        recurring=bill.recurring or lone.recurring,
    )
    return rest


def _home(key: str, bills: Mapping[str, Bill]) -> str:
    """Where a payment's bill is now: under its own key, or under the invoice that it was matched to."""
    if key in bills:
        return key
    return next((bill.id for bill in bills.values() if key in bill.payments), key)


def _due(bill: Bill, before: Mapping[str, Bill], told: Sequence[Payment], policy: Policy) -> Due:
    """What is still to be told of a bill: the first time under its own id, later under the further payment's."""
    earlier = before.get(bill.id)
    known = earlier.payments if earlier is not None else {}
    fresh = [payment.key for payment in told if payment.key not in known and not payment.is_total]
    is_first = bill.told == 0
    further = fresh[0] if fresh else f"{bill.id}:{bill.total}"
    transaction_id = bill.id if is_first else further
    net = _net(bill, policy)
    return Due(
        bill=replace(bill, told=bill.total, told_net=net, transaction_id=bill.transaction_id or transaction_id),
        minor=net - bill.told_net,
        at=min(payment.at for payment in told),
        output_key=f"payment:{transaction_id}",
        transaction_id=transaction_id,
        is_first=is_first,
        payment_ids=tuple(sorted({*bill.payments, *(payment.key for payment in told)})),
        event_ids=tuple(dict.fromkeys(payment.processor_event_id for payment in told)),
    )


def _net(bill: Bill, policy: Policy) -> int:
    if policy.amount_basis is AmountBasis.GROSS or not bill.tax:
        return bill.total
    return round_minor(bill.total * net_share(bill, policy))


def net_share(bill: Bill | None, policy: Policy) -> Fraction:
    """Which share of a bill's gross amount is told: all of it, or what is left without tax."""
    if bill is None or policy.amount_basis is AmountBasis.GROSS or bill.total <= 0:
        return Fraction(1)
    return 1 - min(Fraction(bill.tax, max(bill.claimed, bill.total)), Fraction(1))
