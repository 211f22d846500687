"""`/healthz`: the process answers. `/readyz`: it can store. `/metrics`: what there is to watch."""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify

from bridge.errors import BridgeError
from bridge.monitoring.prometheus import exposition
from bridge.store import leases
from bridge.web.context import context
from bridge.web.errors import error


def mount(bp: Blueprint) -> None:
    """Adds the routes."""
    bp.get("/healthz")(alive)
    bp.get("/readyz")(ready)
    bp.get("/metrics")(measured)


def alive() -> Response:
    """200 while the process answers."""
    return jsonify(status="ok")


def ready() -> Response:
    """200 when the store can be reached and its schema fits; how long ago each worker was alive stands beside it."""
    store = context().store
    try:
        if not store.schema_fits():
            return error(503, "schema", "The schema does not fit. Run: pulsora-bridge migrate")
        with store.reading() as tx:
            beats = leases.beats(tx)
    except BridgeError:
        return error(503, "store_unavailable", "The database cannot be reached.")
    now = datetime.now(UTC)
    ages = [round((now - at).total_seconds()) for at in beats.values()]
    return jsonify(status="ok", worker_seen_seconds_ago=min(ages, default=None))


def measured() -> Response:
    """The metrics, read from the store at this moment, in Prometheus' text format."""
    text, content_type = exposition(context().store)
    return Response(text, content_type=content_type)
