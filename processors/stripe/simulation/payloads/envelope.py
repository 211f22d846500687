"""The event around a resource, and its dates, lists and API versions."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

Body = dict[str, Any]
Period = tuple[datetime, datetime]
NO_METADATA: Mapping[str, str] = {}


class Shape(StrEnum):
    """The API version in whose format an event is built."""

    OLD = "2022-08-01"  # as from 2020 to 2024
    BASIL = "2025-06-30.basil"
    CLOVER = "2026-09-30.endive"  # as since 2025-09-30


def event(
    kind: str,
    found: Body,
    *,
    at: datetime,
    event_id: str,
    shape: Shape = Shape.CLOVER,
    previous: Body | None = None,
    livemode: bool = True,
    account: str | None = None,
) -> bytes:
    """The whole event, as posted."""
    data: Body = {"object": {**found, "livemode": livemode}}
    if previous is not None:
        data["previous_attributes"] = previous
    body: Body = {
        "id": event_id,
        "object": "event",
        "api_version": shape.value,
        "created": unix(at),
        "data": data,
        "livemode": livemode,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }
    if account is not None:
        body["account"] = account
    return json.dumps(body, separators=(",", ":")).encode()


def unix(moment: datetime | None) -> int | None:
    """Whole Unix seconds, Stripe's format of dates."""
    return None if moment is None else int(moment.timestamp())


def listed(rows: Sequence[Any], *, has_more: bool = False) -> Body:
    """A list object."""
    return {"object": "list", "data": list(rows), "has_more": has_more}
