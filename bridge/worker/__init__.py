"""The worker: routes and settles what is in the inbox, and sends what is in the outbox, until it is stopped."""

from __future__ import annotations

from bridge.worker.loop import run

__all__ = ["run"]
