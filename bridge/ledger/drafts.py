"""A revenue event before it is known who pays and which visit earned it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.ledger.events import EventType
from processors.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """What `metadata` tells of a plan with each event."""

    plan: str | None = None
    interval: str | None = None
    coupon: str | None = None
    seats: int | None = None


NO_LABELS = Labels()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything of a revenue event but customer and visit. Amounts in minor units; `mrr` None: absent.

    `objects`: the ids whose own metadata comes first. `event_ids`: the webhooks it rests on, the telling one first.
    `guest_id`: the transaction that stands for the customer where there is none. `moved_at`: when MRR moved, for a
    payment that carries a movement; `step`: the how-many-eth of its subscription.
    """

    output_key: str
    event_type: EventType
    minor: int
    currency: Currency
    transaction_id: str
    at: datetime
    is_recurring: bool
    guest_id: str
    mrr: int | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    payment_ids: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()
    labels: Labels = NO_LABELS
    extra: Mapping[str, object] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()
    moved_at: datetime | None = None
    step: int = 0


def in_order(drafts: list[Draft]) -> list[Draft]:
    """The drafts as their customer lived them: by time; of one moment movements, other payments, money given back."""
    return sorted(drafts, key=_place)


def _place(draft: Draft) -> tuple[datetime, bool, bool, int, str]:
    is_back = draft.event_type is EventType.REFUND
    return (draft.moved_at or draft.at, is_back, draft.step == 0, draft.step, draft.output_key)
