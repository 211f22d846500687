"""The metrics' values, read from the store when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.registry import Collector

from bridge.monitoring import metrics
from bridge.store import Store, inbox, leases, outbox, pauses


class StoreCollector(Collector):
    """Reads the gauges from the store."""

    def __init__(self, store: Store, now: datetime) -> None:
        self.store = store
        self.now = now

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every gauge with its present value."""
        with self.store.reading() as tx:
            yield _by_status(metrics.INBOX, inbox.counts(tx))
            yield _by_status(metrics.OUTBOX, outbox.counts(tx))
            yield _gauge(metrics.OLDEST, self._age(inbox.oldest_unsettled(tx)))
            yield _gauge(metrics.BACKLOG, float(outbox.backlog(tx).count))
            yield _gauge(metrics.PAUSED, float(len(pauses.paused(tx, self.now))))
            beats = leases.beats(tx)
        if beats:
            yield _gauge(metrics.WORKER, self._age(max(beats.values())))

    def _age(self, at: datetime | None) -> float:
        return 0.0 if at is None else (self.now - at).total_seconds()


def exposition(store: Store) -> tuple[bytes, str]:
    """All metrics in Prometheus' text format, and its content type."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, datetime.now(UTC)))
    return generate_latest(registry), CONTENT_TYPE_LATEST


def _gauge(about: tuple[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*about)
    family.add_metric([], value)
    return family


def _by_status(about: tuple[str, str], counts: Mapping[tuple[str, Any], int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*about, labels=["source", "status"])
    for (source, status), count in sorted(counts.items()):
        family.add_metric([source, status.value], float(count))
    return family
