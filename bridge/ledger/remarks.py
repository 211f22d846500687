"""What became of each webhook's facts, in a sentence or two: for the operator, and for `explain`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from processors.money import Currency


@dataclass(slots=True)
class Remarks:
    """Sentences by the processor's event id, each once, in the order in which they were made."""

    of_event: dict[str, dict[str, None]] = field(default_factory=dict)

    def add(self, event_ids: Iterable[str], text: str) -> None:
        """Says this of each of the events."""
        for event_id in event_ids:
            self.of_event.setdefault(event_id, {})[text] = None

    def written(self) -> dict[str, tuple[str, ...]]:
        """All that was said, by event."""
        return {event_id: tuple(texts) for event_id, texts in self.of_event.items()}


def shown(minor: int, currency: Currency) -> str:
    """An amount for people: "49.00 USD"."""
    whole, part = divmod(abs(minor), 10**currency.digits)
    places = f".{part:0{currency.digits}}" if currency.digits else ""
    return f"{'-' if minor < 0 else ''}{whole}{places} {currency.code}"
