"""One trace from the webhook to its delivery, across web and worker; and nothing of OpenTelemetry while it is off."""

from __future__ import annotations

import gzip
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from bridge.errors import SettingsError
from bridge.monitoring import metrics
from bridge.settings import declarations
from processors import processors
from tests.end_to_end.service import GUNICORN, PATIENCE_SECONDS, WORKER, running
from tests.end_to_end.test_end_to_end import post
from tests.fake_pulsora import ScriptedPulsora
from tests.settings import TOKEN, some_settings

SECRET = "key-of-the-collector-of-the-tests"


@dataclass
class Collector:
    """An OpenTelemetry collector that keeps what it receives."""

    spans: list[tuple[str, Any]] = field(default_factory=list)  # the role of the process, the span
    metrics: dict[str, list[Any]] = field(default_factory=dict)

    def respond(self, request: Request) -> Response:
        assert request.headers["api-key"] == SECRET
        data = request.get_data()
        body = gzip.decompress(data) if request.headers.get("Content-Encoding") == "gzip" else data
        if request.path == "/v1/traces":
            for group in ExportTraceServiceRequest.FromString(body).resource_spans:
                role = next(one.value.string_value for one in group.resource.attributes if one.key == "pulsora.role")
                self.spans += [(role, span) for scope in group.scope_spans for span in scope.spans]
        else:
            for group in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.metrics |= {
                    one.name: list((one.histogram if one.HasField("histogram") else one.gauge).data_points)
                    for scope in group.scope_metrics
                    for one in scope.metrics
                }
        return Response(status=200)


def test_a_webhook_and_its_delivery_are_one_trace_across_web_and_worker(
    sqlite_url: str, tmp_path: Path, httpserver: HTTPServer
) -> None:
    collector = Collector()
    for path in ("/v1/traces", "/v1/metrics"):
        httpserver.expect_request(path, method="POST").respond_with_handler(collector.respond)
    bodies = processors()["stripe"].scenarios["one-off"].events("ada", datetime.now(UTC))
    more = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": httpserver.url_for("/"),
        "OTEL_EXPORTER_OTLP_HEADERS": f"api-key={SECRET}",
        "WEB_WORKERS": "1",
    }

    with (
        ScriptedPulsora(TOKEN) as pulsora,
        running([GUNICORN, WORKER], tmp_path, sqlite_url, pulsora.endpoint, **more) as service,
    ):
        for body in [*bodies, bodies[0]]:
            assert post(service.url, "stripe", body).status_code == 200
        until = time.monotonic() + PATIENCE_SECONDS
        while not pulsora.accepted and time.monotonic() < until:
            time.sleep(0.05)
        service.stop()

    by_trace: dict[bytes, list[tuple[str, str]]] = defaultdict(list)
    for role, span in collector.spans:
        by_trace[span.trace_id].append((role, span.name))
    assert sorted(sorted(names) for names in by_trace.values()) == [
        [("web", "webhook"), ("web", "webhook"), ("worker", "deliver"), ("worker", "settle")],  # the first came twice
        [("web", "webhook"), ("worker", "settle")],
        [("web", "webhook"), ("worker", "settle")],
    ]
    assert [len(span.links) for _, span in collector.spans if span.name == "deliver"] == [2]
    roots = {span.trace_id: span.span_id for _, span in collector.spans if not span.parent_span_id}
    assert len(roots) == 3
    assert all(span.parent_span_id in (b"", roots[span.trace_id]) for _, span in collector.spans)
    assert all(span.start_time_unix_nano <= span.end_time_unix_nano for _, span in collector.spans)
    without_samples = {metrics.REJECTED_VISITS[0], metrics.REFUSED[0], f"{metrics.REFUSED[0]}_total"}
    assert set(collector.metrics) == {name for name, _ in metrics.ALL} - without_samples
    [latency] = collector.metrics[metrics.LATENCY[0]]
    assert (latency.count, sum(latency.bucket_counts)) == (1, 1)
    assert list(latency.explicit_bounds) == list(metrics.LATENCY_BOUNDS)
    assert 0 < latency.sum < 600
    assert {one.as_double for one in collector.metrics["pulsora_bridge_outbox_events"]} == {1.0}
    assert SECRET not in service.logged()


@pytest.mark.parametrize(
    "program",
    [
        "from bridge import create_app; create_app()",
        "import bridge.cli.run, bridge.worker, bridge.sender.dispatcher, bridge.cli.alerts, bridge.cli.check",
    ],
)
def test_while_it_is_off_nothing_of_it_is_imported(program: str, sqlite_url: str) -> None:
    ours = {
        "PULSORA_SECRET_TOKEN": TOKEN,
        "STRIPE_WEBHOOK_SECRET": "whsec_fake_secret_of_the_tests",
        "DATABASE_URL": sqlite_url,
        "PYTHONPATH": str(Path(__file__).resolve().parents[2]),
    }
    shown = "import sys; print([one for one in sys.modules if one.partition('.')[0] in ('opentelemetry', 'apprise')])"

    ended = subprocess.run(
        [sys.executable, "-c", f"{program}; {shown}"], env=ours, capture_output=True, text=True, timeout=60
    )

    assert (ended.stdout, ended.stderr) == ("[]\n", "")


def test_without_the_extra_the_start_fails_and_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise declarations.PackageNotFoundError(name)

    monkeypatch.setattr(declarations, "distribution", absent)

    with pytest.raises(SettingsError) as raised:
        some_settings("sqlite:///x.db", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318")

    assert raised.value.problems == (
        "OTEL_EXPORTER_OTLP_ENDPOINT: needs OpenTelemetry: pip install 'pulsora-bridge[otel]'. "
        "Example: OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318",
    )


def test_the_key_of_the_collector_is_in_no_representation() -> None:
    found = some_settings(
        "sqlite:///x.db", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:4318", OTEL_EXPORTER_OTLP_HEADERS=SECRET
    )

    assert SECRET not in repr(found)
