"""A revenue event before it is known who pays and which visit earned it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bridge.ledger.events import EventType
from bridge.ledger.state import Labels
from processors.money import Currency


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything of a revenue event but customer and visit. Amounts in minor units; `mrr` None: absent.

    `objects`: the ids whose own metadata comes first. `event_ids`: the webhooks it rests on, the telling one first.
    `guest_id`: the transaction that stands for the customer where there is none.
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
    labels: Labels = Labels()
    extra: Mapping[str, object] = field(default_factory=dict)
    event_ids: tuple[str, ...] = ()
