"""The log line and the span of each settled webhook: it can be followed to its deliveries by event id and stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import structlog

from bridge import telemetry
from bridge.store.inbox import InboxRow
from bridge.telemetry import Span
from bridge.worker.batch import StreamBatch

log = structlog.get_logger()


def log_settled(batches: Sequence[StreamBatch]) -> None:
    """One line per webhook: the revenue events that it caused, and the stream that they belong to."""
    for batch, row, count in _settled(batches):
        log.info(
            "settled", source=row.source, type=row.type, event_id=row.event_id, stream=batch.claim.stream_id,
            revenue_events=count,
        )  # fmt: skip


def trace_settled(batches: Sequence[StreamBatch], began_at: datetime) -> None:
    """One span per webhook, from the claim of its stream to the commit."""
    if not telemetry.is_on():
        return
    ended_at = datetime.now(UTC)
    for batch, row, count in _settled(batches):
        telemetry.record(
            Span(
                name="settle",
                keys=[(row.source, row.event_id)],
                began_at=began_at,
                ended_at=ended_at,
                attributes={"source": row.source, "stream": batch.claim.stream_id, "revenue_events": count},
            )
        )


def _settled(batches: Sequence[StreamBatch]) -> Iterator[tuple[StreamBatch, InboxRow, int]]:
    """The settled webhooks, each with its batch and the number of revenue events that it caused."""
    for batch in batches:
        if batch.settlement is None:
            continue
        counts = Counter(event_id for event in batch.settlement.events for event_id in event.caused_by)
        for row in batch.rows:
            if row.id in batch.facts and row.id not in batch.future:
                yield batch, row, counts[row.event_id]
