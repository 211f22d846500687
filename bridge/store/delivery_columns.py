"""The columns of a delivery that are read from its body and its amounts, so that the database can search and add."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum

from bridge.store.schema import EPOCH
from processors.values import Value

DAY = timedelta(days=1)


class Movement(StrEnum):
    """The kinds of MRR movements, in the order of a waterfall."""

    NEW = "new"
    REACTIVATION = "reactivation"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CHURN = "churn"


class DeliveryColumns(Value):
    """Ids, plan, place of attribution and time of a revenue event, as its body has them. None: the body has none."""

    customer_id: str | None = None
    subscription_id: str | None = None
    transaction_id: str | None = None
    plan: str | None = None
    attribution: str | None = None
    is_reactivation: bool = False
    occurred_at: datetime | None = None


def read(body: str) -> DeliveryColumns:
    """The columns of a body. Never raises: a body that is not readable is rejected before it is sent, not here."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return DeliveryColumns()
    if not isinstance(data, dict):
        return DeliveryColumns()
    metadata = data.get("metadata")
    if not isinstance(metadata, dict):
        metadata = {}
    return DeliveryColumns(
        customer_id=_text(data.get("customer_id")),
        subscription_id=_text(data.get("customer_subscription_id")),
        transaction_id=_text(data.get("transaction_id")),
        plan=_text(metadata.get("plan")),
        attribution=_text(metadata.get("attribution")),
        is_reactivation=metadata.get("reactivation") is True,
        occurred_at=_instant(metadata.get("occurred_at")),
    )


def movement(event_type: str, mrr_impact: Decimal | None, is_reactivation: bool) -> Movement | None:
    """The kind of movement that an event reports. None: it moves no MRR."""
    if not mrr_impact:
        return None
    if event_type == "subscription":
        return Movement.REACTIVATION if is_reactivation else Movement.NEW
    if event_type in list(Movement):
        return Movement(event_type)
    return Movement.UPGRADE if mrr_impact > 0 else Movement.DOWNGRADE


def row(
    body: str, created_at: datetime, event_type: str, amount: Decimal, mrr_impact: Decimal | None
) -> Mapping[str, object]:
    """All of these columns of a new row. An event without a time happened when it was created."""
    found = read(body)
    occurred_at = found.occurred_at or created_at
    return {
        "customer_id": found.customer_id,
        "subscription_id": found.subscription_id,
        "transaction_id": found.transaction_id,
        "plan": found.plan,
        "attribution": found.attribution,
        "movement": movement(event_type, mrr_impact, found.is_reactivation),
        "occurred_at": occurred_at,
        "day": (occurred_at - EPOCH) // DAY,
        "amount_sum": amount,
        "mrr_sum": mrr_impact,
    }


def _text(value: object) -> str | None:
    # PostgreSQL's text holds neither NUL nor unpaired surrogates, which JSON can express.
    if not isinstance(value, str):
        return None
    if value.isascii() and "\x00" not in value:  # most are
        return value
    return value.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")


def _instant(value: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
