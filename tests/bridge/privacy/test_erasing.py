"""A customer is erased: nothing of the person is left, every sum stays, and later webhooks do no harm."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Text, insert, select

from bridge.internal_events import erased
from bridge.ledger.pseudonyms import Pseudonyms, is_pseudonym
from bridge.privacy import withholding
from bridge.privacy.erasing import CannotErase, Receipt, erase, plan
from bridge.reconciliation.missing_events import Incomplete, store_missing
from bridge.settings import Settings, load
from bridge.store import Store, inbox, open_store, outbox, schema, streams, totals
from bridge.store.copy import copy_store
from bridge.store.inbox import InboxRow
from bridge.store.outbox import DeliveryStatus
from bridge.worker.translation import translate
from processors.interface import ApiError, Translation
from processors.stripe.simulation.customer import Customer
from tests.bridge.upgrade.backlog import ADA, EVE, EVE_LATER, NOW, SETTINGS, receive, send, work

HOUR = timedelta(hours=1)
PLANTED = 10_000
OURS: Settings = load(SETTINGS | {"DATABASE_URL": "sqlite:///unused.db"})


def planted() -> list[str]:
    """Values that only this person's webhooks contain: names, addresses, cards."""
    return [f"eve-planted-{number:05}@example.org" for number in range(PLANTED)]


def with_personal_data(bodies: Sequence[bytes]) -> list[bytes]:
    """The webhooks, with the planted values spread over their payloads."""
    values, found = planted(), []
    for number, body in enumerate(bodies):
        event = json.loads(body)
        event["data"]["object"]["shipping"] = {"addresses": values[number :: len(bodies)]}
        found.append(json.dumps(event).encode())
    return found


EVES = with_personal_data(EVE.webhooks)


Settled = Callable[..., None]


@pytest.fixture(name="settled", scope="module")
def _settled(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    """`settled(store)`: two customers whose revenue events are delivered. Settled once, and copied for each test."""
    made: dict[int, Store] = {}

    def fill(store: Store, bodies: Sequence[bytes] = EVE.webhooks) -> None:
        if id(bodies) not in made:
            path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("settled") / "bridge.db")
            made[id(bodies)] = first = open_store(f"sqlite:///{path}")
            receive(first, [*ADA.webhooks, *bodies], NOW - 4 * HOUR)
            work(first, NOW - 3 * HOUR)
            send(first, NOW - 3 * HOUR)
        copy_store(made[id(bodies)], store)

    yield fill
    for one in made.values():
        one.close()


def erase_eve(store: Store, now: datetime = NOW) -> Receipt:
    wanted = plan(store, "cus_eve", None, now)
    assert wanted is not None
    return erase(store, wanted, translated, now)


def translated(row: InboxRow) -> Translation:
    return translate(row, OURS)


def sums(store: Store) -> list[str]:
    with store.reading() as tx:
        return sorted(map(str, totals.sums(tx)))


def everything(store: Store) -> bytes:
    """Every value of every table; bodies and states as text."""
    found: list[bytes] = []
    with store.reading() as tx:
        for table in schema.metadata.sorted_tables:
            for row in tx.execute(select(table)):
                for column, value in row._mapping.items():
                    packed = column in ("body", "state") and isinstance(value, bytes)
                    found.append(schema.decompress(value) if packed else str(value).encode())
    return b"\n".join(found)


def left_of_eve(data: bytes) -> list[bytes]:
    """The ids and planted values of the person that are in these bytes."""
    ids = [b"cus_eve", b"sub_eve", b"in_eve", b"pi_eve", b"ch_eve", b"evt_eve", b"re_eve", b"dp_eve", b"di_eve"]
    visit = [b"fp_eve", b"sess_eve"]
    return [one for one in [*ids, *visit, b"eve-planted-", b"eve@"] if one in data]


def test_nothing_of_the_person_is_left_and_every_sum_stays(settled: Settled, store: Store) -> None:
    settled(store, EVES)
    before = sums(store)
    assert left_of_eve(everything(store)), "the values are there before"

    receipt = erase_eve(store)

    assert left_of_eve(everything(store)) == []
    assert sums(store) == before
    assert receipt.counts["payloads"] == len(EVES)
    assert len(receipt.digest) == 64


def test_no_byte_is_left_in_the_file_and_its_log(settled: Settled, sqlite_store: Store, tmp_path: Path) -> None:
    settled(sqlite_store, EVES)

    erase_eve(sqlite_store)

    assert {name: left for name, data in files(tmp_path).items() if (left := left_of_eve(data))} == {}
    packed = {schema.compress(body)[50:90] for body in EVES}  # payloads are stored compressed
    assert not any(one in data for data in files(tmp_path).values() for one in packed)
    assert b"cus_ada" in files(tmp_path)["bridge.db"]


def test_no_byte_is_left_of_payloads_that_were_purged_before(
    settled: Settled, sqlite_store: Store, tmp_path: Path
) -> None:
    settled(sqlite_store, EVES)
    with sqlite_store.transaction() as tx:
        tx.exec_driver_sql("PRAGMA secure_delete = OFF")  # the default of most builds of SQLite, not of Debian's
        purged = inbox.purge(tx, NOW + HOUR, 100)
    packed = {schema.compress(body)[50:90] for body in EVES}  # payloads are stored compressed
    assert purged.count
    assert any(one in data for data in files(tmp_path).values() for one in packed), "they are in free pages"

    erase_eve(sqlite_store)

    # The id of an ignored webhook without a payload: nothing in the database says whose it was.
    assert {one for data in files(tmp_path).values() for one in left_of_eve(data)} <= {b"evt_eve"}
    assert not any(one in data for data in files(tmp_path).values() for one in packed)


def files(folder: Path) -> dict[str, bytes]:
    """The database with its log and lock files."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name.startswith("bridge.db")}


def test_a_replay_of_every_webhook_changes_nothing_and_stores_nothing(settled: Settled, store: Store) -> None:
    settled(store)
    erase_eve(store)
    before = sums(store)

    receive(store, EVES, NOW)
    work(store, NOW + HOUR)

    assert send(store, NOW + HOUR) == []
    assert sums(store) == before
    assert left_of_eve(everything(store)) == []


def test_later_webhooks_settle_under_pseudonyms_as_they_would_have(settled: Settled, store: Store) -> None:
    settled(store)
    erase_eve(store)

    receive(store, EVE_LATER, NOW)
    work(store, NOW + 24 * HOUR)

    # the same four as for a customer who was not erased; see test_upgrade
    with store.reading() as tx:
        later = [one for one in outbox.listing(tx) if one.created_at > NOW]
        state = streams.state_of(tx, later[0].stream_id)
        rows = tx.execute(select(schema.subscriptions.c.subscription_id, schema.subscriptions.c.mrr)).all()
        moved = sum(one.mrr_impact or 0 for one in outbox.listing(tx) if "erased" in one.stream_id)
    assert sorted((one.event_type, one.amount) for one in later) == [
        ("churn", 0),
        ("purchase", 19),
        ("refund", -39),
        ("subscription", 99),
    ]
    assert left_of_eve(everything(store)) == []
    assert state is not None
    by_mrr = sorted(row.mrr for row in rows if is_pseudonym(row.subscription_id))
    assert by_mrr == [0, 99]  # the first subscription was cancelled, the second began after its trial
    assert moved == 99


def test_undelivered_revenue_events_are_never_sent(store: Store) -> None:
    receive(store, EVE.webhooks, NOW - 4 * HOUR)
    work(store, NOW - 3 * HOUR)
    wanted = plan(store, "cus_eve", None, NOW)
    assert wanted is not None
    assert len(wanted.undelivered) == 5

    receipt = erase(store, wanted, translated, NOW)

    assert receipt.dropped == 5
    assert send(store, NOW + HOUR) == []
    with store.reading() as tx:
        assert outbox.counts(tx) == {("stripe", DeliveryStatus.DROPPED): 5}


def test_webhooks_that_still_wait_are_settled_under_pseudonyms(store: Store) -> None:
    receive(store, EVE.webhooks, NOW)
    work(store, NOW)  # routed, not due yet

    erase_eve(store)
    work(store, NOW + HOUR)

    assert len(send(store, NOW + 3 * HOUR)) == 5  # without a visit: held for HOLD_HOURS
    assert left_of_eve(everything(store)) == []


def test_a_customer_who_is_being_settled_is_not_erased(store: Store) -> None:
    receive(store, EVE.webhooks, NOW - HOUR)
    work(store, NOW - HOUR)
    with store.transaction() as tx:
        assert streams.claim_due(tx, NOW, 10, "worker", NOW + HOUR)

    with pytest.raises(CannotErase, match="is being settled"):
        erase_eve(store)

    assert left_of_eve(everything(store)) != []


def test_an_unknown_customer_has_nothing_to_erase(store: Store) -> None:
    assert plan(store, "cus_nobody", None, NOW) is None


def test_a_pseudonym_depends_on_the_key_and_stays_itself() -> None:
    one, other = Pseudonyms(b"one"), Pseudonyms(b"other")

    assert one.of("cus_1") == one.of(one.of("cus_1"))
    assert one.of("cus_1") != other.of("cus_1")
    assert one.of("cus_1").startswith("cus_erased")
    assert one.of_compound("dp_1:withdrawn") == f"{one.of('dp_1')}:withdrawn"
    assert one.of_output_key("movement:sub_1:2") == f"movement:{one.of('sub_1')}:2"
    assert one.of_output_key("refund:refund:1234:failed") == f"refund:refund:{one.of('1234')}:failed"
    assert one.of_compound("order:77-1") == f"order:{one.of('77-1')}"
    assert one.of_compound("guest:order:77") == f"guest:order:{one.of('77')}"
    assert one.of_compound("guest:alice") == f"guest:{one.of('alice')}"
    assert one.of_compound("alice:7") == one.of("alice:7")  # a merchant's own id, whole
    assert one.of_compound("team_1:alice") == one.of("team_1:alice")
    assert one.of_compound(one.of_compound("order:77")) == one.of_compound("order:77")
    assert is_pseudonym(one.of_compound("order:77"))


def test_no_webhook_of_a_processor_is_taken_for_an_erased_one() -> None:
    assert not any(body.startswith(erased.MARK) for body in EVES)


# ---- Tables that belong to no customer -------------------------------------------------------------------------

QUOTED = "of cus_eve and sub_eve_1"


def test_no_text_that_quotes_the_customer_is_left_in_tables_that_belong_to_no_customer(
    settled: Settled, sqlite_store: Store
) -> None:
    settled(sqlite_store)
    tables = [table for table in schema.metadata.sorted_tables if table.name not in OF_A_CUSTOMER | WITHOUT_TEXTS]
    with sqlite_store.transaction() as tx:
        for table in tables:
            tx.execute(insert(table), {column.name: quoting(column) for column in table.columns})

    erase_eve(sqlite_store)

    assert [table.name for table in tables] == (
        "alerts audit_rows audits pauses reconciliations rejected_visits".split()
    )
    assert left_of_eve(everything(sqlite_store)) == []


def quoting(column: Column[Any]) -> object:
    """A value that quotes the customer, where the type allows it."""
    if isinstance(column.type, Text):
        return "key" if column.primary_key else QUOTED
    if isinstance(column.type, schema.Instant):
        return NOW
    return Decimal(1) if isinstance(column.type, schema.DecimalText | schema.Scaled) else 1


# Rewritten row by row, as the other tests prove.
OF_A_CUSTOMER = set("inbox bodies streams states subscriptions links outbox attempts catalog".split())
# Sums, counts and schedules: their texts are sources, plans, causes and names of processes; receipts name nobody.
WITHOUT_TEXTS = set(
    "arrivals daily_sums summed_days erasure_key erasures leases rate_limit refused_webhooks worker_heartbeats".split()
)


# ---- What is fetched again -------------------------------------------------------------------------------------


@dataclass
class ListedEvents:
    """A processor's list of events."""

    bodies: Sequence[bytes]
    breaks: bool = False

    def events(self, since: datetime) -> Iterator[bytes]:
        yield from self.bodies
        if self.breaks:
            raise ApiError("Stripe's API is down")


def test_events_of_an_erased_customer_are_not_fetched_again_and_others_are(settled: Settled, store: Store) -> None:
    settled(store)
    erase_eve(store)
    bob = Customer.begin("bob", NOW).buy(900).webhooks
    listed: Any = ListedEvents([*EVE.webhooks, *bob])

    assert store_missing(store, OURS.sources["stripe"], listed, NOW) == (len(EVE.webhooks) + len(bob), len(bob))

    assert left_of_eve(everything(store)) == []


def test_what_was_listed_before_an_error_is_stored_without_the_erased(settled: Settled, sqlite_store: Store) -> None:
    settled(sqlite_store)
    erase_eve(sqlite_store)
    bob = Customer.begin("bob", NOW).buy(900).webhooks
    listed: Any = ListedEvents([*EVE.webhooks, *bob], breaks=True)

    with pytest.raises(Incomplete) as raised:
        store_missing(sqlite_store, OURS.sources["stripe"], listed, NOW)

    assert raised.value.stored == len(bob)
    assert left_of_eve(everything(sqlite_store)) == []


def test_the_ids_of_an_erased_customer_are_recognised_and_no_others(settled: Settled, sqlite_store: Store) -> None:
    assert withholding.erased_ids(sqlite_store, "stripe||live", ["sub_eve_1"]) == set()
    settled(sqlite_store)
    erase_eve(sqlite_store)

    found = withholding.erased_ids(sqlite_store, "stripe||live", ["sub_eve_1", "in_eve_4", "sub_ada_1", "cus_eve"])

    assert found == {"sub_eve_1", "in_eve_4", "cus_eve"}
    assert withholding.erased_ids(sqlite_store, "stripe||test", ["sub_eve_1"]) == set()
