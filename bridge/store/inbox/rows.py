"""A webhook in the inbox: its processing status, and the values that are added and read."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING

from bridge.scope import Scope
from bridge.store.schema import decompress
from processors.values import Value

if TYPE_CHECKING:
    from processors.interface import Event

CONFLICT = "two streams report the same fact"  # a failed webhook's reason begins with it


class InboxStatus(StrEnum):
    """The processing status of a stored webhook."""

    RECEIVED = "received"
    WAITING = "waiting"
    SETTLED = "settled"
    IGNORED = "ignored"
    FAILED = "failed"


UNSETTLED = (InboxStatus.RECEIVED, InboxStatus.WAITING, InboxStatus.FAILED)
DONE = (InboxStatus.SETTLED, InboxStatus.IGNORED)


class NewWebhook(Value):
    """A verified webhook to be stored. `body`: the bytes that were signed."""

    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    body: bytes

    @classmethod
    def of_event(cls, source: str, event: Event, body: bytes, received_at: datetime) -> NewWebhook:
        """A webhook of a source, or an event that its processor's API returned, by its envelope."""
        return cls(
            source=source,
            account=event.account,
            livemode=event.livemode,
            event_id=event.id,
            type=event.type,
            created_at=event.created_at or received_at,
            received_at=received_at,
            body=body,
        )

    @property
    def scope(self) -> str:
        """The ledger that it belongs to."""
        return str(Scope(self.source, self.account, self.livemode))


class InboxRow(Value):
    """A stored webhook.

    `compressed_body` is None when it was purged or not asked for. `notes`: the ledger's, once settled; `reason` is then
    all of them. `revenue_event_count`: the revenue events of which it is the first cause. `waiting_since`: when it
    joined the stream of its customer; None: when it was received.
    """

    id: int
    source: str
    account: str | None
    livemode: bool
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    status: InboxStatus
    reason: str | None
    notes: tuple[str, ...]
    stream_id: str | None
    attempts: int
    revenue_event_count: int
    retry_at: datetime | None
    settled_at: datetime | None
    waiting_since: datetime | None
    compressed_body: bytes | None

    @property
    def body(self) -> bytes | None:
        """The body as it was received, decompressed each time."""
        return None if self.compressed_body is None else decompress(self.compressed_body)

    @property
    def scope(self) -> str:
        """The ledger that it belongs to."""
        return str(Scope(self.source, self.account, self.livemode))


def storable(text: str) -> str:
    """The text with characters that PostgreSQL's text cannot hold replaced, so that every webhook can be stored."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\x00", "\ufffd")
