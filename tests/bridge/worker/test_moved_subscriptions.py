"""A subscription that moves to another customer, through routing and settling as in production."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal

from bridge.store import Store
from processors.paddle.simulation.customer import EBOOK, PRO, TEAM
from tests.bridge.worker.virtual_worker import NOON, VirtualWorker
from tests.lifecycles.paddle_customer import ExtendedCustomer

BORN = datetime(2026, 1, 1, tzinfo=NOON.tzinfo)
DAY = 86_400.0
ADA, BOB = "paddle||live|ctm_ada", "paddle||live|ctm_bob"


def steps() -> tuple[tuple[bytes, ...], ...]:
    """The webhooks of a start, of a move together with an upgrade, of a purchase, and of the end."""
    start = ExtendedCustomer.begin("ada", BORN).subscribe(PRO)
    moved = start.later(days=9).move_to("bob").change(TEAM)
    bought = moved.later(days=1).buy(EBOOK)
    ended = bought.later(days=1).cancel()
    parts = (start.webhooks, moved.webhooks, bought.webhooks, ended.webhooks)
    return tuple(after[len(before) :] for before, after in zip(((), *parts[:-1]), parts, strict=True))


def reported(worker: VirtualWorker) -> list[tuple[str, str, Decimal | None, str]]:
    """Customer, type and MRR movement of each event, and the stream that it was delivered in."""
    return [(one.customer_id or "", one.event_type, one.mrr_impact, one.stream_id) for one in worker.deliveries()]


def test_each_event_names_its_customer_and_the_movements_add_up(store: Store) -> None:
    worker = VirtualWorker(store, "paddle")

    worker.play([(number * DAY, webhooks) for number, webhooks in enumerate(steps())], until=5 * DAY)

    assert reported(worker) == [
        ("ctm_ada", "subscription", Decimal(49), ADA),
        ("ctm_bob", "upgrade", Decimal(50), ADA),  # 99 - 49
        ("ctm_bob", "purchase", None, BOB),
        ("ctm_bob", "churn", Decimal(-99), ADA),
    ]


def test_a_move_that_arrives_before_the_start_settles_with_it(store: Store) -> None:
    worker = VirtualWorker(store, "paddle")
    start, moved, *_ = steps()

    worker.play([(0, moved), (1, start)], until=DAY)

    assert [entry[:3] for entry in reported(worker)] == [
        ("ctm_ada", "subscription", Decimal(49)),
        ("ctm_bob", "upgrade", Decimal(50)),
    ]
    assert worker.mrr() == 99
