"""What follows from one answer, for the event and for its destination."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sender.client import Answer
from bridge.sender.destinations import Destination
from bridge.sender.rulings import Halt, Ruling, Trial, broken, handed_back, ruling, told, unrouted
from bridge.sender.schedule import Verdict
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
PLACE = Destination(endpoint="https://pulsora.test/api/ingest", token="sec_test_fake")


def a_delivery(**changes: object) -> Delivery:
    fields: dict[str, object] = {
        "id": 7,
        "stream_id": "stripe||live|cus_1",
        "scope": "stripe||live",
        "source": "stripe",
        "livemode": True,
        "output_key": "payment:pi_1",
        "status": DeliveryStatus.PENDING,
        "body": "{}",
        "event_type": "purchase",
        "currency": "EUR",
        "amount": Decimal("49.99"),
        "mrr_impact": None,
        "attempts": 2,
        "next_at": NOW,
        "hold_until": None,
        "priority": 0,
        "created_at": NOW,
        "delivered_at": None,
        "last_status": None,
        "last_error": None,
        "event_ids": ("evt_1",),
    }
    return Delivery(**{**fields, **changes})  # type: ignore[arg-type]  # the fields are those of the class


def an_answer(status: int | None, reason: str = "", *, retry_after: str | None = None, is_page: bool = False) -> Answer:
    return Answer(status=status, reason=reason, took_ms=41, retry_after=retry_after, is_page=is_page)


def judged(answer: Answer, delivery: Delivery | None = None, refused_since: datetime | None = None) -> Ruling:
    trial = Trial(delivery=delivery or a_delivery(), destination=PLACE, refused_since=refused_since)
    return ruling(trial, answer, NOW, chance=0.5)


def test_a_202_is_delivered() -> None:
    judgement = judged(an_answer(202))

    assert judgement == Ruling(
        verdict=Verdict.DELIVERED,
        outcome=Outcome(id=7, status=DeliveryStatus.DELIVERED, attempts=3, at=NOW, last_status=202),
    )


def test_a_400_is_dead_at_once_with_its_message() -> None:
    judgement = judged(an_answer(400, "amount is required"))

    assert judgement == Ruling(
        verdict=Verdict.GIVE_UP,
        outcome=Outcome(
            id=7,
            status=DeliveryStatus.FAILED,
            attempts=3,
            at=NOW,
            last_status=400,
            last_error="400: amount is required",
        ),
    )


def test_a_500_is_tried_again_by_the_schedule() -> None:
    judgement = judged(an_answer(500))

    assert judgement == Ruling(
        verdict=Verdict.TRY_AGAIN,
        outcome=Outcome(
            id=7,
            status=DeliveryStatus.PENDING,
            attempts=3,
            at=NOW,
            next_at=NOW + 120 * SECOND,
            last_status=500,
            last_error="500",
        ),
    )


def test_a_503_may_ask_for_a_longer_wait() -> None:
    judgement = judged(an_answer(503, retry_after="300"))

    assert judgement.outcome.next_at == NOW + 300 * SECOND


def test_after_three_days_of_failures_an_event_is_dead() -> None:
    judgement = judged(an_answer(None, "the connection was reset"), a_delivery(attempts=17))

    assert judgement.verdict is Verdict.TRY_AGAIN
    assert judgement.outcome.status is DeliveryStatus.FAILED
    assert judgement.outcome.last_error == "no answer: the connection was reset"


def test_a_429_stops_the_origin_and_burns_no_attempt() -> None:
    judgement = judged(an_answer(429, "Rate limited", retry_after="120"))

    assert judgement.halt == Halt(
        name="https://pulsora.test:443", until=NOW + 120 * SECOND, reason="429: Rate limited", probing=False
    )
    assert judgement.outcome.attempts == 2
    assert judgement.outcome.next_at == NOW + 120 * SECOND


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410])
def test_a_refusal_stops_the_destination_until_a_probe_succeeds_and_burns_no_attempt(status: int) -> None:
    judgement = judged(an_answer(status, "No"))

    assert judgement.halt == Halt(name=PLACE.id, until=NOW + 60 * SECOND, reason=f"{status}: No", probing=True)
    assert judgement.outcome.attempts == 2
    assert judgement.outcome.status is DeliveryStatus.PENDING


def test_what_was_refused_lets_another_event_probe_first() -> None:
    judgement = judged(an_answer(401))

    assert judgement.halt is not None
    assert judgement.outcome.next_at is not None
    assert judgement.outcome.next_at > judgement.halt.until


def test_a_probe_that_is_refused_waits_as_long_as_it_has_lasted() -> None:
    judgement = judged(an_answer(401), refused_since=NOW - timedelta(minutes=4))

    assert judgement.halt is not None
    assert judgement.halt.until == NOW + timedelta(minutes=4)


def test_a_probe_that_is_taken_ends_the_pause() -> None:
    judgement = judged(an_answer(202), refused_since=NOW - timedelta(minutes=4))

    assert judgement.resumes


@pytest.mark.parametrize("status", [400, 429, 500, None])
def test_a_probe_that_proves_nothing_leaves_the_pause(status: int | None) -> None:
    judgement = judged(an_answer(status), refused_since=NOW - timedelta(minutes=4))

    assert not judgement.resumes


def test_a_second_403_when_others_were_taken_since_is_the_events_own() -> None:
    judgement = judged(an_answer(403), a_delivery(last_status=403))

    assert judgement.halt is None
    assert judgement.outcome.attempts == 3


def test_a_second_401_is_still_the_tokens() -> None:
    judgement = judged(an_answer(401), a_delivery(last_status=401))

    assert judgement.halt is not None


def test_a_second_403_of_a_probe_is_still_the_destinations() -> None:
    judgement = judged(an_answer(403), a_delivery(last_status=403), refused_since=NOW)

    assert judgement.halt is not None


def test_what_breaks_the_contract_is_dead_unsent() -> None:
    judgement = broken(a_delivery(), ("amount is missing.", "session_id is empty."), NOW)

    assert judgement.verdict is None
    assert judgement.outcome.status is DeliveryStatus.FAILED
    assert judgement.outcome.attempts == 2
    assert judgement.outcome.last_error == "not sent: amount is missing. session_id is empty."


def test_an_event_of_a_source_that_is_gone_waits_an_hour() -> None:
    judgement = unrouted(a_delivery(source="shop"), NOW)

    assert judgement.outcome.status is DeliveryStatus.PENDING
    assert judgement.outcome.next_at == NOW + timedelta(hours=1)
    assert judgement.outcome.last_error == "not sent: no source shop is configured"


def test_what_is_handed_back_is_as_if_it_had_not_been_claimed() -> None:
    delivery = a_delivery(last_status=503, last_error="503")

    judgement = handed_back(delivery, NOW)

    assert judgement.outcome == Outcome(
        id=7, status=DeliveryStatus.PENDING, attempts=2, at=NOW, next_at=NOW, last_status=503, last_error="503"
    )


@pytest.mark.parametrize(
    ("answer", "line"),
    [
        (an_answer(None, "TLS failed"), "no answer: TLS failed"),
        (an_answer(200, is_page=True), "200: a web page answered, not the ingest; see PULSORA_ENDPOINT"),
        (an_answer(301), "301: a redirect, which is not followed; see PULSORA_ENDPOINT"),
        (an_answer(500, "Oops"), "500: Oops"),
        (an_answer(500), "500"),
    ],
)
def test_an_answer_is_told_in_a_line(answer: Answer, line: str) -> None:
    assert told(answer) == line


@given(
    st.none() | st.integers(min_value=100, max_value=999),
    st.integers(min_value=0, max_value=30),
    st.none() | st.sampled_from([401, 403, 500]),
    st.booleans(),
)
def test_no_answer_loses_an_event(status: int | None, attempts: int, last_status: int | None, probe: bool) -> None:
    delivery = a_delivery(attempts=attempts, last_status=last_status)

    outcome = judged(an_answer(status), delivery, refused_since=NOW if probe else None).outcome

    if outcome.status is DeliveryStatus.DELIVERED:
        assert status is not None
        assert 200 <= status < 300
    elif outcome.status is DeliveryStatus.FAILED:
        assert status in (400, 409, 413, 422) or attempts >= 17
    else:
        assert outcome.status is DeliveryStatus.PENDING
        assert outcome.next_at is not None
        assert outcome.next_at > NOW


def test_the_name_of_a_destination_changes_with_its_token_and_tells_none() -> None:
    other = Destination(endpoint=PLACE.endpoint, token="sec_other_fake")

    assert PLACE.id != other.id
    assert PLACE.origin == other.origin == "https://pulsora.test:443"
    assert "fake" not in repr(PLACE) + PLACE.id


@pytest.mark.parametrize(
    ("endpoint", "origin"),
    [
        ("https://Pulsora.CO/api/ingest", "https://pulsora.co:443"),
        ("http://127.0.0.1:8765/api/ingest", "http://127.0.0.1:8765"),
        ("https://somebody:secret@pulsora.co/x", "https://pulsora.co:443"),
        ("http://[::1]:80/", "http://::1:80"),
    ],
)
def test_an_origin_is_scheme_host_and_port(endpoint: str, origin: str) -> None:
    assert Destination(endpoint=endpoint, token="").origin == origin
