"""The rules of causes, each at its edge: what proves a cause, and what falls short of it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest

from bridge.audit.causes import Rules, Timeline, in_other_currency, level_cause, of_items, of_movements
from bridge.audit.records import NOTHING_KNOWN, Cause, Coupon, Evidence, Flags, Items, Movements, Sent
from bridge.ledger.policy import ChurnAt

FIRST = date(2026, 3, 1)
RULES = Rules(complete_until=FIRST + timedelta(days=90))
KNOWN = Evidence(webhook_days=frozenset({FIRST + timedelta(days=number) for number in range(90)}))


def row(
    day: int, ours: str = "0", theirs: str = "0", *, kind: str = "", their_kind: str = "", **flags: object
) -> Movements:
    """What moved on a day, in major units; delivered."""
    return Movements(
        day=FIRST + timedelta(days=day),
        currency="USD",
        ours=Decimal(ours),
        ledger=Decimal(ours),
        theirs=Decimal(theirs),
        amounts=(Decimal(ours),) if ours != "0" else (),
        their_amounts=(Decimal(theirs),) if theirs != "0" else (),
        their_kinds=frozenset({their_kind}) if their_kind else frozenset(),
        flags=Flags(kinds=frozenset({kind}) if kind else frozenset(), **flags),  # type: ignore[arg-type]
    )


def causes(
    *rows: Movements, rules: Rules = RULES, evidence: Evidence = KNOWN, opening: str = "0"
) -> list[tuple[int, Cause]]:
    """Day and cause of each difference."""
    line = Timeline(key="cus_1", rows=list(rows), opening={"USD": Decimal(opening)})
    found = of_movements([line], rules, lambda keys: [evidence for _ in keys])
    return [((one.day - FIRST).days, one.cause) for one in found if one.day is not None]


def test_the_same_amount_on_neighbouring_days_is_the_time_zone() -> None:
    assert causes(row(1, "49"), row(2, theirs="49")) == [(1, Cause.TIME_ZONE), (2, Cause.TIME_ZONE)]
    # The amount that leaves day 2 equals the one that comes to it.
    assert causes(row(1, "9"), row(2, "9", "9"), row(3, theirs="9")) == [(1, Cause.TIME_ZONE), (3, Cause.TIME_ZONE)]
    assert causes(row(1, "49"), row(2, theirs="48.99")) == [(1, Cause.UNEXPLAINED), (2, Cause.UNEXPLAINED)]
    assert causes(row(1, "49"), row(3, theirs="49")) == [(1, Cause.UNEXPLAINED), (3, Cause.UNEXPLAINED)]


def test_a_subscription_of_two_days_that_is_worth_less_there_is_no_time_zone() -> None:
    both = (
        row(1, "30.33", "28", intervals=frozenset({"weekly"})),
        row(2, "-30.33", "-28", intervals=frozenset({"weekly"})),
    )  # 7.00 * 4

    assert causes(*both) == [(1, Cause.FACTOR), (2, Cause.FACTOR)]


def test_one_of_several_movements_of_a_day_may_be_on_the_next_one() -> None:
    several = replace(row(1, "58", "49"), amounts=(Decimal(9), Decimal(49)))

    assert causes(several, row(2, theirs="9")) == [(1, Cause.TIME_ZONE), (2, Cause.TIME_ZONE)]
    many = replace(row(1, "65", "56"), amounts=(Decimal(7),) * 8 + (Decimal(9),))
    assert causes(many, row(2, theirs="9")) == [(1, Cause.TIME_ZONE), (2, Cause.TIME_ZONE)]


def test_a_start_and_its_end_a_day_later_on_one_side_only_are_no_time_zone() -> None:
    there = (row(1, theirs="49"), row(2, theirs="-49"))

    assert causes(*there, evidence=NOTHING_KNOWN) == [(1, Cause.MISSING), (2, Cause.MISSING)]
    assert causes(row(1, "49"), row(2, "-49")) == [(1, Cause.UNEXPLAINED), (2, Cause.UNEXPLAINED)]


@pytest.mark.parametrize(
    ("churn_at", "there", "cause"),
    [
        (ChurnAt.END, 5, Cause.CHURN_TIME),
        (ChurnAt.END, 40, Cause.UNEXPLAINED),
        (ChurnAt.REQUEST, 40, Cause.CHURN_TIME),
        (ChurnAt.REQUEST, 5, Cause.UNEXPLAINED),
    ],
)
def test_one_churn_on_two_days_is_the_setting_only_in_its_order(churn_at: ChurnAt, there: int, cause: Cause) -> None:
    rules = Rules(complete_until=RULES.complete_until, churn_at=churn_at)
    rows = sorted([row(20, "-49", kind="churn"), row(there, theirs="-49", their_kind="churn")], key=lambda one: one.day)

    assert {found for _, found in causes(*rows, rules=rules, opening="49")} == {cause}


def test_a_churn_that_is_scheduled_here_and_counted_there_is_the_setting() -> None:
    scheduled = Evidence(webhook_days=KNOWN.webhook_days, ends_later=True)

    assert causes(row(3, theirs="-49", their_kind="churn"), evidence=scheduled, opening="49") == [(3, Cause.CHURN_TIME)]
    assert causes(row(3, theirs="-49", their_kind="churn"), opening="49") == [(3, Cause.UNEXPLAINED)]


@pytest.mark.parametrize(
    ("ours", "theirs", "interval", "coupon", "cause"),
    [
        ("75.00", "100.00", "monthly", Coupon(share=Decimal("0.25")), Cause.DISCOUNT),
        ("100.00", "75.00", "monthly", Coupon(share=Decimal("0.25")), Cause.DISCOUNT),
        ("75.00", "99.00", "monthly", Coupon(share=Decimal("0.25")), None),
        ("90.00", "100.00", "monthly", Coupon(amounts={"USD": Decimal(10)}), Cause.DISCOUNT),
        ("90.00", "95.00", "annual", Coupon(amounts={"USD": Decimal(60)}), Cause.DISCOUNT),  # 60 / 12
        ("90.00", "100.00", "monthly", Coupon(amounts={"EUR": Decimal(10)}), None),
        ("30.33", "28.00", "weekly", Coupon(), Cause.FACTOR),  # 7 x 52/12, 7 x 4
        ("30.33", "28.00", "monthly", Coupon(), None),
        ("60.83", "60.00", "daily", Coupon(), Cause.FACTOR),  # 2 x 365/12, 2 x 30
        ("28.00", "30.33", "weekly", Coupon(), Cause.FACTOR),
        ("30.33", "29.00", "weekly", Coupon(), None),
    ],
)
def test_a_discount_and_a_factor_must_give_the_level_to_the_minor_unit(
    ours: str, theirs: str, interval: str, coupon: Coupon, cause: Cause | None
) -> None:
    flags = Flags(coupons=frozenset({"C"}), intervals=frozenset({interval}))

    assert level_cause(Decimal(ours), Decimal(theirs), "USD", flags, Evidence(coupons={"C": coupon})) is cause


def test_a_difference_explains_only_its_own_row() -> None:
    rows = (row(1, "49", "50.23", kind="new", their_kind="new"), row(9, "10", "10"), row(20, "-59", "-60.23"))

    assert causes(*rows) == [(1, Cause.UNEXPLAINED), (20, Cause.UNEXPLAINED)]


@pytest.mark.parametrize(
    ("theirs", "evidence", "cause"),
    [
        ("5", NOTHING_KNOWN, Cause.MISSING),
        ("5", Evidence(webhook_days=frozenset()), Cause.MISSING),  # another webhook of the customer names the invoice
        ("5", Evidence(webhook_days=frozenset(), money=frozenset({"pi_1"})), Cause.UNEXPLAINED),
        ("5", Evidence(webhook_days=frozenset(), money=frozenset({"in_1"})), Cause.UNEXPLAINED),
        ("5", Evidence(webhook_days=frozenset(), unsettled=1), Cause.WAITING),
        ("-5", Evidence(webhook_days=frozenset(), money=frozenset({"pi_1"})), Cause.MISSING),  # its payment is known
        ("-5", Evidence(webhook_days=frozenset(), money=frozenset({"re_1"})), Cause.UNEXPLAINED),
    ],
)
def test_money_is_missing_only_if_no_webhook_reported_it(theirs: str, evidence: Evidence, cause: Cause) -> None:
    key = "in_1" if Decimal(theirs) > 0 else "re_1"
    item = Items(key=key, currency="USD", day=FIRST, theirs=Decimal(theirs), is_there=True, refs=("pi_1",))
    found = of_items(item, RULES, evidence)

    assert (found.cause, found.amount) == (cause, -Decimal(theirs))


@pytest.mark.parametrize(
    ("unsent", "cause"), [({Sent.WAITING}, Cause.WAITING), ({Sent.NOT_FORWARDED}, Cause.NOT_FORWARDED)]
)
def test_a_payment_of_the_ledger_that_was_not_delivered_has_the_state_of_its_delivery(
    unsent: set[Sent], cause: Cause
) -> None:
    five = Decimal(5)
    item = Items(
        key="in_1", currency="USD", day=FIRST, ledger=five, theirs=five, is_here=True, is_there=True,
        unsent=frozenset(unsent),
    )  # fmt: skip
    found = of_items(item, RULES, NOTHING_KNOWN)

    assert found.cause is cause


def test_money_in_two_currencies_has_one_sign_and_one_side_each() -> None:
    here = Items(key="in_1", currency="USD", day=FIRST, ledger=Decimal(5), is_here=True)
    there = Items(key="in_1", currency="EUR", day=FIRST, theirs=Decimal(4), is_there=True)
    back = Items(key="in_1", currency="EUR", day=FIRST, theirs=Decimal(-4), is_there=True)

    assert in_other_currency(here, there)
    assert in_other_currency(there, here)
    assert not in_other_currency(here, back)
    assert not in_other_currency(here, here)
