"""The sums of whole days equal the sum over the outbox, whatever was changed after they were made."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from threading import Thread

import pytest
from sqlalchemy import Connection, delete, select

from bridge.store import Store, daily_sums, interventions, outbox, ownership, series
from bridge.store.daily_sums import Days, Period
from bridge.store.outbox import DeliveryStatus, NewDelivery
from bridge.store.schema import outbox as table
from bridge.store.schema import summed_days
from bridge.store.series import Selection
from bridge.worker.summing import Summing
from tests.bridge.store.builders import NOON, SCOPE, a_delivery

SPAN = 70  # days of the history: parts of four months
LAST = NOON.date()
ALL = Selection(livemode=True, currency="USD", first=LAST - timedelta(days=SPAN), last=LAST)
KINDS = ("subscription", "upgrade", "downgrade", "churn", "renewal", "purchase", "refund")


def an_event(chance: random.Random, number: int) -> NewDelivery:
    """An event of one of the last days, of any kind, status, source, plan, mode and currency."""
    kind = chance.choice(KINDS)
    at = NOON - timedelta(days=chance.randrange(SPAN + 1), hours=chance.randrange(12))
    metadata = {"plan": chance.choice(["Pro", "Team", None]), "occurred_at": at.isoformat(), "attribution": "none"}
    moves = kind in KINDS[:4] and chance.random() < 0.9
    return a_delivery(
        f"k{number}",
        stream_id=f"{SCOPE}|cus_{number % 7}",
        source=chance.choice(["stripe", "shop"]),
        livemode=chance.random() < 0.9,
        currency=chance.choice(["USD", "USD", "USD", "EUR"]),
        status=chance.choice(list(DeliveryStatus)),
        event_type=kind,
        amount=Decimal(chance.randrange(-5000, 20000)) / 100 if chance.random() < 0.8 else Decimal(),
        mrr_impact=Decimal(chance.randrange(-9000, 9000)) / 100 if moves else None,
        body=json.dumps({"customer_id": f"cus_{number % 7}", "metadata": metadata}),
    )


# ---- What changes revenue events -------------------------------------------------------------------------------


def add(tx: Connection, chance: random.Random) -> None:
    outbox.add(tx, [an_event(chance, chance.randrange(10_000)) for _ in range(5)])


def attribute(tx: Connection, chance: random.Random) -> None:
    one = some(tx, chance, DeliveryStatus.HELD)
    data = json.loads(one.body)
    data["metadata"]["attribution"] = chance.choice(["checkout", "customer"])
    outbox.release(tx, one.scope, {one.output_key: json.dumps(data)})


def rewrite(tx: Connection, chance: random.Random) -> None:
    one = some(tx, chance, DeliveryStatus.FAILED)
    interventions.rewrite(tx, {one.id: (one.body, Decimal(chance.randrange(10_000)) / 100)})


def move(tx: Connection, chance: random.Random) -> None:
    ownership.move(tx, some(tx, chance).stream_id, f"{SCOPE}|cus_8")


def remove(tx: Connection, chance: random.Random) -> None:
    tx.execute(delete(table).where(table.c.id == some(tx, chance).id))


def retry(tx: Connection, chance: random.Random) -> None:
    outbox.retry(tx, [some(tx, chance, DeliveryStatus.FAILED).id], NOON)


def some(tx: Connection, chance: random.Random, status: DeliveryStatus | None = None) -> outbox.Delivery:
    return chance.choice(outbox.listing(tx, status, limit=10_000))


OPERATIONS: list[Callable[[Connection, random.Random], None]] = [
    add,
    attribute,
    attribute,
    rewrite,
    move,
    remove,
    retry,
]


# ---- Independent sums ------------------------------------------------------------------------------------------


def expected(store: Store, of: Selection) -> tuple[dict[object, object], dict[object, object]]:
    """Movements by day and kind, revenue by day and all that it is grouped by: from the rows, one by one."""
    movements: dict[object, list[Decimal]] = defaultdict(list)
    revenue: dict[object, list[Decimal]] = defaultdict(list)
    with store.reading() as tx:
        rows = tx.execute(select(table)).all()
    for row in rows:
        day = row.occurred_at.date()
        if (row.livemode, row.currency) != (of.livemode, of.currency) or not of.first <= day <= of.last:
            continue
        if row.mrr_impact:
            movements[day, row.movement].append(row.mrr_impact)
        if row.amount:
            place = json.loads(row.body)["metadata"].get("attribution", "none")
            revenue[day, row.source, row.event_type, row.plan or "", place].append(row.amount)
    return (
        {key: (sum(values), len(values)) for key, values in movements.items()},
        {key: (sum(values), len(values)) for key, values in revenue.items()},
    )


def reported(store: Store, of: Selection) -> tuple[dict[object, object], dict[object, object]]:
    with store.reading() as tx:
        movements, revenue = series.movements(tx, of), series.revenue(tx, of)
    return (
        {(one.day, one.movement.value): (one.mrr, one.count) for one in movements},
        {(one.day, one.source, one.event_type, one.plan, one.attribution): (one.amount, one.count) for one in revenue},
    )


def summed_count(store: Store) -> int:
    with store.reading() as tx:
        return len(tx.execute(select(summed_days)).all())


@pytest.mark.parametrize("seed", [1, 2])
def test_the_sums_equal_the_outbox_after_any_operations(store: Store, seed: int) -> None:
    chance = random.Random(seed)
    with store.transaction() as tx:
        outbox.add(tx, [an_event(chance, number) for number in range(120)])
    Summing(store=store).run(NOON)
    assert summed_count(store) > SPAN

    for _ in range(6):
        for operation in chance.choices(OPERATIONS, k=3):
            with store.transaction() as tx:
                operation(tx, chance)
        part = ALL if chance.random() < 0.5 else random_part(chance)
        assert reported(store, part) == expected(store, part)
        if chance.random() < 0.5:
            Summing(store=store).run(NOON)
            assert reported(store, ALL) == expected(store, ALL)


def random_part(chance: random.Random) -> Selection:
    first, last = sorted(LAST - timedelta(days=chance.randrange(SPAN)) for _ in range(2))
    return Selection(livemode=chance.random() < 0.8, currency=chance.choice(["USD", "EUR"]), first=first, last=last)


@pytest.mark.parametrize("by", list(Period))
def test_periods_have_the_same_sums_with_and_without_sums_of_days(store: Store, by: Period) -> None:
    chance = random.Random(3)
    with store.transaction() as tx:
        outbox.add(tx, [an_event(chance, number) for number in range(100)])
    before = by_period(store, by)

    Summing(store=store).run(NOON)

    assert by_period(store, by) == before
    assert sum(count for _, count in before.values()) > 30


def by_period(store: Store, by: Period) -> dict[object, tuple[Decimal, int]]:
    """Revenue by period, the period named independently of the code."""
    names = {Period.DAY: date.isoformat, Period.WEEK: lambda day: day.strftime("%G-%V"), Period.MONTH: month_name}
    found: dict[object, tuple[Decimal, int]] = {}
    with store.reading() as tx:
        for one in series.revenue(tx, ALL, by):
            amount, count = found.get(names[by](one.day), (Decimal(), 0))
            found[names[by](one.day)] = (amount + one.amount, count + one.count)
    return found


def month_name(day: date) -> str:
    return day.strftime("%Y-%m")


# ---- Which days ------------------------------------------------------------------------------------------------


def test_the_last_two_days_are_not_summed(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=4)), on(NOON - timedelta(days=1)), on(NOON)])

    assert Summing(store=store).run(NOON) == 3  # 25, 26 and 27 February, of which one has an event
    assert Summing(store=store).run(NOON) == 0


def on(at: datetime) -> NewDelivery:
    return a_delivery(f"at {at}", body=json.dumps({"metadata": {"occurred_at": at.isoformat()}}))


def test_a_change_drops_the_sums_of_its_day_only(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=4))])
    Summing(store=store).run(NOON)

    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=3, hours=1))])

    with store.reading() as tx:
        days = Days(livemode=True, currency="USD", first=date(2026, 2, 25), last=date(2026, 2, 27))
        assert [(one.first.day, one.last.day) for one in daily_sums.unsummed(tx, days)] == [(26, 26)]


def test_recording_a_delivery_keeps_the_sums(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=4))])
    Summing(store=store).run(NOON)

    with store.transaction() as tx:
        (claimed,) = outbox.claim(tx, NOON, 5, "worker", NOON)
        outbox.record(tx, [outbox.Outcome(id=claimed.id, status=DeliveryStatus.DELIVERED, attempts=1, at=NOON)])

    assert summed_count(store) == 3


def test_days_are_not_summed_while_another_transaction_adds_to_them(store: Store) -> None:
    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=4))])
    summed: list[int] = []
    summing = Thread(target=lambda: summed.append(Summing(store=store).run(NOON)))

    with store.transaction() as tx:
        outbox.add(tx, [on(NOON - timedelta(days=4, hours=1))])
        summing.start()
        if store.dialect == "postgresql":  # SQLite waits for the writer instead
            summing.join()
    summing.join()
    Summing(store=store).run(NOON)

    assert reported(store, ALL) == expected(store, ALL)
    with store.reading() as tx:
        assert [one.count for one in series.revenue(tx, ALL)] == [2]
    assert summed == ([0] if store.dialect == "postgresql" else [3])
