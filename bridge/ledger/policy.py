"""A merchant's settings for the ledger: how revenue is counted, and what happens to events without a visit."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class AmountBasis(StrEnum):
    """`AMOUNT_BASIS`: the amount of a payment: all that was paid, or that less its tax."""

    GROSS = "gross"
    NET_OF_TAX = "net_of_tax"


class RefundAmount(StrEnum):
    """`REFUND_AMOUNT`: the sign of a refund's amount."""

    NEGATIVE = "negative"
    POSITIVE = "positive"


class MovementAmount(StrEnum):
    """`MOVEMENT_AMOUNT`: the amount of an event that moves no money: zero, or the size of its MRR change."""

    ZERO = "zero"
    MRR = "mrr"


class ChurnAt(StrEnum):
    """`CHURN_AT`: whether a scheduled cancellation lowers MRR when it takes effect or when it is asked for."""

    END = "end"
    REQUEST = "request"


class MovementsBy(StrEnum):
    """`MOVEMENTS_BY`: whether each subscription's MRR decides the event type of a movement, or the customer's total."""

    SUBSCRIPTION = "subscription"
    CUSTOMER = "customer"


class MrrDiscounts(StrEnum):
    """`MRR_DISCOUNTS`: which discounts lower MRR: those without end, all that recur, or none."""

    FOREVER = "forever"
    RECURRING = "recurring"
    NONE = "none"


class Unattributed(StrEnum):
    """`UNATTRIBUTED`: how an event is treated whose visit is not known."""

    HOLD = "hold"
    SEND = "send"
    DROP = "drop"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How one source's facts are turned into revenue events. `customer_id_key` None: the processor's customer id."""

    source: str = "stripe"
    payment_processor: str = "stripe"
    fingerprint_key: str = "visitor_fingerprint"
    session_key: str = "session_id"
    customer_id_key: str | None = None
    amount_basis: AmountBasis = AmountBasis.GROSS
    refund_amount: RefundAmount = RefundAmount.NEGATIVE
    movement_amount: MovementAmount = MovementAmount.ZERO
    churn_at: ChurnAt = ChurnAt.END
    mrr_discounts: MrrDiscounts = MrrDiscounts.FOREVER
    movements_by: MovementsBy = MovementsBy.SUBSCRIPTION
    unattributed: Unattributed = Unattributed.HOLD
