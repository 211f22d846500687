"""`MOVEMENTS_BY=customer`: event types by the customer's total MRR; every amount and every sum stays the same."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from bridge.ledger import EMPTY, Policy, RevenueEvent, settle
from bridge.ledger.events import EventType
from bridge.ledger.policy import MovementsBy
from processors.facts import Reason, Stage, Status, SubscriptionState
from processors.values import replace
from tests.bridge.ledger.harness import Ledger, rows, settled
from tests.bridge.ledger.random_lifecycles import Lifecycle, lifecycles
from tests.bridge.ledger.test_settlement_properties import thorough, windows
from tests.builders import EUR, a_created, a_paid_invoice, a_subscription, after, an_ended, terms

BY_CUSTOMER = Policy(movements_by=MovementsBy.CUSTOMER)
MOVES = {EventType.SUBSCRIPTION, EventType.UPGRADE, EventType.DOWNGRADE, EventType.CHURN}


def second(minor: int = 2900, **more: object) -> SubscriptionState:
    return a_created(minor=minor, **{"subscription_id": "sub_2", "at": after(days=10), **more})


# ---- One step after the other ----------------------------------------------------------------------------------


def test_a_second_subscription_is_an_upgrade_and_the_end_of_one_of_two_a_downgrade() -> None:
    ledger = settled(
        [a_created()],
        [second()],
        [an_ended(at=after(days=20))],
        [an_ended(2900, subscription_id="sub_2", at=after(days=30))],
        policy=BY_CUSTOMER,
    )

    # 49 -> 49 + 29 = 78 -> 78 - 49 = 29 -> 0
    assert rows(ledger.events) == [
        "subscription 0.00 +49.00",
        "upgrade 0.00 +29.00",
        "downgrade 0.00 -49.00",
        "churn 0.00 -29.00",
    ]


def test_in_one_window_it_is_the_same() -> None:
    facts = [
        a_created(),
        second(),
        an_ended(at=after(days=20)),
        an_ended(2900, subscription_id="sub_2", at=after(days=30)),
    ]

    types = [event.event_type.value for event in settled(facts, policy=BY_CUSTOMER).events]

    assert types == ["subscription", "upgrade", "downgrade", "churn"]


def test_the_payment_stays_with_its_movement() -> None:
    ledger = settled(
        [a_created()],
        [second(), *a_paid_invoice(2900, 2, Reason.START, at=after(days=10), subscription_id="sub_2")],
        policy=BY_CUSTOMER,
    )

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "upgrade 29.00 +29.00"]
    assert ledger.events[-1].subscription_id == "sub_2"


def test_a_change_while_another_subscription_runs_keeps_its_type() -> None:
    more = a_subscription(minor=9900, at=after(days=12))
    less = a_subscription(minor=1900, at=after(days=14))

    ledger = settled([a_created()], [second()], [more], [less], policy=BY_CUSTOMER)

    assert rows(ledger.events)[2:] == ["upgrade 0.00 +50.00", "downgrade 0.00 -80.00"]


def test_a_customer_who_comes_back_with_another_subscription_is_reactivated() -> None:
    ledger = settled([a_created()], [an_ended(at=after(days=5))], [second()], policy=BY_CUSTOMER)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "churn 0.00 -49.00", "subscription 0.00 +29.00"]
    assert [event.metadata.get("reactivation") for event in ledger.events] == [None, None, True]


def test_a_subscription_that_resumes_next_to_another_one_is_an_upgrade_and_no_reactivation() -> None:
    paused = a_subscription(Status.PAUSED, at=after(days=12))
    resumed = a_subscription(at=after(days=14))

    ledger = settled([a_created()], [second()], [paused], [resumed], policy=BY_CUSTOMER)

    assert rows(ledger.events)[2:] == ["downgrade 0.00 -49.00", "upgrade 0.00 +49.00"]
    assert [event.metadata.get("reason") for event in ledger.events[2:]] == ["paused", None]
    assert all("reactivation" not in event.metadata for event in ledger.events)


def test_currencies_are_customers_of_their_own() -> None:
    euro = second(now=terms(minor=2900, currency=EUR))

    ledger = settled([a_created()], [euro], policy=BY_CUSTOMER)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "subscription 0.00 +29.00"]
    assert "reactivation" not in ledger.events[-1].metadata


def test_the_baseline_of_an_older_subscription_belongs_to_the_total() -> None:
    imported = a_subscription(stage=Stage.IMPORTED)

    ledger = settled([imported], [second()], [an_ended(at=after(days=20))], policy=BY_CUSTOMER)

    assert rows(ledger.events) == ["upgrade 0.00 +29.00", "downgrade 0.00 -49.00"]


def test_of_two_imported_subscriptions_the_second_that_is_reported_is_an_upgrade() -> None:
    imported = [
        a_subscription(stage=Stage.IMPORTED, reports_baseline=True),
        a_subscription(minor=2900, stage=Stage.IMPORTED, reports_baseline=True, subscription_id="sub_2"),
    ]

    ledger = settled(imported, policy=BY_CUSTOMER)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "upgrade 0.00 +29.00"]


def test_a_baseline_that_is_reported_and_then_ends_is_churn() -> None:
    reported = a_subscription(stage=Stage.IMPORTED, reports_baseline=True)

    ledger = settled([reported, an_ended(at=after(days=2))], policy=BY_CUSTOMER)

    assert rows(ledger.events) == ["subscription 0.00 +49.00", "churn 0.00 -49.00"]


def test_the_explanation_says_whose_total_decided() -> None:
    state = settled([a_created()], policy=BY_CUSTOMER).state
    started = second()

    notes = settle(state, [started], BY_CUSTOMER).notes[started.processor_event_id]

    assert notes[-1] == "sub_2: upgrade of the customer's total MRR"


# ---- Every lifecycle -------------------------------------------------------------------------------------------


def sent(events: tuple[RevenueEvent, ...]) -> list[tuple[object, ...]]:
    """All that must not depend on the setting."""
    return [
        (event.output_key, event.amount, event.currency, event.mrr_impact, event.is_recurring, event.occurred_at)
        for event in events
    ]


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_only_the_event_types_of_movements_differ(lifecycle: Lifecycle, data: st.DataObject) -> None:
    cut = windows(data.draw, lifecycle)

    one, other = settled(*cut), settled(*cut, policy=BY_CUSTOMER)

    assert sent(one.events) == sent(other.events)
    assert one.state == replace(other.state, held=one.state.held)
    for before, after_ in zip(one.events, other.events, strict=True):
        assert before.event_type is after_.event_type or {before.event_type, after_.event_type} <= MOVES


@thorough
@given(lifecycle=lifecycles())
def test_each_movement_is_the_step_of_the_customers_total(lifecycle: Lifecycle) -> None:
    ledger = settled(lifecycle.facts, policy=BY_CUSTOMER)

    totals: dict[str, Decimal] = {}
    counted: set[str] = set()
    for event in ledger.events:
        if event.event_type not in MOVES or not event.mrr_impact:
            continue
        before = totals.get(event.currency, Decimal(0))
        now = totals[event.currency] = before + event.mrr_impact
        assert event.event_type is expected(before, now), ledger_text(ledger)
        is_back = event.event_type is EventType.SUBSCRIPTION and event.currency in counted
        assert event.metadata.get("reactivation", False) is is_back
        counted |= {event.currency}


def expected(before: Decimal, now: Decimal) -> EventType:
    if before <= 0:
        return EventType.SUBSCRIPTION
    if now <= 0:
        return EventType.CHURN
    return EventType.UPGRADE if now > before else EventType.DOWNGRADE


def ledger_text(ledger: Ledger) -> str:
    return "\n".join(rows(ledger.events))


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_the_order_of_arrival_does_not_matter(lifecycle: Lifecycle, data: st.DataObject) -> None:
    made = settle(EMPTY, data.draw(st.permutations(lifecycle.facts)), BY_CUSTOMER)

    assert made == settle(EMPTY, lifecycle.facts, BY_CUSTOMER)
