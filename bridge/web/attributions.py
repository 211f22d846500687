"""`POST /attributions`: registers the visit that a customer, subscription or transaction is attributed to.

It is stored like a webhook and processed the same way: it survives a crash, waits for its customer, and releases
held deliveries.
"""

from __future__ import annotations

from datetime import UTC, datetime

from flask import Blueprint, Response, jsonify, request

from bridge.internal_events import attributions
from bridge.settings import Source
from bridge.web.auth import require_admin
from bridge.web.context import context
from bridge.web.errors import error
from bridge.web.webhooks import read_body

MAX_BODY_BYTES = 16 * 1024


def mount(bp: Blueprint) -> None:
    """Adds the route."""
    bp.post("/attributions")(register)


def register() -> Response:
    """200: stored. 400: invalid body, with the reason. 401: wrong admin token. 404: no admin token is configured."""
    require_admin()
    from marshmallow import ValidationError  # not above: a web process is ready earlier

    from bridge.web.schemas import AttributionSchema

    try:
        data = AttributionSchema().loads(read_body(MAX_BODY_BYTES).decode("utf-8"))
    except (ValidationError, ValueError, RecursionError) as problem:
        return error(400, "invalid", _sentence(problem))
    source = _source(data.get("source"))
    if source is None:
        names = ", ".join(sorted(context().settings.sources))
        return error(400, "invalid", f"source: name one of {names}")
    webhook = attributions.encode(source, data, livemode=request.args.get("test") != "1", now=datetime.now(UTC))
    is_new = context().store.accept(webhook)
    return jsonify(received=webhook.event_id, duplicate=not is_new)


def _source(name: str | None) -> Source | None:
    """The named source, or the only one if none is named."""
    sources = context().settings.sources
    if name is not None:
        return sources.get(name)
    return next(iter(sources.values())) if len(sources) == 1 else None


def _sentence(problem: Exception) -> str:
    messages = getattr(problem, "normalized_messages", None)  # of marshmallow's ValidationError
    if messages is None:
        return "The body is not JSON."
    found: dict[str, list[str]] = messages()
    sentences = (f"{name}: {' '.join(map(str, texts))}" for name, texts in sorted(found.items()))
    return "; ".join(sentences).replace("_schema: ", "")
