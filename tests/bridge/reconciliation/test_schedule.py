"""When a source is reconciled, and from when on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.reconciliation.schedule import Reason, Situation, Span, reason_to_run, span
from bridge.store.reconciliations import Run
from processors.values import replace

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
INTERVAL = 6 * HOUR
LONG_AGO = NOON - 400 * DAY
RUN = Run(source="stripe", at=NOON, since=NOON - HOUR, until=NOON - 5 * MINUTE, reason="schedule", listed=0, stored=0)
KNOWN = Situation(started_at=NOON - DAY, last=RUN, complete=RUN)


def reason(of: Situation, minutes: float) -> Reason | None:
    return reason_to_run(of, NOON + minutes * MINUTE, INTERVAL)


@pytest.mark.parametrize(
    ("situation", "minutes", "expected"),
    [
        pytest.param(Situation(started_at=NOON), 0, Reason.FIRST, id="never reconciled"),
        pytest.param(KNOWN, 359, None, id="before the interval has passed"),
        pytest.param(KNOWN, 360, Reason.SCHEDULE, id="after the interval"),
        pytest.param(replace(KNOWN, started_at=NOON + 20 * MINUTE), 20, Reason.START, id="started again"),
        pytest.param(replace(KNOWN, started_at=NOON + 5 * MINUTE), 20, None, id="started again at once"),
        pytest.param(replace(KNOWN, last=replace(RUN, faults=("disabled",))), 15, Reason.ENDPOINT, id="a wrong one"),
        pytest.param(replace(KNOWN, last=replace(RUN, faults=("disabled",))), 14, None, id="a wrong one just found"),
        pytest.param(replace(KNOWN, silent_since=NOON + MINUTE), 20, Reason.SILENCE, id="silent since then"),
        pytest.param(replace(KNOWN, silent_since=NOON - MINUTE), 20, None, id="silent, and reconciled since"),
        pytest.param(
            replace(KNOWN, refused_at=NOON + MINUTE, accepted_at=NOON + 2 * MINUTE), 20, Reason.REFUSALS, id="refused"
        ),
        pytest.param(replace(KNOWN, refused_at=NOON + MINUTE, accepted_at=NOON), 20, None, id="still refused"),
        pytest.param(
            replace(KNOWN, refused_at=NOON + MINUTE, accepted_at=NOON + 2 * MINUTE), 14, None, id="refused just now"
        ),
        pytest.param(replace(KNOWN, last=replace(RUN, error="down")), 10, Reason.ERROR, id="failed"),
        pytest.param(replace(KNOWN, last=replace(RUN, error="down")), 9, None, id="failed just now"),
    ],
)
def test_a_reason_brings_the_next_run_forward(situation: Situation, minutes: float, expected: Reason | None) -> None:
    assert reason(situation, minutes) == expected


def test_a_run_continues_where_the_last_complete_one_ended() -> None:
    failed = replace(RUN, at=NOON + 6 * HOUR, until=NOON + 6 * HOUR, error="down")

    found = span(replace(KNOWN, last=failed), NOON + 7 * HOUR, LONG_AGO)

    assert found == Span(since=NOON - 15 * MINUTE, until=NOON + 7 * HOUR - 5 * MINUTE)


def test_the_webhooks_of_the_last_minutes_are_left_to_arrive_unless_the_endpoint_is_wrong() -> None:
    assert span(KNOWN, NOON + HOUR, LONG_AGO).until == NOON + 55 * MINUTE
    assert span(KNOWN, NOON + HOUR, LONG_AGO, is_faulty=True).until == NOON + HOUR


def test_nothing_from_before_the_first_start_is_fetched() -> None:
    assert span(Situation(started_at=NOON), NOON, LONG_AGO) == Span(since=NOON, until=NOON)


def test_a_bridge_that_was_upgraded_begins_where_retries_could_have_failed() -> None:
    early = Situation(started_at=NOON, first_at=NOON - DAY, last_at=NOON - HOUR)
    late = Situation(started_at=NOON, first_at=NOON - 90 * DAY, last_at=NOON - 29 * DAY)

    assert span(early, NOON, LONG_AGO).since == NOON - DAY
    assert span(late, NOON, LONG_AGO).since == NOON - 32 * DAY


def test_a_gap_longer_than_the_processor_keeps_events_is_stated() -> None:
    found = span(KNOWN, NOON + 60 * DAY, NOON + 30 * DAY)

    assert found.since == NOON + 30 * DAY
    assert found.lost_since == NOON - 15 * MINUTE
