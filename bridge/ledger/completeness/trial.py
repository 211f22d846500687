"""A settlement of the waiting facts on trial, and what several checks ask of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from bridge.ledger.catalog import Catalog
from bridge.ledger.events import RevenueEvent
from bridge.ledger.references import receivable_of_payment
from bridge.ledger.settlement import Settlement
from bridge.ledger.state import Receivable, State
from processors.facts import Discount, Fact, Payment, Status, SubscriptionState, Terms
from processors.values import Value

COUNTING = (Status.ACTIVE, Status.PAST_DUE)


class Trial(Value):
    """The result of settling on trial: what waits, the ledger before, the catalog, and what would come out."""

    facts: Sequence[Fact]
    before: State
    catalog: Catalog
    settlement: Settlement

    @property
    def after(self) -> State:
        """The ledger after it."""
        return self.settlement.state


def owed_by_payments(state: State, payments: Iterable[Payment]) -> Iterator[str]:
    """The ids of the receivables that the payments are for."""
    return (receivable_of_payment(state.references, payment) for payment in payments)


def is_due_nothing(receivable: Receivable, own: Sequence[Payment]) -> bool:
    """Whether it is an invoice or a transaction of 0: of a trial, of a coupon over the whole, paid from credit."""
    return not receivable.paid and any(fact.is_primary and fact.is_total for fact in own)


def states_of(states: Iterable[SubscriptionState], subscription_id: str | None) -> list[SubscriptionState]:
    """Those of one subscription."""
    return [one for one in states if one.ids.subscription_id == subscription_id]


def is_alone(event: RevenueEvent) -> bool:
    """Whether it is a movement without a payment."""
    return event.output_key.startswith("movement:")


def discounts_of(terms: Terms) -> list[Discount]:
    """The discounts on the subscription and on its items."""
    return [*terms.discounts, *(one for item in terms.items for one in item.discounts)]


def bills_of(trial: Trial, subscription_id: str) -> Iterator[tuple[Receivable, list[Payment]]]:
    """The receivables of a subscription that the waiting payments are for, with these payments."""
    payments = [fact for fact in trial.facts if isinstance(fact, Payment)]
    for owed_id in dict.fromkeys(owed_by_payments(trial.after, payments)):
        receivable = trial.after.receivables.get(owed_id)
        if receivable is not None and receivable.subscription_id == subscription_id:
            references = trial.after.references
            yield receivable, [one for one in payments if receivable_of_payment(references, one) == owed_id]
