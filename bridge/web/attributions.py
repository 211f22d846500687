"""`POST /attributions`: the merchant's own program tells which visit earned some revenue.

It is stored like a webhook and takes the same way through the house, so it survives, waits for its customer, and
releases what is held.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, jsonify, request
from marshmallow import ValidationError

from bridge.settings import Source
from bridge.store.inbox import REGISTERED, NewWebhook
from bridge.web.auth import admin_only
from bridge.web.context import context
from bridge.web.errors import error
from bridge.web.schemas import NAMED, AttributionSchema
from bridge.web.webhooks import body_within

LONGEST = 16 * 1024


def mount(bp: Blueprint) -> None:
    """Adds the route."""
    bp.post("/attributions")(register)


def register() -> Response:
    """200: it is on disk. 400 with what is wrong; 401 without the admin token; 404 while there is none."""
    admin_only()
    try:
        told = AttributionSchema().loads(body_within(LONGEST).decode("utf-8"))
    except (ValidationError, ValueError, RecursionError) as problem:
        return error(400, "invalid", _sentence(problem))
    source = _source(told.get("source"))
    if source is None:
        names = ", ".join(sorted(context().settings.sources))
        return error(400, "invalid", f"source: name one of {names}")
    arrival = registration(source, told, livemode=request.args.get("test") != "1", now=datetime.now(UTC))
    is_new = context().store.accept(arrival)
    return jsonify(received=arrival.event_id, duplicate=not is_new)


def registration(source: Source, told: dict[str, Any], *, livemode: bool, now: datetime) -> NewWebhook:
    """The inbox row of a registered attribution. The same told twice has the same id."""
    metadata = {
        source.policy.fingerprint_key: told["visitor_fingerprint"],
        source.policy.session_key: told["session_id"],
    }
    data = {name: told[name] for name in NAMED if name in told} | {"metadata": metadata}
    mark = hashlib.sha256(json.dumps([source.name, livemode, data], sort_keys=True).encode()).hexdigest()[:24]
    event = {"id": f"attribution_{mark}", "type": REGISTERED, "created": now.isoformat(), "data": data}
    return NewWebhook(
        source=source.name,
        account=None,
        livemode=livemode,
        event_id=f"attribution_{mark}",
        type=REGISTERED,
        created_at=now,
        received_at=now,
        body=json.dumps(event).encode(),
    )


def _source(name: str | None) -> Source | None:
    """The source that is named, or the only one there is."""
    sources = context().settings.sources
    if name is not None:
        return sources.get(name)
    return next(iter(sources.values())) if len(sources) == 1 else None


def _sentence(problem: Exception) -> str:
    if not isinstance(problem, ValidationError):
        return "The body is not JSON."
    found: dict[str, list[str]] = problem.normalized_messages()  # type: ignore[no-untyped-call]  # marshmallow's own
    told = (f"{name}: {' '.join(map(str, texts))}" for name, texts in sorted(found.items()))
    return "; ".join(told).replace("_schema: ", "")
