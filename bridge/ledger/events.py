"""What the ledger gives out: revenue events, and the policy by which a merchant wants them typed and attributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from enum import StrEnum


class EventType(StrEnum):
    """The event types of Pulsora's revenue API."""

    PURCHASE = "purchase"
    SUBSCRIPTION = "subscription"
    RENEWAL = "renewal"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CHURN = "churn"
    REFUND = "refund"


class AmountBasis(StrEnum):
    """`AMOUNT_BASIS`: what a payment's amount is: all that was paid, or that less its tax."""

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


class MrrDiscounts(StrEnum):
    """`MRR_DISCOUNTS`: which discounts lower MRR: those without end, all that recur, or none."""

    FOREVER = "forever"
    RECURRING = "recurring"
    NONE = "none"


class Unattributed(StrEnum):
    """`UNATTRIBUTED`: what becomes of an event whose visit is not known."""

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
    unattributed: Unattributed = Unattributed.HOLD


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenueEvent:
    """One event for Pulsora, complete but for the token. Amounts in major units, exact.

    `output_key` is derived from the economic fact and unique within a ledger: the same fact never yields a second
    event. `mrr_impact` None: absent. `is_attributed` False: the ids are the `unattributed:` ones.
    `caused_by`: the processor's event ids it rests on, for the operator; not sent.
    """

    output_key: str
    event_type: EventType
    amount: Decimal
    currency: str
    transaction_id: str
    customer_id: str
    visitor_fingerprint: str
    session_id: str
    payment_processor: str
    is_recurring: bool
    occurred_at: datetime
    subscription_id: str | None = None
    mrr_impact: Decimal | None = None
    metadata: Mapping[str, object] = field(default_factory=dict)
    is_attributed: bool = True
    caused_by: tuple[str, ...] = ()
