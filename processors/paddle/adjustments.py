"""Adjustments: refunds count once approved, chargebacks and reversals at once. Credit is not money."""

from __future__ import annotations

from collections.abc import Mapping

from processors.facts import Refund, RefundKind, RefundStatus
from processors.interface import Translation
from processors.money import Money, whole_minor
from processors.paddle.envelope import Notification, currency, ids_of, ignored, with_facts
from processors.payload import Json, first, ident, rows, text

KINDS: Mapping[str, RefundKind] = {
    "refund": RefundKind.REFUND,
    "chargeback": RefundKind.DISPUTE,
    "chargeback_warning": RefundKind.DISPUTE,
    "refund_reverse": RefundKind.REVERSAL,
    "chargeback_reverse": RefundKind.REVERSAL,
    "chargeback_warning_reverse": RefundKind.REVERSAL,
}
STATUSES: Mapping[str, RefundStatus] = {
    "pending_approval": RefundStatus.PENDING,
    "approved": RefundStatus.SUCCEEDED,
    "reversed": RefundStatus.SUCCEEDED,  # approved before; the reversal is another adjustment
    "rejected": RefundStatus.FAILED,
}


def from_adjustment(notification: Notification) -> Translation:
    """`adjustment.*`: a refund, a chargeback, or the reversal of one."""
    found = notification.entity
    action = text(found.get("action")) or ""
    kind = KINDS.get(action)
    if kind is None:
        return ignored(f"an adjustment of the kind {action or 'unknown'} moves no money")
    key, transaction_id = ident(found.get("id")), ident(found.get("transaction_id"))
    paid_in = currency(first(found, "currency_code", "totals.currency_code"))
    minor, tax = whole_minor(first(found, "totals.total")), whole_minor(first(found, "totals.tax"))
    if key is None or transaction_id is None or paid_in is None or minor is None:
        return ignored("the adjustment has no id, transaction, currency or total")
    is_move = _is_move(notification, kind)
    fact = Refund(
        key=key,
        at=notification.at,
        ids=ids_of(found, transaction_id, ident(found.get("subscription_id"))),
        amount=Money(minor=abs(minor), currency=paid_in),
        tax=None if tax is None else abs(tax),
        transaction_id=key,
        kind=kind,
        status=_status(found, kind),
        is_move=is_move,
        reason=_reason(found, action),
        is_primary=is_move,
        processor_event_id=notification.id,
    )
    return with_facts(fact)


def _status(found: Json, kind: RefundKind) -> RefundStatus:
    """Chargebacks and reversals move their money at once, in any status."""
    status = STATUSES.get(text(found.get("status")) or "", RefundStatus.PENDING)
    return status if kind is RefundKind.REFUND else RefundStatus.SUCCEEDED


def _is_move(notification: Notification, kind: RefundKind) -> bool:
    """Whether the money moves now: a chargeback's when it is created, a refund's also when it is approved later.

    The reversal of a chargeback also updates the chargeback, whose money was taken months before.
    """
    is_update = notification.type == "adjustment.updated"
    return not is_update or (kind is RefundKind.REFUND and notification.entity.get("status") != "reversed")


def _reason(found: Json, action: str) -> str | None:
    if action != "refund":
        return action
    kinds = {text(row.get("type")) for row in rows(found, "items")}
    return "tax_only" if kinds == {"tax"} else text(found.get("reason"), 100)
