"""Wrong admin tokens are delayed and limited by address, in bounded memory."""

from __future__ import annotations

from bridge.web.login_limit import ALLOWED, DELAY_SECONDS, MAX_ADDRESSES, LoginLimit


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_each_wrong_token_costs_time() -> None:
    slept: list[float] = []
    limit = LoginLimit(Clock(), slept.append)

    assert [limit.failed("192.0.2.1"), limit.failed("192.0.2.1")] == [1, 2]
    assert slept == [DELAY_SECONDS, DELAY_SECONDS]


def test_after_ten_an_address_waits_until_the_first_is_five_minutes_old() -> None:
    clock = Clock()
    limit = LoginLimit(clock, lambda seconds: None)
    for second in range(ALLOWED):
        clock.now = float(second)
        limit.failed("192.0.2.1")

    assert limit.wait_seconds("192.0.2.1") == 291  # 300 s after the first one, at 9 s
    assert limit.wait_seconds("192.0.2.2") == 0
    clock.now = 300.5
    assert limit.wait_seconds("192.0.2.1") == 0


def test_a_right_token_forgets_the_wrong_ones() -> None:
    limit = LoginLimit(Clock(), lambda seconds: None)
    for _ in range(ALLOWED):
        limit.failed("192.0.2.1")

    limit.succeeded("192.0.2.1")

    assert limit.wait_seconds("192.0.2.1") == 0


def test_a_flood_from_many_addresses_needs_bounded_memory() -> None:
    limit = LoginLimit(Clock(), lambda seconds: None)

    for number in range(MAX_ADDRESSES + 500):
        limit.failed(f"2001:db8::{number:x}")

    assert len(limit._failures) == MAX_ADDRESSES
