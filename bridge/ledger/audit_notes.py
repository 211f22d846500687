"""Notes on each webhook for `explain`: the effect of its facts, or the reason why they had none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from processors.money import Currency


@dataclass(slots=True)
class AuditNotes:
    """Sentences by the processor's event id, without repetition, in the order in which they were added."""

    by_event: dict[str, dict[str, None]] = field(default_factory=dict)  # a dict as an ordered set

    def add(self, event_ids: Iterable[str], text: str) -> None:
        """Adds a sentence to each of the events."""
        for event_id in event_ids:
            self.by_event.setdefault(event_id, {})[text] = None

    def collected(self) -> dict[str, tuple[str, ...]]:
        """All sentences by event id."""
        return {event_id: tuple(texts) for event_id, texts in self.by_event.items()}


def format_amount(minor: int, currency: Currency) -> str:
    """Minor units as people read them: `49.00 USD`."""
    whole, part = divmod(abs(minor), 10**currency.digits)
    fraction = f".{part:0{currency.digits}}" if currency.digits else ""
    return f"{'-' if minor < 0 else ''}{whole}{fraction} {currency.code}"
