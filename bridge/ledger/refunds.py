"""Money that goes back, and money that comes back after all. None of it changes MRR."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from bridge.ledger.drafts import Draft
from bridge.ledger.events import EventType, Policy, RefundAmount
from bridge.ledger.links import bill_of, payment_of, subscription_of
from bridge.ledger.order import refunds_in_order
from bridge.ledger.payments import net_share
from bridge.ledger.state import Bill, Labels, Links, Returned, Subscription
from processors.facts import Refund, RefundKind, RefundStatus
from processors.money import round_minor


@dataclass(slots=True, kw_only=True)
class Desk:
    """What refunds are looked up in while one settlement is made: bills and subscriptions as they stand after it."""

    bills: Mapping[str, Bill]
    subscriptions: Mapping[str, Subscription]
    links: Links
    policy: Policy
    refunds: dict[str, Returned]
    pooled: dict[str, int]
    drafts: list[Draft] = field(default_factory=list)


def settle_refunds(refunds: Iterable[Refund], desk: Desk) -> None:
    """Tells every refund, dispute and reversal among the facts, once each; totals last, since single refunds say more."""
    ordered = refunds_in_order(refunds)
    for refund in ordered:
        if refund.is_total:
            continue
        if refund.kind is RefundKind.REVERSAL:
            _reversal(refund, desk)
        else:
            _refund(refund, desk)
    for refund in ordered:
        if refund.is_total:
            _total(refund, desk)


def _refund(refund: Refund, desk: Desk) -> None:
    known = desk.refunds.get(refund.key)
    payment = payment_of(desk.links, refund.ids)
    seen = Returned(status=refund.status, minor=refund.amount.minor, payment_id=payment)
    if known is not None and known.status is RefundStatus.FAILED:
        return  # what has failed does not succeed any more, whatever arrives late
    if known is not None:
        seen = replace(seen, told=known.told, payment_id=known.payment_id or payment)
    if refund.status is RefundStatus.SUCCEEDED and not seen.told:
        fresh = _beyond_pool(refund, payment, desk)
        if fresh:
            desk.drafts.append(_draft(refund, fresh, desk))
        seen = replace(seen, told=refund.amount.minor)
    if refund.status is RefundStatus.FAILED and seen.told:
        desk.drafts.append(_compensation(refund, seen.told, desk))
        seen = replace(seen, told=0)
    if refund.status is RefundStatus.PENDING and known is not None:
        return
    desk.refunds[refund.key] = seen


def _beyond_pool(refund: Refund, payment: str | None, desk: Desk) -> int:
    """What of a refund was not told yet as part of a total: a total may arrive in an earlier window than its refunds."""
    pool = desk.pooled.get(payment or "", 0)
    covered = min(pool, refund.amount.minor)
    if covered and payment is not None:
        desk.pooled[payment] = pool - covered
    return refund.amount.minor - covered


def _total(refund: Refund, desk: Desk) -> None:
    """All that was refunded on a payment, where no single refund told of it: only what is not accounted for."""
    payment = payment_of(desk.links, refund.ids)
    if payment is None:
        return
    single = [
        one for one in desk.refunds.values() if one.payment_id == payment and one.status is not RefundStatus.FAILED
    ]
    pool = desk.pooled.get(payment, 0)
    rest = refund.amount.minor - sum(one.minor for one in single) - pool
    if rest <= 0:
        return
    desk.pooled[payment] = pool + rest
    total = refund.amount.minor
    desk.drafts.append(
        replace(
            _draft(refund, rest, desk),
            output_key=f"refund:{refund.key}:{total}",
            transaction_id=f"{refund.transaction_id}:{total}",
        )
    )


def _reversal(refund: Refund, desk: Desk) -> None:
    known = desk.refunds.get(refund.key)
    if refund.status is not RefundStatus.SUCCEEDED or (known is not None and known.told):
        return
    desk.refunds[refund.key] = Returned(status=refund.status, told=refund.amount.minor)
    desk.drafts.append(_back(refund, refund.amount.minor, f"refund:{refund.key}", refund.transaction_id, desk))


def _compensation(refund: Refund, minor: int, desk: Desk) -> Draft:
    """A refund that was told and then failed: the money is back with the merchant."""
    draft = _back(refund, minor, f"refund:{refund.key}:failed", f"{refund.transaction_id}:failed", desk)
    return replace(draft, extra={**draft.extra, "reversal_of": refund.transaction_id})


def _back(refund: Refund, minor: int, key: str, transaction_id: str, desk: Desk) -> Draft:
    """Money that came back: an event of the payment's own kind, since Pulsora has no type for it."""
    draft = _draft(refund, minor, desk)
    net = round_minor(minor * net_share(_bill(refund, desk), desk.policy))
    original = refund.reverses or (draft.extra.get("refunded_transaction_id"))
    return replace(
        draft,
        output_key=key,
        transaction_id=transaction_id,
        event_type=EventType.RENEWAL if draft.is_recurring else EventType.PURCHASE,
        minor=net,
        extra={**draft.extra, "reversal_of": str(original).partition(":")[0] if original else None},
    )


def _draft(refund: Refund, minor: int, desk: Desk) -> Draft:
    bill = _bill(refund, desk)
    payment = payment_of(desk.links, refund.ids)
    subscription_id = (bill.subscription_id if bill else None) or subscription_of(desk.links, refund.ids)
    subscription = desk.subscriptions.get(subscription_id or "")
    refunded = (bill.transaction_id or bill.id) if bill else bill_of(desk.links, refund.ids)
    net = round_minor(minor * net_share(bill, desk.policy))
    return Draft(
        output_key=f"refund:{refund.key}",
        event_type=EventType.REFUND,
        minor=-net if desk.policy.refund_amount is RefundAmount.NEGATIVE else net,
        currency=refund.amount.currency,
        transaction_id=refund.transaction_id,
        at=refund.at,
        is_recurring=bill.recurring if bill else subscription_id is not None,
        guest_id=refunded or refund.transaction_id,
        mrr=0,
        subscription_id=subscription_id,
        invoice_id=bill.id if bill and bill.invoiced else refund.ids.invoice_id,
        payment_ids=tuple(ref for ref in (payment, *(sorted(bill.payments) if bill else ())) if ref),
        objects=tuple(ref for ref in (refund.key, payment) if ref),
        labels=subscription.labels if subscription else Labels(plan=bill.plan if bill else None),
        extra={"refunded_transaction_id": refunded, "reason": refund.reason},
        event_ids=(refund.processor_event_id,),
    )


def _bill(refund: Refund, desk: Desk) -> Bill | None:
    key = bill_of(desk.links, refund.ids)
    payment = payment_of(desk.links, refund.ids)
    if key is not None and key in desk.bills:
        return desk.bills[key]
    return next((bill for bill in desk.bills.values() if payment in bill.payments), None)
