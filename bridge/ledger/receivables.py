"""Receivables: the payments of each amount owed. A payment counts once, however many webhooks report it.

The processors do not always say which invoice a payment belongs to. So payments are recorded where they are known to
belong, are moved when a later fact says better, and are matched by time and amount as a last resort.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import combinations

from bridge.ledger.catalog import Catalog
from bridge.ledger.references import (
    References,
    payment_of,
    receivable_of_payment,
    receivable_of_payment_key,
    subscription_of,
)
from bridge.ledger.serialization import LazyMapping
from bridge.ledger.state import Receivable
from processors.facts import Discount, Fact, Membership, Payment, Reason
from processors.money import Currency
from processors.values import replace

# A payment that cannot name its invoice paid the one of the same customer, currency and amount within this time:
# processors send the webhooks of both within seconds.
SAME_PAYMENT = timedelta(hours=1)
PARTS_WITHIN = timedelta(days=60)  # an invoice's parts are paid within this time
MAX_PARTS = 4
MAX_CANDIDATES = 12  # the latest payments that are tried as parts: 781 sets at most
MAX_UNMATCHED = 500  # the latest receivables that still lack their counterpart

# Of several webhooks about one receivable, the reason that says most counts.
_MOST_SPECIFIC: Mapping[Reason, int] = {
    Reason.START: 0,
    Reason.CHANGE: 1,
    Reason.CYCLE: 2,
    Reason.ONE_OFF: 3,
    Reason.UNKNOWN: 4,
}


@dataclass(slots=True, kw_only=True)
class Receivables:
    """A stream's receivables during a settlement: as stored, and as changed since.

    `adopted`: the ids of those that came from another stream, so that they may be over-reported as they are stored.
    """

    stored: LazyMapping[Receivable]
    references: References
    unmatched: dict[str, datetime]
    catalog: Catalog
    adopted: tuple[str, ...] = ()
    changes: dict[str, Receivable | None] = field(default_factory=dict)

    def get(self, receivable_id: str) -> Receivable | None:
        """The receivable as it is now, or None."""
        found: Receivable | None = (
            self.changes[receivable_id] if receivable_id in self.changes else self.stored.get(receivable_id)
        )
        return found

    def put(self, receivable: Receivable) -> None:
        """Replaces the receivable of this id."""
        self.changes[receivable.id] = receivable

    def id_for(self, receivable_id: str, currency: Currency) -> str:
        """This id, or a separate one for a second currency: a receivable has amounts of one currency only."""
        known = self.get(receivable_id)
        is_same = known is None or known.currency.code == currency.code
        return receivable_id if is_same else f"{receivable_id}:{currency.code}"

    def to_store(self) -> LazyMapping[Receivable]:
        """All receivables after the settlement."""
        return self.stored.updated(self.changes)

    def with_new_amounts(self) -> list[Receivable]:
        """The receivables with other amounts than stored, and the adopted ones."""
        changed = [one for one in self.changes.values() if one is not None]
        return [one for one in changed if one.id in self.adopted or _amounts(one) != _amounts(self.stored.get(one.id))]


def _amounts(receivable: Receivable | None) -> tuple[object, ...] | None:
    if receivable is None:
        return None
    return (
        receivable.stated_paid,
        receivable.payments,
        receivable.released,
        receivable.tax,
        receivable.refunds,
        receivable.unassigned_refunds,
        receivable.reported_minor,
        receivable.reported_refund_minor,
    )


def apply_payments(receivables: Receivables, facts: Sequence[Fact]) -> None:
    """Records the facts' payments, each on the receivable that it belongs to as far as is known now."""
    for fact in facts:  # first all moves, so that no payment is recorded where its predecessor is about to leave
        for key in (fact.ids.charge_id, fact.ids.payment_id):
            _move_to_stated_invoice(key, receivables)
    for key in receivables.adopted:
        _move_to_stated_invoice(key, receivables)
        if key not in receivables.changes and (known := receivables.get(key)) is not None:
            receivables.put(known)
    for fact in facts:
        if isinstance(fact, Payment):
            apply_payment(fact, receivables)
    match_payments_to_invoices(receivables)


# ---- Recording a payment ------------------------------------------------------------------------------------------


def apply_payment(payment: Payment, receivables: Receivables) -> None:
    """Records one payment, or one invoice's total."""
    references, currency = receivables.references, payment.amount.currency
    owed_id = receivable_of_payment(references, payment)
    receivable_id = receivables.id_for(owed_id, currency)
    known = receivables.get(receivable_id)
    if known is None:
        has_no_invoice_yet = not payment.is_total and owed_id == payment_of(references, payment.ids)
        known = Receivable(id=receivable_id, currency=currency, at=payment.at, may_have_invoice=has_no_invoice_yet)
    stated_paid = max(known.stated_paid, payment.amount.minor) if payment.is_total else known.stated_paid
    receivables.put(
        replace(
            known,
            at=min(known.at, payment.at),
            subscription_id=known.subscription_id or subscription_of(references, payment.ids),
            plan=known.plan or receivables.catalog.purchase_name(payment),
            coupon=known.coupon or _coupon_name(payment.discounts, receivables.catalog),
            tax=max(known.tax, payment.tax or 0),
            may_have_invoice=known.may_have_invoice and payment.membership is Membership.UNKNOWN,
            reason=_reason(known, payment),
            is_invoice=known.is_invoice or payment.is_total,
            stated_paid=stated_paid,
            released=with_released(known.released, payment.key, payment.released, references),
            payments=known.payments if payment.is_total else _with_payment(known.payments, payment, references),
        )
    )


def _with_payment(payments: Mapping[str, int], payment: Payment, references: References) -> dict[str, int]:
    """The payments with one more. A charge recorded under its own id becomes its intent's once that is known."""
    key = references.payment_of.get(payment.key, payment.key)
    others = {other: minor for other, minor in payments.items() if references.payment_of.get(other, other) != key}
    same = [minor for other, minor in payments.items() if other not in others]
    return {**others, key: max([*same, payment.amount.minor])}


def with_released(
    known: Mapping[str, int], payment: str | None, released: int | None, references: References
) -> Mapping[str, int]:
    """The released parts with one more. Of several statements about one payment the smallest is right.

    A payload from after a refund cannot distinguish a released part from a refund of the same amount.
    """
    if payment is None or released is None:
        return known
    key = references.payment_of.get(payment, payment)
    return {**known, key: min(known.get(key, released), released)}


def _reason(known: Receivable, payment: Payment) -> Reason:
    """Why the money was asked for: the invoice knows best; else the most specific reason of several webhooks."""
    if known.is_invoice and not payment.is_total:
        return known.reason
    if payment.is_total and not known.is_invoice:
        return payment.reason
    return min(known.reason, payment.reason, key=_MOST_SPECIFIC.__getitem__)


def _coupon_name(discounts: Iterable[Discount], catalog: Catalog) -> str | None:
    return next(filter(None, (catalog.coupon_name(discount) for discount in discounts)), None)


# ---- Moving payments to the invoice that a later fact names -------------------------------------------------------


def _move_to_stated_invoice(key: str | None, receivables: Receivables) -> None:
    """Moves a payment that was recorded without invoice, or on the wrong one, to the one that is known now."""
    if key is None:
        return
    payment = receivables.references.payment_of.get(key, key)
    _undo_match(payment, receivables)
    owed_id = receivable_of_payment_key(receivables.references, payment)
    if key != owed_id and receivables.get(key) is not None:
        _move(key, owed_id, receivables)


def _undo_match(payment: str, receivables: Receivables) -> None:
    """Takes a payment off the invoice that it was matched to, once a fact names its invoice."""
    references = receivables.references
    matched, stated = references.matched.get(payment), references.invoice_of.get(payment)
    if matched is None or stated is None:
        return
    others = {key: invoice for key, invoice in references.matched.items() if key != payment}
    receivables.references = replace(references, matched=others)
    invoice = receivables.get(matched)
    if matched != stated and invoice is not None and payment in invoice.payments:
        _split_off(payment, invoice, receivables)


def _split_off(payment: str, invoice: Receivable, receivables: Receivables) -> None:
    """Moves one payment and its refunds from an invoice to a separate receivable.

    The reported payments stay with the invoice, whose difference is then reported as a correction.
    """
    own = {key: one for key, one in invoice.refunds.items() if one.payment_id == payment}
    unassigned = invoice.unassigned_refunds.get(payment, 0)
    refunded = sum(one.counted_minor for one in own.values()) + unassigned
    single = Receivable(
        id=payment,
        currency=invoice.currency,
        at=invoice.at,
        payments={payment: invoice.payments[payment]},
        released={key: minor for key, minor in invoice.released.items() if key == payment},
        refunds=own,
        unassigned_refunds={payment: unassigned} if unassigned else {},
        reported_refund_minor=refunded,
    )
    rest = replace(
        invoice,
        payments={key: minor for key, minor in invoice.payments.items() if key != payment},
        refunds={key: one for key, one in invoice.refunds.items() if key not in own},
        unassigned_refunds={key: minor for key, minor in invoice.unassigned_refunds.items() if key != payment},
        reported_refund_minor=invoice.reported_refund_minor - refunded,
    )
    receivables.put(rest)
    receivables.put(single)


def _move(from_id: str, to_id: str, receivables: Receivables) -> None:
    """Merges one receivable into another, including everything reported of it."""
    moved = receivables.get(from_id)
    if moved is None:
        return
    target_id = receivables.id_for(to_id, moved.currency)
    may_have_invoice = moved.may_have_invoice and to_id == receivables.references.payment_of.get(from_id)
    empty = Receivable(id=target_id, currency=moved.currency, at=moved.at, may_have_invoice=may_have_invoice)
    receivables.changes[from_id] = None
    receivables.put(merged_receivable(receivables.get(target_id) or empty, moved, receivables.references))


def merged_receivable(target: Receivable, moved: Receivable, references: References) -> Receivable:
    """One receivable of two, with the payments, the refunds and everything reported of both."""
    payments = {**target.payments}
    for key, minor in moved.payments.items():
        payment = references.payment_of.get(key, key)
        payments[payment] = max(payments.get(payment, 0), minor)
    unassigned = {**target.unassigned_refunds}
    for key, minor in moved.unassigned_refunds.items():
        payment = references.payment_of.get(key, key)
        unassigned[payment] = unassigned.get(payment, 0) + minor
    reason = target.reason if target.is_invoice else min(target.reason, moved.reason, key=_MOST_SPECIFIC.__getitem__)
    return replace(
        target,
        at=min(target.at, moved.at),
        payments=payments,
        released={**moved.released, **target.released},
        unassigned_refunds=unassigned,
        refunds={**moved.refunds, **target.refunds},
        tax=max(target.tax, moved.tax),
        reported_minor=target.reported_minor + moved.reported_minor,
        reported_refund_minor=target.reported_refund_minor + moved.reported_refund_minor,
        reported_as=target.reported_as + moved.reported_as,
        is_recurring=target.is_recurring or moved.is_recurring,
        reason=reason,
        subscription_id=target.subscription_id or moved.subscription_id,
        plan=target.plan or moved.plan,
        coupon=target.coupon or moved.coupon,
        billed_plan=target.billed_plan or moved.billed_plan,
    )


# ---- Matching payments that name no invoice -----------------------------------------------------------------------


def match_payments_to_invoices(receivables: Receivables) -> None:
    """Merges each payment that cannot name its invoice into the nearest invoice whose missing amount it is.

    Under Stripe's current API a charge does not say that it belongs to an invoice, and the webhook that does
    (`invoice_payment.paid`) may not be subscribed to.
    """
    new = _update_unmatched(receivables)
    if not new:
        return
    near = [
        receivable_id for receivable_id, at in receivables.unmatched.items() if any(_is_near(at, one) for one in new)
    ]
    candidates = [one for one in map(receivables.get, near) if one is not None]
    invoices = {one.id: one for one in candidates if one.is_invoice}
    payments = sorted((one for one in candidates if not one.is_invoice), key=lambda one: (one.at, one.id))
    for payment in payments:
        fitting = [invoice for invoice in invoices.values() if _is_paid_by(invoice, payment)]
        if fitting:
            best = min(fitting, key=lambda invoice: (abs(invoice.at - payment.at), invoice.id))
            del invoices[best.id]
            _match(payment, best, receivables)
    for invoice in sorted(invoices.values(), key=lambda one: (one.at, one.id)):
        for part in _parts_of(invoice, receivables):
            _match(part, receivables.get(invoice.id) or invoice, receivables)


def _is_near(at: datetime, new: Receivable) -> bool:
    """Whether a receivable of this time may be the counterpart of a new one, or the invoice of which it is a part."""
    return abs(at - new.at) <= SAME_PAYMENT or (not new.is_invoice and timedelta(0) <= at - new.at <= PARTS_WITHIN)


def _parts_of(invoice: Receivable, receivables: Receivables) -> Sequence[Receivable]:
    """The payments that together paid an invoice in parts: the last when it was paid, the others in the weeks before.

    The smallest set whose sum is the missing amount, and of several the one that was paid last.
    """
    near = [key for key, at in receivables.unmatched.items() if -SAME_PAYMENT <= invoice.at - at <= PARTS_WITHIN]
    possible = [one for one in map(receivables.get, near) if one is not None and _may_be_part(one, invoice)]
    latest = sorted(possible, key=lambda one: (one.at, one.id), reverse=True)[:MAX_CANDIDATES]
    for number in range(2, MAX_PARTS + 1):
        for parts in combinations(latest, number):
            is_final = any(abs(one.at - invoice.at) <= SAME_PAYMENT for one in parts)
            if is_final and sum(one.paid for one in parts) == _missing(invoice):
                return parts
    return ()


def _may_be_part(payment: Receivable, invoice: Receivable) -> bool:
    is_smaller = 0 < payment.paid < _missing(invoice)
    return is_smaller and not payment.is_invoice and payment.currency.code == invoice.currency.code


def _missing(invoice: Receivable) -> int:
    """The paid amount whose payments are not known."""
    return invoice.stated_paid - sum(invoice.payments.values())


def _update_unmatched(receivables: Receivables) -> list[Receivable]:
    """The changed receivables that lack a counterpart; updates the list of all that do."""
    found = []
    for receivable_id, receivable in receivables.changes.items():
        receivables.unmatched.pop(receivable_id, None)
        if receivable is not None and _is_unmatched(receivable):
            receivables.unmatched[receivable_id] = receivable.at
            found.append(receivable)
    for receivable_id in list(receivables.unmatched)[:-MAX_UNMATCHED]:
        del receivables.unmatched[receivable_id]
    return found


def _match(payment: Receivable, invoice: Receivable, receivables: Receivables) -> None:
    for receivable_id in (payment.id, invoice.id):
        receivables.unmatched.pop(receivable_id, None)
    matched = {**receivables.references.matched, **dict.fromkeys(payment.payments, invoice.id)}
    receivables.references = replace(receivables.references, matched=matched)
    _move(payment.id, invoice.id, receivables)


def _is_unmatched(receivable: Receivable) -> bool:
    if receivable.is_invoice:
        return receivable.stated_paid > sum(receivable.payments.values())
    return receivable.may_have_invoice and bool(receivable.payments)


def _is_paid_by(invoice: Receivable, payment: Receivable) -> bool:
    return (
        _missing(invoice) == payment.paid
        and invoice.currency.code == payment.currency.code
        and abs(invoice.at - payment.at) <= SAME_PAYMENT
    )
