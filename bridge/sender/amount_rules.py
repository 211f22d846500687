"""The amounts that two rules decide: `REFUND_AMOUNT` and `MOVEMENT_AMOUNT`, and rejected deliveries under new ones.

Pulsora's reference allows negative amounts in one place and only positive ones in another. An ingest that enforces the
latter rejects every refund and every movement without a payment; these can be rendered again under another setting.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from bridge.ledger.events import EventType
from bridge.ledger.policy import MovementAmount, Policy, RefundAmount
from bridge.store.outbox import Delivery, DeliveryStatus
from processors.values import Value

REFUND_SETTING = "REFUND_AMOUNT=positive"
MOVEMENT_SETTING = "MOVEMENT_AMOUNT=mrr"
SETTINGS = (REFUND_SETTING, MOVEMENT_SETTING)
MOVEMENT_KEY = "movement:"  # begins the output key of a movement without a payment
REJECTED = range(400, 500)
INVALID = (400, 422)


class Rewritten(Value):
    """A rejected delivery under the present rules."""

    id: int
    body: str
    amount: Decimal


def amount_under(policy: Policy, delivery: Delivery) -> Decimal:
    """The amount of a delivery under these rules. Only refunds and movements without a payment depend on them."""
    if delivery.event_type == EventType.REFUND:
        size = abs(delivery.amount)
        return size if policy.refund_amount is RefundAmount.POSITIVE else -size
    if _is_lone_movement(delivery) and delivery.mrr_impact is not None:
        size = abs(delivery.mrr_impact)
        return size if policy.movement_amount is MovementAmount.MRR else size * 0
    return delivery.amount


def rewritten(delivery: Delivery, policy: Policy) -> Rewritten | None:
    """A rejected delivery rendered again; None: nothing changes, or it may have been accepted.

    Only a 4xx proves that Pulsora does not have the event. After a time-out it may have it, and another body under the
    same transaction id would contradict it.
    """
    from bridge.sender import payload  # with marshmallow, which `status` and other readers need not import

    is_rejected = delivery.status is DeliveryStatus.FAILED and delivery.last_status in REJECTED
    amount = amount_under(policy, delivery)
    data = payload.load(delivery.body)
    if not is_rejected or amount == delivery.amount or not isinstance(data, Mapping):
        return None
    return Rewritten(id=delivery.id, body=payload.dump_data({**data, "amount": amount}), amount=amount)


def remedy(delivery: Delivery, status: int | None, reason: str) -> str | None:
    """The setting that cures a rejection because of the amount; None: this is not one."""
    if status not in INVALID or "amount" not in reason.lower() or delivery.amount > 0:
        return None
    if delivery.event_type == EventType.REFUND:
        return REFUND_SETTING
    return MOVEMENT_SETTING if _is_lone_movement(delivery) else None


def advice(setting: str) -> str:
    """The remedy for deliveries that were rejected because of their amount."""
    return f"set {setting}, restart the bridge, then run: pulsora-bridge deliveries retry --rewrite"


def _is_lone_movement(delivery: Delivery) -> bool:
    return delivery.output_key.startswith(MOVEMENT_KEY)
