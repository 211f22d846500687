"""A worker's steps until nothing is left to do, for tests that want the result alone."""

from __future__ import annotations

from datetime import datetime

from bridge.settings import Settings
from bridge.store import Store
from bridge.worker.routing import route
from bridge.worker.settling import settle_due


def settle_all(store: Store, settings: Settings, at: datetime, owner: str = "worker") -> None:
    """Routes and settles everything that is due at that time. Sends nothing."""
    while route(store, settings, owner, at):
        pass
    while settle_due(store, settings, owner, at):
        pass
