"""The worker: takes what the inbox holds through translate, settle and send, until it is told to stop."""

from __future__ import annotations

from bridge.worker.loop import run

__all__ = ["run"]
