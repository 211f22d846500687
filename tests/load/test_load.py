"""A small round of the load: lifecycles of the tables over HTTP in any order, at once, with HOLD_HOURS=0."""

from __future__ import annotations

import random
from pathlib import Path

from tests.end_to_end.service import SERVE
from tests.load.campaign import play, shuffled
from tests.load.customers import Lifecycle, copies, lifecycles

CUSTOMERS, SEED = 20, 5
WINDOW_SECONDS = 1.0
WITHOUT_CUSTOMER = ("guest", "first seen", "nameless", "without a customer")  # these wait for four windows


def is_quick(lifecycle: Lifecycle) -> bool:
    return not any(words in lifecycle.title for words in WITHOUT_CUSTOMER)


def test_lifecycles_under_load_yield_the_events_of_the_tables(tmp_path: Path) -> None:
    customers = copies(CUSTOMERS, SEED, [lifecycle for lifecycle in lifecycles() if is_quick(lifecycle)])
    posts = shuffled(customers, random.Random(SEED), at_once=CUSTOMERS // 2)

    result = play(posts, [SERVE], tmp_path, f"sqlite:///{tmp_path}/bridge.db", WINDOW_SECONDS)

    assert (result.refused, result.waiting, result.differences) == (0, [], [])
    assert result.events > CUSTOMERS
    assert len(result.spread) < CUSTOMERS
