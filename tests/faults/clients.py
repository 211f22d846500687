"""Clients that send signed webhooks and retry until each is acknowledged, as a processor does."""

from __future__ import annotations

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from processors import processors
from processors.interface import SignedWebhook
from tests.settings import STRIPE_SECRET

PATH = "/webhooks/stripe"
KILOBYTES_OF_REAL_EVENTS = 7


def charge(number: int, tag: str = "t", *, customers: int = 10**9, min_bytes: int = 0) -> dict[str, Any]:
    """A payment by one of `customers`, with its visit: one webhook that results in one revenue event."""
    name, customer = f"{tag}_{number}", f"{tag}_{number % customers}"
    now = int(time.time())
    metadata = {"visitor_fingerprint": f"fp_{customer}", "session_id": f"sess_{customer}"}
    paid = {
        "id": f"ch_{name}",
        "object": "charge",
        "amount": 2900,
        "amount_captured": 2900,
        "amount_refunded": 0,
        "captured": True,
        "created": now,
        "currency": "usd",
        "customer": f"cus_{customer}",
        "metadata": metadata,
        "paid": True,
        "payment_intent": f"pi_{name}",
        "refunded": False,
        "status": "succeeded",
        "livemode": True,
    }
    event = {
        "id": f"evt_{name}",
        "object": "event",
        "api_version": "2025-03-31.basil",
        "created": now,
        "type": "charge.succeeded",
        "livemode": True,
        "data": {"object": paid},
    }
    missing = min_bytes - len(json.dumps(event))
    if missing > 0:  # varied, so that it compresses about as well as a real event
        words = random.Random(number)
        paid["details"] = [f"{words.randrange(10**6):06d} some_field_name" for _ in range(missing // 26)]
    return event


def signed(event: Mapping[str, Any] | bytes, secret: str = STRIPE_SECRET, at: datetime | None = None) -> SignedWebhook:
    """The event as Stripe posts it."""
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return processors()["stripe"].sign(body, secret, at or datetime.now(UTC))


@dataclass(kw_only=True)
class LoadGenerator:
    """Threads that post charges until the block ends, and retry each until it is acknowledged."""

    ports: tuple[int, ...]
    threads: int = 8
    tag: str = "t"
    customers: int = 200
    pause_seconds: float = 0.0
    min_bytes: int = 1500
    sent: set[str] = field(default_factory=set)
    acknowledged: dict[str, bytes] = field(default_factory=dict)
    refused: list[tuple[int, str]] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)  # seconds from request to acknowledgement
    _numbers: itertools.count[int] = field(default_factory=itertools.count)
    _stop: threading.Event = field(default_factory=threading.Event)
    _crowd: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(self.threads):
            port = self.ports[number % len(self.ports)]
            thread = threading.Thread(target=self._post, args=(port,), daemon=True)
            thread.start()
            self._crowd.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._crowd:
            thread.join()

    def await_acknowledged(self, count: int, seconds: float = 30) -> None:
        """Waits until `count` webhooks are acknowledged."""
        until = time.monotonic() + seconds
        while len(self.acknowledged) < count:
            assert time.monotonic() < until, f"{len(self.acknowledged)} of {count} acknowledged; {self.refused[-3:]}"
            time.sleep(0.005)

    def _post(self, port: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        while not self._stop.is_set():
            event = charge(next(self._numbers), self.tag, customers=self.customers, min_bytes=self.min_bytes)
            webhook = signed(event)
            self.sent.add(event["id"])
            while not self._try(connection, event["id"], webhook) and not self._stop.is_set():
                time.sleep(0.02)
            time.sleep(self.pause_seconds)
        connection.close()

    def _try(self, connection: http.client.HTTPConnection, event_id: str, webhook: SignedWebhook) -> bool:
        started = time.monotonic()
        try:
            connection.request("POST", PATH, webhook.body, dict(webhook.headers))
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            return False
        if response.status != 200:
            self.refused.append((response.status, text.decode(errors="replace")))
            return False
        self.latencies.append(time.monotonic() - started)
        self.acknowledged[event_id] = webhook.body
        return True


def percentile(values: list[float], share: float) -> float:
    """The value below which this share of all values lies; 0 without values."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] if values else 0.0
