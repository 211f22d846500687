"""Liveness, readiness and metrics."""

from __future__ import annotations

from datetime import UTC, datetime

from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families

from bridge.monitoring import metrics
from bridge.settings import Settings
from bridge.store import Store, leases, open_store
from bridge.web import create_app


def test_healthz_responds(client: FlaskClient) -> None:
    assert client.get("/healthz").json == {"status": "ok"}


def test_it_is_ready_and_says_when_a_worker_was_seen(client: FlaskClient, sqlite_store: Store) -> None:
    assert client.get("/readyz").json == {"status": "ok", "worker_seen_seconds_ago": None}

    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "host:1", datetime.now(UTC))

    response = client.get("/readyz").json
    assert response is not None
    assert response["worker_seen_seconds_ago"] in (0, 1)


def test_without_its_schema_it_is_not_ready(settings: Settings, tmp_path: object) -> None:
    store = open_store(f"sqlite:///{tmp_path}/empty.db")

    response = create_app(settings, store).test_client().get("/readyz")
    store.close()

    assert response.status_code == 503


def test_every_metric_is_exposed_under_its_name(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        leases.heartbeat(tx, "host:1", datetime.now(UTC))

    text = client.get("/metrics").get_data(as_text=True)

    names = {
        f"{family.name}_total" if family.type == "counter" else family.name
        for family in text_string_to_metric_families(text)
    }
    assert names == {name for name, _ in metrics.ALL}
