"""`/healthz`: the process responds. `/readyz`: it can store webhooks. `/metrics`: for Prometheus."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from bridge.errors import BridgeError
from bridge.monitoring.heartbeat import latest_heartbeat
from bridge.web.context import context
from bridge.web.errors import error


def mount(bp: Blueprint) -> None:
    """Adds the routes."""
    bp.get("/healthz")(healthz)
    bp.get("/readyz")(readyz)
    bp.get("/metrics")(metrics)


def healthz() -> Response:
    """200 while the process responds."""
    return jsonify(status="ok")


def readyz() -> Response:
    """200 if the store is reachable and its schema matches; with the seconds since the latest worker heartbeat."""
    store = context().store
    try:
        if not store.schema_fits():
            return error(503, "schema", "The database schema does not match. Run: pulsora-bridge migrate")
        with store.reading() as tx:
            heartbeat_at = latest_heartbeat(tx)
    except BridgeError:
        return error(503, "store_unavailable", "The database cannot be reached.")
    age = None if heartbeat_at is None else round((datetime.now(UTC) - heartbeat_at).total_seconds())
    return jsonify(status="ok", worker_seen_seconds_ago=age)


def metrics() -> Response:
    """The metrics in Prometheus' text format, read from the store at each request."""
    # Not above: a web process is ready earlier.
    from bridge.alerts.causes import counts
    from bridge.alerts.monitor import read_found
    from bridge.monitoring.prometheus import exposition

    here, now = context(), datetime.now(UTC)
    text, content_type = exposition(here.store, now, counts(read_found(here.store, here.settings, now)))
    return Response(text, content_type=content_type)
