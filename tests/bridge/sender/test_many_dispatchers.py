"""Several dispatchers at once over one store, SQLite and PostgreSQL: rate limit, order and claims hold."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Thread

from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.store import Store, outbox
from bridge.store.outbox import DeliveryStatus, NewDelivery
from tests.fake_pulsora import Reply, ScriptedPulsora

TOKEN = "sec_test_fake"
NOW = datetime(2025, 3, 1, 12, tzinfo=UTC)
STREAMS = [f"cus_{number}" for number in range(12)]


def test_together_they_send_what_the_budget_allows_and_nothing_twice(store: Store, pulsora: ScriptedPulsora) -> None:
    fill(store, each=10)
    dispatchers = [a_dispatcher(store, pulsora, number, per_hour=50) for number in range(3)]

    together(store, dispatchers, rounds=12)

    sent = [data["transaction_id"] for data in pulsora.accepted]
    assert len(sent) == 50
    assert len(set(sent)) == 50


def test_together_they_keep_each_customers_order(store: Store, pulsora: ScriptedPulsora) -> None:
    fill(store, each=10)
    dispatchers = [a_dispatcher(store, pulsora, number, per_hour=0) for number in range(3)]

    together(store, dispatchers, rounds=200)

    sent = [data["transaction_id"] for data in pulsora.accepted]
    assert Counter(sent) == Counter(f"{stream}-{number}" for stream in STREAMS for number in range(10))
    for stream in STREAMS:
        assert [key for key in sent if key.startswith(f"{stream}-")] == [f"{stream}-{number}" for number in range(10)]


def test_what_one_finds_refused_the_others_leave_alone(store: Store, pulsora: ScriptedPulsora) -> None:
    fill(store, each=10)
    pulsora.rule = lambda data: Reply(status=401)
    dispatchers = [a_dispatcher(store, pulsora, number, per_hour=0) for number in range(3)]

    together(store, dispatchers, rounds=10)

    assert len(pulsora.received) <= 3 * 2  # what was in flight when the first refusal came
    with store.reading() as tx:
        assert {row.attempts for row in outbox.listing(tx, limit=1000)} == {0}


def test_only_one_of_them_probes(store: Store, pulsora: ScriptedPulsora) -> None:
    fill(store, each=1)
    pulsora.script(Reply(status=401))
    together(store, [a_dispatcher(store, pulsora, 0, per_hour=0, threads=1)], rounds=1)
    pulsora.forget()
    pulsora.rule = lambda data: Reply(status=401, delay_seconds=0.2)
    dispatchers = [a_dispatcher(store, pulsora, number, per_hour=0) for number in range(3)]

    together(store, dispatchers, rounds=2, now=NOW + timedelta(seconds=70))

    assert len(pulsora.received) == 1


def fill(store: Store, *, each: int) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [an_event(stream, number) for number in range(each) for stream in STREAMS])


def an_event(stream: str, number: int) -> NewDelivery:
    data = {"visitor_fingerprint": "fp", "session_id": "s", "customer_id": stream, "amount": 1}
    return NewDelivery(
        stream_id=f"stripe||live|{stream}",
        scope="stripe||live",
        source="stripe",
        livemode=True,
        output_key=f"{stream}-{number}",
        status=DeliveryStatus.PENDING,
        body=json.dumps({**data, "transaction_id": f"{stream}-{number}"}),
        next_at=NOW,
        created_at=NOW,
        event_type="purchase",
        currency="EUR",
        amount=Decimal(1),
    )


def a_dispatcher(store: Store, pulsora: ScriptedPulsora, number: int, *, per_hour: int, threads: int = 2) -> Dispatcher:
    destinations = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
    return Dispatcher(store, destinations, owner=f"test:{number}", threads=threads, per_hour=per_hour)


def together(store: Store, dispatchers: Sequence[Dispatcher], *, rounds: int, now: datetime = NOW) -> None:
    """Each dispatcher runs that many rounds in its own thread, fewer when nothing is left, and is closed."""
    failures: list[BaseException] = []

    def waiting() -> int:
        with store.reading() as tx:
            return outbox.backlog(tx).count

    def work(dispatcher: Dispatcher) -> None:
        try:
            for _ in range(rounds):
                report = dispatcher.run_round(now)
                if not report.claimed and not report.in_flight and not waiting():
                    break
            dispatcher.close()
        except BaseException as failure:
            failures.append(failure)
            raise

    threads = [Thread(target=work, args=(dispatcher,)) for dispatcher in dispatchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
