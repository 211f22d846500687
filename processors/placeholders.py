"""Values that were copied from the documentation and never replaced."""

from __future__ import annotations


def is_placeholder(value: str) -> bool:
    """Whether a secret contains an ellipsis, as `whsec_…` in every example: no real one does."""
    return "…" in value or "..." in value or value.endswith("_")
