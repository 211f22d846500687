"""The facts that the waiting payments and refunds lack."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from bridge.ledger.completeness.trial import (
    COUNTING,
    Trial,
    bills_of,
    discounts_of,
    is_due_nothing,
    owed_by_payments,
    states_of,
)
from bridge.ledger.receivables import SAME_PAYMENT
from bridge.ledger.references import receivable_of, receivable_of_payment
from bridge.ledger.state import Receivable
from processors.facts import Payment, Reason, Refund, RefundStatus, Stage, Status, SubscriptionState

RECENT_STATE = timedelta(hours=2)  # a renewal's state comes about an hour before its payment


def missing_for_payments(trial: Trial) -> Iterator[str]:
    """The facts that each payment lacks: its invoice, the state of its subscription, a discount."""
    waiting = [fact for fact in trial.facts if isinstance(fact, Payment)]
    for owed_id in dict.fromkeys(owed_by_payments(trial.after, waiting)):
        own = [fact for fact in waiting if receivable_of_payment(trial.after.references, fact) == owed_id]
        receivable = trial.after.receivables.get(owed_id)
        if receivable is not None and is_due_nothing(receivable, own):
            yield from _subscription_of(receivable, trial)
            yield from _discounts_of(receivable, own, trial)
            continue
        if receivable is None or not receivable.paid:
            yield f"the payment of {owed_id}"
            continue
        # Matched by time and amount only: another invoice of the same amount may arrive.
        if guessed := [key for key in receivable.payments if key in trial.after.references.matched]:
            yield f"whether {guessed[0]} belongs to {owed_id}"
        yield from _invoice(receivable, own)
        yield from _subscription_of(receivable, trial)
        yield from _discounts_of(receivable, own, trial)


def _invoice(receivable: Receivable, own: Sequence[Payment]) -> Iterator[str]:
    """The missing facts about its invoice, or the missing statement that it has none."""
    is_unclear = receivable.reason is Reason.UNKNOWN and not (receivable.is_invoice and receivable.subscription_id)
    if receivable.may_have_invoice or is_unclear:
        yield f"whether {receivable.id} belongs to an invoice, and to which"
    if receivable.is_invoice and receivable.stated_paid != sum(receivable.payments.values()) and _names_payment(own):
        yield f"the payment of {receivable.id}"
    if not any(fact.is_primary and fact.is_total for fact in own) and receivable.is_invoice:
        yield f"the invoice {receivable.id} as paid"
    if not any(fact.is_primary and (fact.is_total == _is_one_object(fact)) for fact in own):
        yield f"the charge of {receivable.id}"


def _names_payment(own: Sequence[Payment]) -> bool:
    return not any(fact.is_total and _is_one_object(fact) for fact in own)


def _is_one_object(fact: Payment) -> bool:
    """Whether invoice and payment are the same object (Paddle's transaction)."""
    return fact.ids.invoice_id is not None and fact.ids.invoice_id == fact.ids.payment_id


def _subscription_of(receivable: Receivable, trial: Trial) -> Iterator[str]:
    """The missing state of the subscription that a payment is for."""
    if receivable.subscription_id is None or receivable.reason is Reason.ONE_OFF:
        return
    known = trial.after.subscriptions.get(receivable.subscription_id)
    expected = COUNTING if receivable.paid else (*COUNTING, Status.TRIALING)
    if known is None or known.terms is None or known.terms.status not in expected:
        yield f"the state of {receivable.subscription_id}"
    elif known.at < receivable.at - RECENT_STATE:
        yield f"the state of {receivable.subscription_id} at the time of {receivable.id}"
    elif receivable.reason is Reason.CHANGE and not _has_changed(receivable, trial):
        yield f"the change of {receivable.subscription_id} that {receivable.id} bills"


def _discounts_of(receivable: Receivable, own: Sequence[Payment], trial: Trial) -> Iterator[str]:
    """A discount on a billed line that may be the customer's, whose webhook has not arrived: the MRR is without it.

    A discount on the subscription replaces the customer's.
    """
    has_own = False
    for state in (trial.before, trial.after):
        known = state.subscriptions.get(receivable.subscription_id or "")
        has_own = has_own or (known is not None and known.terms is not None and bool(discounts_of(known.terms)))
    billed = {one for fact in own for line in fact.lines or () for one in line.discount_ids}
    if not has_own and billed - {one.id for one in (*trial.before.customer_discounts, *trial.after.customer_discounts)}:
        yield f"a discount of {receivable.id}"


def _has_changed(billed: Receivable, trial: Trial) -> bool:
    """Whether the change that it bills is there: one that names it, or as many unnamed changes as bills of changes."""
    states = states_of((one for one in trial.facts if isinstance(one, SubscriptionState)), billed.subscription_id)
    changes = [
        one
        for one in states
        if one.stage is Stage.CHANGED
        and (one.before is None or one.before.status is not Status.INCOMPLETE)  # that is a start
    ]
    if any(one.ids.invoice_id == billed.id for one in changes):
        return True
    unnamed = [one.now for one in changes if one.ids.invoice_id is None]
    distinct = [now for number, now in enumerate(unnamed) if now not in unnamed[:number]]
    bills = [bill for bill, _ in bills_of(trial, billed.subscription_id or "") if bill.reason is Reason.CHANGE]
    return len(distinct) >= len(bills)


# ---- Refunds ------------------------------------------------------------------------------------------------------


def missing_for_refunds(trial: Trial) -> Iterator[str]:
    """The facts that each refund lacks: its payment, the webhook that names its time and cause."""
    waiting = [fact for fact in trial.facts if isinstance(fact, Refund)]
    for refund in waiting:
        receivable = trial.after.receivables.get(receivable_of(trial.after.references, refund.ids) or refund.key)
        if receivable is None or not receivable.reported_as or _may_be_of_invoice(receivable, refund, trial):
            yield f"the payment that {refund.key} refunds"
        elif any(receivable.unassigned_refunds.values()):
            yield f"the refunds of {receivable.id}, one by one"
        elif not refund.is_total:
            yield from _steps_of(refund, [one for one in waiting if one.key == refund.key], receivable, trial)


def _may_be_of_invoice(receivable: Receivable, refund: Refund, trial: Trial) -> bool:
    """Whether a webhook that names its invoice may still come: not for what was settled long before."""
    is_old = receivable.id in trial.before.receivables and refund.at - receivable.at > SAME_PAYMENT
    return receivable.may_have_invoice and not is_old


def _steps_of(refund: Refund, same: Sequence[Refund], receivable: Receivable, trial: Trial) -> Iterator[str]:
    """The missing webhook that names time and cause of its latest step, or the one of the step before."""
    stored = trial.before.receivables.get(receivable.id)
    known = stored.refunds.get(refund.key) if stored is not None else None
    if known is not None and known.status is refund.status and known.minor >= refund.amount.minor:
        return
    primary = {(one.status, one.amount.minor) for one in same if one.is_primary}
    if (refund.status, refund.amount.minor) not in primary:
        yield f"the webhook that names the cause of {refund.key}"
    if refund.status is RefundStatus.FAILED and known is None and {status for status, _ in primary} == {refund.status}:
        yield f"the refund {refund.key} as made"
    if refund.reverses is not None and refund.reverses not in receivable.refunds:
        yield f"the dispute that {refund.key} takes back"
