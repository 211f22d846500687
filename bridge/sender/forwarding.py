"""Whether a revenue event is sent to Pulsora, held for its attribution, or kept back."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bridge.ledger.policy import Unattributed
from bridge.settings import Source
from bridge.store import interventions
from bridge.store.interventions import Forwarded
from bridge.store.outbox import DeliveryStatus

NO_ATTRIBUTION = "none"  # as `metadata.attribution` says it

Status = tuple[DeliveryStatus, datetime | None]  # and until when it is held


def is_forwarded(source: Source, *, livemode: bool) -> bool:
    """Whether this source's revenue of this mode goes to Pulsora."""
    return not source.dry_run and (livemode or source.forward_test_events)


def first_status(source: Source, *, livemode: bool, is_attributed: bool, created_at: datetime) -> Status:
    """The first delivery status of a revenue event."""
    if not is_forwarded(source, livemode=livemode):
        return DeliveryStatus.NOT_FORWARDED, None
    if is_attributed or source.policy.unattributed is Unattributed.SEND:
        return DeliveryStatus.PENDING, None
    if source.policy.unattributed is Unattributed.DROP:
        return DeliveryStatus.DROPPED, None
    return DeliveryStatus.HELD, created_at + timedelta(hours=source.hold_hours)


def kept_back(tx: Connection, sources: Mapping[str, Source], now: datetime) -> list[Forwarded]:
    """The revenue events that were not forwarded and would be today, with their new status."""
    found = []
    for one in interventions.every(tx, DeliveryStatus.NOT_FORWARDED):
        source = sources.get(one.source)
        if source is None or not is_forwarded(source, livemode=one.livemode):
            continue
        status, until = first_status(
            source,
            livemode=one.livemode,
            is_attributed=one.attribution != NO_ATTRIBUTION,
            created_at=one.created_at,
        )
        if until is not None and until <= now:
            status, until = DeliveryStatus.PENDING, None
        found.append(Forwarded(delivery=one, status=status, hold_until=until))
    return found
