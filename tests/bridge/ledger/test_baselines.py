"""Baselines that are reported after all: once, with the MRR that Pulsora lacks, in whatever order it arrives."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.ledger import Policy
from processors.facts import Stage, Status, SubscriptionState
from processors.values import replace
from tests.bridge.ledger.harness import rows, settled
from tests.bridge.ledger.random_lifecycles import Lifecycle, lifecycles
from tests.bridge.ledger.test_settlement_properties import movement, thorough, windows
from tests.builders import a_created, a_subscription, after, again, an_ended, terms

REPORTED = "subscription 0.00 +49.00"


def imported(**more: object) -> SubscriptionState:
    return a_subscription(stage=Stage.IMPORTED, **more)  # type: ignore[arg-type]


def reporting(**more: object) -> SubscriptionState:
    return imported(reports_baseline=True, **{"at": after(days=9), **more})


def test_an_import_that_is_reported_is_a_subscription_of_its_mrr() -> None:
    ledger = settled([reporting()])

    assert rows(ledger.events) == [REPORTED]
    assert ledger.events[0].metadata["reason"] == "import"


def test_a_silent_import_is_reported_later_and_only_once() -> None:
    ledger = settled([imported()], [reporting()], [again(reporting())], [imported(at=after(days=12))])

    assert rows(ledger.events) == [REPORTED]
    assert ledger.state.subscriptions["sub_1"].baseline == 0


def test_what_moved_meanwhile_is_not_reported_again() -> None:
    more = a_subscription(minor=9900, at=after(days=3))

    ledger = settled([imported()], [more], [reporting(now=terms(minor=9900))])

    # 49 at first, 50 more, and now the 49 that were never reported: 99 in all
    assert rows(ledger.events) == ["upgrade 0.00 +50.00", REPORTED]


def test_the_baseline_of_one_that_has_ended_is_reported_too() -> None:
    ledger = settled([imported()], [an_ended(at=after(days=3))], [reporting(at=after(days=3))])

    assert rows(ledger.events) == ["churn 0.00 -49.00", REPORTED]
    assert ledger.state.subscriptions["sub_1"].ended


def test_one_that_was_first_seen_by_another_webhook_is_reported_too() -> None:
    ledger = settled([a_subscription()], [reporting()])

    assert rows(ledger.events) == [REPORTED]


def test_the_creation_that_arrives_after_it_is_no_second_start() -> None:
    ledger = settled([a_subscription()], [reporting()], [a_created(at=after(days=-1))])

    assert rows(ledger.events) == [REPORTED]


def test_one_that_the_bridge_saw_start_has_nothing_to_report() -> None:
    report = reporting()

    ledger = settled([a_created()], [report])

    assert rows(ledger.events) == [REPORTED]
    assert "reason" not in ledger.events[0].metadata
    assert ledger.last.notes[report.processor_event_id][-1].endswith("; no MRR of it is left to report")


def test_a_trial_has_no_mrr_to_report() -> None:
    assert rows(settled([reporting(now=terms(Status.TRIALING))]).events) == []


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_reported_at_any_time_the_movements_sum_up_to_the_mrr(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ledger = settled(*windows(data.draw, lifecycle))
    report = [
        SubscriptionState(
            at=one.at,
            changed_at=one.changed_at,
            ids=replace(a_subscription(subscription_id=one.id).ids, customer_id=one.customer_id),
            now=one.terms,
            stage=Stage.IMPORTED,
            reports_baseline=True,
            processor_event_id=f"evt_report_{one.id}",
        )
        for one in ledger.state.subscriptions.values()
        if one.terms is not None
    ]

    twice = ledger.after(report, Policy()).after(report, Policy())

    for one in twice.state.subscriptions.values():
        if one.terms is not None:
            assert one.baseline == 0
            assert movement(twice, one.id) == one.reported_mrr
    keys = [event.output_key for event in twice.events]
    assert len(keys) == len(set(keys))
