"""A database as a busy bridge leaves it, as SQL text: some of everything is under way.

The files beside this one were written by the version that they are named after, and are never written again: they are
what an upgrade finds. For a new version, in its own checkout:

    PYTHONPATH=. python tests/bridge/upgrade/backlog.py > tests/bridge/upgrade/backlog_of_v0002.sql
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
from bridge.sender.drain import Drain
from bridge.settings import load
from bridge.store import Store, inbox, open_store
from bridge.store.inbox import NewWebhook
from bridge.worker.route import route
from bridge.worker.settle import settle_due
from processors.stripe.simulation.customer import PRO, TEAM, Customer

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
BOB_LATER = BOB.later(days=10).change(TEAM, billed=True).webhooks[len(BOB.webhooks) :]  # not looked at yet
CLEO = Customer.begin("cleo", BORN).subscribe(PRO)  # given to her stream, not quiet yet
DAN = Customer.begin("dan", BORN, visit={}).buy(2900)  # settled, held for his visit


def arrive(store: Store, bodies: Iterable[bytes], at: datetime) -> None:
    """Stores webhooks as the web would."""
    for body in bodies:
        event = json.loads(body)
        store.accept(
            NewWebhook(
                source="stripe", account=None, livemode=True, event_id=event["id"], type=event["type"],
                created_at=datetime.fromtimestamp(event["created"], UTC), received_at=at, body=body,
            )
        )  # fmt: skip


def work(store: Store, at: datetime) -> None:
    """All that a worker has to do at that moment, short of sending."""
    settings = load(SETTINGS | {"DATABASE_URL": "sqlite:///unused.db"})
    while route(store, settings, "worker", at):
        pass
    while settle_due(store, settings, "worker", at):
        pass


def send(store: Store, at: datetime) -> Sequence[tuple[str, str]]:
    """Delivers what is due to a stand-in; the type and transaction of each event that arrived there, in order."""
    with FakePulsora(TOKEN) as pulsora:
        routes = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
        drain = Drain(store, routes, owner="worker", threads=1)
        while (report := drain.drain_once(at)).claimed or report.in_hand:
            pass
        drain.close()
        return [(str(one.data["event_type"]), str(one.data["transaction_id"])) for one in pulsora.received if one.data]


def leave_behind(store: Store) -> None:
    """Some of everything."""
    hour = timedelta(hours=1)
    arrive(store, ADA.webhooks, NOW - 3 * hour)
    work(store, NOW - 2 * hour)
    send(store, NOW - 2 * hour)
    arrive(store, [*BOB.webhooks, *DAN.webhooks], NOW - hour)
    work(store, NOW - hour / 2)
    arrive(store, CLEO.webhooks, NOW)
    work(store, NOW)
    arrive(store, BOB_LATER, NOW)
    with store.transaction() as tx:
        first = inbox.listing(tx, source="stripe", limit=1)[0]
        inbox.fail(tx, first.id, "tried in vain", NOW + hour)


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
