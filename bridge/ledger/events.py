"""The ledger's output: revenue events, and their drafts before customer and visit are known."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from processors.money import Currency
from processors.values import Value, field


class EventType(StrEnum):
    """The event types of Pulsora's revenue API."""

    PURCHASE = "purchase"
    SUBSCRIPTION = "subscription"
    RENEWAL = "renewal"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CHURN = "churn"
    REFUND = "refund"


class PlanDetails(Value):
    """The plan as `metadata` shows it. None: not known."""

    plan: str | None = None
    interval: str | None = None
    coupon: str | None = None
    seats: int | None = None


NO_PLAN_DETAILS = PlanDetails()


class Draft(Value):
    """A revenue event before its customer and visit are known. Amounts in minor units; `mrr_minor` None: absent.

    `object_ids`: the ids whose own metadata is searched first for the visit. `event_ids`: the processor's event ids
    behind it, the direct cause first. `customer_id`: the customer that its cause names; None: the stream's.
    `guest_id`: identifies the customer if the processor names none.
    `moved_at`, `movement_number`: time and ordinal (within the subscription) of the movement that it carries.
    `reports_baseline`: that movement reports MRR which had counted before, and changes none.
    """

    output_key: str
    event_type: EventType
    amount_minor: int
    currency: Currency
    transaction_id: str
    at: datetime
    is_recurring: bool
    guest_id: str
    customer_id: str | None = None
    mrr_minor: int | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    payment_ids: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()
    plan_details: PlanDetails = NO_PLAN_DETAILS
    extra_metadata: Mapping[str, object] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()
    moved_at: datetime | None = None
    movement_number: int = 0
    reports_baseline: bool = False


class RevenueEvent(Value):
    """One event for Pulsora, complete except for the token. Amounts in major units, exact.

    `output_key` is derived from the economic fact and unique within a ledger, so the same fact never yields a second
    event. `mrr_impact` None: absent. `is_attributed` False: the ids are the `unattributed:` ones.
    `caused_by`: the processor's event ids behind it, for the operator; not sent.
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
