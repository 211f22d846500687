"""A busy bridge is upgraded: the work continues, and nothing that is done is done again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Boolean, Connection, Integer, MetaData, create_engine, func, insert, select, text

from bridge.ledger.state import dump, load
from bridge.store import Store, inbox, leases, migrations, open_store, outbox, pauses, schema, streams
from bridge.store.outbox import DeliveryStatus
from tests.bridge.upgrade.backlog import NOW, send, work

FOLDER = Path(__file__).parent
LATER = sorted(path.stem.removeprefix("backlog_of_v") for path in FOLDER.glob("backlog_of_v*.sql"))[1:]
DIALECTS = ["sqlite", "postgresql"]
A_DAY = timedelta(days=1)

# What is sent after an upgrade from any version: type and transaction.
ARRIVED = [
    ("churn", "sub_eve_1:churn:3"),
    ("purchase", "dp_eve_26:reinstated"),
    ("purchase", "pi_dan_1"),
    ("purchase", "pi_hal_1"),
    ("refund", "re_eve_33"),
    ("subscription", "in_bob_3"),
    ("subscription", "in_cleo_3"),
    ("subscription", "in_eve_38"),
    ("subscription", "in_ida_3"),
    ("upgrade", "in_bob_12"),
]
COUNTS = {
    ("stripe", DeliveryStatus.DELIVERED): 17,
    ("stripe", DeliveryStatus.FAILED): 1,
    ("stripe", DeliveryStatus.NOT_FORWARDED): 1,
}
# Amount and movement of every revenue event, when it is sent.
REPORTED = {
    "payment:in_ada_3": (Decimal("49.00"), Decimal("49.00")),
    "payment:in_ada_12": (Decimal("49.00"), Decimal(0)),
    "payment:in_bob_3": (Decimal("49.00"), Decimal("49.00")),
    "payment:in_bob_12": (Decimal("33.87"), Decimal("50.00")),
    "payment:in_cleo_3": (Decimal("49.00"), Decimal("49.00")),
    "payment:pi_dan_1": (Decimal("29.00"), None),
    "payment:in_eve_4": (Decimal("49.00"), Decimal("49.00")),  # 2 x 49 at half price
    "movement:sub_eve_1:2": (Decimal(0), Decimal("24.50")),  # a third
    "payment:pi_eve_26": (Decimal("19.00"), None),
    "refund:re_eve_17": (Decimal("-10.00"), Decimal(0)),
    "refund:re_eve_33": (Decimal("-39.00"), Decimal(0)),  # the rest of the first payment
    "refund:dp_eve_26:withdrawn": (Decimal("-19.00"), Decimal(0)),
    "refund:dp_eve_26:reinstated": (Decimal("19.00"), Decimal(0)),
    "payment:in_eve_38": (Decimal("99.00"), Decimal("99.00")),  # the second subscription, after its trial
    "movement:sub_eve_1:3": (Decimal(0), Decimal("-73.50")),
    "payment:pi_fay_1": (Decimal("7.00"), None),
    "payment:pi_gus_1": (Decimal("8.00"), None),
    "payment:in_ida_3": (Decimal("49.00"), Decimal("49.00")),
    "payment:pi_hal_1": (Decimal("9.00"), None),
}
# From version 0004 on, the bridge had reported 24.49 for the third: that is what the churn then takes back.
MEASURED = {
    "movement:sub_eve_1:2": (Decimal(0), Decimal("24.49")),
    "movement:sub_eve_1:3": (Decimal(0), Decimal("-73.49")),
}


@pytest.fixture(params=DIALECTS)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """The database that the first version left behind, migrated to this program's schema."""
    store = upgrade_from("0001", request, tmp_path)
    yield store
    store.close()


def upgrade_from(version: str, request: pytest.FixtureRequest, folder: Path) -> Store:
    """An SQLite file as that version left it, or the same rows in PostgreSQL, migrated to this program's schema."""
    path = folder / "bridge.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript((FOLDER / f"backlog_of_v{version}.sql").read_text(encoding="utf-8"))
    url = f"sqlite:///{path}"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres").new()
        move_to_postgres(path, url)
    store = open_store(url)
    assert not store.schema_fits() or version == LATER[-1]
    store.migrate()
    return store


@pytest.fixture(params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> pytest.FixtureRequest:
    return request


@pytest.fixture(params=LATER)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def move_to_postgres(path: Path, url: str) -> None:
    """Copies the rows into a new database with the tables of the same version."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://", 1))
    with closing(sqlite3.connect(path)) as old, engine.begin() as new:
        old.row_factory = sqlite3.Row
        (version,) = old.execute("SELECT version_num FROM alembic_version").fetchone()
        create_tables(new, version)
        tables = MetaData()
        tables.reflect(new)
        for table in tables.sorted_tables:
            rows = [dict(row) for row in old.execute(f"SELECT * FROM {table.name}")]
            for column in table.columns:
                if isinstance(column.type, Boolean):
                    rows = [row | {column.name: bool(row[column.name])} for row in rows]
            if rows and table.name != "alembic_version":
                new.execute(insert(table), rows)
        for table in tables.sorted_tables:
            if "id" in table.columns and isinstance(table.columns["id"].type, Integer):
                sequence = f"pg_get_serial_sequence('{table.name}', 'id')"
                new.execute(text(f"SELECT setval({sequence}, max(id)) FROM {table.name}"))
    engine.dispose()


def create_tables(tx: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", "bridge.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = tx
    command.upgrade(config, version)


def test_what_an_older_version_left_behind_goes_on(upgraded: Store) -> None:
    work(upgraded, NOW + A_DAY)

    arrived = send(upgraded, NOW + A_DAY)

    assert sorted(arrived) == ARRIVED
    assert arrived.index(("subscription", "in_bob_3")) < arrived.index(("upgrade", "in_bob_12"))
    with upgraded.reading() as tx:
        assert outbox.counts(tx) == COUNTS


def test_the_ledger_of_an_older_version_is_read_as_it_was_written(upgraded: Store) -> None:
    work(upgraded, NOW + A_DAY)

    assert reported_by(upgraded) == REPORTED


def test_every_key_of_a_stored_state_is_known_to_this_version(upgraded: Store) -> None:
    with upgraded.reading() as tx:
        stored = [streams.state_of(tx, stream_id) for (stream_id,) in tx.execute(select(schema.states.c.stream_id))]

    assert len(stored) == 8
    assert [state for state in stored if with_measurements(state) != parsed(dump(load(state)))] == []


def parsed(state: str) -> Any:
    """The state with one of the two spellings of UTC: both are read, and what was not changed is kept as it was."""
    return json.loads(state.replace("+00:00", "Z"))


def with_measurements(state: str | None) -> Any:
    """The stored state with the lines of each last bill as measurements: the only keys that are read otherwise."""
    found = parsed(state or "")
    for subscription in found["state"].get("subscriptions", {}).values():
        lines, at = subscription.pop("billed_lines", {}), subscription.pop("billed_at", None)
        if lines:
            subscription["measured"] = {price: [{"at": at, "line": line}] for price, line in lines.items()}
    return found


def test_statuses_notes_and_the_tables_that_were_renamed_keep_their_contents(upgraded: Store) -> None:
    with upgraded.reading() as tx:
        statuses = {one.output_key: one.status for one in outbox.listing(tx)}
        upgrade = inbox.find(tx, "evt_eve_12")
        failed = inbox.find(tx, "evt_bob_18")
        reserved = tx.execute(select(schema.rate_limit.c.reserved)).scalars().all()
        eve = streams.find(tx, ["stripe||live|cus_eve"])["stripe||live|cus_eve"]
        assert leases.heartbeats(tx) == {"worker": NOW}
        assert [pause.destination for pause in pauses.active(tx, NOW)] == ["https://elsewhere.example"]

    assert statuses["payment:pi_gus_1"] is DeliveryStatus.FAILED
    assert statuses["payment:pi_fay_1"] is DeliveryStatus.NOT_FORWARDED
    assert upgrade is not None
    assert upgrade.notes == ("sub_eve_1: MRR 49.00 USD -> 73.50 USD: upgrade", "names the visit")
    assert failed is not None
    assert (failed.notes, failed.reason) == ((), "a failed attempt")
    assert reserved == [7]
    assert (eve.has_customer, eve.version) == (True, 1)


def test_a_delivery_that_had_failed_can_be_retried(upgraded: Store) -> None:
    with upgraded.transaction() as tx:
        (gus,) = outbox.listing(tx, DeliveryStatus.FAILED)
        assert outbox.retry(tx, [gus.id], NOW + A_DAY) == 1

    assert ("purchase", "pi_gus_1") in send(upgraded, NOW + A_DAY)


# ---- Every later version ---------------------------------------------------------------------------------------


def test_what_each_later_version_left_behind_goes_on_alike(
    version: str, dialect: pytest.FixtureRequest, tmp_path: Path
) -> None:
    store = upgrade_from(version, dialect, tmp_path)
    before = stored_deliveries(store)

    work(store, NOW + A_DAY)
    arrived = send(store, NOW + A_DAY)

    assert sorted(arrived) == ARRIVED
    assert arrived.index(("subscription", "in_bob_3")) < arrived.index(("upgrade", "in_bob_12"))
    expected = REPORTED | (MEASURED if version >= "0004" else {})
    assert reported_by(store) == expected
    after = stored_deliveries(store)
    assert len(before) == 13
    assert {key: after[key] for key in before} == before, "no body that was stored before changed"
    with store.reading() as tx:
        assert outbox.counts(tx) == COUNTS
        columns = schema.outbox.c
        revenue, mrr = tx.execute(select(func.sum(columns.amount_sum), func.sum(columns.mrr_sum))).one()
    assert revenue == sum(amount for amount, _ in expected.values())
    assert mrr == Decimal("345.00")  # 49 each of ada, bob, cleo and ida, 50 more of bob, 99 of eve's second
    store.close()


def test_there_is_a_database_of_every_version() -> None:
    versions = {path.name[1:5] for path in (Path(migrations.__file__).parent / "versions").glob("v*.py")}

    assert versions - {"0001", *LATER} == set(), "see backlog.py: write the database of this version"


def reported_by(store: Store) -> dict[str, tuple[Decimal, Decimal | None]]:
    """Amount and movement of each revenue event."""
    with store.reading() as tx:
        return {one.output_key: (one.amount, one.mrr_impact) for one in outbox.listing(tx)}


def stored_deliveries(store: Store) -> dict[str, str]:
    """The body of each revenue event."""
    with store.reading() as tx:
        return {one.output_key: one.body for one in outbox.listing(tx)}
