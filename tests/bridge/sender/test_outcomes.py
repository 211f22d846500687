"""The decision on one response, for the event and for its destination."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.sender.destinations import Destination
from bridge.sender.http_client import Response
from bridge.sender.outcomes import Attempt, Decision, PauseRequest, decide, describe, invalid, no_destination, unclaim
from bridge.sender.retry_policy import Verdict
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome

NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
DESTINATION = Destination(endpoint="https://pulsora.test/api/ingest", token="sec_test_fake")


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
        **dict.fromkeys(("customer_id", "subscription_id", "transaction_id", "plan", "attribution", "movement"), None),
        **dict.fromkeys(("occurred_at", "received_at"), None),
    }
    return Delivery(**{**fields, **changes})  # type: ignore[arg-type]  # the fields are those of the class


def a_response(
    status: int | None, reason: str = "", *, retry_after: str | None = None, is_page: bool = False
) -> Response:
    return Response(status=status, reason=reason, took_ms=41, retry_after=retry_after, is_page=is_page)


def decided(response: Response, delivery: Delivery | None = None, refused_since: datetime | None = None) -> Decision:
    attempt = Attempt(delivery=delivery or a_delivery(), destination=DESTINATION, refused_since=refused_since)
    return decide(attempt, response, NOW, chance=0.5)


def test_a_202_is_delivered() -> None:
    decision = decided(a_response(202))

    assert decision == Decision(
        verdict=Verdict.DELIVERED,
        outcome=Outcome(id=7, status=DeliveryStatus.DELIVERED, attempts=3, at=NOW, last_status=202),
    )


def test_a_400_is_dead_at_once_with_its_message() -> None:
    decision = decided(a_response(400, "amount is required"))

    assert decision == Decision(
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
    decision = decided(a_response(500))

    assert decision == Decision(
        verdict=Verdict.RETRY,
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
    decision = decided(a_response(503, retry_after="300"))

    assert decision.outcome.next_at == NOW + 300 * SECOND


def test_after_three_days_of_failures_an_event_is_dead() -> None:
    decision = decided(a_response(None, "the connection was reset"), a_delivery(attempts=17))

    assert decision.verdict is Verdict.RETRY
    assert decision.outcome.status is DeliveryStatus.FAILED
    assert decision.outcome.last_error == "no response: the connection was reset"


def test_a_429_stops_the_origin_and_burns_no_attempt() -> None:
    decision = decided(a_response(429, "Rate limited", retry_after="120"))

    assert decision.pause == PauseRequest(
        target="https://pulsora.test:443", until=NOW + 120 * SECOND, reason="429: Rate limited", probing=False
    )
    assert decision.outcome.attempts == 2
    assert decision.outcome.next_at == NOW + 120 * SECOND


@pytest.mark.parametrize("status", [401, 403, 404, 405, 410])
def test_a_refusal_stops_the_destination_until_a_probe_succeeds_and_burns_no_attempt(status: int) -> None:
    decision = decided(a_response(status, "No"))

    assert decision.pause == PauseRequest(
        target=DESTINATION.id, until=NOW + 60 * SECOND, reason=f"{status}: No", probing=True
    )
    assert decision.outcome.attempts == 2
    assert decision.outcome.status is DeliveryStatus.PENDING


def test_what_was_refused_lets_another_event_probe_first() -> None:
    decision = decided(a_response(401))

    assert decision.pause is not None
    assert decision.outcome.next_at is not None
    assert decision.outcome.next_at > decision.pause.until


def test_a_probe_that_is_refused_waits_as_long_as_it_has_lasted() -> None:
    decision = decided(a_response(401), refused_since=NOW - timedelta(minutes=4))

    assert decision.pause is not None
    assert decision.pause.until == NOW + timedelta(minutes=4)


def test_a_probe_that_is_taken_ends_the_pause() -> None:
    decision = decided(a_response(202), refused_since=NOW - timedelta(minutes=4))

    assert decision.resumes


@pytest.mark.parametrize("status", [400, 429, 500, None])
def test_a_probe_that_proves_nothing_leaves_the_pause(status: int | None) -> None:
    decision = decided(a_response(status), refused_since=NOW - timedelta(minutes=4))

    assert not decision.resumes


def test_a_second_403_when_others_were_taken_since_is_the_events_own() -> None:
    decision = decided(a_response(403), a_delivery(last_status=403))

    assert decision.pause is None
    assert decision.outcome.attempts == 3


def test_a_second_401_is_still_the_tokens() -> None:
    decision = decided(a_response(401), a_delivery(last_status=401))

    assert decision.pause is not None


def test_a_second_403_of_a_probe_is_still_the_destinations() -> None:
    decision = decided(a_response(403), a_delivery(last_status=403), refused_since=NOW)

    assert decision.pause is not None


def test_what_breaks_the_contract_is_dead_unsent() -> None:
    decision = invalid(a_delivery(), ("amount is missing.", "session_id is empty."), NOW)

    assert decision.verdict is None
    assert decision.outcome.status is DeliveryStatus.FAILED
    assert decision.outcome.attempts == 2
    assert decision.outcome.last_error == "not sent: amount is missing. session_id is empty."


def test_an_event_of_a_source_that_is_gone_waits_an_hour() -> None:
    decision = no_destination(a_delivery(source="shop"), NOW)

    assert decision.outcome.status is DeliveryStatus.PENDING
    assert decision.outcome.next_at == NOW + timedelta(hours=1)
    assert decision.outcome.last_error == "not sent: no source shop is configured"


def test_an_unclaimed_delivery_is_as_if_it_had_not_been_claimed() -> None:
    delivery = a_delivery(last_status=503, last_error="503")

    decision = unclaim(delivery, NOW)

    assert decision.outcome == Outcome(
        id=7, status=DeliveryStatus.PENDING, attempts=2, at=NOW, next_at=NOW, last_status=503, last_error="503"
    )


@pytest.mark.parametrize(
    ("response", "line"),
    [
        (a_response(None, "TLS failed"), "no response: TLS failed"),
        (a_response(200, is_page=True), "200: the response is a web page, not the ingest's; see PULSORA_ENDPOINT"),
        (a_response(301), "301: a redirect, which is not followed; see PULSORA_ENDPOINT"),
        (a_response(500, "Oops"), "500: Oops"),
        (a_response(500), "500"),
    ],
)
def test_a_response_is_described_in_one_line(response: Response, line: str) -> None:
    assert describe(response) == line


@given(
    st.none() | st.integers(min_value=100, max_value=999),
    st.integers(min_value=0, max_value=30),
    st.none() | st.sampled_from([401, 403, 500]),
    st.booleans(),
)
def test_no_answer_loses_an_event(status: int | None, attempts: int, last_status: int | None, probe: bool) -> None:
    delivery = a_delivery(attempts=attempts, last_status=last_status)

    outcome = decided(a_response(status), delivery, refused_since=NOW if probe else None).outcome

    if outcome.status is DeliveryStatus.DELIVERED:
        assert status is not None
        assert 200 <= status < 300
    elif outcome.status is DeliveryStatus.FAILED:
        assert status in (400, 409, 413, 422) or attempts >= 17
    else:
        assert outcome.status is DeliveryStatus.PENDING
        assert outcome.next_at is not None
        assert outcome.next_at > NOW


def test_the_name_of_a_destination_changes_with_its_token_and_does_not_contain_it() -> None:
    other = Destination(endpoint=DESTINATION.endpoint, token="sec_other_fake")

    assert DESTINATION.id != other.id
    assert DESTINATION.origin == other.origin == "https://pulsora.test:443"
    assert "fake" not in repr(DESTINATION) + DESTINATION.id


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
