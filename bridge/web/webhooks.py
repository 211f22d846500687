"""`POST /webhooks/<source>`: verify the webhook, store it, respond."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import structlog
from flask import Blueprint, Response, abort, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from bridge import telemetry
from bridge.log import HIDDEN
from bridge.settings import Source
from bridge.store.inbox import NewWebhook
from bridge.telemetry import Span
from bridge.web.context import context
from bridge.web.errors import error_code
from bridge.web.refusals import UNKNOWN_SOURCE
from processors import processors
from processors.interface import Event, SignatureError

log = structlog.get_logger()

NAME = re.compile(r"[a-z]+(?:[_-][a-z]+){0,3}")
LONGEST_NAME = 24


def mount(bp: Blueprint) -> None:
    """Adds the webhook route."""
    bp.post("/webhooks/<name>")(receive)


def receive(name: str) -> Response:
    """200: stored, now or before. 400: not verified. 404: unknown source. 413: too large. 503: retry later."""
    here, began_at = context(), datetime.now(UTC)
    source = here.settings.sources.get(name)
    if source is None:
        log.warning("source_unknown", source=_loggable(name), reason="no secret is configured for it")
        here.refusals.count(UNKNOWN_SOURCE, "unknown_source")  # without the name: anybody may send any number of names
        abort(404)
    try:
        body = read_body(here.settings.max_body_bytes)
    except RequestEntityTooLarge:
        here.refusals.count(name, "too_large")
        raise
    event = _verify(source, body)
    is_new = here.store.accept(NewWebhook.of_event(name, event, body, datetime.now(UTC)))
    here.arrivals.count(name)
    write = log.info if is_new else log.debug  # a processor may repeat each webhook many times
    write("received", source=name, type=event.type, event_id=event.id, livemode=event.livemode, **_extra(event, is_new))
    if telemetry.is_on():
        _trace(name, event, is_new, began_at)
    return jsonify(received=event.id, duplicate=not is_new)


def _trace(source: str, event: Event, is_new: bool, began_at: datetime) -> None:
    """The root span of the webhook's trace; a span in it for each repetition."""
    telemetry.record(
        Span(
            name="webhook",
            keys=[(source, event.id)],
            began_at=began_at,
            ended_at=datetime.now(UTC),
            attributes={"source": source, "type": event.type, "event_id": event.id, "duplicate": not is_new},
            is_root=is_new,
        )
    )


def _extra(event: Event, is_new: bool) -> dict[str, object]:
    account: dict[str, object] = {} if event.account is None else {"account": event.account}
    return account if is_new else {**account, "duplicate": True}


def _loggable(name: str) -> str:
    """The name if it looks like a mistyped source; anything else may be a secret pasted into the URL."""
    return name if len(name) <= LONGEST_NAME and NAME.fullmatch(name) else HIDDEN


def read_body(limit: int) -> bytes:
    """The raw body. Aborts with 413 above `limit` bytes, with 400 if it is shorter than its Content-Length."""
    declared = request.content_length
    if declared is not None and declared > limit:
        abort(413)
    request.max_content_length = limit + 1  # a longer chunked body is cut here without an error; the next check sees it
    body = request.get_data(cache=False)
    if len(body) > limit:
        abort(413)
    if declared is not None and len(body) != declared:
        abort(400)
    return body


def _headers(environ: Mapping[str, object]) -> dict[str, str]:
    """The header fields; werkzeug's mapping of them costs as much as the HMAC of the body."""
    return {name[5:].replace("_", "-").title(): str(environ[name]) for name in environ if name.startswith("HTTP_")}


def _verify(source: Source, body: bytes) -> Event:
    verify = processors()[source.processor].verify
    tolerance = timedelta(seconds=source.tolerance_seconds)
    try:
        return verify(body, _headers(request.environ), source.secrets, datetime.now(UTC), tolerance, source.options)
    except SignatureError as error:
        log.warning("refused", source=source.name, reason=f"{error.problem}: {error.detail}")
        context().refusals.count(source.name, error_code(error))
        raise
