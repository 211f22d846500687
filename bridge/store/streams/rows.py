"""A stream: the values that are updated, claimed, settled and read."""

from __future__ import annotations

from datetime import datetime

from processors.values import Value


class LeaseLost(Exception):
    """A stream was meanwhile claimed by another worker, settled or merged: nothing of it may be written."""


class StreamUpdate(Value):
    """Webhooks were received for a stream, the first `at` that time, so it is to be looked at at `due_at`.

    `last_at`: when the last of them was received, if there were several.
    """

    stream_id: str
    scope: str
    has_customer: bool
    at: datetime
    due_at: datetime
    last_at: datetime | None = None


class StreamRow(Value):
    """A stream. `first_at`: when its window opened. `due_at` None: nothing waits. `settled_at` None: no state yet."""

    stream_id: str
    scope: str
    has_customer: bool
    first_at: datetime
    last_at: datetime
    due_at: datetime | None
    version: int
    leased_by: str | None
    leased_until: datetime | None
    settled_at: datetime | None
    reason: str | None


class Claim(Value):
    """A stream under lease. `version`: the number of its updates when it was claimed."""

    stream_id: str
    scope: str
    state: str | None
    version: int
    first_at: datetime
    has_customer: bool
    owner: str
    leased_until: datetime


class SettledStream(Value):
    """A claimed stream's new state. `due_at`: when it is to be settled again without an update, or None.

    `reason`: what it waits for until then.
    """

    claim: Claim
    state: str
    due_at: datetime | None = None
    reason: str | None = None


class StreamCounts(Value):
    """How many streams wait for their time, are due, and are being settled."""

    waiting: int
    due: int
    leased: int
