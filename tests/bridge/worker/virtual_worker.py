"""Routes, settles and delivers by a clock of the test: no threads and no waiting, so nothing is left to chance."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import func, select

from bridge.settings import Settings
from bridge.store import Store, inbox, outbox, streams
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome
from bridge.store.schema import streams as streams_table
from bridge.store.streams import StreamRow
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors import processors
from tests.settings import some_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
LEASE = timedelta(minutes=1)


def after(seconds: float) -> datetime:
    """So many seconds after noon."""
    return NOON + timedelta(seconds=seconds)


def kind(body: bytes) -> str:
    """The type of a Stripe or Paddle webhook."""
    event = json.loads(body)
    return str(event.get("type") or event.get("event_type"))


def only(bodies: Iterable[bytes], *kinds: str) -> list[bytes]:
    """The webhooks of these types."""
    return [body for body in bodies if kind(body) in kinds]


def without(bodies: Iterable[bytes], *kinds: str) -> list[bytes]:
    """The webhooks of all other types."""
    return [body for body in bodies if kind(body) not in kinds]


class VirtualWorker:
    """One or two workers over a store, at times that the test chooses. The second interrupts the first's settling."""

    def __init__(self, store: Store, source: str = "stripe", second: Store | None = None, **more: str) -> None:
        self.store = store
        self.second = second
        self.source = source
        self.settings: Settings = some_settings("sqlite:///unused.db", **{"SETTLE_SECONDS": "90", **more})

    # ---- Arrivals ----------------------------------------------------------------------------------------------

    def receive(self, bodies: Iterable[bytes], at: datetime) -> None:
        """Stores webhooks as the web process does."""
        source = self.settings.sources[self.source]
        processor = processors()[source.processor]
        for body in bodies:
            event = processor.envelope(body, source.options)
            self.store.accept(NewWebhook.of_event(source.name, event, body, at))

    # ---- Work --------------------------------------------------------------------------------------------------

    def work(self, at: datetime) -> None:
        """Everything that a worker does at that time."""
        while route(self.store, self.settings, "first", at):
            pass
        while settle_due(self.store, self.settings, "first", at, self._interrupt(at)):
            pass
        self._deliver(at)

    def _interrupt(self, at: datetime) -> Callable[[object], None] | None:
        if self.second is None:
            return None
        second = self.second

        def work(_: object) -> None:
            route(second, self.settings, "second", at)
            settle_due(second, self.settings, "second", at)

        return work

    def work_until(self, end: datetime) -> None:
        """Works now, and whenever something is due until then."""
        at: datetime | None = self.next_due()
        while at is not None and at <= end:
            self.work(at)
            later = self.next_due()
            at = None if later is None else max(later, at + timedelta(seconds=0.25))

    def next_due(self) -> datetime | None:
        """When a worker finds the next stream due."""
        with self.store.reading() as tx:
            found: datetime | None = tx.execute(select(func.min(streams_table.c.due_at))).scalar()
        return found

    def play(self, arrivals: Sequence[tuple[float, Sequence[bytes]]], until: float) -> None:
        """Receives webhooks at these times (seconds after noon), and works after each and whenever something is due."""
        for seconds, bodies in sorted(arrivals, key=lambda one: one[0]):
            self.work_until(after(seconds))
            self.receive(bodies, after(seconds))
            self.work(after(seconds + 0.25))
        self.work_until(after(until))
        self.work(after(until))

    def _deliver(self, at: datetime) -> None:
        """Delivers what may be sent: from then on it cannot be changed."""
        while True:
            with self.store.transaction() as tx:
                claimed = outbox.claim(tx, at, 100, "sender", at + LEASE)
                outbox.record(
                    tx,
                    [
                        Outcome(id=one.id, status=DeliveryStatus.DELIVERED, attempts=1, at=at, last_status=202)
                        for one in claimed
                    ],
                )
            if not claimed:
                return

    # ---- Results -----------------------------------------------------------------------------------------------

    def deliveries(self) -> list[Delivery]:
        """All revenue events, in the order in which they were created."""
        with self.store.reading() as tx:
            return outbox.listing(tx, limit=1000)[::-1]

    def rows(self) -> list[str]:
        """One line for each revenue event: type, amount and MRR movement (`-`: none)."""
        return [
            f"{one.event_type} {one.amount:f} {'-' if one.mrr_impact is None else f'{one.mrr_impact:+f}'}"
            for one in self.deliveries()
        ]

    def mrr(self) -> Decimal:
        """The sum of all movements."""
        return sum((one.mrr_impact or Decimal() for one in self.deliveries()), Decimal())

    def paid(self) -> Decimal:
        """The sum of all amounts."""
        return sum((one.amount for one in self.deliveries()), Decimal())

    def streams(self) -> list[StreamRow]:
        """All streams."""
        with self.store.reading() as tx:
            ids = tx.execute(select(streams_table.c.stream_id)).scalars().all()
            return list(streams.find(tx, ids).values())

    def statuses(self) -> dict[str, int]:
        """How many webhooks have which status."""
        with self.store.reading() as tx:
            counts = inbox.counts(tx)
        return {status.value: count for (_, status), count in counts.items()}
