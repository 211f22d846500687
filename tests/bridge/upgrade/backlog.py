"""A database as a busy bridge leaves it, as SQL text: webhooks and deliveries in every status.

The SQL files in this folder were written by the program of the schema version that they are named after, in a checkout
of its last commit, and never change: they are what an upgrade finds. The programs of 0003 and 0008 never ran on their
own; their databases were migrated from the version before by those migrations. For a new version, in its own checkout:

    PYTHONPATH=. python tests/bridge/upgrade/backlog.py > tests/bridge/upgrade/backlog_of_v0010.sql
"""

from __future__ import annotations

import json
import sqlite3
import sys
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge import log
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.settings import load
from bridge.store import Store, inbox, leases, open_store, outbox, pauses
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import DeliveryStatus, Outcome
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors.stripe.simulation.customer import PRO, TEAM, Customer
from processors.stripe.simulation.payloads.catalog import coupon

BORN = datetime(2026, 1, 1, 12, tzinfo=UTC)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TOKEN = "sec_fake_token_of_the_tests"
SETTINGS = {
    "STRIPE_WEBHOOK_SECRET": "whsec_fake_secret_of_the_tests",
    "PULSORA_SECRET_TOKEN": TOKEN,
    "SETTLE_SECONDS": "90",
}
ADA = Customer.begin("ada", BORN).subscribe(PRO).renew()  # delivered
BOB = Customer.begin("bob", BORN).subscribe(PRO)  # settled, to be sent
BOB_LATER = BOB.later(days=10).change(TEAM, billed=True).webhooks[len(BOB.webhooks) :]  # not routed yet
CLEO = Customer.begin("cleo", BORN).subscribe(PRO)  # routed, her stream is not due yet
DAN = Customer.begin("dan", BORN, visit={}).buy(2900)  # settled, held for his attribution
EVE = (  # delivered: a state with everything in it
    Customer.begin("eve", BORN)
    .subscribe(PRO, 2, coupon=coupon("HALF", percent=50))
    .later(days=5)
    .change(quantity=3, billed=True)
    .later(days=1)
    .refund(1000)
    .subscribe(TEAM, name="2", trial_days=20)
    .buy(1900)
    .dispute()
)
EVE_LATER = (  # not routed yet
    EVE.later(days=5).reinstate().refund(payment=0).end_trial("2").later(days=1).cancel(name="1")
).webhooks[len(EVE.webhooks) :]
FAY = Customer.begin("fay", BORN).buy(700)  # test mode: not forwarded
GUS = Customer.begin("gus", BORN).buy(800)  # rejected by Pulsora
IDA = Customer.begin("ida", BORN, visit={}).subscribe(PRO)  # settled, her start is held for its attribution
HAL = Customer.begin("hal", BORN).buy(900, guest=True)  # settled without a customer, to be sent


def receive(store: Store, bodies: Iterable[bytes], at: datetime, livemode: bool = True) -> None:
    """Stores webhooks as the web process does."""
    for body in bodies:
        event = json.loads(body)
        store.accept(
            NewWebhook(
                source="stripe", account=None, livemode=livemode, event_id=event["id"], type=event["type"],
                created_at=datetime.fromtimestamp(event["created"], UTC), received_at=at, body=body,
            )
        )  # fmt: skip


def work(store: Store, at: datetime) -> None:
    """Routes and settles everything that is due then."""
    settings = load(SETTINGS | {"DATABASE_URL": "sqlite:///unused.db"})
    while route(store, settings, "worker", at):
        pass
    while settle_due(store, settings, "worker", at):
        pass


def send(store: Store, at: datetime) -> Sequence[tuple[str, str]]:
    """Delivers what is due to a fake Pulsora; the type and transaction of each event that arrived there, in order."""
    with FakePulsora(TOKEN) as pulsora:
        routes = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
        drain = Dispatcher(store, routes, owner="worker", threads=1)
        idle = 0
        while idle < 2:  # a delivery that ends during a round frees the next one of its customer for the round after
            report = drain.run_round(at)
            idle = 0 if report.claimed or report.in_flight else idle + 1
        drain.close()
        return [(str(one.data["event_type"]), str(one.data["transaction_id"])) for one in pulsora.received if one.data]


def leave_behind(store: Store) -> None:
    """Fills the database."""
    hour = timedelta(hours=1)
    receive(store, [*ADA.webhooks, *EVE.webhooks], NOW - 4 * hour)
    work(store, NOW - 3 * hour)
    send(store, NOW - 3 * hour)
    receive(store, GUS.webhooks, NOW - 2 * hour)
    work(store, NOW - 1.5 * hour)
    with store.transaction() as tx:
        for one in outbox.claim(tx, NOW - hour, 10, "worker", NOW):
            rejected = Outcome(
                id=one.id,
                status=DeliveryStatus.FAILED,
                attempts=1,
                at=NOW - hour,
                last_status=400,
                last_error="rejected",
            )
            outbox.record(tx, [rejected])
    receive(store, [*BOB.webhooks, *DAN.webhooks, *HAL.webhooks, *IDA.webhooks], NOW - hour)
    receive(store, FAY.webhooks, NOW - hour, livemode=False)
    work(store, NOW - hour / 2)
    receive(store, CLEO.webhooks, NOW)
    work(store, NOW)
    receive(store, [*EVE_LATER, *BOB_LATER], NOW)
    with store.transaction() as tx:
        inbox.fail(tx, inbox.listing(tx, limit=1)[0].id, "a failed attempt", NOW + hour)
        leases.heartbeat(tx, "worker", NOW)
        pauses.pause(tx, "https://elsewhere.example", NOW + hour, "429", now=NOW)


def main() -> None:
    """Prints the SQL."""
    log.configure("json", "error")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bridge.db"
        store = open_store(f"sqlite:///{path}")
        store.migrate()
        leave_behind(store)
        store.close()
        with closing(sqlite3.connect(path)) as connection:
            sys.stdout.writelines(f"{line}\n" for line in connection.iterdump())


if __name__ == "__main__":
    main()
