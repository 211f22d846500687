"""A source is silent when nothing arrived for three times its longest usual gap."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.monitoring.silence import MIN_LIMIT, limit, longest_usual, read_silence, silent_since
from bridge.store import Store, arrivals, refusals
from bridge.store.arrivals import Arrivals

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def limit_of(hours: Sequence[datetime], silence_hours: float | None = None) -> timedelta | None:
    return limit([(one - MONDAY) // HOUR for one in hours], silence_hours)


def weeks_of_office_hours(weeks: int) -> list[datetime]:
    """Every hour from 9 to 17 o'clock, Monday to Friday: gaps of 16 hours at night, of 64 hours at the weekend."""
    days = [MONDAY + number * DAY for number in range(7 * weeks)]
    return [day + hour * HOUR for day in days if day.weekday() < 5 for hour in range(9, 18)]


def test_the_longest_gap_of_office_hours_is_the_weekend() -> None:
    # Friday 17:00 to Monday 9:00 is 64 hours; 3 x 64 = 192.
    assert limit_of(weeks_of_office_hours(4)) == timedelta(hours=192)


def test_one_outage_of_the_past_is_not_usual() -> None:
    hours = [MONDAY + number * HOUR for number in range(24 * 30) if not 200 <= number < 320]

    assert limit_of(hours) == timedelta(hours=3)  # gaps of 1 hour, and one of 121


def test_two_gaps_of_the_same_length_are_usual() -> None:
    hours = [MONDAY + number * HOUR for number in range(3 * 360) if number % 360 >= 48]

    assert limit_of(hours) == timedelta(hours=147)  # 3 x 49


@pytest.mark.parametrize(
    "hours",
    [
        pytest.param([], id="none"),
        pytest.param([MONDAY + number * DAY for number in range(14)], id="thirteen days"),
        pytest.param([MONDAY + number * 4 * DAY for number in range(9)], id="nine hours"),
    ],
)
def test_nothing_is_usual_before_there_is_a_history(hours: Sequence[datetime]) -> None:
    assert limit_of(hours) is None


def test_silence_hours_replaces_the_history_and_needs_none() -> None:
    assert limit_of([], 12) == timedelta(hours=12)
    assert limit_of(weeks_of_office_hours(4), 12) == timedelta(hours=12)
    assert limit_of(weeks_of_office_hours(4), 0) is None


def test_silence_begins_where_the_limit_ends() -> None:
    assert silent_since(MONDAY, DAY, MONDAY + DAY) is None
    assert silent_since(MONDAY, DAY, MONDAY + DAY + HOUR) == MONDAY + DAY
    assert silent_since(None, DAY, MONDAY) is None
    assert silent_since(MONDAY, None, MONDAY + 90 * DAY) is None


@given(st.lists(st.integers(min_value=1, max_value=200), min_size=40, max_size=80))
def test_whatever_the_history_a_gap_like_the_second_longest_is_no_silence(gaps: list[int]) -> None:
    hours, at = [MONDAY], MONDAY
    for gap in [*gaps, 300]:  # 300: the history is long enough
        at += gap * HOUR
        hours.append(at)

    allowed = limit_of(hours)

    assert allowed is not None
    assert allowed >= MIN_LIMIT
    assert sorted(gaps)[-1] * HOUR < allowed
    assert allowed <= 3 * 300 * HOUR


def test_the_longest_of_one_gap_is_that_gap() -> None:
    assert longest_usual([24]) == 24


def test_only_webhooks_before_the_silence_are_its_history(store: Store) -> None:
    with store.transaction() as tx:
        for hour in weeks_of_office_hours(4):
            one = Arrivals(source="stripe", hour=refusals.hour_of(hour), count=1, last_at=hour)
            arrivals.add(tx, [one], hour)
    last = weeks_of_office_hours(4)[-1]

    with store.reading() as tx:
        found = read_silence(tx, "stripe", None, last + 30 * DAY)
        other = read_silence(tx, "paddle", 1.0, last)

    assert (found.last_at, found.allowed) == (last, timedelta(hours=192))
    assert found.silent_since == last + timedelta(hours=192)
    assert (other.last_at, other.silent_since) == (None, None)
