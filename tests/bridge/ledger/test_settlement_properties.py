"""Properties of every lifecycle of a customer, in any order and windows of arrival (invariants 2, 3 and 4).

LEDGER_LIFECYCLES=5000 python -m pytest tests/bridge/ledger/test_settlement_properties.py     a long random campaign
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from bridge.ledger import EMPTY, Policy, settle
from bridge.ledger.events import EventType
from bridge.ledger.policy import AmountBasis
from bridge.ledger.state import dump, load
from processors.facts import Fact
from processors.money import round_minor
from tests.bridge.ledger.harness import Ledger, settled
from tests.bridge.ledger.random_lifecycles import Lifecycle, lifecycles

NET = Policy(amount_basis=AmountBasis.NET_OF_TAX)
LIFECYCLES = int(os.environ.get("LEDGER_LIFECYCLES", "50"))
thorough = settings(
    max_examples=LIFECYCLES,
    derandomize="LEDGER_LIFECYCLES" not in os.environ,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


def windows(draw: Callable[..., Any], lifecycle: Lifecycle) -> list[list[Fact]]:
    """The facts in any order, some of them duplicated, cut into any windows."""
    arrived = [*lifecycle.facts, *(fact for fact in lifecycle.facts if draw(st.integers(0, 4)) == 0)]
    shuffled: list[Fact] = [arrived[n] for n in draw(st.permutations(range(len(arrived))))]
    cuts = sorted(draw(st.lists(st.integers(0, len(shuffled)), max_size=5)))
    found = [shuffled[start:end] for start, end in zip([0, *cuts], [*cuts, len(shuffled)], strict=True)]
    note(repr(lifecycle))
    note("windows: " + " | ".join(" ".join(fact.processor_event_id for fact in window) for window in found))
    return found


def amounts(ledger: Ledger) -> dict[str, int]:
    """The sum of all amounts by currency, in minor units."""
    found: Counter[str] = Counter()
    for event in ledger.events:
        found[event.currency] += int(event.amount * 100)
    return {currency: minor for currency, minor in found.items() if minor}


def movement(ledger: Ledger, subscription_id: str) -> int:
    """The sum of a subscription's MRR movements, in minor units."""
    return sum(
        int((event.mrr_impact or 0) * 100) for event in ledger.events if event.subscription_id == subscription_id
    )


def starts(ledger: Ledger) -> Counter[str]:
    """How often each subscription was reported as started."""
    return Counter(e.subscription_id or "" for e in ledger.events if e.event_type is EventType.SUBSCRIPTION)


def assert_mrr_is_true(ledger: Ledger, lifecycle: Lifecycle) -> None:
    """Baseline plus movements of every subscription are its true MRR, which the ledger has as reported."""
    note(repr(lifecycle))
    for sub in lifecycle.subs:
        known = ledger.state.subscriptions[sub.id]
        assert (
            known.baseline + movement(ledger, sub.id)
            == known.reported_mrr
            == round_minor(known.mrr)
            == lifecycle.mrr(sub)
        )


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_every_order_and_repetition_in_one_window_gives_the_same_to_the_byte(
    lifecycle: Lifecycle, data: st.DataObject
) -> None:
    expected = settle(EMPTY, lifecycle.facts, Policy())
    doubled = [*lifecycle.facts, *data.draw(st.lists(st.sampled_from(lifecycle.facts), max_size=6))]

    made = settle(EMPTY, data.draw(st.permutations(doubled)), Policy())

    assert made == expected
    assert dump(made.state) == dump(expected.state)


@thorough
@given(lifecycle=lifecycles())
def test_in_one_window_everything_is_true(lifecycle: Lifecycle) -> None:
    ledger = settled(lifecycle.facts)

    note(repr(lifecycle))
    assert amounts(ledger) == {currency: minor for currency, minor in lifecycle.money.items() if minor}
    assert_mrr_is_true(ledger, lifecycle)
    assert starts(ledger) == +lifecycle.starts
    assert all(known.baseline == 0 for known in ledger.state.subscriptions.values())


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_in_any_order_and_any_windows_sums_are_true_in_the_end(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ledger = settled(*windows(data.draw, lifecycle))

    assert amounts(ledger) == {currency: minor for currency, minor in lifecycle.money.items() if minor}
    assert_mrr_is_true(ledger, lifecycle)
    assert all(starts(ledger)[sub_id] <= times for sub_id, times in lifecycle.starts.items())


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_no_event_comes_twice_in_any_windows(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ledger = settled(*windows(data.draw, lifecycle))

    keys = Counter(event.output_key for event in ledger.events)
    ids = Counter(event.transaction_id for event in ledger.events)
    assert max(keys.values(), default=0) <= 1
    assert max(ids.values(), default=0) <= 1


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_what_is_settled_is_not_reported_again(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ledger = settled(*windows(data.draw, lifecycle))

    again = settle(ledger.state, data.draw(st.lists(st.sampled_from(lifecycle.facts))), Policy())

    assert again.events == ()
    assert again.released == ()


@thorough
@given(lifecycle=lifecycles())
def test_a_state_is_the_same_after_it_was_written_down(lifecycle: Lifecycle) -> None:
    state = settle(EMPTY, lifecycle.facts, Policy()).state

    assert load(dump(state)) == state
    assert dump(load(dump(state))) == dump(state)


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_net_of_tax_sums_do_not_depend_on_the_windows(lifecycle: Lifecycle, data: st.DataObject) -> None:
    whole = settled(lifecycle.facts, policy=NET)

    ledger = settled(*windows(data.draw, lifecycle), policy=NET)

    assert amounts(ledger) == amounts(whole)


@thorough
@given(lifecycle=lifecycles(), data=st.data())
def test_a_visit_that_is_known_releases_all_that_waited_for_it(lifecycle: Lifecycle, data: st.DataObject) -> None:
    ledger = settled(*windows(data.draw, lifecycle))

    held = set(ledger.state.held)
    freed = Counter(event.output_key for event in ledger.released)
    unattributed = {event.output_key for event in ledger.events if not event.is_attributed}
    assert held == unattributed - freed.keys()
    assert max(freed.values(), default=0) <= 1
