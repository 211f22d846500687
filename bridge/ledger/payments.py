"""Payments: the part of each receivable that is not reported yet, and the movement of MRR that it pays for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from fractions import Fraction

from bridge.ledger.events import EventType
from bridge.ledger.movements import Movement
from bridge.ledger.ordering import SAME_MOMENT
from bridge.ledger.policy import AmountBasis, Policy
from bridge.ledger.receivables import Receivables
from bridge.ledger.references import receivable_of, receivable_of_payment
from bridge.ledger.state import Receivable
from processors.facts import Fact, Payment, Reason, Refund
from processors.money import round_minor
from processors.values import Value, replace

# A reactivation is paired with a payment within this time, else reported alone. A first start is paired with its first
# payment however late, since nothing else can have paid for it, but not with one that is earlier by more than this.
PAID_WITHIN = timedelta(days=1)
BILLED_WITHIN = timedelta(minutes=10)  # a start that is billed 0 has its bill within this time

# The reasons of payments that may pay for a start, the most likely first.
_PAYS_START: Mapping[Reason, int] = {Reason.START: 0, Reason.CYCLE: 1, Reason.UNKNOWN: 2, Reason.CHANGE: 3}
_CHANGES = frozenset({EventType.UPGRADE, EventType.DOWNGRADE})


class PaymentDelta(Value):
    """The money of one receivable that is not reported yet: `minor` after `AMOUNT_BASIS`.

    `receivable`: after it is reported. `minor` is negative if more was reported than was paid, because payments
    reported separately turned out to be one, or a tax was not known; it is then reported as a refund.
    """

    receivable: Receivable
    minor: int
    at: datetime
    transaction_id: str
    is_first: bool
    payment_ids: tuple[str, ...]
    event_ids: tuple[str, ...]
    customer_id: str | None = None

    @property
    def is_correction(self) -> bool:
        """Whether it takes back an over-reported amount."""
        return self.minor < 0

    @property
    def output_key(self) -> str:
        """The key of its event, unique since no two events of a receivable share a transaction id."""
        return f"payment:{self.transaction_id}"


def payment_deltas(receivables: Receivables, facts: Sequence[Fact], policy: Policy) -> list[PaymentDelta]:
    """The unreported money of each changed receivable, in the order of payment.

    A changed receivable without unreported money is marked as reported here; the others once they have their events.
    """
    found = []
    sources = _facts_by_receivable(receivables, facts)
    for receivable in receivables.with_new_amounts():
        reported = replace(
            receivable,
            reported_minor=after_tax_basis(receivable.paid, receivable, policy),
            reported_refund_minor=refunded_after_tax_basis(receivable, policy),
        )
        before = receivable.reported_minor - receivable.reported_refund_minor
        minor = (reported.reported_minor - reported.reported_refund_minor) - before
        if minor:
            found.append(_delta(reported, minor, sources.get(receivable.id) or facts, receivables))
        else:
            receivables.put(reported)
    return sorted(found, key=lambda delta: (delta.at, delta.output_key))


def bills_of_nothing(receivables: Receivables, facts: Sequence[Fact]) -> list[PaymentDelta]:
    """The bills of 0 among the facts: of a trial, or of a coupon over the whole.

    The start that one of them bills is not paid for by the next bill, of a change seconds later.
    """
    owed = {
        receivables.id_for(receivable_of_payment(receivables.references, fact), fact.amount.currency): fact
        for fact in facts
        if isinstance(fact, Payment) and fact.is_primary and fact.is_total and not fact.amount.minor
    }
    found = [(receivables.get(key), fact) for key, fact in owed.items()]
    return [_delta(one, 0, [fact], receivables) for one, fact in found if one is not None and not one.paid]


def pair_with_movements(deltas: Sequence[PaymentDelta], movements: Sequence[Movement]) -> dict[str, Movement]:
    """The movement that each payment pays for, by the payment's output key; one movement per payment and vice versa.

    A start goes with the payment for a start, else with the nearest; a change with the nearest payment for a change.
    The processors link neither, so the best of all possible pairs is fixed first, then the next best. Taking each
    payment's own best in turn would depend on the order of the payments.
    """
    possible = [
        (_distance(delta, movement), delta, movement)
        for movement in movements
        for delta in deltas
        if _may_pay_for(delta, movement)
    ]
    pairs: dict[str, Movement] = {}
    paired = set()
    for _, delta, movement in sorted(possible, key=lambda one: one[0]):
        movement_id = (movement.subscription_id, movement.number)
        if delta.output_key not in pairs and movement_id not in paired:
            pairs[delta.output_key] = movement
            paired.add(movement_id)
    return pairs


def after_tax_basis(minor: int, receivable: Receivable, policy: Policy) -> int:
    """The part of a gross amount that `AMOUNT_BASIS` reports: all of it, or without its share of the tax."""
    if policy.amount_basis is AmountBasis.GROSS or not receivable.tax or receivable.paid <= 0:
        return minor
    return round_minor(minor * (1 - min(Fraction(receivable.tax, receivable.paid), Fraction(1))))


def refunded_after_tax_basis(receivable: Receivable, policy: Policy) -> int:
    """The amount given back that `AMOUNT_BASIS` reports: without the tax that a refund states, else its share of it."""
    if policy.amount_basis is AmountBasis.GROSS:
        return receivable.refunded
    stated = [one for one in receivable.counted_refunds if one.tax is not None and one.counted_minor]
    net = sum(one.counted_minor - (one.tax or 0) * (1 if one.counted_minor > 0 else -1) for one in stated)
    rest = receivable.refunded - sum(one.counted_minor for one in stated)
    return net + after_tax_basis(rest, receivable, policy)


# ---- Deltas -------------------------------------------------------------------------------------------------------


def _facts_by_receivable(receivables: Receivables, facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    """The facts about each receivable's payments, by receivable id."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        if isinstance(fact, Payment):
            owed_id = receivable_of_payment(receivables.references, fact)
            key: str | None = receivables.id_for(owed_id, fact.amount.currency)
        else:
            key = None if isinstance(fact, Refund) else receivable_of(receivables.references, fact.ids)
        if key is not None:
            found.setdefault(key, []).append(fact)
    return found


def _delta(receivable: Receivable, minor: int, facts: Sequence[Fact], receivables: Receivables) -> PaymentDelta:
    payments = [fact for fact in facts if isinstance(fact, Payment)]
    causes = _primary_payments(payments) or facts
    transaction_id = _correction_id(receivable) if minor < 0 else _transaction_id(receivable, payments, receivables)
    return PaymentDelta(
        receivable=replace(receivable, reported_as=(*receivable.reported_as, transaction_id)),
        minor=minor,
        at=(max if minor < 0 else min)((fact.at for fact in causes), default=receivable.at),
        transaction_id=transaction_id,
        is_first=not receivable.reported_as,
        payment_ids=tuple(sorted({receivable.id, *receivable.payments})),
        event_ids=tuple(dict.fromkeys(fact.processor_event_id for fact in (*causes, *payments))),
        customer_id=next((fact.ids.customer_id for fact in payments if fact.ids.customer_id), None),
    )


def _primary_payments(payments: Sequence[Payment]) -> Sequence[Payment]:
    """The payments that name time and cause: the paid invoice, else the charge, else all.

    They are the same whichever of the other webhooks about the same money have arrived.
    """
    primary = [fact for fact in payments if fact.is_primary]
    return [fact for fact in primary if fact.is_total] or primary or payments


def _transaction_id(receivable: Receivable, payments: Sequence[Payment], receivables: Receivables) -> str:
    """The receivable's own id for its first event, afterwards the id of the further payment."""
    if not receivable.reported_as:
        return receivable.id
    stored = receivables.stored.get(receivable.id)
    known = {*receivable.reported_as, *(stored.payments if stored is not None else ())}
    payment_of = receivables.references.payment_of
    keys = (payment_of.get(payment.key, payment.key) for payment in payments if not payment.is_total)
    return next((key for key in keys if key not in known), f"{receivable.id}:{len(receivable.reported_as) + 1}")


def _correction_id(receivable: Receivable) -> str:
    return f"{receivable.id}:correction:{len(receivable.reported_as) + 1}"


# ---- Pairs --------------------------------------------------------------------------------------------------------


def _may_pay_for(delta: PaymentDelta, movement: Movement) -> bool:
    is_same = (
        delta.receivable.subscription_id == movement.subscription_id and delta.receivable.currency == movement.currency
    )
    if not is_same or not delta.is_first or delta.is_correction:
        return False
    if movement.event_type is EventType.SUBSCRIPTION:
        return delta.receivable.reason in _PAYS_START and _pays_start(delta, movement)
    is_bill_of_change = delta.receivable.reason is Reason.CHANGE and delta.minor != 0
    return is_bill_of_change and movement.event_type in _CHANGES and not _is_older(delta, movement)


def _pays_start(delta: PaymentDelta, movement: Movement) -> bool:
    """Whether it may be the bill of this start. One of 0, of a trial or a free month, is no bill of a later start."""
    distance = abs(delta.at - movement.at)
    if delta.minor == 0 and distance > BILLED_WITHIN:
        return False
    if _is_first_start(movement):
        return not is_before_start(delta, movement)
    return distance <= PAID_WITHIN and _is_named(delta, movement)


def is_before_start(delta: PaymentDelta, movement: Movement) -> bool:
    """Whether it was paid long before the subscription's first start: for a trial, or for a set-up during one."""
    is_same = delta.receivable.subscription_id == movement.subscription_id
    return is_same and _is_first_start(movement) and delta.at < movement.at - PAID_WITHIN


def _is_first_start(movement: Movement) -> bool:
    return movement.event_type is EventType.SUBSCRIPTION and not (movement.reactivation or movement.was_active)


def _is_named(delta: PaymentDelta, movement: Movement) -> bool:
    """Whether it is the invoice that the subscription names when it starts; any may be where none is named.

    Another invoice of the same hour, of an add-on or of a change that follows, does not pay for the start.
    """
    if movement.invoice_id is None:
        return True
    return movement.invoice_id == delta.receivable.id and not _is_older(delta, movement)


def _is_older(delta: PaymentDelta, movement: Movement) -> bool:
    """Whether it was paid before the movement, whose subscription names no new invoice."""
    names_old = movement.invoice_id is not None and not movement.is_new_invoice
    return names_old and delta.at <= movement.at - SAME_MOMENT


def _distance(delta: PaymentDelta, movement: Movement) -> tuple[int, timedelta, int, str]:
    """The smaller, the better: a payment for a start first, then the nearest in time; the rest only breaks ties."""
    rank = _PAYS_START[delta.receivable.reason] if movement.event_type is EventType.SUBSCRIPTION else 0
    return (rank, abs(delta.at - movement.at), movement.number, delta.output_key)
