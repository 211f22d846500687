"""When the webhooks of a stream are settled: literal times for each rule."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from bridge.ledger import EMPTY
from bridge.ledger.settle_window import (
    AWAITING_CUSTOMER,
    AWAITING_DATE,
    AWAITING_FIRST_PAYMENT,
    AWAITING_QUIET,
    Readiness,
    WaitingWebhook,
    WaitRules,
    first_look_at,
    readiness,
)
from processors.facts import Fact, Ids, Link, Payment, Stage, Status, SubscriptionState, Terms
from processors.money import Currency, Money

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
USD = Currency(code="USD", digits=2)
RULES = WaitRules(window=timedelta(seconds=90), hold=timedelta(hours=1))
QUICK = WaitRules(window=timedelta(seconds=90), hold=timedelta(hours=1), quiet=timedelta(seconds=2))
IDS = Ids(customer_id="cus_1", subscription_id="sub_1", invoice_id="in_1")
TERMS = Terms(status=Status.ACTIVE, currency=USD)
LINK = Link(at=NOON, ids=Ids(payment_id="pi_1", invoice_id="in_1"))
PAYMENT = Payment(key="in_1", at=NOON, ids=IDS, amount=Money(minor=4900, currency=USD))
START = SubscriptionState(at=NOON, ids=IDS, now=TERMS, stage=Stage.CREATED)


def after(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def ready(
    *arrivals: tuple[float, Fact],
    now: float,
    rules: WaitRules = RULES,
    has_customer: bool = True,
    lacks: str | None = "",
) -> Readiness:
    """Row ids are the positions of the arrivals, from 1."""
    waiting = [
        WaitingWebhook(row_id=number, since=after(at), facts=(fact,)) for number, (at, fact) in enumerate(arrivals, 1)
    ]

    def missing(_: Sequence[WaitingWebhook]) -> str | None:
        return lacks

    return readiness(EMPTY, waiting, rules, after(now), has_customer=has_customer, missing=missing)


def test_a_customers_webhooks_are_settled_once_none_has_arrived_for_a_window() -> None:
    assert ready((0, LINK), (60, LINK), now=149) == Readiness(
        ready=frozenset(), next_at=after(150), reason=AWAITING_QUIET
    )
    assert ready((0, LINK), (60, LINK), now=150) == Readiness(ready=frozenset({1, 2}))


def test_a_customer_who_is_never_quiet_is_settled_after_four_windows() -> None:
    arrivals = [(20.0 * number, LINK) for number in range(30)]

    found = ready(*arrivals, now=585)

    # The first window lasts 4 x 90 = 360 s, until the 19th arrival; the second began with the 20th, at 380 s.
    assert found == Readiness(ready=frozenset(range(1, 20)), next_at=after(670), reason=AWAITING_QUIET)


def test_what_arrives_after_a_closed_window_has_a_window_of_its_own() -> None:
    assert ready((0, LINK), (3600, PAYMENT), now=3600) == Readiness(
        ready=frozenset({1}), next_at=after(3690), reason=AWAITING_QUIET
    )


def test_a_start_waits_for_its_first_payment_and_what_arrives_then_opens_the_window_anew() -> None:
    waiting = ready((0, START), now=90)
    # The payment's window: 500 + 90. Counted from the start, four windows would be over at 360.
    joined = ready((0, START), (500, PAYMENT), now=589)

    assert waiting == Readiness(ready=frozenset(), next_at=after(600), reason=AWAITING_FIRST_PAYMENT)
    assert joined == Readiness(ready=frozenset(), next_at=after(590), reason=AWAITING_QUIET)
    assert ready((0, START), (500, PAYMENT), now=590).ready == {1, 2}


def test_a_start_is_settled_alone_when_its_payment_has_not_come_in_time() -> None:
    assert ready((0, START), (601, PAYMENT), now=601).ready == {1}


def test_money_without_a_customer_waits_from_its_own_arrival_whatever_is_linked_to_it() -> None:
    arrivals = ((0.0, LINK), (1000.0, PAYMENT), (1001.0, LINK), (2000.0, PAYMENT))

    early = ready(*arrivals, now=4599, has_customer=False)
    first = ready(*arrivals, now=4600, has_customer=False)

    assert early == Readiness(ready=frozenset(), next_at=after(4600), reason=AWAITING_CUSTOMER)
    assert first == Readiness(ready=frozenset({1, 2, 3}), next_at=after(5600), reason=AWAITING_CUSTOMER)


def test_money_without_a_customer_waits_four_windows_even_without_a_hold() -> None:
    no_hold = WaitRules(window=timedelta(seconds=90), hold=timedelta(0))

    assert ready((0, PAYMENT), now=359, rules=no_hold, has_customer=False).next_at == after(360)
    assert ready((0, PAYMENT), now=360, rules=no_hold, has_customer=False).ready == {1}


def test_facts_dated_ahead_without_a_customer_wait_for_their_date() -> None:
    ahead = WaitingWebhook(row_id=1, since=NOON, facts=(), effective_at=after(7200))
    payment = WaitingWebhook(row_id=2, since=after(10), facts=(PAYMENT,))

    alone = readiness(EMPTY, [ahead], RULES, after(3600), has_customer=False)
    early = readiness(EMPTY, [ahead, payment], RULES, after(3600), has_customer=False)
    late = readiness(EMPTY, [ahead, payment], RULES, after(3610), has_customer=False)

    assert alone == Readiness(ready=frozenset(), next_at=after(7200), reason=AWAITING_DATE)
    assert early == Readiness(ready=frozenset(), next_at=after(3610), reason=AWAITING_CUSTOMER)
    assert late == Readiness(ready=frozenset({2}), next_at=after(7200), reason=AWAITING_DATE)


def test_facts_without_money_and_customer_wait_for_thirty_days() -> None:
    assert ready((0, LINK), now=0, has_customer=False).next_at == NOON + timedelta(days=30)


def test_what_is_complete_is_settled_two_seconds_after_the_last_webhook() -> None:
    assert ready((0, LINK), (5, PAYMENT), now=6.9, rules=QUICK, lacks=None).next_at == after(7)
    assert ready((0, LINK), (5, PAYMENT), now=7, rules=QUICK, lacks=None).ready == {1, 2}


def test_what_is_incomplete_waits_for_its_window_and_says_for_what() -> None:
    assert ready((0, LINK), (5, PAYMENT), now=7, rules=QUICK, lacks="the visit of in_1") == Readiness(
        ready=frozenset(), next_at=after(95), reason="waiting for the visit of in_1"
    )


def test_a_window_that_is_over_is_settled_without_asking_what_is_missing() -> None:
    def missing(_: Sequence[WaitingWebhook]) -> str | None:
        raise AssertionError("asked in vain, in a backlog for every stream")

    waiting = [WaitingWebhook(row_id=1, since=NOON, facts=(PAYMENT,))]
    found = readiness(EMPTY, waiting, QUICK, after(90), has_customer=True, missing=missing)

    assert found == Readiness(ready=frozenset({1}))


def test_a_stream_is_looked_at_when_it_may_be_complete() -> None:
    assert first_look_at((PAYMENT,), NOON, QUICK, has_customer=True) == after(2)
    assert first_look_at((PAYMENT,), NOON, RULES, has_customer=True) == after(90)
    assert first_look_at((PAYMENT,), NOON, QUICK, has_customer=False) == after(3600)
