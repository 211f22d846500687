"""Fills a store: webhooks of simulated customers, stored, routed and settled, not sent."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.settings import Settings
from bridge.store import Store
from bridge.store.inbox import NewWebhook
from processors import processors
from tests.settings import PADDLE_SECRET, STRIPE_SECRET
from tests.working import settle_all

BORN = datetime(2026, 1, 5, 12, tzinfo=UTC)
SECRETS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET}


def arrive(store: Store, name: str, scenario: str, tag: str = "ada", part: slice = slice(None)) -> list[str]:
    """Stores a scenario's webhooks, or a part of them, as the web does. Returns their event ids."""
    processor, now = processors()[name], datetime.now(UTC)
    ids = []
    for body in processor.scenarios[scenario].events(tag, BORN)[part]:
        signed = processor.sign(body, SECRETS[name], now)
        event = processor.verify(signed.body, signed.headers, [SECRETS[name]], now, timedelta(minutes=5))
        store.accept(NewWebhook.of_event(name, event, signed.body, now))
        ids.append(event.id)
    return ids


def work(store: Store, settings: Settings) -> None:
    """Runs everything a worker has to do now, except sending."""
    now = datetime.now(UTC)
    settle_all(store, settings, now)
