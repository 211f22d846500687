"""The Pulsora bridge: payments and recurring revenue from Stripe and Paddle, told to Pulsora once.

Public names: `create_app`, and `blueprint` for those who mount the bridge in a Flask application of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.web import blueprint, create_app

__version__ = "0.1.0"
__all__ = ["__version__", "blueprint", "create_app"]


def __getattr__(name: str) -> object:
    """Loads the public names when they are first asked for: gunicorn's master reads its options without Flask."""
    if name in ("blueprint", "create_app"):
        import bridge.web

        return getattr(bridge.web, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
