"""The retry policy: waits, and the meaning of a response."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sender.retry_policy import (
    WAITS,
    Verdict,
    at_earliest,
    is_expected,
    next_attempt,
    pause_length,
    probe_delay,
    verdict,
)

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
CHANCES = st.floats(min_value=0, max_value=1, exclude_max=True)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(1, 5), (2, 30), (3, 120), (4, 600), (5, 3600), (6, 10_800), (7, 21_600), (17, 21_600)],
)
def test_the_waits_grow_from_seconds_to_hours(failures: int, seconds: int) -> None:
    again_at = next_attempt(failures, NOW, chance=0.5)

    assert again_at == NOW + timedelta(seconds=seconds)


def test_after_about_three_days_an_event_is_given_up() -> None:
    waited = sum(WAITS, timedelta())

    assert timedelta(days=2, hours=20) < waited < timedelta(days=3, hours=4)
    assert next_attempt(len(WAITS) + 1, NOW, chance=0.5) is None


@given(st.integers(min_value=1, max_value=len(WAITS)), CHANCES)
def test_the_jitter_is_as_wide_as_the_wait(failures: int, chance: float) -> None:
    again_at = next_attempt(failures, NOW, chance)

    assert again_at is not None
    assert WAITS[failures - 1] * 0.5 <= again_at - NOW <= WAITS[failures - 1] * 1.5


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (None, Verdict.RETRY),
        (101, Verdict.RETRY),
        (200, Verdict.DELIVERED),
        (202, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (301, Verdict.RETRY),
        (308, Verdict.RETRY),
        (400, Verdict.GIVE_UP),
        (401, Verdict.REFUSED),
        (403, Verdict.REFUSED),
        (404, Verdict.REFUSED),
        (405, Verdict.REFUSED),
        (408, Verdict.RETRY),
        (410, Verdict.REFUSED),
        (413, Verdict.GIVE_UP),
        (422, Verdict.GIVE_UP),
        (425, Verdict.RETRY),
        (429, Verdict.BUSY),
        (499, Verdict.RETRY),
        (500, Verdict.RETRY),
        (503, Verdict.RETRY),
        (999, Verdict.RETRY),
    ],
)
def test_every_status_has_one_meaning(status: int | None, meaning: Verdict) -> None:
    assert verdict(status) is meaning


def test_a_web_page_is_no_delivery_unless_it_says_202() -> None:
    assert verdict(200, is_page=True) is Verdict.RETRY
    assert verdict(202, is_page=True) is Verdict.DELIVERED


def test_only_202_is_expected() -> None:
    assert is_expected(202)
    assert not is_expected(200)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("1.5", 1.5),
        ("0", 1),
        ("-5", 60),
        ("86400", 3600),
        ("9" * 400, 3600),
        ("٣", 60),
        ("soon", 60),
        ("", 60),
        (None, 60),
        ("Sat, 01 Mar 2025 12:05:00 GMT", 300),
        ("Saturday, 01-Mar-25 12:05:00 GMT", 300),
        ("Sat Mar  1 12:05:00 2025", 300),
        ("Sat, 01 Mar 2025 13:05:00 +0100", 300),
        ("Sat, 01 Mar 2025 11:00:00 GMT", 1),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600),
        ("Sat, 99 Mar 2025 12:05:00 GMT", 60),
    ],
)
def test_retry_after_is_seconds_or_a_date_within_bounds(header: str | None, seconds: float) -> None:
    assert pause_length(header, NOW) == timedelta(seconds=seconds)


@given(st.text() | st.integers().map(str) | st.datetimes().map(str))
def test_no_header_asks_for_less_than_a_second_or_more_than_an_hour(header: str) -> None:
    assert timedelta(seconds=1) <= pause_length(header, NOW) <= timedelta(hours=1)


def test_a_failing_ingest_may_ask_for_a_longer_wait_but_not_for_a_shorter_one() -> None:
    scheduled = NOW + timedelta(seconds=30)

    assert at_earliest(scheduled, "120", NOW) == NOW + timedelta(seconds=120)
    assert at_earliest(scheduled, "3", NOW) == scheduled
    assert at_earliest(scheduled, None, NOW) == scheduled


@pytest.mark.parametrize(("refused_seconds", "seconds"), [(0, 60), (60, 60), (120, 120), (600, 600), (90_000, 900)])
def test_a_refusing_destination_is_probed_after_one_to_fifteen_minutes(refused_seconds: int, seconds: int) -> None:
    since = NOW - timedelta(seconds=refused_seconds)

    assert probe_delay(since, NOW) == timedelta(seconds=seconds)
