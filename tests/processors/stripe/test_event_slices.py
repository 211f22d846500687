"""The list of events is read in slices: long ones where little happens, short ones where much does, none left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from processors.stripe.account import FEW_EVENTS, SLICE, Account

NOW = datetime(2026, 3, 31, tzinfo=UTC)


@dataclass
class Listing:
    """An API with a number of events in each hour."""

    per_hour: int
    spans: list[tuple[datetime, datetime]] = field(default_factory=list)

    def now(self) -> datetime:
        return NOW

    def events(self, since: datetime, until: datetime, types: Sequence[str]) -> Iterator[dict[str, Any]]:
        self.spans.append((since, until))
        hours = int((until - since) / timedelta(hours=1))
        for number in range(hours * self.per_hour):
            yield {"id": f"evt_{len(self.spans)}_{number}", "created": int(since.timestamp()) + number}


def read(per_hour: int) -> tuple[Listing, int]:
    listing = Listing(per_hour)
    count = sum(1 for _ in Account(api=listing).events(NOW - timedelta(days=30)))  # type: ignore[arg-type]
    return listing, count


def test_thirty_quiet_days_are_read_in_few_requests_without_a_gap() -> None:
    listing, count = read(per_hour=1)

    # 6, 12, 24 and 48 hours are 90 of 720; 13 more slices of 48 hours, and a last one of 6.
    assert len(listing.spans) == 18
    assert count == 720
    assert all(one[1] == other[0] for one, other in zip(listing.spans, listing.spans[1:], strict=False))
    assert (listing.spans[0][0], listing.spans[-1][1]) == (NOW - timedelta(days=30), NOW)


def test_where_much_happens_a_slice_is_six_hours() -> None:
    listing, count = read(per_hour=FEW_EVENTS)

    assert {until - since for since, until in listing.spans} == {SLICE}
    assert count == 720 * FEW_EVENTS
