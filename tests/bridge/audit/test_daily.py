"""The days between the request and the end of cancellations, which one side counts at the one and we at the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal

import pytest

from bridge.audit.daily import OurDays, Settings, compare, undiscounted
from bridge.audit.records import ZERO, Cause, Coupon, Flags
from bridge.ledger.policy import ChurnAt
from processors.money import Money
from processors.totals import DailyMrr
from tests.builders import USD

FIRST = date(2026, 3, 1)


def causes(
    ours: Mapping[int, Sequence[str]], theirs: Sequence[int], churn_at: ChurnAt, leaving: Sequence[str] = ()
) -> dict[int, Cause]:
    """The cause by day. `ours`: what ended by day, of 1,000.00; `theirs`: the processor's whole amounts by day."""
    ends = {(FIRST + timedelta(days=day), "USD"): [Decimal(one) for one in listed] for day, listed in ours.items()}
    days = OurDays(
        changes={place: -sum(listed, ZERO) for place, listed in ends.items()},
        baselines={"USD": Decimal(1000)},
        ends=ends,
    )
    listed = [
        DailyMrr(day=FIRST + timedelta(days=day), amount=Money(minor=amount * 100, currency=USD))
        for day, amount in enumerate(theirs)
    ]
    settings = {"USD": Settings(leaving=[Decimal(one) for one in leaving])}
    found = compare(listed, days, FIRST + timedelta(days=90), settings, churn_at)
    return {(one.day - FIRST).days: one.difference.cause for one in found if one.difference is not None}


CHURN, ODD = Cause.CHURN_TIME, Cause.UNEXPLAINED


@pytest.mark.parametrize(
    ("ours", "theirs", "leaving", "expected"),
    [
        ({3: ["49"]}, [1000, 951, 951, 951], (), {1: CHURN, 2: CHURN}),
        ({3: ["49"]}, [1000, 950, 951, 951], (), {1: ODD, 2: CHURN}),  # 50 is not 49
        ({3: ["49"]}, [951, 951, 1000, 951], (), {0: ODD, 1: ODD}),  # not there until the end: no such cancellation
        ({}, [1000, 1000, 951, 951], ("49",), {2: CHURN, 3: CHURN}),  # its end is still to come
        ({}, [1000, 1000, 951, 951], (), {2: ODD, 3: ODD}),
        # Asked for on days 1, 1 and 2; they end on days 2, 3 and later: 1000 - 49 - 19, and so on.
        ({2: ["49"], 3: ["19"]}, [1000, 932, 833, 833], ("99",), {1: CHURN, 2: CHURN, 3: CHURN}),
        ({1: ["49"]}, [1000, 951], (), {}),  # ended at once
    ],
)
def test_theirs_at_the_request_and_ours_at_the_end(
    ours: Mapping[int, Sequence[str]], theirs: Sequence[int], leaving: Sequence[str], expected: Mapping[int, Cause]
) -> None:
    assert causes(ours, theirs, ChurnAt.END, leaving) == expected


def test_ours_at_the_request_and_theirs_at_the_end() -> None:
    assert causes({1: ["49"], 2: ["19"]}, [1000, 1000, 1000, 951, 932], ChurnAt.REQUEST) == dict.fromkeys(
        (1, 2, 3), CHURN
    )
    assert causes({1: ["49"]}, [1000, 1001, 1000, 951], ChurnAt.REQUEST) == {1: ODD, 2: CHURN}
    assert causes({1: ["49"]}, [1000, 902, 951], ChurnAt.REQUEST) == {1: ODD}  # less than ours


QUARTER_OFF, TEN_OFF = Coupon(share=Decimal("0.25")), Coupon(amounts={"USD": Decimal(10)})


@pytest.mark.parametrize(
    ("change", "kind", "coupon", "interval", "expected"),
    [
        ("36.75", "new", QUARTER_OFF, "monthly", "49"),
        ("-36.75", "churn", QUARTER_OFF, "monthly", "-49"),
        ("7.50", "upgrade", QUARTER_OFF, "monthly", "10"),
        ("39", "new", TEN_OFF, "monthly", "49"),
        ("10", "upgrade", TEN_OFF, "monthly", "10"),  # the amount off stays
        ("-39", "churn", TEN_OFF, "monthly", "-49"),
        ("40", "new", TEN_OFF, "annual", "40.83"),  # 490 - 10 a year: 480 / 12; 490 / 12
        ("39", "new", None, "monthly", "39"),
    ],
)
def test_a_change_without_its_coupon(
    change: str, kind: str, coupon: Coupon | None, interval: str, expected: str
) -> None:
    flags = Flags(kinds=frozenset({kind}), coupons=frozenset({"C"}), intervals=frozenset({interval}))

    assert undiscounted(Decimal(change), "USD", flags, {"C": coupon} if coupon else {}) == Decimal(expected)
