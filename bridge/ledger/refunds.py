"""Money that goes back, and money that comes back after all. None of it changes MRR.

Each refund changes what its bill has given back; the event tells the difference, so that the sum is always right.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from bridge.ledger.bills import Books
from bridge.ledger.changing import changed
from bridge.ledger.drafts import Draft, Labels
from bridge.ledger.events import EventType, Policy, RefundAmount
from bridge.ledger.links import bill_of, payment_of, subscription_of
from bridge.ledger.payments import net
from bridge.ledger.remarks import Remarks, shown
from bridge.ledger.state import Bill, Links, Returned
from bridge.ledger.subscriptions import Lives
from processors.facts import Refund, RefundKind, RefundStatus

# A refund only ever gets further; what has failed does not succeed any more, whatever arrives late.
_FURTHER: Mapping[RefundStatus, int] = {RefundStatus.PENDING: 0, RefundStatus.SUCCEEDED: 1, RefundStatus.FAILED: 2}


@dataclass(slots=True, kw_only=True)
class Desk:
    """Where refunds are settled: bills and subscriptions as they stand once all payments are told."""

    books: Books
    lives: Lives
    policy: Policy
    remarks: Remarks
    drafts: list[Draft] = field(default_factory=list)


def settle_refunds(refunds: Iterable[Refund], desk: Desk) -> None:
    """Tells every refund, dispute and reversal, once each; totals last, since single refunds say more."""
    single: dict[str, list[Refund]] = {}
    totals = []
    for refund in refunds:
        if refund.is_total:
            totals.append(refund)
        else:
            single.setdefault(refund.key, []).append(refund)
    for tellings in single.values():
        for _, same in groupby(sorted(tellings, key=_how_far), key=_how_far):
            _settle(list(same), desk)
    for refund in totals:
        _settle([refund], desk)


def _how_far(refund: Refund) -> tuple[int, int]:
    """How far a refund has got, and a reversal how much of it is back: neither ever goes back."""
    return (_FURTHER[refund.status], refund.amount.minor)


def _settle(tellings: Sequence[Refund], desk: Desk) -> None:
    """Tells what one step of a refund changes. However often it is told, it is one step."""
    refund = tellings[0]
    bill = _bill(refund, desk.books)
    after = _with(bill, refund, desk.books.links)
    back = net(after.returned, after, desk.policy)
    minor = back - bill.told_back
    event_ids = tuple(dict.fromkeys(one.processor_event_id for one in tellings))
    desk.books.put(changed(after, told_back=back))
    if minor:
        draft = _told(refund, minor, after, event_ids, desk)
        desk.drafts.append(draft)
        desk.remarks.add(event_ids, f"{refund.key}: told as {draft.event_type} of {shown(draft.minor, draft.currency)}")
    else:
        desk.remarks.add(event_ids, f"{refund.key}: {_why_silent(refund, bill)}")


def _bill(refund: Refund, books: Books) -> Bill:
    """The bill that was refunded; an empty one where its payment has not been seen."""
    payment = payment_of(books.links, refund.ids)
    owed = bill_of(books.links, refund.ids) or refund.key
    key = books.slot(owed, refund.amount.currency)
    found = books.get(key)
    if found is not None:
        return found
    subscription_id = subscription_of(books.links, refund.ids)
    return Bill(
        id=key,
        currency=refund.amount.currency,
        at=refund.at,
        unsure=owed == payment,
        recurring=subscription_id is not None,
        subscription_id=subscription_id,
    )


# ---- What a refund makes of its bill ------------------------------------------------------------------------------


def _with(bill: Bill, refund: Refund, links: Links) -> Bill:
    if refund.is_total:
        return _with_total(bill, refund, links)
    return _with_reversal(bill, refund) if refund.kind is RefundKind.REVERSAL else _with_single(bill, refund, links)


def _with_single(bill: Bill, refund: Refund, links: Links) -> Bill:
    """The bill after a refund or a dispute. What a total told of it before is not told again."""
    known = bill.returns.get(refund.key)
    if known is not None and _FURTHER[refund.status] <= _FURTHER[known.status]:
        return bill
    payment = payment_of(links, refund.ids) or (known.payment_id if known else None)
    minor = refund.amount.minor
    counted = minor if refund.status is RefundStatus.SUCCEEDED else 0
    seen = Returned(kind=refund.kind, status=refund.status, minor=minor, counted=counted, payment_id=payment)
    is_news = known is None or known.status is RefundStatus.PENDING
    resolves = is_news and refund.status is not RefundStatus.PENDING and refund.kind is RefundKind.REFUND
    pooled = _drawn(bill.pooled, payment or "", minor) if resolves else bill.pooled
    return changed(bill, returns={**bill.returns, refund.key: seen}, pooled=pooled)


def _drawn(pooled: Mapping[str, int], payment: str, minor: int) -> Mapping[str, int]:
    """The pool after one of the refunds it was told for has turned out to be this one."""
    left = pooled.get(payment, 0) - minor
    rest = {key: value for key, value in pooled.items() if key != payment}
    return {**rest, payment: left} if left > 0 else rest


def _with_reversal(bill: Bill, refund: Refund) -> Bill:
    """The bill after money came back. A second telling may say that more of it did."""
    known = bill.returns.get(refund.key)
    back = max(refund.amount.minor, -known.counted if known is not None else 0)
    if refund.status is not RefundStatus.SUCCEEDED:
        return bill
    seen = Returned(kind=refund.kind, status=refund.status, minor=back, counted=-back)
    return changed(bill, returns={**bill.returns, refund.key: seen})


def _with_total(bill: Bill, refund: Refund, links: Links) -> Bill:
    """The bill after a total: all that was refunded on a payment, less what single refunds account for."""
    payment = payment_of(links, refund.ids) or ""
    single = sum(one.minor for one in bill.returns.values() if _is_refund_of(one, payment, links))
    rest = refund.amount.minor - single - bill.pooled.get(payment, 0)
    if rest <= 0:
        return bill
    return changed(bill, pooled={**bill.pooled, payment: bill.pooled.get(payment, 0) + rest})


def _is_refund_of(one: Returned, payment: str, links: Links) -> bool:
    """Whether a payment's total counts it: refunds, also failed ones that it may still hold, but no disputes."""
    if one.kind is not RefundKind.REFUND:
        return False
    return links.payment_of.get(one.payment_id or "", one.payment_id or "") == payment


# ---- How it is told -----------------------------------------------------------------------------------------------


def _told(refund: Refund, minor: int, bill: Bill, event_ids: tuple[str, ...], desk: Desk) -> Draft:
    """The event of money that went back (`minor` above 0) or came back: Pulsora has no type for the latter."""
    key, transaction_id = _names(refund, minor, bill)
    is_back = minor < 0
    payment = payment_of(desk.books.links, refund.ids)
    subscription_id = bill.subscription_id or subscription_of(desk.books.links, refund.ids)
    by_plan = bill.recurring and subscription_id in desk.lives.subscriptions
    return Draft(
        output_key=f"refund:{key}",
        event_type=_type_of_money_back(bill) if is_back else EventType.REFUND,
        minor=-minor if is_back or desk.policy.refund_amount is RefundAmount.NEGATIVE else minor,
        currency=refund.amount.currency,
        transaction_id=transaction_id,
        at=refund.at,
        is_recurring=bill.recurring,
        guest_id=bill.transaction_id,
        mrr=0,
        subscription_id=subscription_id,
        invoice_id=bill.id if bill.invoiced else refund.ids.invoice_id,
        payment_ids=tuple(dict.fromkeys(ref for ref in (payment, *sorted(bill.payments)) if ref)),
        objects=tuple(ref for ref in (refund.key, payment) if ref),
        labels=desk.lives.labels_at(subscription_id, refund.at)
        if by_plan
        else Labels(plan=bill.plan, coupon=bill.coupon),
        extra=_extra(refund, bill, is_back=is_back),
        event_ids=event_ids,
    )


def _names(refund: Refund, minor: int, bill: Bill) -> tuple[str, str]:
    """Under which key and which transaction id it is told: each telling of one refund has its own."""
    if refund.is_total:
        return f"{refund.key}:{refund.amount.minor}", f"{refund.transaction_id}:{refund.amount.minor}"
    if refund.status is RefundStatus.FAILED:
        return f"{refund.key}:failed", f"{refund.transaction_id}:failed"
    if refund.kind is not RefundKind.REVERSAL:
        return refund.key, refund.transaction_id
    whole = bill.returns[refund.key].minor
    key = refund.key if whole == -minor else f"{refund.key}:{whole}"
    return key, key


def _type_of_money_back(bill: Bill) -> EventType:
    return EventType.RENEWAL if bill.recurring else EventType.PURCHASE


def _extra(refund: Refund, bill: Bill, *, is_back: bool) -> dict[str, object]:
    told: dict[str, object] = {"refunded_transaction_id": bill.transaction_id, "reason": refund.reason}
    if is_back:
        original = refund.transaction_id if refund.status is RefundStatus.FAILED else refund.reverses
        told["reversal_of"] = (original or bill.transaction_id).partition(":")[0]
    return told


def _why_silent(refund: Refund, before: Bill) -> str:
    """Why a refund gave no event."""
    if refund.key in before.returns and before.returns[refund.key].status is refund.status:
        return "counted already"
    if refund.status is RefundStatus.PENDING:
        return "it has not succeeded yet: no money has moved"
    if refund.status is RefundStatus.FAILED:
        return "it failed: no money has moved"
    return "counted already"
