"""The settings and the store of the current application."""

from __future__ import annotations

from flask import current_app

from bridge.settings import Settings
from bridge.store import Store
from bridge.web.arrivals import ArrivalCounter
from bridge.web.login_limit import LoginLimit
from bridge.web.refusals import RefusalCounter
from processors.values import Value, field

KEY = "pulsora_bridge"


class Context(Value):
    """Everything that the routes need."""

    settings: Settings
    store: Store
    refusals: RefusalCounter
    arrivals: ArrivalCounter
    login_limit: LoginLimit = field(default_factory=LoginLimit)


def context() -> Context:
    """The context of the application that handles the current request."""
    found: Context = current_app.extensions[KEY]
    return found
