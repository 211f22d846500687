"""Helpers for the tests of Stripe: an event around an object and its translation."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from processors.facts import Fact
from processors.interface import Translation
from processors.stripe.simulation.payloads import Shape, event
from processors.stripe.translate import translate

AT = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
SHAPES = tuple(Shape)
BASIL_ON = (Shape.BASIL, Shape.CLOVER)


def translated(kind: str, found: dict[str, Any], previous: dict[str, Any] | None = None, **more: Any) -> Translation:
    """The translation of one event about an object."""
    return translate(event(kind, found, **{"at": AT, "event_id": "evt_1", "previous": previous, **more}), {})


def fact(kind: str, found: dict[str, Any], previous: dict[str, Any] | None = None, **more: Any) -> Fact:
    """The one fact of an event that has one."""
    translation = translated(kind, found, previous, **more)
    assert translation.reason is None, translation.reason
    (only,) = translation.facts
    return only


def without(found: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The object with some keys left out."""
    return {key: value for key, value in found.items() if key not in keys}
