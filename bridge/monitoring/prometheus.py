"""The metrics in Prometheus' text format, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from bridge.monitoring import metrics
from bridge.monitoring.heartbeat import latest_heartbeat
from bridge.store import Store, inbox, latencies, outbox, pauses, queues, refusals, rejected_visits
from bridge.store.rejected_visits import RejectedVisits

NOTHING: Mapping[str, int] = {}


def exposition(store: Store, now: datetime, alerts: Mapping[str, int] = NOTHING) -> tuple[bytes, str]:
    """All metrics as text, and their content type. `alerts`: the number of subjects by cause."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, now, alerts))
    return generate_latest(registry), CONTENT_TYPE_LATEST


class StoreCollector(Collector):
    """Reads every metric from the store."""

    def __init__(self, store: Store, now: datetime, alerts: Mapping[str, int] = NOTHING) -> None:
        self.store = store
        self.now = now
        self.alerts = alerts

    def collect(self) -> Iterator[Metric]:
        """Every metric with its present value."""
        with self.store.reading() as tx:
            yield _by_status(metrics.INBOX, inbox.counts(tx))
            yield _by_status(metrics.OUTBOX, outbox.counts(tx))
            yield _gauge(metrics.OLDEST, self._age(queues.overdue_since(tx, self.now)))
            yield _gauge(metrics.BACKLOG, outbox.backlog(tx).count)
            yield _gauge(metrics.PAUSED, len(pauses.active(tx, self.now)))
            yield _latencies(tx)
            yield _gauge(metrics.CONFLICTS, inbox.conflict_count(tx))
            yield _rejected_visits(rejected_visits.listed(tx))
            yield _refused(refusals.totals(tx))
            heartbeat_at = latest_heartbeat(tx)
        yield _by_cause(self.alerts)
        if heartbeat_at is not None:  # absent, not 0: 0 would read as a worker seen just now
            yield _gauge(metrics.WORKER, self._age(heartbeat_at))

    def _age(self, at: datetime | None) -> float:
        return 0.0 if at is None else (self.now - at).total_seconds()


def _gauge(name_and_help: tuple[str, str], value: float) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*name_and_help)
    family.add_metric([], value)
    return family


def _by_status(name_and_help: tuple[str, str], counts: Mapping[tuple[str, Any], int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*name_and_help, labels=["source", "status"])
    for (source, status), count in sorted(counts.items()):
        family.add_metric([source, status.value], count)
    return family


def _latencies(tx: Connection) -> HistogramMetricFamily:
    counted = latencies.counts(tx, [timedelta(seconds=bound) for bound in metrics.LATENCY_BOUNDS])
    buckets = [(str(float(bound)), count) for bound, count in zip(metrics.LATENCY_BOUNDS, counted.within, strict=True)]
    family = HistogramMetricFamily(*metrics.LATENCY)
    family.add_metric([], [*buckets, ("+Inf", counted.count)], sum_value=counted.seconds)
    return family


def _by_cause(alerts: Mapping[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*metrics.ALERTS, labels=["cause"])
    for cause, count in alerts.items():
        family.add_metric([cause], count)
    return family


def _rejected_visits(counted: Iterable[RejectedVisits]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(*metrics.REJECTED_VISITS, labels=["source", "cause"])
    for one in sorted(counted, key=lambda one: (one.source, one.cause)):
        family.add_metric([one.source, one.cause], one.count)
    return family


def _refused(counted: Iterable[tuple[str, str, int]]) -> CounterMetricFamily:
    family = CounterMetricFamily(*metrics.REFUSED, labels=["source", "cause"])
    for source, cause, count in counted:
        family.add_metric([source, cause], count)
    return family
