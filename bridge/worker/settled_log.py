"""The log line of each settled webhook, from which it can be followed to its deliveries by event id and stream."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import structlog

from bridge.worker.batch import StreamBatch

log = structlog.get_logger()


def log_settled(batches: Sequence[StreamBatch]) -> None:
    """One line per webhook: the revenue events that it caused, and the stream that they belong to."""
    for batch in batches:
        if batch.settlement is None:
            continue
        counts = Counter(event_id for event in batch.settlement.events for event_id in event.caused_by)
        for row in batch.rows:
            if row.id in batch.facts and row.id not in batch.future:
                log.info(
                    "settled", source=row.source, type=row.type, event_id=row.event_id, stream=batch.claim.stream_id,
                    revenue_events=counts[row.event_id],
                )  # fmt: skip
