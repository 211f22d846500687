"""The way out of the outbox, over a real store and a real ingest."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from bridge.sender.client import Answer, Client
from bridge.sender.destinations import Destination
from bridge.sender.drain import Drain, DrainReport
from bridge.sender.standin import Fault, Reply, StandIn, page
from bridge.store import Store, budget, outbox, pauses
from bridge.store.outbox import Delivery, DeliveryStatus, NewDelivery

TOKEN = "sec_test_fake"
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)

ROOT = Path(__file__).resolve().parents[3]

DRAINING = """
import sys
from datetime import UTC, datetime
from bridge.sender.destinations import Destination
from bridge.sender.drain import Drain
from bridge.store import open_store

routes = {"stripe": Destination(endpoint=sys.argv[2], token="sec_test_fake")}
drain = Drain(open_store(sys.argv[1]), routes, owner="test:killed", threads=4, per_hour=0)
while True:
    drain.drain_once(datetime(2025, 3, 1, 12, tzinfo=UTC))
"""

MakeDrain = Callable[..., Drain]


@pytest.fixture(name="store")
def _store(sqlite_store: Store) -> Store:
    return sqlite_store


@pytest.fixture
def make_drain(store: Store, client: Client, pulsora: StandIn) -> Iterator[MakeDrain]:
    made: list[Drain] = []

    def make(**changes: Any) -> Drain:
        routes = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
        settings = {"store": store, "routes": routes, "owner": "test:1", "threads": 4, "per_hour": 0, "client": client}
        made.append(Drain(**{**settings, **changes}))
        return made[-1]

    yield make
    for drain in made:
        drain.close(2)


@pytest.fixture
def drain(make_drain: MakeDrain) -> Drain:
    return make_drain()


def a_body(key: str, **changes: object) -> str:
    data = {
        "visitor_fingerprint": "fp",
        "session_id": "s",
        "customer_id": "cus_1",
        "amount": 49.99,
        "transaction_id": key,
        "metadata": {"occurred_at": "2025-03-01T12:00:00Z"},
    }
    return json.dumps({**data, **changes})


def an_event(key: str = "in_1", stream: str = "cus_1", **changes: Any) -> NewDelivery:
    fields: dict[str, Any] = {
        "stream_id": f"stripe||live|{stream}",
        "scope": "stripe||live",
        "source": "stripe",
        "livemode": True,
        "output_key": key,
        "status": DeliveryStatus.PENDING,
        "body": a_body(key, customer_id=stream),
        "next_at": NOW,
        "created_at": NOW,
        "event_type": "purchase",
        "currency": "EUR",
        "amount": Decimal("49.99"),
        "event_ids": ("evt_1",),
    }
    return NewDelivery(**{**fields, **changes})


def put(store: Store, *events: NewDelivery) -> None:
    with store.transaction() as tx:
        outbox.add(tx, events)


def rows(store: Store) -> dict[str, Delivery]:
    with store.reading() as tx:
        return {row.output_key: row for row in outbox.listing(tx, limit=10_000)}


def keys(pulsora: StandIn) -> list[str]:
    return [request.data["transaction_id"] for request in pulsora.received if request.data]


def turns(drain: Drain, now: datetime = NOW, *, until: Callable[[], bool] | None = None) -> DrainReport:
    """Turns of the drain until nothing is on its way and nothing was claimed, or until something holds."""
    stop_at = time.monotonic() + 10
    while time.monotonic() < stop_at:
        report = drain.drain_once(now)
        if until() if until else not report.in_hand and not report.claimed:
            return report
    raise AssertionError("the drain did not come to rest")


# ---- Delivered -------------------------------------------------------------------------------------------------


def test_an_event_is_posted_once_and_marked_delivered(store: Store, drain: Drain, pulsora: StandIn) -> None:
    put(store, an_event("in_1"))

    report = drain.drain_once(NOW)

    assert (report.claimed, report.sent, report.delivered, report.in_hand) == (1, 1, 1, 0)
    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert (rows(store)["in_1"].attempts, rows(store)["in_1"].last_status) == (1, 202)
    assert keys(pulsora) == ["in_1"]


def test_what_goes_on_the_wire_is_the_stored_text_in_its_envelope(store: Store, drain: Drain, pulsora: StandIn) -> None:
    put(store, an_event("in_1", body=a_body("in_1").replace("49.99", "49.990000")))

    drain.drain_once(NOW)

    (request,) = pulsora.received
    assert request.body.startswith(b'{"type":"revenue","token":"sec_test_fake","data":{"visitor_fingerprint": "fp"')
    assert b'"amount": 49.990000' in request.body


def test_an_empty_outbox_makes_a_turn_of_nothing(drain: Drain) -> None:
    report = drain.drain_once(NOW)

    assert report == DrainReport(
        claimed=0, sent=0, delivered=0, retried=0, dead=0, stopped=0, unfit=0, in_hand=0, halted=(), spent=()
    )


def test_an_event_that_is_held_waits_for_its_time(store: Store, drain: Drain, pulsora: StandIn) -> None:
    put(store, an_event("in_1", status=DeliveryStatus.HELD, hold_until=NOW + MINUTE))

    drain.drain_once(NOW + 59 * SECOND)
    before = keys(pulsora)
    drain.drain_once(NOW + 60 * SECOND)

    assert before == []
    assert keys(pulsora) == ["in_1"]


@pytest.mark.parametrize("status", [200, 201, 204])
def test_another_2xx_is_delivered_too(store: Store, drain: Drain, pulsora: StandIn, status: int) -> None:
    pulsora.script(Reply(status=status, body=b""))
    put(store, an_event("in_1"))

    drain.drain_once(NOW)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert rows(store)["in_1"].last_status == status


def test_an_answer_cut_short_after_its_202_is_delivered(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.script(Reply(fault=Fault.CUT))
    put(store, an_event("in_1"))

    drain.drain_once(NOW)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED


# ---- Tried again -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("reply", "status", "error"),
    [
        (Reply(status=500, body=b""), 500, "500"),
        (Reply(status=503, body=b'{"message": "down"}'), 503, "503: down"),
        (Reply(status=302, headers={"Location": "/login"}), 302, "302: a redirect"),
        (page(200), 200, "200: a web page answered"),
        (Reply(status=425), 425, "425"),
        (Reply(fault=Fault.HANG), None, "no answer: no whole answer in time"),
        (Reply(fault=Fault.DRIP), None, "no answer: no whole answer in time"),
        (Reply(fault=Fault.RESET), None, "no answer: the connection was reset"),
        (Reply(fault=Fault.CLOSE), None, "no answer: the connection was closed without an answer"),
        (Reply(fault=Fault.NOISE), None, "no answer: what came back is not HTTP"),
    ],
)
def test_what_may_pass_is_tried_again_later(
    store: Store, drain: Drain, pulsora: StandIn, reply: Reply, status: int | None, error: str
) -> None:
    pulsora.script(reply)
    put(store, an_event("in_1"))

    turns(drain)
    row = rows(store)["in_1"]
    turns(drain, NOW + 12 * SECOND)

    assert (row.status, row.attempts, row.last_status) == (DeliveryStatus.PENDING, 1, status)
    assert row.last_error is not None
    assert row.last_error.startswith(error)
    assert (
        NOW + 2.5 * SECOND <= row.next_at <= NOW + 10 * SECOND
    )  # half to one and a half of 5 s, and the answer's time
    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED


def test_a_resend_has_the_same_bytes(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.script(Reply(status=500), Reply(fault=Fault.RESET))
    put(store, an_event("in_1"))

    turns(drain)
    turns(drain, NOW + 10 * SECOND)
    turns(drain, NOW + 2 * MINUTE)

    bodies = [request.body for request in pulsora.received]
    assert len(bodies) == 3
    assert len(set(bodies)) == 1


def test_an_event_that_fails_for_three_days_is_dead(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.rule = lambda data: Reply(status=500)
    put(store, an_event("in_1"))

    now = NOW
    for _ in range(18):
        turns(drain, now)
        now = max(now, rows(store)["in_1"].next_at)

    row = rows(store)["in_1"]
    assert (row.status, row.attempts) == (DeliveryStatus.DEAD, 18)
    assert len(pulsora.received) == 18
    assert timedelta(hours=30) < now - NOW < timedelta(hours=110)


# ---- Given up --------------------------------------------------------------------------------------------------


def test_a_400_is_dead_at_once_with_the_ingests_sentence(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.script(Reply(status=400, body=b'{"message": "amount is required"}'))
    put(store, an_event("in_1"))

    report = drain.drain_once(NOW)
    turns(drain, NOW + timedelta(days=9))

    row = rows(store)["in_1"]
    assert (row.status, row.last_error) == (DeliveryStatus.DEAD, "400: amount is required")
    assert report.dead == 1
    assert len(pulsora.received) == 1


def test_an_event_that_breaks_the_contract_is_dead_and_never_sent(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(per_hour=10)
    put(store, an_event("in_1", body=a_body("in_1", amount="49.99")), an_event("in_2", body="{"))

    turns(drain)

    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DEAD}
    assert rows(store)["in_1"].last_error == "not sent: amount must be a number."
    assert rows(store)["in_2"].last_error == "not sent: The event is no JSON object."
    assert pulsora.received == ()
    with store.reading() as tx:
        assert budget.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW) == 0


def test_a_dead_event_lets_the_next_of_its_customer_go(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.script(Reply(status=400))
    put(store, an_event("in_1"), an_event("in_2"))

    turns(drain)

    assert keys(pulsora) == ["in_1", "in_2"]
    assert rows(store)["in_2"].status is DeliveryStatus.DELIVERED


# ---- Pauses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (None, 60), ("0", 1), ("999999", 3600), ("Sat, 01 Mar 2025 12:02:00 GMT", 120), ("soon", 60)],
)
def test_a_429_pauses_everything_for_as_long_as_it_asks_within_bounds(
    store: Store, drain: Drain, pulsora: StandIn, header: str | None, seconds: int
) -> None:
    pulsora.script(Reply(status=429, headers={} if header is None else {"Retry-After": header}))
    put(store, an_event("in_1"))
    turns(drain)
    put(store, an_event("in_2", "cus_2"))

    turns(drain, NOW + (seconds - 0.5) * SECOND)
    early = keys(pulsora)
    turns(drain, NOW + (seconds + 2) * SECOND)

    assert early == ["in_1"]
    assert sorted(keys(pulsora)) == ["in_1", "in_1", "in_2"]
    assert {row.attempts for row in rows(store).values()} == {1}


def test_a_429_in_the_middle_puts_the_rest_back_unburnt(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(threads=1)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))
    pulsora.script(Reply(), Reply(status=429, headers={"Retry-After": "30"}))

    turns(drain)
    paused = rows(store)
    turns(drain, NOW + 31 * SECOND)

    assert [paused[f"in_{number}"].status for number in range(4)] == [DeliveryStatus.DELIVERED, *["pending"] * 3]
    assert [paused[f"in_{number}"].attempts for number in range(4)] == [1, 0, 0, 0]
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert len(pulsora.received) == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_pauses_the_destination_and_one_event_at_a_time_probes_it(
    store: Store, make_drain: MakeDrain, pulsora: StandIn, status: int
) -> None:
    drain = make_drain(threads=1)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(5)))
    pulsora.rule = lambda data: Reply(status=status, body=b'{"error": "No"}')

    seen = []
    for minute in (0, 0.9, 1.1, 1.5, 4.2, 4.3, 9, 20, 40):
        turns(drain, NOW + minute * MINUTE)
        seen.append(len(pulsora.received))
    pulsora.rule = None
    turns(drain, NOW + 70 * MINUTE)

    # Refused at 0, so left alone until 1; then at 1.1 until 2.2, at 4.2 until 8.4, at 9 until 18, at 20 until 35, …
    assert seen == [1, 1, 2, 2, 3, 3, 4, 5, 6]
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert {row.attempts for row in rows(store).values()} == {1}
    assert len(pulsora.received) == 6 + 5
    with store.reading() as tx:
        assert pauses.paused(tx, NOW + 70 * MINUTE) == []


def test_what_was_refused_is_not_the_next_probe(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(threads=1)
    put(store, an_event("in_1", "cus_1"), an_event("in_2", "cus_2"))
    pulsora.script(Reply(status=403))

    turns(drain)
    turns(drain, NOW + 61 * SECOND)

    assert keys(pulsora)[:2] == ["in_1", "in_2"]


def test_a_customer_whose_text_a_firewall_dislikes_stops_the_others_once(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(threads=1)
    pulsora.rule = lambda data: Reply(status=403) if data["customer_id"] == "cus_0" else None
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))

    for minute in (0, 1.1, 2, 3):
        turns(drain, NOW + minute * MINUTE)
    put(store, an_event("in_9", "cus_9"))
    turns(drain, NOW + 4 * MINUTE)

    found = rows(store)
    assert [found[key].status for key in ("in_1", "in_2", "in_3", "in_9")] == [DeliveryStatus.DELIVERED] * 4
    assert found["in_0"].status is DeliveryStatus.PENDING
    assert found["in_0"].attempts >= 1


def test_another_token_at_the_same_origin_goes_on(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    routes = {
        "stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN),
        "shop": Destination(endpoint=pulsora.endpoint, token="sec_wrong_fake"),
    }
    drain = make_drain(routes=routes)
    put(store, an_event("in_1", "cus_1", source="shop"), an_event("in_2", "cus_2", source="shop"))
    turns(drain)
    put(store, an_event("in_3", "cus_3"))

    report = turns(drain, NOW + SECOND)

    assert rows(store)["in_3"].status is DeliveryStatus.DELIVERED
    assert rows(store)["in_1"].status is DeliveryStatus.PENDING
    assert report.halted == (routes["shop"].id,)


def test_a_new_token_is_not_paused_for_the_old_ones_sake(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    put(store, an_event("in_1"))
    wrong = make_drain(routes={"stripe": Destination(endpoint=pulsora.endpoint, token="sec_wrong_fake")})
    turns(wrong)
    put(store, an_event("in_2", "cus_2"))

    turns(make_drain(), NOW + SECOND)

    assert rows(store)["in_2"].status is DeliveryStatus.DELIVERED


def test_a_pause_holds_for_every_process(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    pulsora.script(Reply(status=429, headers={"Retry-After": "60"}))
    put(store, an_event("in_1"))
    turns(make_drain())
    put(store, an_event("in_2", "cus_2"))

    turns(make_drain(owner="test:2"), NOW + SECOND)

    assert keys(pulsora) == ["in_1"]


# ---- Order and independence ------------------------------------------------------------------------------------


def test_a_customers_events_go_out_in_order(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(threads=8)
    put(store, *(an_event(f"{stream}-{number}", stream) for number in range(6) for stream in ("a", "b", "c", "d")))
    pulsora.script(Reply(), Reply(status=500), Reply(), Reply(fault=Fault.RESET))

    for second in (0, 10, 20):
        turns(drain, NOW + second * SECOND)

    for stream in "abcd":
        accepted = [data["transaction_id"] for data in pulsora.accepted if data["customer_id"] == stream]
        assert accepted == [f"{stream}-{number}" for number in range(6)]


def test_a_stuck_customer_delays_nobody_else(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    patient = Client(connect_seconds=1, silence_seconds=20, answer_seconds=20)
    drain = make_drain(threads=2, client=patient)
    pulsora.rule = lambda data: Reply(fault=Fault.HANG) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), an_event("second", "stuck"))
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(40)))

    started = time.monotonic()
    turns(drain, until=lambda: len(pulsora.accepted) == 40)

    assert time.monotonic() - started < 5
    assert keys(pulsora).count("first") == 1
    assert "second" not in keys(pulsora)


def test_beside_a_stuck_customer_another_ones_many_events_go_out_quickly(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(threads=2, client=Client())
    pulsora.rule = lambda data: Reply(fault=Fault.HANG) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), *(an_event(f"in_{number}", "busy") for number in range(30)))

    started = time.monotonic()
    turns(drain, until=lambda: len(pulsora.accepted) == 30)

    assert time.monotonic() - started < 4  # thirty turns that each waited for the stuck one would take 7.5 s


def test_a_failing_customer_keeps_its_place_while_others_pass(store: Store, drain: Drain, pulsora: StandIn) -> None:
    pulsora.rule = lambda data: Reply(status=500) if data["customer_id"] == "stuck" else None
    put(store, an_event("first", "stuck"), an_event("second", "stuck"), an_event("other", "cus_2"))

    turns(drain)

    assert rows(store)["other"].status is DeliveryStatus.DELIVERED
    assert [rows(store)[key].attempts for key in ("first", "second")] == [1, 0]


def test_live_events_go_before_imported_ones(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(threads=1)
    put(store, *(an_event(f"old_{number}", f"cus_{number}", priority=1) for number in range(3)))
    put(store, an_event("new", "cus_9"))

    turns(drain)

    assert keys(pulsora)[0] == "new"


# ---- Budget ----------------------------------------------------------------------------------------------------


def test_no_rolling_hour_holds_more_than_the_budget(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drains = [make_drain(per_hour=10, threads=2), make_drain(per_hour=10, threads=2, owner="test:2")]
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(35)))
    pulsora.rule = lambda data: Reply(status=500) if data["transaction_id"] in ("in_1", "in_4", "in_11") else None

    sent_at: list[datetime] = []
    for minute in range(0, 300, 7):
        now = NOW + minute * MINUTE
        before = len(pulsora.received)
        for drain in drains:
            turns(drain, now)
        sent_at += [now] * (len(pulsora.received) - before)

    busiest = max(Counter(sum(at <= other < at + 60 * MINUTE for other in sent_at) for at in sent_at))
    assert busiest == 10  # all of it is used, and no more, the retries included
    assert len(pulsora.accepted) >= 32


def test_a_spent_budget_is_told(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(per_hour=3)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(5)))

    report = turns(drain)

    assert report.spent == (Destination(endpoint=pulsora.endpoint, token="").origin,)
    assert len(pulsora.received) == 3


def test_what_is_handed_back_gives_its_place_in_the_budget_back(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(per_hour=100, threads=1)
    pulsora.script(Reply(status=401))
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))

    turns(drain)

    assert len(pulsora.received) == 1
    with store.reading() as tx:
        assert budget.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW) == 1


# ---- Odds and ends ---------------------------------------------------------------------------------------------


def test_an_event_of_a_source_that_is_gone_waits_and_stops_nobody(store: Store, drain: Drain, pulsora: StandIn) -> None:
    put(store, an_event("gone", "cus_1", source="closed-shop"), an_event("in_2", "cus_2"))

    turns(drain)

    row = rows(store)["gone"]
    assert (row.status, row.attempts) == (DeliveryStatus.PENDING, 0)
    assert row.last_error == "not sent: no source closed-shop is configured"
    assert keys(pulsora) == ["in_2"]


def test_every_answer_is_handed_to_who_counts_them(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    heard: list[tuple[str, int | None, str]] = []
    drain = make_drain(on_answer=lambda row, answer, verdict: heard.append((row.output_key, answer.status, verdict)))
    pulsora.script(Reply(status=500))
    put(store, an_event("in_1"))

    turns(drain)

    assert heard == [("in_1", 500, "try_again")]


def test_closing_records_what_was_on_its_way_and_sends_nothing_more(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(threads=1, client=Client())
    pulsora.rule = lambda data: Reply(delay_seconds=0.5)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(3)))
    report = drain.drain_once(NOW)

    drain.close()

    statuses = Counter(row.status for row in rows(store).values())
    assert report.in_hand == 3
    assert statuses == {DeliveryStatus.DELIVERED: 1, DeliveryStatus.PENDING: 2}
    assert all(row.next_at <= NOW + 2 * SECOND for row in rows(store).values() if row.status == "pending")  # no lease
    assert len(pulsora.received) == 1


def test_what_waits_too_long_for_a_thread_is_handed_back(
    store: Store, make_drain: MakeDrain, pulsora: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.sender.crew.FRESH", 0.1 * SECOND)
    drain = make_drain(threads=1, per_hour=100, client=Client())
    pulsora.script(Reply(delay_seconds=0.4))
    put(store, an_event("in_1"), an_event("in_2", "cus_2"))

    turns(drain)
    given_back = rows(store)["in_2"]
    turns(drain, NOW + SECOND)

    assert (given_back.status, given_back.attempts) == (DeliveryStatus.PENDING, 0)
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert {row.attempts for row in rows(store).values()} == {1}
    with store.reading() as tx:
        assert budget.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW + SECOND) == 2


def test_a_fault_of_ours_costs_an_attempt_and_no_thread(store: Store, make_drain: MakeDrain, pulsora: StandIn) -> None:
    drain = make_drain(threads=1, client=FaultyClient())
    put(store, an_event("in_1"), an_event("in_2", "cus_2"))

    turns(drain)

    assert {row.last_error for row in rows(store).values()} == {"no answer: unexpected ZeroDivisionError"}
    assert {row.attempts for row in rows(store).values()} == {1}


def test_a_store_that_fails_after_the_answer_does_not_lose_it(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    faults = FailingStore(store)
    drain = make_drain(store=faults)
    put(store, an_event("in_1"))
    faults.fails_at = 2  # the claim succeeds, the record fails

    with pytest.raises(RuntimeError):
        drain.drain_once(NOW)
    drain.drain_once(NOW + SECOND)

    assert rows(store)["in_1"].status is DeliveryStatus.DELIVERED
    assert len(pulsora.received) == 1


def test_a_claim_that_dies_with_its_process_is_sent_again_when_its_lease_is_over(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    put(store, an_event("in_1"))
    with store.transaction() as tx:
        outbox.claim(tx, NOW, 10, "test:dead", NOW + 3 * MINUTE, [])
    drain = make_drain()

    turns(drain, NOW + 2 * MINUTE)
    early = keys(pulsora)
    turns(drain, NOW + 3 * MINUTE)

    assert early == []
    assert keys(pulsora) == ["in_1"]


def test_a_killed_process_loses_nothing_and_repeats_only_what_it_had_in_hand(
    store: Store, make_drain: MakeDrain, pulsora: StandIn, tmp_path: Path
) -> None:
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(400)))
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    process = subprocess.Popen([sys.executable, "-c", DRAINING, url, pulsora.endpoint], cwd=ROOT)
    while len(pulsora.accepted) < 100:
        assert process.poll() is None
        time.sleep(0.01)

    process.kill()
    process.wait()
    turns(make_drain(), NOW + 4 * MINUTE)

    sent = Counter(data["transaction_id"] for data in pulsora.accepted)
    assert len(sent) == 400
    assert max(sent.values()) <= 2
    assert sent.total() - 400 <= 4 * 8  # threads, and events in hand of each


def test_no_transaction_is_open_while_an_answer_is_waited_for(
    store: Store, make_drain: MakeDrain, pulsora: StandIn
) -> None:
    drain = make_drain(client=Client())
    pulsora.rule = lambda data: Reply(delay_seconds=0.6)
    put(store, an_event("in_1"))
    turning = threading.Thread(target=turns, args=(drain,))
    turning.start()
    while not pulsora.received:
        time.sleep(0.01)

    started = time.monotonic()
    put(store, an_event("in_2", "cus_2"))
    waited = time.monotonic() - started
    turning.join()

    assert waited < 0.4


class FailingStore:
    """A store whose n-th transaction from now fails as it is about to begin."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.fails_at = 0

    def transaction(self) -> Any:
        self.fails_at -= 1
        if self.fails_at == 0:
            raise RuntimeError("the disk is full")
        return self._store.transaction()


class FaultyClient(Client):
    """A client with a bug."""

    def post(self, endpoint: str, token: str, body: bytes) -> Answer:
        raise ZeroDivisionError(token)
