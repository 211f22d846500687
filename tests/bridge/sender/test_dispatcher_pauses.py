"""A dispatcher waits while a destination refuses or is busy, and when the rate limit is used up."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

import pytest

from bridge.clock import Uptime
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.store import Store, pauses, rate_limit
from bridge.store.outbox import DeliveryStatus
from tests.bridge.sender.rounds import MINUTE, NOW, SECOND, TOKEN, MakeDispatcher, an_event, keys, put, rounds, rows
from tests.fake_pulsora import Reply, ScriptedPulsora


@pytest.fixture(name="store")
def _store(sqlite_store: Store) -> Store:
    return sqlite_store


# ---- Pauses ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("120", 120), (None, 60), ("0", 1), ("999999", 3600), ("Sat, 01 Mar 2025 12:02:00 GMT", 120), ("soon", 60)],
)
def test_a_429_pauses_everything_for_as_long_as_it_asks_within_bounds(
    store: Store, dispatcher: Dispatcher, pulsora: ScriptedPulsora, header: str | None, seconds: int
) -> None:
    pulsora.script(Reply(status=429, headers={} if header is None else {"Retry-After": header}))
    put(store, an_event("in_1"))
    rounds(dispatcher)
    put(store, an_event("in_2", "cus_2"))

    rounds(dispatcher, NOW + (seconds - 0.5) * SECOND)
    early = keys(pulsora)
    rounds(dispatcher, NOW + (seconds + 2) * SECOND)

    assert early == ["in_1"]
    assert sorted(keys(pulsora)) == ["in_1", "in_1", "in_2"]
    assert {row.attempts for row in rows(store).values()} == {1}


def test_a_429_in_the_middle_puts_the_rest_back_unburnt(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))
    pulsora.script(Reply(), Reply(status=429, headers={"Retry-After": "30"}))

    rounds(dispatcher)
    paused = rows(store)
    rounds(dispatcher, NOW + 31 * SECOND)

    assert [paused[f"in_{number}"].status for number in range(4)] == [DeliveryStatus.DELIVERED, *["pending"] * 3]
    assert [paused[f"in_{number}"].attempts for number in range(4)] == [1, 0, 0, 0]
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert len(pulsora.received) == 5


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_pauses_the_destination_and_one_event_at_a_time_probes_it(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora, status: int
) -> None:
    dispatcher = make_dispatcher(threads=1)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(5)))
    pulsora.rule = lambda data: Reply(status=status, body=b'{"error": "No"}')

    seen = []
    for minute in (0, 0.9, 1.1, 1.5, 4.2, 4.3, 9, 20, 40):
        rounds(dispatcher, NOW + minute * MINUTE)
        seen.append(len(pulsora.received))
    pulsora.rule = None
    rounds(dispatcher, NOW + 70 * MINUTE)

    # Refused at 0, so left alone until 1; then at 1.1 until 2.2, at 4.2 until 8.4, at 9 until 18, at 20 until 35, …
    assert seen == [1, 1, 2, 2, 3, 3, 4, 5, 6]
    assert {row.status for row in rows(store).values()} == {DeliveryStatus.DELIVERED}
    assert {row.attempts for row in rows(store).values()} == {1}
    assert len(pulsora.received) == 6 + 5
    with store.reading() as tx:
        assert pauses.active(tx, NOW + 70 * MINUTE) == []


def test_what_was_refused_is_not_the_next_probe(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1)
    put(store, an_event("in_1", "cus_1"), an_event("in_2", "cus_2"))
    pulsora.script(Reply(status=403))

    rounds(dispatcher)
    rounds(dispatcher, NOW + 61 * SECOND)

    assert keys(pulsora)[:2] == ["in_1", "in_2"]


def test_a_probe_that_is_not_sent_or_is_rejected_for_itself_is_followed_by_the_next_at_once(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1)
    put(store, an_event("in_1", "cus_1"))
    pulsora.script(Reply(status=401))
    rounds(dispatcher)
    put(store, an_event("in_2", "cus_2", body="{"), an_event("in_3", "cus_3"), an_event("in_4", "cus_4"))
    pulsora.script(Reply(status=400))

    for second in (61, 62, 63):
        rounds(dispatcher, NOW + second * SECOND)

    found = rows(store)
    assert [found[key].status for key in ("in_2", "in_3")] == [DeliveryStatus.FAILED] * 2
    assert found["in_4"].status is DeliveryStatus.DELIVERED
    assert keys(pulsora)[:3] == ["in_1", "in_3", "in_4"]
    with store.reading() as tx:
        assert pauses.active(tx, NOW + 64 * SECOND) == []


def test_a_customer_whose_text_a_firewall_dislikes_stops_the_others_once(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(threads=1)
    pulsora.rule = lambda data: Reply(status=403) if data["customer_id"] == "cus_0" else None
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))

    for minute in (0, 1.1, 2, 3):
        rounds(dispatcher, NOW + minute * MINUTE)
    put(store, an_event("in_9", "cus_9"))
    rounds(dispatcher, NOW + 4 * MINUTE)

    found = rows(store)
    assert [found[key].status for key in ("in_1", "in_2", "in_3", "in_9")] == [DeliveryStatus.DELIVERED] * 4
    assert found["in_0"].status is DeliveryStatus.PENDING
    assert found["in_0"].attempts >= 1


def test_another_token_at_the_same_origin_goes_on(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    destinations = {
        "stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN),
        "shop": Destination(endpoint=pulsora.endpoint, token="sec_wrong_fake"),
    }
    dispatcher = make_dispatcher(destinations=destinations)
    put(store, an_event("in_1", "cus_1", source="shop"), an_event("in_2", "cus_2", source="shop"))
    rounds(dispatcher)
    put(store, an_event("in_3", "cus_3"))

    rounds(dispatcher, NOW + SECOND)

    assert rows(store)["in_3"].status is DeliveryStatus.DELIVERED
    assert rows(store)["in_1"].status is DeliveryStatus.PENDING
    with store.reading() as tx:
        assert [pause.destination for pause in pauses.active(tx, NOW + SECOND)] == [destinations["shop"].id]


def test_a_new_token_is_not_paused_for_the_old_ones_sake(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    put(store, an_event("in_1"))
    wrong = make_dispatcher(destinations={"stripe": Destination(endpoint=pulsora.endpoint, token="sec_wrong_fake")})
    rounds(wrong)
    put(store, an_event("in_2", "cus_2"))

    rounds(make_dispatcher(), NOW + SECOND)

    assert rows(store)["in_2"].status is DeliveryStatus.DELIVERED


def test_a_pause_holds_for_every_process(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    pulsora.script(Reply(status=429, headers={"Retry-After": "60"}))
    put(store, an_event("in_1"))
    rounds(make_dispatcher())
    put(store, an_event("in_2", "cus_2"))

    rounds(make_dispatcher(owner="test:2"), NOW + SECOND)

    assert keys(pulsora) == ["in_1"]


# ---- Budget ----------------------------------------------------------------------------------------------------


def test_no_rolling_hour_holds_more_than_the_budget(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatchers = [make_dispatcher(per_hour=10, threads=2), make_dispatcher(per_hour=10, threads=2, owner="test:2")]
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(35)))
    pulsora.rule = lambda data: Reply(status=500) if data["transaction_id"] in ("in_1", "in_4", "in_11") else None

    sent_at: list[datetime] = []
    for minute in range(0, 300, 7):
        now = NOW + minute * MINUTE
        before = len(pulsora.received)
        for dispatcher in dispatchers:
            rounds(dispatcher, now)
        sent_at += [now] * (len(pulsora.received) - before)

    busiest = max(Counter(sum(at <= other < at + 60 * MINUTE for other in sent_at) for at in sent_at))
    assert busiest == 10  # all of it is used, and no more, the retries included
    assert len(pulsora.accepted) >= 32


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clock_that_is_set_gives_no_second_budget_and_sends_nothing_twice(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora, hours: int
) -> None:
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(35)))
    sent_at: list[datetime] = []

    for minute in range(0, 500, 5):  # of a clock that nobody sets; each time another process looks at one that is
        before, at = len(pulsora.received), NOW + minute * MINUTE
        dispatcher = make_dispatcher(per_hour=10, threads=2, owner=f"test:{minute}")
        clock = at + (60 * hours * MINUTE if minute >= 30 else 0 * MINUTE)
        rounds(dispatcher, clock, uptime=Uptime(boot="boot_fake", seconds=minute * 60.0))
        sent_at += [at] * (len(pulsora.received) - before)

    assert max(sum(at <= other < at + 60 * MINUTE for other in sent_at) for at in sent_at) == 10
    assert sorted(keys(pulsora)) == sorted(f"in_{number}" for number in range(35))


def test_a_used_up_budget_is_in_the_report(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(per_hour=3)
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(5)))

    report = rounds(dispatcher)

    assert report.exhausted == (Destination(endpoint=pulsora.endpoint, token="").origin,)
    assert len(pulsora.received) == 3


def test_an_unclaimed_delivery_releases_its_place_in_the_budget(
    store: Store, make_dispatcher: MakeDispatcher, pulsora: ScriptedPulsora
) -> None:
    dispatcher = make_dispatcher(per_hour=100, threads=1)
    pulsora.script(Reply(status=401))
    put(store, *(an_event(f"in_{number}", f"cus_{number}") for number in range(4)))

    rounds(dispatcher)

    assert len(pulsora.received) == 1
    with store.reading() as tx:
        assert rate_limit.used(tx, Destination(endpoint=pulsora.endpoint, token="").origin, NOW) == 1
