"""Facts that wait in tests of completeness: whole signups and changes, and the first thing that they lack."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from bridge.ledger import EMPTY, Policy, State, settle
from bridge.ledger.catalog import EMPTY_CATALOG
from bridge.ledger.completeness import missing
from processors.facts import Fact, Payment
from processors.money import Currency, Money
from processors.paddle import processor as paddle
from processors.stripe import processor
from processors.stripe.simulation.customer import Customer
from processors.values import replace
from tests.bridge.worker.virtual_worker import kind

START = datetime(2026, 1, 1, tzinfo=UTC)
SOON = timedelta(seconds=1)
USD = Currency(code="USD", digits=2)


def facts_of(*bodies: bytes) -> list[Fact]:
    return [fact for body in bodies for fact in processor.translate(body, {}).facts]


def paddle_facts(*bodies: bytes) -> list[Fact]:
    return [fact for body in bodies for fact in paddle.translate(body, {}).facts]


def signup(*left_out: str) -> list[Fact]:
    bodies = Customer.begin("ada", START).subscribe().webhooks
    return facts_of(*(body for body in bodies if kind(body) not in left_out))


def lacks(facts: list[Fact], state: State = EMPTY, delay: timedelta = SOON, policy: Policy | None = None) -> str | None:
    return missing(state, [(fact, fact.at + delay) for fact in facts], policy or Policy(), EMPTY_CATALOG)


def settled(facts: list[Fact]) -> State:
    return settle(EMPTY, facts, Policy()).state


def changes_after_signup(*changes: Callable[[Customer], Customer]) -> list[Fact]:
    customer = Customer.begin("ada", START).subscribe().later(days=3)
    changed = customer
    for change in changes:
        changed = change(changed)
    return facts_of(*changed.webhooks[len(customer.webhooks) :])


def billed_nothing() -> list[Fact]:
    """A signup whose first invoice is 0."""
    facts = [fact for fact in signup() if not isinstance(fact, Payment) or fact.is_total]
    nothing = Money(minor=0, currency=USD)
    return [replace(fact, amount=nothing) if isinstance(fact, Payment) else fact for fact in facts]
