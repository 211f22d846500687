"""What the routes work with: settings and store, found through the application."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app

from bridge.settings import Settings
from bridge.store import Store

KEY = "pulsora_bridge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """The settings and the store of this application."""

    settings: Settings
    store: Store


def context() -> Context:
    """The present application's context."""
    found: Context = current_app.extensions[KEY]
    return found
