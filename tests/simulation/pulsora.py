"""A Pulsora in memory: it responds as its `behaviour` says, and checks contract, budget and order of its requests."""

from __future__ import annotations

import json
import random
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

from bridge.sender import payload
from bridge.sender.http_client import HttpClient, Response
from tests.simulation.environment import Clock

HOUR = 3600.0
# By behaviour: what happens to a request, and how often.
BEHAVIOURS = {
    "healthy": {"accept": 1},
    "flaky": {"accept": 10, "500": 3, "timeout": 1, "accept, then timeout": 2, "429": 1, "html": 1, "400": 1},
    "busy": {"accept": 2, "429": 3},
    "down": {"500": 2, "timeout": 1, "html": 1},
    "refusing": {"401": 1},
    "lossy": {"accept": 1, "accept, then timeout": 1},
}
TIMEOUT_SECONDS = 15.0


class InvariantBroken(BaseException):
    """An invariant of the design does not hold. The sender's threads, which survive every Exception, pass it on."""


@dataclass(kw_only=True)
class Event:
    """One revenue event as Pulsora sees it. `done_after`: the mishaps until Pulsora said that it is accepted."""

    body: bytes
    requests: int = 0
    accepted: bool = False
    done_after: int | None = None
    rejected: bool = False


@dataclass(kw_only=True)
class VirtualPulsora(HttpClient):
    """The client that the dispatcher posts with, and the server behind it.

    `events`: by token and body without the token. `between`: called with token and event while a request is on its way.
    `mishaps`: how many faults, kills and jumps of the clock there were, each of which may cause a repetition.
    """

    clock: Clock
    chance: random.Random
    per_hour: int
    behaviour: str = "healthy"
    events: dict[tuple[str, str], Event] = field(default_factory=dict)
    times: deque[float] = field(default_factory=deque)
    trace: Callable[[str], None] = field(default=lambda _: None)
    between: Callable[[str, dict[str, Any]], None] = field(default=lambda token, data: None)
    counts: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    mishaps: int = 0

    def post(self, endpoint: str, token: str, body: bytes) -> Response:
        """One request and its response."""
        self._check_contract(token, body)
        self._check_budget()
        envelope = json.loads(body)
        data = envelope["data"]
        self.between(token, data)
        kind = self._kind(data)
        found = self.events.setdefault((token, identity(data)), Event(body=body))
        if found.body != body:
            raise InvariantBroken(f"6: sent again in other bytes: {found.body!r}, then {body!r}")
        if found.done_after == self.mishaps:
            raise InvariantBroken(f"2: sent again though it was accepted and nothing has failed since: {data}")
        found.requests += 1
        found.accepted |= kind.startswith("accept")
        found.done_after = self.mishaps if kind == "accept" else found.done_after
        found.rejected |= kind == "400"
        self.counts[kind] += 1
        self.trace(f"  Pulsora: {data['event_type']} {data['amount']} {data['transaction_id']}: {kind}")
        return self._response(kind)

    def close(self) -> None:
        """Nothing is open."""

    def _kind(self, data: dict[str, Any]) -> str:
        weights = BEHAVIOURS[self.behaviour]
        (kind,) = self.chance.choices(list(weights), weights=list(weights.values()))
        return kind

    def _response(self, kind: str) -> Response:
        if kind.endswith("timeout"):
            self.clock.true += TIMEOUT_SECONDS
            return Response(status=None, reason="no response within 15 s", took_ms=15000)
        if kind == "html":
            return Response(status=200, reason="", took_ms=5, is_page=True)
        if kind == "429":
            return Response(status=429, reason="too many", took_ms=5, retry_after=self._retry_after())
        return Response(status=202 if kind == "accept" else int(kind), reason="", took_ms=5)

    def _retry_after(self) -> str | None:
        seconds = self.chance.choice((0, 1, 30, 300, 5000))
        at = self.clock.now() + timedelta(seconds=seconds)
        return self.chance.choice((str(seconds), format_datetime(at, usegmt=True), None, "soon"))

    # ---- Checks ------------------------------------------------------------------------------------------------

    def _check_contract(self, token: str, body: bytes) -> None:
        envelope = json.loads(body)
        if envelope.get("token") != token or envelope.get("type") != "revenue":
            raise InvariantBroken(f"6: no valid envelope: {body!r}")
        if problems := payload.problems(envelope["data"]):
            raise InvariantBroken(f"6: {problems}: {body!r}")

    def _check_budget(self) -> None:
        """No rolling hour of true time holds more requests than allowed."""
        self.times.append(self.clock.true)
        while self.times[0] <= self.clock.true - HOUR:
            self.times.popleft()
        if self.per_hour and len(self.times) > self.per_hour:
            raise InvariantBroken(f"7: {len(self.times)} requests within an hour, {self.per_hour} are allowed")


def identity(data: dict[str, Any]) -> str:
    """What makes a revenue event this one, and no other of its customer."""
    metadata = data.get("metadata") or {}
    parts = (
        data["transaction_id"],
        data["event_type"],
        data.get("customer_subscription_id"),
        metadata.get("occurred_at"),
    )
    return " ".join(str(part) for part in parts)
