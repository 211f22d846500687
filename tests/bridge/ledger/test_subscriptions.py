"""The steps of one subscription: a pause that its end follows is reported with the end, whatever came first."""

from __future__ import annotations

from datetime import datetime
from itertools import permutations

import pytest

from processors.facts import Status, SubscriptionState
from tests.bridge.ledger.harness import Ledger, rows, settled
from tests.builders import a_created, a_subscription, after, an_ended, terms

PAUSED_AT = after(days=3)


def test_a_pause_that_the_end_follows_is_reported_with_the_end_in_every_order() -> None:
    start, pause = a_created(), _pause()
    end = an_ended(at=after(days=3, seconds=10), ended_reason="cancellation_requested")
    end_first = settled([start], [end], [pause])

    for window in permutations([pause, end, _pause(is_primary=False)]):
        ledger = settled([start], window)

        assert _churn(ledger) == (_stated(end.at), "cancellation_requested", "sub_1:churn:2")
        assert ledger.events == end_first.events


def test_only_a_pause_is_explained_as_reported_with_the_end_and_no_second_webhook_of_the_end() -> None:
    pause, end = _pause(), an_ended(at=after(days=3, seconds=10))
    again = an_ended(at=after(days=3, seconds=11))

    notes = settled([a_created()], [pause, end, again]).last.notes

    explained = [notes[one.processor_event_id] == ("sub_1: reported with its end",) for one in (pause, end, again)]
    assert explained == [True, False, False]


@pytest.mark.parametrize(("status", "hours"), [(Status.PAUSED, 2), (Status.UNPAID, 2), (Status.UNPAID, 0)])
def test_a_stop_before_the_end_is_the_churn_even_if_both_arrive_together(status: Status, hours: int) -> None:
    stop = a_subscription(status, was=terms(), at=PAUSED_AT)

    ledger = settled([a_created()], [stop, an_ended(at=after(days=3, hours=hours, seconds=10))])

    assert _churn(ledger) == (_stated(PAUSED_AT), status.value, "sub_1:churn:2")


def test_a_pause_that_a_return_follows_before_the_end_stays_churn() -> None:
    back = a_subscription(was=terms(Status.PAUSED), at=after(days=3, seconds=10))

    ledger = settled([a_created()], [_pause(), back, an_ended(at=after(days=3, seconds=20))])

    assert rows(ledger.events[1:]) == ["churn 0.00 -49.00", "subscription 0.00 +49.00", "churn 0.00 -49.00"]


def test_a_subscription_that_is_first_seen_paused_has_the_pause_as_its_churn() -> None:
    ledger = settled([_pause(), an_ended(at=after(days=3, seconds=10))])

    assert _churn(ledger, 0) == (_stated(PAUSED_AT), "paused", "sub_1:churn:1")


def _pause(*, is_primary: bool = True) -> SubscriptionState:
    was = terms() if is_primary else None
    return a_subscription(Status.PAUSED, was=was, at=PAUSED_AT, is_primary=is_primary)


def _churn(ledger: Ledger, place: int = 1) -> tuple[object, object, str]:
    (churn,) = ledger.events[place:]
    return churn.metadata["occurred_at"], churn.metadata["reason"], churn.transaction_id


def _stated(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


@pytest.mark.parametrize("status", [Status.TRIALING, Status.PAUSED])
def test_a_scheduled_end_that_states_no_status_starts_nothing(status: Status) -> None:
    created = a_created(Status.TRIALING)
    known = [created] if status is Status.TRIALING else [a_subscription(at=after(days=-9)), a_subscription(status)]
    scheduled = a_subscription(at=after(days=3), now=terms(cancels_at=after(days=9)), keeps_status=True)

    ledger = settled(known, [scheduled], [an_ended(at=after(days=9))])

    assert rows(ledger.events) == ([] if status is Status.TRIALING else ["churn 0.00 -49.00"])
