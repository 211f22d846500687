"""No rolling hour ever holds more requests than allowed."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import uuid4

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.clock import Uptime
from bridge.store import Store, rate_limit
from tests.bridge.store.builders import HOUR, MINUTE, NOON

SECOND = timedelta(seconds=1)


def granted(
    store: Store, now: datetime, wanted: int, per_hour: int = 10, origin: str = "https://pulsora.co:443"
) -> int:
    with store.transaction() as tx:
        return rate_limit.reserve(tx, origin, now, wanted, per_hour)


def test_an_hour_holds_what_is_allowed_and_no_more(store: Store) -> None:
    grants = [granted(store, NOON, 6), granted(store, NOON + 30 * MINUTE, 6), granted(store, NOON + 59 * MINUTE, 6)]

    assert grants == [6, 4, 0]


def test_tokens_come_back_after_their_hour(store: Store) -> None:
    granted(store, NOON, 6)
    granted(store, NOON + 30 * MINUTE, 4)

    assert granted(store, NOON + HOUR, 10) == 0
    assert granted(store, NOON + HOUR + MINUTE, 10) == 6


def test_a_token_counts_for_an_hour_and_forty_seconds(store: Store) -> None:
    granted(store, NOON, 10)

    assert granted(store, NOON + HOUR + 39 * SECOND, 1) == 0
    assert granted(store, NOON + HOUR + 40 * SECOND, 1) == 1


def test_no_limit_grants_everything(store: Store) -> None:
    assert granted(store, NOON, 1_000_000, per_hour=0) == 1_000_000
    with store.reading() as tx:
        assert rate_limit.used(tx, "https://pulsora.co:443", NOON) == 0


def test_each_origin_has_a_budget_of_its_own(store: Store) -> None:
    granted(store, NOON, 10)

    assert granted(store, NOON, 10, origin="http://127.0.0.1:9") == 10


def test_what_was_not_used_can_be_taken_again(store: Store) -> None:
    granted(store, NOON, 10)

    with store.transaction() as tx:
        rate_limit.release(tx, "https://pulsora.co:443", NOON + 20 * SECOND, 4)

    assert granted(store, NOON + MINUTE, 10) == 4


def test_no_more_is_given_back_than_was_taken_lately(store: Store) -> None:
    granted(store, NOON, 5)
    granted(store, NOON + 30 * MINUTE, 5)

    with store.transaction() as tx:
        rate_limit.release(tx, "https://pulsora.co:443", NOON + 30 * MINUTE, 100)
        assert rate_limit.used(tx, "https://pulsora.co:443", NOON + 30 * MINUTE) == 5


def test_a_lower_limit_holds_at_once(store: Store) -> None:
    granted(store, NOON, 10, per_hour=20)

    assert granted(store, NOON + MINUTE, 10, per_hour=5) == 0


def test_a_clock_that_is_behind_gets_no_extra_budget(store: Store) -> None:
    granted(store, NOON, 10)

    assert granted(store, NOON - 30 * MINUTE, 10) == 0


Take = tuple[float, int]  # seconds, wanted


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    takes=st.lists(st.tuples(st.floats(0, 4 * 3600), st.integers(1, 30)), max_size=40),
    per_hour=st.integers(1, 50),
    in_order=st.booleans(),
)
def test_no_rolling_hour_is_ever_above_the_limit(
    sqlite_store: Store, takes: list[Take], per_hour: int, in_order: bool
) -> None:
    origin, granted_at = uuid4().hex, []

    with sqlite_store.transaction() as tx:
        for seconds, wanted in sorted(takes) if in_order else takes:  # else as of processes whose clocks differ
            now = NOON + timedelta(seconds=seconds)
            granted_at.append((now, rate_limit.reserve(tx, origin, now, wanted, per_hour)))

    assert fullest_hour(granted_at) <= per_hour


Turn = tuple[int, int, int]  # seconds that really pass, seconds by which the clock is set then, wanted


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    turns=st.lists(
        st.tuples(st.integers(0, 1500), st.sampled_from([0, 0, -3600, 3600]), st.integers(1, 20)), max_size=40
    ),
    per_hour=st.integers(1, 50),
)
def test_no_rolling_hour_is_above_the_limit_although_the_clock_is_set(
    sqlite_store: Store, turns: list[Turn], per_hour: int
) -> None:
    origin, passed, set_by, granted_at = uuid4().hex, 0, 0, []

    with sqlite_store.transaction() as tx:
        for seconds, change, wanted in turns:
            passed, set_by = passed + seconds, set_by + change
            now, uptime = NOON + (passed + set_by) * SECOND, Uptime(boot="boot_fake", seconds=float(passed))
            granted_at.append((NOON + passed * SECOND, rate_limit.reserve(tx, origin, now, wanted, per_hour, uptime)))

    assert fullest_hour(granted_at) <= per_hour


def test_what_is_given_back_is_given_back_to_both_clocks(store: Store) -> None:
    uptime = Uptime(boot="boot_fake", seconds=5000.0)

    with store.transaction() as tx:
        rate_limit.reserve(tx, "pulsora", NOON, 10, 10, uptime)
        rate_limit.release(tx, "pulsora", NOON, 4, uptime)

        assert rate_limit.used(tx, "pulsora", NOON, uptime) == 6
        assert rate_limit.used(tx, "pulsora", NOON + 2 * HOUR, uptime) == 6  # the clock was set


Step = tuple[int, int, int, int]  # seconds to the next take, wanted, unused, seconds until these are given back


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    steps=st.lists(
        st.tuples(st.integers(0, 1500), st.integers(1, 20), st.integers(0, 20), st.integers(0, 200)), max_size=30
    ),
    per_hour=st.integers(1, 50),
)
def test_giving_back_never_lets_an_hour_overflow(sqlite_store: Store, steps: list[Step], per_hour: int) -> None:
    origin, now, used = uuid4().hex, NOON, []

    with sqlite_store.transaction() as tx:
        for gap, wanted, unused, later in steps:
            now += gap * SECOND
            count = rate_limit.reserve(tx, origin, now, wanted, per_hour)
            used.append((now, count - min(unused, count)))
            now += later * SECOND
            rate_limit.release(tx, origin, now, min(unused, count))

    assert fullest_hour(used) <= per_hour


def fullest_hour(used: list[tuple[datetime, int]]) -> int:
    """The most that any hour, both ends included, holds."""
    return max((sum(count for at, count in used if start <= at <= start + HOUR) for start, _ in used), default=0)
