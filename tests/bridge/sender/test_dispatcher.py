"""The dispatcher with a real store and a real ingest: which events are sent, when, and in which order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher, RoundReport
from bridge.sender.http_client import HttpClient
from bridge.store import Store, attempts, rate_limit
from bridge.store.outbox import IMPORTED, DeliveryStatus
from tests.bridge.sender.rounds import MINUTE, NOW, SECOND, MakeDispatcher, a_body, an_event, keys, put, rounds, rows
from tests.fake_pulsora import Fault, Reply, ScriptedPulsora, page

PATIENT = HttpClient(connect_seconds=1, read_seconds=20, response_seconds=20)


@pytest.fixture(name="store")
def _store(sqlite_store: Store) -> Store:
    return sqlite_store


# ---- Delivered -------------------------------------------------------------------------------------------------


def test_an_event_is_posted_once_and_marked_delivered(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1"))

    report = dispatcher.run_round(NOW)

    assert (report.claimed, report.sent, report.delivered, report.in_flight) == (1, 1, 1, 0)
    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert (rows(store)["in_1"].attempts, rows(store)["in_1"].last_status) == (1, 202)
    assert keys(pulsora) == ["in_1"]


def test_every_attempt_is_kept_with_its_response(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1"))
    pulsora.script(Reply(status=503, body=b'{"message": "busy"}', delay_seconds=0.1))

    rounds(dispatcher)
    rounds(dispatcher, NOW + MINUTE)

    with store.reading() as tx:
        kept = attempts.of_delivery(tx, rows(store)["in_1"].id)
    assert [(one.status, one.response, one.result) for one in kept] == [
        (503, "503: busy", DeliveryStatus.PENDING),
        (202, "202", DeliveryStatus.DELIVERED),
    ]
    assert kept[0].took_ms >= 100


def test_what_goes_on_the_wire_is_the_stored_text_in_its_envelope(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1", body=a_body("in_1").replace("49.99", "49.990000")))

    dispatcher.run_round(NOW)

    (request,) = pulsora.received
    assert request.body.startswith(b'{"type":"revenue","token":"sec_test_fake","data":{"visitor_fingerprint": "fp"')
    assert b'"amount": 49.990000' in request.body


def test_an_empty_outbox_makes_a_turn_of_nothing(dispatcher: Dispatcher) -> None:
    report = dispatcher.run_round(NOW)

    assert report == RoundReport(
        claimed=0,
        sent=0,
        delivered=0,
        retried=0,
        failed=0,
        paused=0,
        invalid=0,
        in_flight=0,
        paused_targets=(),
        exhausted=(),
    )


def test_an_event_that_is_held_waits_for_its_time(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1", status=DeliveryStatus.HELD, hold_until=NOW + MINUTE))

    dispatcher.run_round(NOW + 59 * SECOND)
    before = keys(pulsora)
    dispatcher.run_round(NOW + 60 * SECOND)

    assert before == []
    assert keys(pulsora) == ["in_1"]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_another_2xx_is_delivered_too(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora, status: int
) -> None:
    pulsora.script(Reply(status=status, body=b""))
    put(store, an_event("in_1"))

    dispatcher.run_round(NOW)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert rows(store)["in_1"].last_status == status


def test_an_answer_cut_short_after_its_202_is_delivered(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.script(Reply(fault=Fault.CUT))
    put(store, an_event("in_1"))

    dispatcher.run_round(NOW)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED


# ---- Tried again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [
        (Reply(status=500, body=b""), 500, "500"),
        (Reply(status=503, body=b'{"message": "down"}'), 503, "503: down"),
        (Reply(status=302, headers={"Location": "/login"}), 302, "302: a redirect"),
        (page(200), 200, "200: the response is a web page"),
        (Reply(status=425), 425, "425"),
        (Reply(fault=Fault.HANG), None, "no response: the response timed out"),
        (Reply(fault=Fault.DRIP), None, "no response: the response timed out"),
        (Reply(fault=Fault.RESET), None, "no response: the connection was reset"),
        (Reply(fault=Fault.CLOSE), None, "no response: the connection was closed without a response"),
        (Reply(fault=Fault.NOISE), None, "no response: the response is not HTTP"),
    ],
)
def test_what_may_pass_is_tried_again_later(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora, reply: Reply, status: int | None, error: str
) -> None:
    pulsora.script(reply)
    put(store, an_event("in_1"))

    rounds(dispatcher)
    row = rows(store)["in_1"]
    rounds(dispatcher, NOW + 12 * SECOND)

    assert (row.status, row.attempts, row.last_status) == (DeliveryStatus.PENDING, 1, status)
    assert row.last_error is not None
    assert row.last_error.startswith(error)
    assert (
        NOW + 2.5 * SECOND <= row.next_at <= NOW + 10 * SECOND
    )  # half to one and a half of 5 s, and the answer's time
    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED


def test_a_resend_has_the_same_bytes(store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora) -> None:
    pulsora.script(Reply(status=500), Reply(fault=Fault.RESET))
    put(store, an_event("in_1"))

    rounds(dispatcher)
    rounds(dispatcher, NOW + 10 * SECOND)
    rounds(dispatcher, NOW + 2 * MINUTE)

    bodies = [request.body for request in pulsora.received]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1


def test_an_event_that_fails_for_three_days_is_dead(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.rule = lambda data: Reply(status=500)
    put(store, an_event("in_1"))

    now = NOW
    for _ in range(18):
        rounds(dispatcher, now)
        now = max(now, rows(store)["in_1"].next_at)

    row = rows(store)["in_1"]
    assert (row.status, row.attempts) == (DeliveryStatus.FAILED, 18)
    assert len(pulsora.received) == 18
    assert timedelta(hours=30) < now - NOW < timedelta(hours=110)


# ---- Given up --------------------------------------------------------------------------------------------------


def test_a_400_is_dead_at_once_with_the_ingests_sentence(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.script(Reply(status=400, body=b'{"message": "amount is required"}'))
    put(store, an_event("in_1"))

    report = dispatcher.run_round(NOW)
    rounds(dispatcher, NOW + timedelta(days=9))

    row = rows(store)["in_1"]
    assert (row.status, row.last_error) == (DeliveryStatus.FAILED, "400: amount is required")
    assert report.failed == 1
    assert len(pulsora.received) == 1


def test_an_event_that_breaks_the_contract_is_dead_and_never_sent(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(per_hour=10)
    put(store, an_event("in_1", body=a_body("in_1", amount="49.99")), an_event("in_2", body="{"))

    rounds(dispatcher)

    assert {row.status for row in rows(store).values()} == {DeliveryStatus.FAILED}
    assert rows(store)["in_1"].last_error == "not sent: amount must be a number."
    assert rows(store)["in_2"].last_error == "not sent: The event is not a JSON object."
    assert pulsora.received == ()
    with store.reading() as tx:
        assert rate_limit.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW) == 0


def test_a_dead_event_lets_the_next_of_its_customer_go(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.script(Reply(status=400))
    put(store, an_event("in_1"), an_event("in_2"))

    rounds(dispatcher)

    assert keys(pulsora) == ["in_1", "in_2"]
    assert rows(store)["in_2"].status is DeliveryStatus.DELIVERED


# ---- Order and independence ------------------------------------------------------------------------------------


def test_a_customers_events_go_out_in_order(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=8)
    put(store, *(an_event(f"{stream}-{number}", stream) for number in range(6) for stream in ("a", "b", "c", "d")))
    pulsora.script(Reply(), Reply(status=500), Reply(), Reply(fault=Fault.RESET))

    for second in (0, 10, 20):
        rounds(dispatcher, NOW + second * SECOND)

    for stream in "abcd":
        accepted = [data["transaction_id"] for data in pulsora.accepted if data["customer_id"] == stream]
        assert accepted == [f"{stream}-{number}" for number in range(6)]


def test_a_stuck_customer_delays_nobody_else(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=2, client=PATIENT)
    pulsora.rule = lambda data: Reply(fault=Fault.HANG) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), an_event("second", "stuck"))
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(40)))

    rounds(dispatcher, until=lambda: len(pulsora.accepted) == 40)

    assert rows(store)["first"].attempts == 0  # its response is still waited for
    assert keys(pulsora).count("first") == 1
    assert "second" not in keys(pulsora)


def test_no_round_of_another_customer_waits_for_a_stuck_one(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sender.dispatcher.ROUND_SECONDS", 2.0)  # thirty such waits are longer than the patience
    dispatcher = make_dispatcher(threads=2, client=PATIENT)
    pulsora.rule = lambda data: Reply(fault=Fault.HANG) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), *(an_event(f"in_{number}", "busy") for number in range(30)))

    rounds(dispatcher, until=lambda: len(pulsora.accepted) == 30)

    assert rows(store)["first"].attempts == 0


def test_a_failing_customer_keeps_its_place_while_others_pass(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.rule = lambda data: Reply(status=500) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), an_event("second", "stuck"), an_event("other", "cus_2"))

    rounds(dispatcher)

    assert rows(store)["other"].status is DeliveryStatus.DELIVERED
    assert [rows(store)[key].attempts for key in ("first", "second")] == [1, 0]


def test_live_events_go_before_imported_ones(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1)
    put(store, *(an_event(f"old_{number}", f"cus_{number}", priority=1) for number in range(3)))
    put(store, an_event("new", "cus_9"))

    rounds(dispatcher)

    assert keys(pulsora)[0] == "new"


def test_an_import_leaves_a_fifth_of_the_hour_to_live_events(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(per_hour=10)  # 2 of them for live events
    put(store, *(an_event(f"old_{number}", f"old_{number}", priority=IMPORTED) for number in range(20)))
    rounds(dispatcher)
    assert len(pulsora.received) == 8

    put(store, *(an_event(f"new_{number}", f"new_{number}") for number in range(3)))
    rounds(dispatcher, NOW + MINUTE)
    assert sorted(keys(pulsora)[8:]) == ["new_0", "new_1"]

    rounds(dispatcher, NOW + timedelta(hours=1, minutes=2))  # the third, and 7 more until 8 of this hour are used
    assert sorted(keys(pulsora)[10:])[0] == "new_2"
    assert len(pulsora.received) == 18


def test_an_imported_event_goes_ahead_with_the_live_one_of_its_customer(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(per_hour=10)
    put(store, *(an_event(f"old_{number}", f"cus_{number}", priority=IMPORTED) for number in range(20)))
    rounds(dispatcher)

    put(store, an_event("new", "cus_15"))
    rounds(dispatcher, NOW + MINUTE)

    assert keys(pulsora)[8:] == ["old_15", "new"]


# ---- Odds and ends ---------------------------------------------------------------------------------------------


def test_an_event_of_a_source_that_is_gone_waits_and_stops_nobody(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("gone", "cus_1", source="closed-shop"), an_event("in_2", "cus_2"))

    rounds(dispatcher)

    row = rows(store)["gone"]
    assert (row.status, row.attempts) == (DeliveryStatus.PENDING, 0)
    assert row.last_error == "not sent: no source closed-shop is configured"
    assert keys(pulsora) == ["in_2"]
