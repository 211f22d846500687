"""How the cost of settling grows: ratios of two settlements in the same run, so that they hold on any machine.

Not collected by default. Run: `python -m pytest -s tests/benchmarks/bench_settle.py`
"""

from __future__ import annotations

from collections.abc import Callable
from timeit import repeat

import pytest

from bridge.ledger import EMPTY, Policy, State, settle
from bridge.ledger.state import dump, load
from processors.facts import Fact, Reason
from tests.builders import (
    VISIT,
    a_created,
    a_paid_invoice,
    a_purchase,
    a_refund,
    a_subscription,
    after,
    an_attribution,
    terms,
)

POLICY = Policy()
ROUNDS = 7


def microseconds(run: Callable[[], object]) -> float:
    """The best of several rounds, which is the least disturbed."""
    times = repeat(run, number=20, repeat=ROUNDS)
    return min(times) / 20 * 1e6


def history(invoices: int) -> State:
    """A customer with paid invoices, half of them one-off, and some refunds."""
    facts: list[Fact] = [a_created(), an_attribution(subscription_id="sub_1")]
    for number in range(invoices // 2):
        facts += a_paid_invoice(4900, number, Reason.CYCLE, at=after(days=30 * number))
        facts.append(a_purchase(900, f"pi_x{number}", at=after(days=30 * number, hours=3), charge_id=f"ch_x{number}"))
        if number % 10 == 0:
            facts.append(a_refund(900, f"re_{number}", of=f"pi_x{number}", at=after(days=30 * number + 1)))
    return settle(EMPTY, facts, POLICY).state


def next_month() -> list[Fact]:
    """A renewal as it arrives: a state, and three webhooks of its invoice."""
    at = after(days=40_000)
    return [a_subscription(was=terms(), at=at, metadata=VISIT), *a_paid_invoice(4900, 99_999, Reason.CYCLE, at=at)]


@pytest.mark.parametrize("invoices", [200, 2000])
def test_a_long_history_costs_a_settlement_little(invoices: int) -> None:
    facts, short, long = next_month(), history(20), history(invoices)

    ratio = microseconds(lambda: settle(long, facts, POLICY)) / microseconds(lambda: settle(short, facts, POLICY))

    print(f"\nsettling with {invoices} invoices takes {ratio:.2f} times as long as with 20")
    assert ratio < 3


def test_a_long_history_is_read_and_written_without_reading_each_bill() -> None:
    text_short, text_long = dump(history(20)), dump(history(2000))

    ratio = microseconds(lambda: dump(load(text_long))) / microseconds(lambda: dump(load(text_short)))

    size = len(text_long) / len(text_short)
    print(
        f"\nreading and writing {len(text_long) // 1024} kB, {size:.0f} times as much, takes {ratio:.1f} times as long"
    )
    assert ratio < size


def test_facts_cost_about_the_same_each_in_a_small_window_and_in_a_backlog() -> None:
    months = [a_paid_invoice(4900, number, at=after(days=30 * number)) for number in range(200)]
    few: list[Fact] = [fact for invoice in months[:4] for fact in invoice]
    many: list[Fact] = [fact for invoice in months for fact in invoice]

    each_of_few = microseconds(lambda: settle(EMPTY, few, POLICY)) / len(few)
    each_of_many = microseconds(lambda: settle(EMPTY, many, POLICY)) / len(many)

    print(f"\na fact takes {each_of_few:.0f} us among 12 and {each_of_many:.0f} us among 600")
    assert each_of_many < 3 * each_of_few
