"""A bridge that is upgraded while a lot is under way: all of it goes on, and nothing that is done is done again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bridge.store import Store, open_store, outbox
from bridge.store.outbox import DeliveryStatus
from tests.bridge.upgrade.backlog import NOW, send, work

LEFT_BEHIND = sorted(Path(__file__).parent.glob("backlog_of_v*.sql"))
A_DAY = timedelta(days=1)


@pytest.fixture(params=LEFT_BEHIND, ids=lambda path: path.stem)
def upgraded(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """What that version left behind, brought to this program's schema."""
    path = tmp_path / "bridge.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(request.param.read_text(encoding="utf-8"))
    store = open_store(f"sqlite:///{path}")
    store.migrate()
    yield store
    store.close()


def test_what_an_older_version_left_behind_goes_on(upgraded: Store) -> None:
    work(upgraded, NOW + A_DAY)

    arrived = send(upgraded, NOW + A_DAY)

    assert sorted(arrived) == [
        ("purchase", "pi_dan_1"),
        ("subscription", "in_bob_3"),
        ("subscription", "in_cleo_3"),
        ("upgrade", "in_bob_12"),
    ]
    assert arrived.index(("subscription", "in_bob_3")) < arrived.index(("upgrade", "in_bob_12"))
    with upgraded.reading() as tx:
        assert outbox.counts(tx) == {("stripe", DeliveryStatus.DELIVERED): 6}


def test_the_books_of_an_older_version_are_read_as_they_were_written(upgraded: Store) -> None:
    work(upgraded, NOW + A_DAY)

    with upgraded.reading() as tx:
        told = {one.output_key: (one.amount, one.mrr_impact) for one in outbox.listing(tx)}
    assert told == {
        "payment:in_ada_3": (Decimal("49.00"), Decimal("49.00")),
        "payment:in_ada_12": (Decimal("49.00"), Decimal(0)),
        "payment:in_bob_3": (Decimal("49.00"), Decimal("49.00")),
        "payment:in_bob_12": (Decimal("33.87"), Decimal("50.00")),
        "payment:in_cleo_3": (Decimal("49.00"), Decimal("49.00")),
        "payment:pi_dan_1": (Decimal("29.00"), None),
    }
