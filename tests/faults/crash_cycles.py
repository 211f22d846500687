"""What the crash points interrupt: a cycle from webhook to Pulsora, an upgrade, a copy, an erasure, a purge.

Each has a `prepare` that makes the files, a `run` that is interrupted, and a `resume` that does what the next start
does, after a check that what the interruption left is a prefix of what was acknowledged.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from flask import Flask
from sqlalchemy import select

from bridge.errors import UsageError
from bridge.privacy.erasing import erase, plan
from bridge.sender import payload
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.sender.http_client import HttpClient, Response
from bridge.settings import Settings
from bridge.store import Store, erasures, migrations, open_store
from bridge.store import inbox as inbox_rows
from bridge.store.copy import copy_store
from bridge.store.schema import bodies, decompress, inbox, outbox
from bridge.web import create_app
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from bridge.worker.translation import translate
from processors import processors
from processors.stripe.simulation.customer import PRO, TEAM, Customer
from tests.settings import STRIPE_SECRET, TOKEN, some_settings

BACKLOG = Path(__file__).parents[1] / "bridge" / "upgrade" / "backlog_of_v0001.sql"
BORN = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = (timedelta(hours=1), timedelta(hours=3))  # of the run and of the restart, when the leases have expired
WEBHOOKS = (
    Customer.begin("ada", BORN).subscribe(PRO).change(TEAM, billed=True).refund(1000).webhooks
    + Customer.begin("bob", BORN, visit={}).buy(2900).webhooks
)
ENDPOINT = "https://pulsora.invalid/api/ingest"
COPY = "copy-of-bridge.db"
ERASED, OTHER = "cus_bob", "cus_ada"
PURGED_AT_ONCE = 3

Outcome = dict[str, list[str]]


class Journal:
    """What was sent to the others, in a separate file: `before` is a crash point before each line."""

    def __init__(self, path: Path, before: Callable[[], None]) -> None:
        self._path = path
        self._before = before

    def add(self, kind: str, what: str) -> None:
        """Records that a webhook is acknowledged, or that a revenue event has arrived at Pulsora."""
        self._before()
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([kind, what]) + "\n")

    def lines(self, kind: str) -> list[str]:
        """What was sent so far."""
        if not self._path.exists():
            return []
        lines = [json.loads(line) for line in self._path.read_text(encoding="utf-8").splitlines()]
        return [what for found, what in lines if found == kind]


class JournalClient(HttpClient):
    """A Pulsora that accepts everything and keeps it in the journal."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def post(self, endpoint: str, token: str, body: bytes) -> Response:
        """Arrives, and is accepted."""
        self._journal.add("sent", body.decode())
        return Response(status=202, reason="", took_ms=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """One kind of work that is interrupted. `prepare` and `run` get the folder, `run` and `resume` the journal too."""

    name: str
    prepare: Callable[[Path], None]
    run: Callable[[Path, Journal], None]
    resume: Callable[[Path, Journal], Outcome]


# ---- Accept, route, settle, send, record ----------------------------------------------------------------------------


def _migrated(folder: Path) -> None:
    store = _store(folder)
    store.migrate()
    store.close()


def _pipeline(folder: Path, journal: Journal) -> None:
    store = _store(folder)
    _accept(store, WEBHOOKS, journal)
    _work(store, LATER[0], journal)
    store.close()


def _resumed_pipeline(folder: Path, journal: Journal) -> Outcome:
    _assert_whole(folder / "bridge.db")
    store = _store(folder)
    acknowledged, stored = journal.lines("acknowledged"), _stored(store)
    assert stored[: len(acknowledged)] == acknowledged, f"acknowledged {len(acknowledged)}, stored {len(stored)}"
    assert stored == [body.decode() for body in WEBHOOKS[: len(stored)]], "something else is stored"
    assert len(stored) <= len(acknowledged) + 1, "only the last one may be stored without its response"
    unrecorded = Counter(journal.lines("sent")) - Counter(_sent_bodies(store))
    _accept(store, WEBHOOKS[len(acknowledged) :], journal)
    _work(store, LATER[1], journal)
    found = _outcome(store)
    again = Counter(journal.lines("sent")) - Counter(set(journal.lines("sent")))
    assert set(again) <= set(unrecorded), "an event was sent again although its delivery was recorded"
    assert sorted(set(journal.lines("sent"))) == sorted(_sent_bodies(store)), "not every event arrived as it is stored"
    store.close()
    return found


def _accept(store: Store, webhooks: Sequence[bytes], journal: Journal) -> None:
    web = _app(store).test_client()
    for body in webhooks:
        signed = processors()["stripe"].sign(body, STRIPE_SECRET, datetime.now(UTC))
        response = web.post("/webhooks/stripe", data=signed.body, headers=dict(signed.headers))
        assert response.status_code == 200, response.text
        journal.add("acknowledged", body.decode())


def _work(store: Store, later: timedelta, journal: Journal) -> None:
    now, settings = datetime.now(UTC) + later, _settings()
    while route(store, settings, "worker", now):
        pass
    while settle_due(store, settings, "worker", now):
        pass
    destinations = {"stripe": Destination(endpoint=ENDPOINT, token=TOKEN)}
    sender = Dispatcher(store, destinations, owner="worker", threads=1, client=JournalClient(journal))
    for _ in range(2):  # what was recorded during a round may be due only after its time
        later += timedelta(seconds=10)
        idle = 0
        while idle < 2:  # a delivery that ends during a round frees its customer's next one for the round after
            report = sender.run_round(datetime.now(UTC) + later)
            idle = 0 if report.claimed or report.in_flight else idle + 1
    sender.close()


@cache  # made once, before the processes that are stopped
def _app(store: Store) -> Flask:
    return create_app(_settings(), store)


@cache
def _settings() -> Settings:
    return some_settings("sqlite:///unused.db", HOLD_HOURS="0")


# ---- Upgrade --------------------------------------------------------------------------------------------------------


def _backlog(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "bridge.db")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(BACKLOG.read_text(encoding="utf-8"))


def _upgrade(folder: Path, journal: Journal) -> None:
    store = _store(folder)
    store.migrate()
    store.close()


def _resumed_upgrade(folder: Path, journal: Journal) -> Outcome:
    _assert_whole(folder / "bridge.db")
    store = _store(folder)
    with store.reading() as tx:
        assert migrations.current(tx) in ("0001", migrations.newest()), "the schema is of a version in between"
    store.migrate()
    _work(store, LATER[1], journal)
    found = _outcome(store)
    store.close()
    return found


# ---- Copy -----------------------------------------------------------------------------------------------------------


def _upgraded_backlog(folder: Path) -> None:
    _backlog(folder)
    _migrated(folder)


def _copy(folder: Path, journal: Journal) -> None:
    source, target = _store(folder), _store(folder, COPY)
    target.migrate()
    copy_store(source, target)
    journal.add("copied", "")
    target.close()
    source.close()


def _resumed_copy(folder: Path, journal: Journal) -> Outcome:
    source, target = _store(folder), _store(folder, COPY)
    target.migrate()
    _assert_whole(folder / COPY)
    with suppress(UsageError):  # the target is not empty: then it has to be complete
        copy_store(source, target)
        assert not journal.lines("copied"), "the copy was reported as done and is gone"
    assert _outcome(source) == _outcome(target), "the copy is not complete"
    _work(target, LATER[1], journal)
    found = _outcome(target)
    target.close()
    source.close()
    return found


# ---- Erasure and purge ----------------------------------------------------------------------------------------------


def _delivered(folder: Path) -> None:
    _migrated(folder)
    journal = Journal(folder / "journal", lambda: None)
    _pipeline(folder, journal)


def _erase(folder: Path, journal: Journal) -> None:
    store = _store(folder)
    now = datetime.now(UTC) + LATER[0]
    wanted = plan(store, ERASED, None, now)
    assert wanted is not None, "the customer is not there"
    erase(store, wanted, lambda row: translate(row, _settings()), now)
    journal.add("erased", "")
    store.close()


def _resumed_erasure(folder: Path, journal: Journal) -> Outcome:
    _assert_whole(folder / "bridge.db")
    store = _store(folder)
    with store.reading() as tx:
        is_erased, bodies_before = bool(erasures.receipts(tx)), _stored(store)
    assert is_erased or not journal.lines("erased"), "the erasure was reported as done and is gone"
    assert is_erased == (not any(ERASED in body for body in bodies_before)), "a part of the customer is erased"
    if not is_erased:
        _erase(folder, journal)
    store.compact()
    assert not _files_naming(folder, ERASED), f"{ERASED} is still in {_files_naming(folder, ERASED)}"
    with store.reading() as tx:
        amounts = tx.execute(select(outbox.c.event_type, outbox.c.amount, outbox.c.status).order_by(outbox.c.id))
        found = {"amounts": [str(tuple(row)) for row in amounts]}
    found["others"] = [body for body in _stored(store) if OTHER in body]
    store.close()
    return found


def _files_naming(folder: Path, text: str) -> list[str]:
    files = [path for path in folder.glob("bridge.db*") if not path.name.endswith(".synced")]
    return [path.name for path in files if text.encode() in path.read_bytes()]


def _purge(folder: Path, journal: Journal) -> None:
    store, before, after = _store(folder), datetime.now(UTC) + timedelta(days=1), 0
    while True:
        with store.transaction() as tx:
            purged = inbox_rows.purge(tx, before, PURGED_AT_ONCE, after)
        if purged.after is None:
            break
        after = purged.after
    store.shrink()
    journal.add("purged", "")
    store.close()


def _resumed_purge(folder: Path, journal: Journal) -> Outcome:
    _assert_whole(folder / "bridge.db")
    store = _store(folder)
    left = _stored(store)
    assert left == [body.decode() for body in WEBHOOKS][len(WEBHOOKS) - len(left) :], "not the oldest are purged"
    assert not (left and journal.lines("purged")), "the purge was reported as done and bodies are there"
    _purge(folder, journal)
    found = _outcome(store)
    store.close()
    return found


# ---- The database ---------------------------------------------------------------------------------------------------


@cache
def _store(folder: Path, name: str = "bridge.db") -> Store:
    return open_store(f"sqlite:///{folder / name}")


def _stored(store: Store) -> list[str]:
    with store.reading() as tx:
        rows = tx.execute(select(bodies.c.body).join(inbox, inbox.c.id == bodies.c.inbox_id).order_by(inbox.c.id))
        return [decompress(body).decode() for (body,) in rows]


def _sent_bodies(store: Store) -> list[str]:
    """What Pulsora gets of each delivered revenue event."""
    with store.reading() as tx:
        rows = tx.execute(select(outbox.c.body).where(outbox.c.status == "delivered"))
        return [_as_sent(body) for (body,) in rows]


def _as_sent(body: str) -> str:
    return payload.body(body, TOKEN).decode()


def _outcome(store: Store) -> Outcome:
    """Everything that has to be equal in the end: webhooks with their statuses, and revenue events with theirs."""
    with store.reading() as tx:
        webhooks = tx.execute(
            select(inbox.c.event_id, inbox.c.status, inbox.c.revenue_event_count).order_by(inbox.c.event_id)
        )
        events = tx.execute(select(outbox.c.output_key, outbox.c.status, outbox.c.body).order_by(outbox.c.output_key))
        found = {"webhooks": [str(tuple(row)) for row in webhooks], "events": [str(tuple(row)) for row in events]}
    return found | {"bodies": sorted(_stored(store))}


def _assert_whole(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("PRAGMA integrity_check").fetchone()[0]
    assert found == "ok", f"{os.path.basename(path)}: {found}"


CYCLES = (
    Cycle(name="pipeline", prepare=_migrated, run=_pipeline, resume=_resumed_pipeline),
    Cycle(name="upgrade", prepare=_backlog, run=_upgrade, resume=_resumed_upgrade),
    Cycle(name="copy", prepare=_upgraded_backlog, run=_copy, resume=_resumed_copy),
    Cycle(name="erasure", prepare=_delivered, run=_erase, resume=_resumed_erasure),
    Cycle(name="purge", prepare=_delivered, run=_purge, resume=_resumed_purge),
)
