"""Some lifecycles through the real worker and store: one worker or two that interrupt each other, on both databases."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from bridge.store import Store, open_store
from processors.stripe import processor
from tests.bridge.worker.virtual_worker import VirtualWorker, after
from tests.lifecycles import harness
from tests.lifecycles.stripe_lifecycle import DEFAULT, Lifecycle
from tests.lifecycles.stripe_lifecycles import LIFECYCLES
from tests.lifecycles.virtual_pipeline import Pipeline, at_once

EVERY = int(os.environ.get("STORED_EVERY", "12"))  # of the lifecycles
A_YEAR_LATER = 366 * 86400.0  # after every event of the lifecycles: facts dated ahead wait until their date
CASES = [
    pytest.param(one, id=one.title)
    for one in [one for one in LIFECYCLES if one.policy == DEFAULT and not one.api_catalog][::EVERY]
]


@pytest.fixture
def second(database_url: str) -> Iterator[Store]:
    """The store of a second worker process."""
    store = open_store(database_url)
    yield store
    store.close()


@pytest.mark.parametrize("hold", ["0", "1"])
@pytest.mark.parametrize("lifecycle", CASES)
def test_any_order_gives_the_same_events_with_one_worker_and_with_two(
    store: Store, second: Store, lifecycle: Lifecycle, hold: str
) -> None:
    bodies = list(lifecycle.webhooks(lifecycle.shapes[-1]))
    expected = Pipeline(policy=lifecycle.policy).play(at_once(harness.translated(bodies, processor))).sorted_events()
    chance = random.Random(f"{lifecycle.title} {hold}")
    chance.shuffle(bodies)
    worker = VirtualWorker(store, second=chance.choice((None, second)), HOLD_HOURS=hold)
    times = sorted(A_YEAR_LATER + chance.uniform(0, 85) for _ in bodies)

    worker.play([(at, [body]) for at, body in zip(times, bodies, strict=True)], until=A_YEAR_LATER + 10 * 3600)

    assert sorted((one.output_key, one.event_type, one.amount, one.mrr_impact) for one in worker.deliveries()) == [
        (event.output_key, event.event_type, event.amount, event.mrr_impact) for event in expected
    ]
    assert set(worker.statuses()) <= {"settled", "ignored"}
    assert all(one.due_at is None or one.due_at > after(A_YEAR_LATER + 86400) for one in worker.streams())
