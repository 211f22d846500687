"""The first sight of an older subscription: what is new, and what becomes the baseline."""

from __future__ import annotations

import pytest

from processors.facts import Reason, Stage, Status
from tests.bridge.ledger.harness import balance, rows, settled
from tests.builders import a_created, a_line, a_paid_invoice, a_subscription, after, an_ended, an_invoice, terms

TRIALING, PAUSED = Status.TRIALING, Status.PAUSED


def test_first_seen_at_its_renewal_a_subscription_is_nothing_new() -> None:
    renewal = [a_subscription(was=terms()), *a_paid_invoice(4900, 7)]

    ledger = settled(renewal)

    assert rows(ledger.events) == ["renewal 49.00 0"]
    assert balance(ledger) == (4900, 4900)


def test_first_seen_at_a_change_its_level_before_is_the_baseline() -> None:
    ledger = settled([a_subscription(minor=9900, was=terms())])

    assert rows(ledger.events) == ["upgrade 0.00 +50.00"]
    assert ledger.events[0].metadata["plan"] == "Pro"
    assert balance(ledger) == (9900, 9900)


def test_first_seen_without_a_word_of_before_its_level_now_is_the_baseline() -> None:
    ledger = settled([a_subscription(minor=9900)], [an_ended(9900, at=after(days=9))])

    assert rows(ledger.events) == ["churn 0.00 -99.00"]
    assert balance(ledger) == (0, 0)


def test_first_seen_at_its_end_it_churns_by_what_it_was_worth() -> None:
    ledger = settled([an_ended()])

    assert rows(ledger.events) == ["churn 0.00 -49.00"]
    assert balance(ledger) == (0, 0)


def test_first_seen_at_its_end_within_its_trial_it_is_nothing() -> None:
    assert settled([an_ended(trial_ends_at=after(days=1))]).events == ()


def test_first_seen_when_it_turns_active_after_its_trial_it_starts() -> None:
    ledger = settled([a_subscription(was=terms(TRIALING))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert "reactivation" not in ledger.events[0].metadata


def test_first_seen_when_it_is_resumed_it_comes_back() -> None:
    ledger = settled([a_subscription(was=terms(PAUSED))])

    assert rows(ledger.events) == ["subscription 0.00 +49.00"]
    assert ledger.events[0].metadata["reactivation"] is True


def test_first_seen_in_two_webhooks_of_one_moment_the_one_that_states_the_terms_before_comes_first() -> None:
    paused = a_subscription(PAUSED, processor_event_id="evt_1")
    updated = a_subscription(PAUSED, was=terms(), processor_event_id="evt_2")

    for windows in ([[paused, updated]], [[updated, paused]], [[paused], [updated]], [[updated], [paused]]):
        ledger = settled(*windows)

        assert rows(ledger.events) == ["churn 0.00 -49.00"]
        assert balance(ledger) == (0, 0)


def test_first_seen_by_a_start_payment_it_starts() -> None:
    ledger = settled([an_invoice(4900, reason=Reason.START, lines=(a_line(),))])

    assert rows(ledger.events) == ["subscription 49.00 +49.00"]
    assert ledger.events[0].metadata["plan"] == "Pro"
    assert ledger.events[0].metadata["interval"] == "monthly"


@pytest.mark.parametrize("reason", [Reason.CYCLE, Reason.CHANGE, Reason.UNKNOWN])
def test_first_seen_by_any_other_payment_it_is_nothing_new(reason: Reason) -> None:
    ledger = settled([an_invoice(4900, reason=reason, lines=(a_line(),))], [an_ended(at=after(days=9))])

    assert rows(ledger.events) == ["renewal 49.00 0", "churn 0.00 -49.00"]
    assert balance(ledger) == (0, 0)


def test_an_imported_subscription_is_a_baseline_whatever_else_is_seen() -> None:
    imported = a_subscription(stage=Stage.IMPORTED, at=after(days=60))

    ledger = settled([imported], [a_created()], [an_invoice(4900, reason=Reason.START)])

    assert rows(ledger.events) == ["renewal 49.00 0"]
    assert balance(ledger) == (4900, 4900)
