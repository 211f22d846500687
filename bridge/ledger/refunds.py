"""Refunds, disputes and their reversals. None of them changes MRR.

Each changes the amount given back on its receivable; the event reports the difference, so that the sum is always right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bridge.ledger.audit_notes import AuditNotes, format_amount
from bridge.ledger.events import Draft, EventType, PlanDetails
from bridge.ledger.payments import refunded_after_tax_basis
from bridge.ledger.policy import Policy, RefundAmount
from bridge.ledger.receivables import Receivables, with_released
from bridge.ledger.references import References, payment_of, receivable_of, subscription_of
from bridge.ledger.state import Receivable, RefundRecord
from bridge.ledger.subscriptions import SubscriptionFold
from processors.facts import Refund, RefundKind, RefundStatus
from processors.values import replace

# A refund only advances: one that has failed does not succeed any more, whatever arrives late.
_PROGRESS: Mapping[RefundStatus, int] = {RefundStatus.PENDING: 0, RefundStatus.SUCCEEDED: 1, RefundStatus.FAILED: 2}


@dataclass(slots=True, kw_only=True)
class RefundContext:
    """Receivables and subscriptions that refunds are settled against, after all payments are reported."""

    receivables: Receivables
    fold: SubscriptionFold
    policy: Policy
    notes: AuditNotes
    drafts: list[Draft] = field(default_factory=list)


def settle_refunds(refunds: Iterable[Refund], context: RefundContext) -> None:
    """Reports each refund, dispute and reversal once.

    Totals come last: a single refund says more, and the part of a total that it explains is not reported again.
    """
    single: dict[str, list[Refund]] = {}
    totals = []
    for refund in refunds:
        if refund.is_total:
            totals.append(refund)
        else:
            single.setdefault(refund.key, []).append(refund)
    for same_key in single.values():
        in_steps = sorted(same_key, key=lambda refund: (*_progress(refund), not refund.is_primary))
        for _, same_step in groupby(in_steps, key=_progress):
            _settle(list(same_step), context)
    for refund in totals:
        _settle([refund], context)


def _progress(refund: Refund) -> tuple[int, int]:
    """How far a refund has advanced, and how much of it a reversal returns: neither ever decreases."""
    return (_PROGRESS[refund.status], refund.amount.minor)


def _settle(same_step: Sequence[Refund], context: RefundContext) -> None:
    """Reports the change by one step of a refund, which several webhooks may report."""
    refund = same_step[0]
    receivable = _receivable_for(refund, context.receivables)
    if _is_from_before(same_step, receivable):
        names = tuple(dict.fromkeys(one.processor_event_id for one in same_step))
        context.notes.add(names, f"{refund.key}: given back before the bridge: not reported")
        return
    is_further = refund.key in receivable.refunds and receivable.refunds[refund.key].counted_minor != 0
    after = _with_refund(receivable, refund, context.receivables.references)
    refunded = refunded_after_tax_basis(after, context.policy)
    minor = refunded - receivable.reported_refund_minor
    event_ids = tuple(dict.fromkeys(one.processor_event_id for one in same_step))
    context.receivables.put(replace(after, reported_refund_minor=refunded))
    if minor:
        draft = _draft(refund, minor, after, event_ids, context)
        if is_further and refund.status is not RefundStatus.FAILED:
            draft = _further(draft, refund)
        context.drafts.append(draft)
        money = format_amount(draft.amount_minor, draft.currency)
        context.notes.add(event_ids, f"{refund.key}: reported as {draft.event_type} of {money}")
    else:
        context.notes.add(event_ids, f"{refund.key}: {_why_no_event(refund, receivable, after)}")


def _is_from_before(same_step: Sequence[Refund], receivable: Receivable) -> bool:
    """Whether money was given back before the bridge, of a payment from before it: only updates report it.

    Stripe adds a refund's reference at the bank days later, and closes a dispute months after it took the money.
    """
    is_known = _is_paid(receivable) or same_step[0].key in receivable.refunds
    return not is_known and not any(one.is_move for one in same_step)


def _is_paid(receivable: Receivable) -> bool:
    """Whether a payment of it was seen, also one of 0."""
    return bool(receivable.payments or receivable.stated_paid)


def _receivable_for(refund: Refund, receivables: Receivables) -> Receivable:
    """The receivable that was refunded; an empty one if its payment has not been seen."""
    references = receivables.references
    owed_id = receivable_of(references, refund.ids) or refund.key
    receivable_id = receivables.id_for(owed_id, refund.amount.currency)
    found = receivables.get(receivable_id)
    if found is not None:
        return found
    subscription_id = subscription_of(references, refund.ids)
    return Receivable(
        id=receivable_id,
        currency=refund.amount.currency,
        at=refund.at,
        may_have_invoice=owed_id == payment_of(references, refund.ids),
        is_recurring=subscription_id is not None,
        subscription_id=subscription_id,
    )


# ---- The receivable after a refund --------------------------------------------------------------------------------


def _with_refund(receivable: Receivable, refund: Refund, references: References) -> Receivable:
    if refund.is_total:
        return _with_total(receivable, refund, references)
    if refund.kind is RefundKind.REVERSAL:
        return _with_reversal(receivable, refund)
    return _with_single(receivable, refund, references)


def _with_single(receivable: Receivable, refund: Refund, references: References) -> Receivable:
    """After a refund or a dispute. The part that a total has reported before is not reported again."""
    known = receivable.refunds.get(refund.key)
    grows = refund.kind is RefundKind.DISPUTE and known is not None and refund.amount.minor > known.minor
    if known is not None and _PROGRESS[refund.status] <= _PROGRESS[known.status] and not grows:
        return receivable
    payment = payment_of(references, refund.ids) or (known.payment_id if known else None)
    minor = refund.amount.minor
    counted_minor = minor if refund.status is RefundStatus.SUCCEEDED else 0
    record = RefundRecord(
        kind=refund.kind,
        status=refund.status,
        minor=minor,
        counted_minor=counted_minor,
        payment_id=payment,
        tax=refund.tax,
    )
    was_open = known is None or known.status is RefundStatus.PENDING
    # A total counts refunds, but no disputes, and also a refund that has failed since.
    explains_total = was_open and refund.status is not RefundStatus.PENDING and refund.kind is RefundKind.REFUND
    unassigned = receivable.unassigned_refunds
    if explains_total:
        unassigned = _without(unassigned, payment or "", minor)
    return replace(receivable, refunds={**receivable.refunds, refund.key: record}, unassigned_refunds=unassigned)


def _without(unassigned: Mapping[str, int], payment: str, minor: int) -> Mapping[str, int]:
    """The unassigned refunds less one of this amount, which is now known by its own key."""
    left = unassigned.get(payment, 0) - minor
    others = {key: value for key, value in unassigned.items() if key != payment}
    return {**others, payment: left} if left > 0 else others


def _with_reversal(receivable: Receivable, refund: Refund) -> Receivable:
    """After money came back. A second webhook may report that more of it did."""
    if refund.status is not RefundStatus.SUCCEEDED:
        return receivable
    known = receivable.refunds.get(refund.key)
    minor = max(refund.amount.minor, -known.counted_minor if known is not None else 0)
    record = RefundRecord(kind=refund.kind, status=refund.status, minor=minor, counted_minor=-minor, tax=refund.tax)
    return replace(receivable, refunds={**receivable.refunds, refund.key: record})


def _with_total(receivable: Receivable, refund: Refund, references: References) -> Receivable:
    """After a total: everything refunded on a payment so far, less the single refunds known."""
    payment = payment_of(references, refund.ids) or ""
    is_older = not _is_paid(receivable)
    # The released part of an authorisation from before the bridge is in the total of before.
    part = None if is_older and (refund.released or 0) <= refund.total_before else refund.released
    released = with_released(receivable.released, payment, part, references)
    receivable = replace(receivable, released=released)
    single = sum(one.minor for one in receivable.refunds.values() if _is_in_total(one, payment, references))
    single -= receivable.releases_among(payment)
    known = receivable.unassigned_refunds.get(payment, 0)
    rest = refund.amount.minor - released.get(payment, 0) - single - known
    older = min(refund.total_before, rest) if is_older and not known else 0
    if older > 0:
        # Given back before the bridge, of a payment from before it: in every later total, but never reported.
        record = RefundRecord(status=RefundStatus.SUCCEEDED, minor=older, payment_id=payment)
        receivable = replace(receivable, refunds={**receivable.refunds, f"{refund.key}:before": record})
        rest -= older
    if rest <= 0:
        return receivable
    return replace(receivable, unassigned_refunds={**receivable.unassigned_refunds, payment: known + rest})


def _is_in_total(one: RefundRecord, payment: str, references: References) -> bool:
    """Whether a payment's total counts it: refunds, even failed ones, which it may still contain, but no disputes."""
    if one.kind is not RefundKind.REFUND:
        return False
    return references.payment_of.get(one.payment_id or "", one.payment_id or "") == payment


# ---- Events -------------------------------------------------------------------------------------------------------


def _draft(
    refund: Refund, minor: int, receivable: Receivable, event_ids: tuple[str, ...], context: RefundContext
) -> Draft:
    """The event of money given back (`minor` > 0) or returned (`minor` < 0), for which Pulsora has no type."""
    key, transaction_id = _ids(refund)
    is_return = minor < 0
    payment = payment_of(context.receivables.references, refund.ids)
    subscription_id = receivable.subscription_id or subscription_of(context.receivables.references, refund.ids)
    plan_details = PlanDetails(plan=receivable.plan, coupon=receivable.coupon)
    if receivable.billed_plan is not None:
        plan_details = receivable.billed_plan
    elif receivable.is_recurring and subscription_id in context.fold.subscriptions:
        plan_details = context.fold.plan_details_at(subscription_id, refund.at)
    is_positive = is_return or context.policy.refund_amount is not RefundAmount.NEGATIVE
    return Draft(
        output_key=f"refund:{key}",
        event_type=_type_of_return(receivable) if is_return else EventType.REFUND,
        amount_minor=abs(minor) if is_positive else -minor,
        currency=refund.amount.currency,
        transaction_id=transaction_id,
        at=refund.at,
        is_recurring=receivable.is_recurring,
        guest_id=receivable.transaction_id,
        customer_id=refund.ids.customer_id,
        mrr_minor=0,
        subscription_id=subscription_id,
        invoice_id=receivable.invoice_id or refund.ids.invoice_id,
        payment_ids=tuple(dict.fromkeys(ref for ref in (payment, *sorted(receivable.payments)) if ref)),
        object_ids=tuple(ref for ref in (refund.key, payment) if ref),
        plan_details=plan_details,
        extra_metadata=_metadata(refund, receivable, is_return=is_return),
        event_ids=event_ids,
    )


def _ids(refund: Refund) -> tuple[str, str]:
    """Output key and transaction id. Each event about one refund has its own."""
    if refund.is_total:
        return f"{refund.key}:{refund.amount.minor}", f"{refund.transaction_id}:{refund.amount.minor}"
    if refund.status is RefundStatus.FAILED:
        return f"{refund.key}:failed", f"{refund.transaction_id}:failed"
    return refund.key, refund.key if refund.kind is RefundKind.REVERSAL else refund.transaction_id


def _further(draft: Draft, refund: Refund) -> Draft:
    """A dispute's further withdrawal or reinstatement, with separate ids, made of the total that it reaches."""
    key = f"{refund.key}:{refund.amount.minor}"
    return replace(draft, output_key=f"refund:{key}", transaction_id=key)


def _type_of_return(receivable: Receivable) -> EventType:
    return EventType.RENEWAL if receivable.is_recurring else EventType.PURCHASE


def _metadata(refund: Refund, receivable: Receivable, *, is_return: bool) -> dict[str, object]:
    found: dict[str, object] = {"refunded_transaction_id": receivable.transaction_id, "reason": refund.reason}
    if is_return:
        original = refund.transaction_id if refund.status is RefundStatus.FAILED else refund.reverses
        found["reversal_of"] = (original or receivable.transaction_id).partition(":")[0]
    return found


def _why_no_event(refund: Refund, before: Receivable, after: Receivable) -> str:
    if refund.key in before.refunds and before.refunds[refund.key].status is refund.status:
        return "already counted"
    if refund.status is RefundStatus.PENDING:
        return "pending: no money has moved yet"
    if refund.status is RefundStatus.FAILED:
        return "failed: no money has moved"
    if any(after.releases_among(payment) > before.releases_among(payment) for payment in after.released):
        return "the released part of an authorisation: no money had moved"
    return "already counted"
