"""What every entity is sent in, and how Paddle writes instants."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

Body = dict[str, Any]


def event(kind: str, entity: Body, *, at: datetime, event_id: str) -> bytes:
    """The whole event, as it is posted."""
    body = {
        "event_id": event_id,
        "event_type": kind,
        "occurred_at": stamp(at),
        "notification_id": event_id.replace("evt_", "ntf_", 1),
        "data": entity,
    }
    return json.dumps(body, separators=(",", ":")).encode()


def stamp(at: datetime | None) -> str | None:
    """An instant as Paddle writes it: microseconds and a Z."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def period(starts_at: datetime | None, ends_at: datetime | None) -> Body | None:
    """A span of time; None: it has no beginning or no end."""
    if starts_at is None or ends_at is None:
        return None
    return {"starts_at": stamp(starts_at), "ends_at": stamp(ends_at)}
