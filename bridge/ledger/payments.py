"""Payments: what of each bill is still to be told, and which movement of MRR it pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fractions import Fraction

from bridge.ledger.bills import Books
from bridge.ledger.changing import changed
from bridge.ledger.events import AmountBasis, EventType, Policy
from bridge.ledger.links import bill_of, bill_of_payment
from bridge.ledger.movements import Movement
from bridge.ledger.state import Bill
from processors.facts import Fact, Payment, Reason, Refund
from processors.money import round_minor

# What comes back after a pause is paid this soon, or told alone; a first start goes with its first payment, whenever.
PAID_WITHIN = timedelta(days=1)

_STARTS_BY: Mapping[Reason, int] = {Reason.START: 0, Reason.CYCLE: 1, Reason.UNKNOWN: 2, Reason.CHANGE: 3}
_CHANGES = frozenset({EventType.UPGRADE, EventType.DOWNGRADE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """Money of one bill that is still to be told: `minor` after `AMOUNT_BASIS`. `bill` is the bill once it is told.

    Below 0: more was told than was paid, since payments told apart were one, or a tax was not known. Told as a refund.
    """

    bill: Bill
    minor: int
    at: datetime
    transaction_id: str
    is_first: bool
    payment_ids: tuple[str, ...]
    event_ids: tuple[str, ...]

    @property
    def is_correction(self) -> bool:
        """Whether it takes back what was told too much."""
        return self.minor < 0

    @property
    def output_key(self) -> str:
        """The key of its event: the transaction it is told as, which no other event of its bill is."""
        return f"payment:{self.transaction_id}"


def dues(books: Books, facts: Sequence[Fact], policy: Policy) -> list[Due]:
    """What is to be told of each bill that has changed, in the order of payment. Where nothing is, it is squared."""
    found = []
    tellers = _tellers(books, facts)
    for bill in books.news():
        square = _squared(bill, policy)
        minor = (square.told - square.told_back) - (bill.told - bill.told_back)
        if minor:
            found.append(_due(square, minor, tellers.get(bill.id, []), books))
        else:
            books.put(square)
    return sorted(found, key=lambda due: (due.at, due.output_key))


def paired(dues: Sequence[Due], movements: Sequence[Movement]) -> dict[str, Movement]:
    """Which movement each payment carries, by the due's output key. A movement goes with one payment at most.

    A start goes with the payment for it, else with the nearest; a change with the nearest payment for a change.
    """
    fitting = [(_fit(due, movement), due, movement) for movement in movements for due in dues if _fits(due, movement)]
    pairs: dict[str, Movement] = {}
    carried = set()
    for _, due, movement in sorted(fitting, key=lambda one: one[0]):
        step = (movement.subscription_id, movement.number)
        if due.output_key not in pairs and step not in carried:
            pairs[due.output_key] = movement
            carried.add(step)
    return pairs


def net(minor: int, bill: Bill, policy: Policy) -> int:
    """What of a gross amount on this bill is told: all of it, or what is left without its share of tax."""
    if policy.amount_basis is AmountBasis.GROSS or not bill.tax or bill.paid <= 0:
        return minor
    return round_minor(minor * (1 - min(Fraction(bill.tax, bill.paid), Fraction(1))))


def _squared(bill: Bill, policy: Policy) -> Bill:
    """The bill once its events say what was paid and what was given back."""
    return changed(bill, told=net(bill.paid, bill, policy), told_back=net(bill.returned, bill, policy))


def _tellers(books: Books, facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    """The facts that tell of each bill's payments."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        if isinstance(fact, Payment):
            key: str | None = books.slot(bill_of_payment(books.links, fact), fact.amount.currency)
        else:
            key = None if isinstance(fact, Refund) else bill_of(books.links, fact.ids)
        if key is not None:
            found.setdefault(key, []).append(fact)
    return found


def _due(bill: Bill, minor: int, tellers: Sequence[Fact], books: Books) -> Due:
    payments = [fact for fact in tellers if isinstance(fact, Payment)]
    telling = payments or tellers
    transaction_id = _correction_id(bill) if minor < 0 else _transaction_id(bill, payments, books)
    return Due(
        bill=changed(bill, told_as=(*bill.told_as, transaction_id)),
        minor=minor,
        at=(max if minor < 0 else min)((fact.at for fact in telling), default=bill.at),
        transaction_id=transaction_id,
        is_first=not bill.told_as,
        payment_ids=tuple(sorted({bill.id, *bill.payments})),
        event_ids=tuple(dict.fromkeys(fact.processor_event_id for fact in telling)),
    )


def _transaction_id(bill: Bill, payments: Sequence[Payment], books: Books) -> str:
    """The first time the bill's own id, later the further payment's."""
    if not bill.told_as:
        return bill.id
    before = books.kept.get(bill.id)
    known = {*bill.told_as, *(before.payments if before is not None else ())}
    named = (books.links.payment_of.get(payment.key, payment.key) for payment in payments if not payment.is_total)
    return next((key for key in named if key not in known), f"{bill.id}:{len(bill.told_as) + 1}")


def _correction_id(bill: Bill) -> str:
    return f"{bill.id}:correction:{len(bill.told_as) + 1}"


def _fits(due: Due, movement: Movement) -> bool:
    if not due.is_first or due.is_correction or due.bill.subscription_id != movement.subscription_id:
        return False
    if movement.event_type is EventType.SUBSCRIPTION:
        is_near = abs(due.at - movement.at) <= PAID_WITHIN
        return due.bill.reason in _STARTS_BY and (is_near or not movement.reactivation)
    return due.bill.reason is Reason.CHANGE and movement.event_type in _CHANGES


def _fit(due: Due, movement: Movement) -> tuple[int, timedelta, int, str]:
    """The less, the better: a payment for a start before others, then the nearest in time."""
    starting = movement.event_type is EventType.SUBSCRIPTION
    rank = _STARTS_BY[due.bill.reason] if starting else 0
    return (rank, abs(due.at - movement.at), movement.number, due.output_key)
