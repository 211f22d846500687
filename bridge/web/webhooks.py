"""The way in: prove the webhook, store it, answer."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import structlog
from flask import Blueprint, Response, abort, jsonify, request

from bridge.settings import Source
from bridge.store.inbox import NewWebhook
from bridge.web.context import context
from processors import processors
from processors.interface import Event, SignatureError

log = structlog.get_logger()

NAME = re.compile(r"[a-z]+(?:[_-][a-z]+){0,3}")  # a slip of the pen; whatever else stands there may be a secret
LONGEST_NAME = 24


def mount(bp: Blueprint) -> None:
    """Adds the webhook routes."""
    bp.post("/webhooks/<name>")(receive)


def receive(name: str) -> Response:
    """200: it is on disk, now or since earlier. 400: not proven. 404: no such source. 413: too large. 503: later."""
    here = context()
    source = here.settings.sources.get(name)
    if source is None:
        log.warning("source_unknown", source=_tellable(name), reason="no secret is configured for it")
        abort(404)
    body = body_within(here.settings.max_body_bytes)
    event = _proven(source, body)
    is_new = here.store.accept(_arrival(source, event, body))
    log.info("received", source=name, event_id=event.id, duplicate=not is_new)
    return jsonify(received=event.id, duplicate=not is_new)


def _tellable(name: str) -> str:
    """The name as the log may have it: a stranger chose it, or a merchant pasted the wrong thing."""
    return name if len(name) <= LONGEST_NAME and NAME.fullmatch(name) else "[hidden]"


def body_within(most: int) -> bytes:
    """The raw body. 413 when it says it is larger, or turns out to be; 400 when it ends before it said it would."""
    declared = request.content_length
    if declared is not None and declared > most:
        abort(413)
    request.max_content_length = most + 1  # of a longer body in chunks this much is read, without a word
    body = request.get_data(cache=False)
    if len(body) > most:
        abort(413)
    if declared is not None and len(body) != declared:
        abort(400)
    return body


def _proven(source: Source, body: bytes) -> Event:
    tolerance = timedelta(seconds=source.tolerance_seconds)
    try:
        event = processors()[source.processor].verify(
            body, dict(request.headers), source.secrets, datetime.now(UTC), tolerance
        )
    except SignatureError as error:
        log.warning("refused", source=source.name, reason=f"{error.problem}: {error.detail}")
        raise
    if source.options.get("PADDLE_ENVIRONMENT") == "sandbox":
        return replace(event, livemode=False)
    return event


def _arrival(source: Source, event: Event, body: bytes) -> NewWebhook:
    return NewWebhook(
        source=source.name,
        account=event.account,
        livemode=event.livemode,
        event_id=event.id,
        type=event.type,
        created_at=event.created_at,
        received_at=datetime.now(UTC),
        body=body,
    )
