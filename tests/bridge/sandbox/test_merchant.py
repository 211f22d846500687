"""The simulated merchant behind the console of `demo --keep`."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

from bridge.sandbox import merchant
from bridge.store import Store, open_store, outbox, series, subscriptions
from bridge.store.outbox import DeliveryStatus
from tests.settings import some_settings

NOW = datetime(2026, 6, 30, 12, 0, tzinfo=UTC)
JOINING = (1, 2, 2)


def filled(template: Path, path: Path) -> Store:
    shutil.copy(template, path)
    settings = some_settings(f"sqlite:///{path}")
    store = open_store(settings.database_url)
    merchant.fill(store, settings, NOW, joining=JOINING)
    return store


def test_movements_add_up_to_the_mrr_and_only_the_latest_sales_are_held(sqlite_template: Path, tmp_path: Path) -> None:
    store = filled(sqlite_template, tmp_path / "bridge.db")

    with store.reading() as tx:
        rows = outbox.listing(tx, limit=1000)
        level = series.total(one.mrr for one in subscriptions.levels(tx, livemode=True))
    store.close()

    assert series.total(one.mrr_impact for one in rows if one.mrr_impact is not None) == level > 0
    open_ones = [one for one in rows if one.status is not DeliveryStatus.DELIVERED]
    assert {one.status for one in open_ones} == {DeliveryStatus.HELD}
    assert all(one.created_at < NOW for one in rows)


def test_the_same_seed_gives_the_same_merchant(sqlite_template: Path, tmp_path: Path) -> None:
    bodies = []
    for name in ("first.db", "second.db"):
        store = filled(sqlite_template, tmp_path / name)
        with store.reading() as tx:
            bodies.append([(one.output_key, one.body, one.created_at) for one in outbox.listing(tx, limit=1000)])
        store.close()

    assert bodies[0] == bodies[1]
