"""A process of a crowd that works on one store: run as a program, by the tests that need several processes.

python crowd.py accept URL NAME THREADS COUNT    stores COUNT events a thread, prints each id once it is acknowledged
python crowd.py work URL NAME THREADS COUNT      COUNT transactions a thread that move rows on and count them
python crowd.py rate_limit URL NAME THREADS COUNT  reserves three requests COUNT times a thread, prints how many it got
python crowd.py migrate URL NAME THREADS COUNT   migrates once in each thread
python crowd.py hold URL NAME THREADS COUNT      COUNT transactions that hold the write lock for 20 ms, without pause
python crowd.py race URL NAME THREADS COUNT      COUNT rounds a thread of settling and sending five customers
python crowd.py fork URL NAME THREADS COUNT      uses the store, forks, and uses it in both

NAME may be several names with commas: then each has a process of its own, forked before the store is opened.
"""

from __future__ import annotations

import os
import random
import sys
import threading
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from bridge.store import Store, inbox, leases, open_store, outbox, rate_limit, streams
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import DeliveryStatus, NewDelivery, Outcome
from bridge.store.streams import SettledStream, StreamUpdate

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BODY = bytes(range(256)) * 16
CUSTOMERS = [f"stripe||live|cus_{number}" for number in range(5)]


def accept(store: Store, name: str, count: int) -> None:
    for number in range(count):
        event_id = f"evt_{name}_{number}"
        store.accept(_arrival(event_id))
        say(event_id)


def work(store: Store, name: str, count: int) -> None:
    for _ in range(count):
        with store.transaction() as tx:
            rows = inbox.unrouted(tx, 5, NOON)
            inbox.assign(tx, [(row.id, name) for row in rows])
            leases.heartbeat(tx, name, NOON)
        with store.reading() as tx:
            inbox.counts(tx)
    say(name)


def reserve(store: Store, name: str, count: int) -> None:
    for number in range(count):
        with store.transaction() as tx:
            say(rate_limit.reserve(tx, "pulsora", NOON + number * timedelta(seconds=1), 3, 50))


def migrate(store: Store, name: str, count: int) -> None:
    store.migrate()
    say(store.schema_fits())


def hold(store: Store, name: str, count: int) -> None:
    for number in range(count):
        with store.transaction() as tx:
            leases.heartbeat(tx, name, NOON)
            if number == 0:
                say("holding")
            time.sleep(0.02)


def race(store: Store, name: str, count: int) -> None:
    chance = random.Random(name)
    for number in range(count):
        now = datetime.now(UTC)
        with store.transaction() as tx:
            streams.upsert(tx, [_update(customer, now) for customer in chance.sample(CUSTOMERS, 3)])
        with store.transaction() as tx:
            claims = streams.claim_due(tx, now, 2, name, now + MINUTE)
        with store.transaction() as tx:
            streams.save(tx, [SettledStream(claim=claim, state="{}") for claim in claims], now)
            outbox.add(
                tx, [_delivery(claim.stream_id, f"{name}.{number}.{n}", now) for claim in claims for n in (1, 2)]
            )
        with store.transaction() as tx:
            sent = outbox.claim(tx, now, 3, name, now + MINUTE, [])
        with store.transaction() as tx:
            outbox.record(tx, [_outcome(delivery.id) for delivery in sent])
        for delivery in sent:
            say(delivery.id)


def _update(customer: str, now: datetime) -> StreamUpdate:
    return StreamUpdate(stream_id=customer, scope="stripe||live", has_customer=True, at=now, due_at=now)


def _delivery(stream_id: str, key: str, now: datetime) -> NewDelivery:
    return NewDelivery(
        stream_id=stream_id,
        scope="stripe||live",
        source="stripe",
        livemode=True,
        output_key=f"{stream_id} {key}",
        status=DeliveryStatus.PENDING,
        body="{}",
        next_at=now,
        created_at=now,
        event_type="renewal",
        currency="USD",
        amount=Decimal("9.00"),
    )


def _outcome(delivery_id: int) -> Outcome:
    return Outcome(id=delivery_id, status=DeliveryStatus.DELIVERED, attempts=1, at=datetime.now(UTC))


def fork(store: Store, name: str, count: int) -> None:
    store.accept(_arrival("evt_parent"))
    child = os.fork()
    if child == 0:
        store.accept(_arrival("evt_child"))
        with store.transaction() as tx:
            leases.heartbeat(tx, "child", NOON)
        os._exit(0)
    os.waitpid(child, 0)
    store.accept(_arrival("evt_parent_again"))
    with store.reading() as tx:
        say(f"{sorted(row.event_id for row in inbox.listing(tx))} {leases.heartbeats(tx) == {'child': NOON}}")


def _arrival(event_id: str) -> NewWebhook:
    return NewWebhook(
        source="stripe",
        account=None,
        livemode=True,
        event_id=event_id,
        type="invoice.paid",
        created_at=NOON,
        received_at=NOON,
        body=BODY,
    )


DEEDS: Mapping[str, Callable[[Store, str, int], None]] = {
    "accept": accept,
    "work": work,
    "rate_limit": reserve,
    "migrate": migrate,
    "hold": hold,
    "race": race,
    "fork": fork,
}


def say(found: object) -> None:
    """One line in one piece: several processes may write to one pipe."""
    sys.stdout.write(f"{found}\n")
    sys.stdout.flush()


def main(deed: str, url: str, names: str, threads: str, count: str) -> None:
    if "," not in names:  # no child, so that a kill reaches it
        return crowd(deed, url, names, int(threads), int(count))
    children = []
    for name in names.split(","):
        child = os.fork()
        if child == 0:
            return crowd(deed, url, name, int(threads), int(count))
        children.append(child)
    sys.exit(max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0 for child in children))


def crowd(deed: str, url: str, name: str, threads: int, count: int) -> None:
    store = open_store(url)
    some = [threading.Thread(target=DEEDS[deed], args=(store, f"{name}.{thread}", count)) for thread in range(threads)]
    for thread in some:
        thread.start()
    for thread in some:
        thread.join()
    store.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
