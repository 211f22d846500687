"""The next step of a delivery, in words."""

from __future__ import annotations

from bridge.formatting import timestamp
from bridge.store.outbox import Delivery, DeliveryStatus


def next_step(one: Delivery) -> str:
    """The next step of a delivery, or else its last response."""
    response = _last_response(one)
    if one.status is DeliveryStatus.HELD:
        return f"waits for its attribution until {timestamp(one.hold_until)}"
    if one.status is DeliveryStatus.PENDING and one.attempts:
        return f"retry {timestamp(one.next_at)}; {response}"
    return response


def _last_response(one: Delivery) -> str:
    """Status and message of the last response. The sender's message begins with the status in most cases."""
    status, error = str(one.last_status or ""), one.last_error or ""
    return error if error.startswith(status) else f"{status} {error}".strip()
