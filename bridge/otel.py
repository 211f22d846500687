"""The exporters of OpenTelemetry. Imported only when OTEL_EXPORTER_OTLP_ENDPOINT is set."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import blake2b
from secrets import randbits
from urllib.parse import unquote

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    HistogramDataPoint,
    Metric,
    MetricExportResult,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from bridge.telemetry import ReadMetrics, Samples, Span

SCOPE = InstrumentationScope("pulsora-bridge")
SAME_READING_SECONDS = 5.0  # all metrics of one export come from one reading
SHUTDOWN_MILLISECONDS = 5000


class Exporters:
    """Exports spans and metrics of this process by OTLP over HTTP."""

    def __init__(self, endpoint: str, headers: str | None, role: str) -> None:
        self._base = endpoint.rstrip("/")
        self._headers = dict(headers_of(headers or ""))
        instance = f"{socket.gethostname()}:{os.getpid()}"
        self._resource = Resource.create(
            {"service.name": "pulsora-bridge", "service.instance.id": instance, "pulsora.role": role}
        )
        self._spans = BatchSpanProcessor(OTLPSpanExporter(f"{self._base}/v1/traces", headers=self._headers))
        self._meters: MeterProvider | None = None

    def record(self, span: Span) -> None:
        """Queues a span. When the queue is full it is dropped."""
        first, *others = span.keys
        root = context_of(*first)
        own = root if span.is_root else SpanContext(root.trace_id, randbits(64) or 1, False, root.trace_flags)
        failed = Status(StatusCode.ERROR, span.problem)
        kind = SpanKind.SERVER if span.is_root else SpanKind.CLIENT if span.is_request else SpanKind.INTERNAL
        self._spans.on_end(
            ReadableSpan(
                span.name,
                context=own,
                parent=None if span.is_root else root,
                resource=self._resource,
                attributes={f"pulsora.{name}": value for name, value in span.attributes.items()},
                links=[Link(context_of(*key)) for key in others],
                kind=kind,
                status=Status(StatusCode.OK) if span.problem is None else failed,
                start_time=_nanoseconds(span.began_at),
                end_time=_nanoseconds(span.ended_at),
                instrumentation_scope=SCOPE,
            )
        )

    def measure(self, read: ReadMetrics, described: Iterable[tuple[str, str]]) -> None:
        """Registers the metrics."""
        described, reading = list(described), _Reading(read)
        exporter = _WithHistograms(f"{self._base}/v1/metrics", headers=self._headers)
        exporter.histograms = lambda: list(histograms(reading.values(), dict(described)))
        self._meters = MeterProvider([PeriodicExportingMetricReader(exporter)], self._resource, shutdown_on_exit=False)
        meter = self._meters.get_meter(SCOPE.name)
        for name, text in described:
            is_counter = name.endswith("_total")
            create = meter.create_observable_counter if is_counter else meter.create_observable_gauge
            create(name, [reading.callback(name)], description=text)

    def shut_down(self) -> None:
        """Exports what is queued."""
        self._spans.shutdown()  # type: ignore[no-untyped-call]
        if self._meters is not None:
            self._meters.shutdown(SHUTDOWN_MILLISECONDS)


class _Reading:
    """The values of all metrics, read once for each export."""

    def __init__(self, read: ReadMetrics) -> None:
        self._read = read
        self._lock = threading.Lock()
        self._values: Mapping[str, Samples] = {}
        self._at = float("-inf")

    def callback(self, name: str):  # type: ignore[no-untyped-def]  # the library's own type is not exported
        def observe(_: CallbackOptions) -> Iterator[Observation]:
            for labels, value in self.values().get(name, ()):
                yield Observation(float(value), dict(labels))

        return observe

    def values(self) -> Mapping[str, Samples]:
        """The samples of every metric, by its name; read anew at most once in SAME_READING_SECONDS."""
        with self._lock:
            if time.monotonic() - self._at > SAME_READING_SECONDS:
                self._values, self._at = self._read(), time.monotonic()
            return self._values


class _WithHistograms(OTLPMetricExporter):
    """Adds histograms that are counted in the store: the library's own count only what one process has seen."""

    histograms: Callable[[], Sequence[Metric]]

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10000, **options: object
    ) -> MetricExportResult:
        """Exports everything in one request."""
        added = self.histograms()
        groups = [_with(group, added) for group in metrics_data.resource_metrics] if added else None
        data = MetricsData(resource_metrics=groups) if groups else metrics_data
        return super().export(data, timeout_millis, **options)


def _with(group: ResourceMetrics, added: Sequence[Metric]) -> ResourceMetrics:
    # Not a second group or scope: of several that are equal the library's encoder keeps only the last.
    first, *others = group.scope_metrics
    return replace(group, scope_metrics=[replace(first, metrics=[*first.metrics, *added]), *others])


def histograms(values: Mapping[str, Samples], described: Mapping[str, str]) -> Iterator[Metric]:
    """The metrics whose samples are those of a histogram in Prometheus: `_bucket`, `_count`, `_sum`, without labels."""
    for name, text in described.items():
        buckets = [(float(labels["le"]), int(count)) for labels, count in values.get(f"{name}_bucket", ())]
        if not buckets:
            continue
        sums = {kind: next((value for _, value in values.get(f"{name}_{kind}", ())), 0.0) for kind in ("count", "sum")}
        cumulative = [count for _, count in sorted(buckets)]
        point = HistogramDataPoint(
            attributes={},
            start_time_unix_nano=0,  # counted since the first delivery, which OTLP calls unknown
            time_unix_nano=time.time_ns(),
            count=int(sums["count"]),
            sum=float(sums["sum"]),
            bucket_counts=[after - before for before, after in zip([0, *cumulative], cumulative, strict=False)],
            explicit_bounds=[bound for bound, _ in sorted(buckets) if bound != float("inf")],
            min=None,  # type: ignore[arg-type]  # optional in OTLP
            max=None,  # type: ignore[arg-type]
        )
        data = Histogram(data_points=[point], aggregation_temporality=AggregationTemporality.CUMULATIVE)
        yield Metric(name=name, description=text, unit="s", data=data)


def context_of(source: str, event_id: str) -> SpanContext:
    """The trace and the root span of a webhook: the same in every process."""
    digest = blake2b(f"{source}\0{event_id}".encode(), digest_size=24, person=b"pulsora-bridge").digest()
    trace_id, span_id = int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big")
    return SpanContext(trace_id or 1, span_id or 1, True, TraceFlags(TraceFlags.SAMPLED))


def headers_of(text: str) -> Iterator[tuple[str, str]]:
    """The headers in the standard spelling: `name=value,name=value`, the values percent-encoded."""
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if equals and name.strip():
            yield name.strip().lower(), unquote(value.strip())


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * 1_000_000) * 1000
