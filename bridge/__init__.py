"""The Pulsora bridge: sends payments and recurring revenue from Stripe and Paddle to Pulsora, each change once.

Public names: `create_app`, `blueprint` for mounting the routes in another Flask application, and `visit_metadata` for
the code that creates a checkout.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.web import blueprint, create_app
    from processors.visit import visit_metadata

__version__ = "0.1.0"
__all__ = ["__version__", "blueprint", "create_app", "visit_metadata"]


def __getattr__(name: str) -> object:
    """Imports the public names on first use, so that gunicorn's master can read its options without Flask."""
    if name == "visit_metadata":
        from processors.visit import visit_metadata

        return visit_metadata
    if name in ("blueprint", "create_app"):
        import bridge.web

        return getattr(bridge.web, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
