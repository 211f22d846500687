"""Accepting a webhook without a request of Flask, for the web process's event loop (`bridge/server/webhook_loop.py`).

Only what the route would accept. Anything else is left to it, so that each refusal is made, logged and counted there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import structlog

from bridge.errors import StoreUnavailable
from bridge.store import ACCEPT_SECONDS
from bridge.store.group_commit import Request
from bridge.store.inbox import NewWebhook
from bridge.web.context import Context
from bridge.web.errors import NOT_STORED
from bridge.web.webhooks import ENCODER, stored, verified
from processors.interface import Event, SignatureError

log = structlog.get_logger()


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A verified webhook that is being stored."""

    source: str
    event: Event
    began_at: datetime
    request: Request

    def is_stored(self) -> bool:
        """Whether the outcome is known."""
        return self.request.is_reported

    def response(self, here: Context) -> tuple[int, str, Mapping[str, str]]:
        """Status, text and further header fields, as the route responds. Not stored by now: it took too long."""
        request = self.request
        if request.is_reported and request.error is None:
            return 200, stored(here, self.source, self.event, self.began_at, request.is_new), {}
        request.abandoned = True
        late = StoreUnavailable(f"the database stored nothing for {ACCEPT_SECONDS:.1f} seconds")
        problem = request.error or late
        log.error("store_unavailable", reason=str(problem))
        code, message = NOT_STORED
        text = ENCODER.encode({"error": code, "message": message}) + "\n"
        return 503, text, {"Retry-After": str(problem.retry_after_seconds)}


def submit(
    here: Context, name: str, headers: Mapping[str, str], body: bytes, wake: Callable[[], None]
) -> Submitted | None:
    """Verifies a webhook and submits it to be stored. None: the route has to decide."""
    began_at, source = datetime.now(UTC), here.settings.sources.get(name)
    if source is None or len(body) > here.settings.max_body_bytes:
        return None
    try:
        event = verified(source, headers, body)
    except SignatureError:
        return None
    webhook = NewWebhook.of_event(name, event, body, datetime.now(UTC))
    return Submitted(source=name, event=event, began_at=began_at, request=here.store.submit(webhook, wake))
