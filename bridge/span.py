"""How long something takes, in words."""

from __future__ import annotations


def span(seconds: float) -> str:
    """How long, for people: `40 s`, `12 min`, `5.0 h`, `3.1 days`."""
    if seconds < 100:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
