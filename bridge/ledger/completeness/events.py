"""The facts that may change an event after all: its visit, a correction, a discount on the customer."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.ledger.completeness.trial import Trial, is_alone
from bridge.ledger.events import EventType, RevenueEvent
from bridge.ledger.state import State
from processors.facts import Link, Place, SubscriptionState

SPECIFIC = (Place.OBJECT.value, Place.INVOICE.value, Place.CHECKOUT.value)


def missing_visits(trial: Trial) -> Iterator[str]:
    """The visit of an event that has none, or a better source of it."""
    for event in trial.settlement.events:
        if not event.is_attributed:
            yield f"the visit of {event.transaction_id}"
        elif _may_be_replaced(event, trial.before):
            yield f"the checkout of {event.transaction_id}"


def _may_be_replaced(event: RevenueEvent, before: State) -> bool:
    """Whether a better source of the visit may still arrive: for a first payment, its checkout or invoice."""
    if event.subscription_id in before.subscriptions:  # its checkout came with its start
        return False
    is_first = event.subscription_id is not None or event.event_type is EventType.PURCHASE
    return is_first and event.metadata.get("attribution") not in SPECIFIC


def missing_before_estimates(trial: Trial) -> Iterator[str]:
    """A bill that may show an estimated MRR: one that arrives seconds later values the start or change itself.

    A change has one bill; a start may have one for each of its items.
    """
    for event in trial.settlement.events:
        is_valued = event.event_type is EventType.CHURN or not event.metadata.get("mrr_estimated")
        if not is_valued and (is_alone(event) or event.event_type is EventType.SUBSCRIPTION):
            yield f"a bill that may show the MRR of {event.subscription_id}"
    yield from _before_the_change(trial)


def _before_the_change(trial: Trial) -> Iterator[str]:
    """A bill that may correct an estimate before a state changes it. A state that names its invoice awaits that."""
    for fact in trial.facts:
        if isinstance(fact, SubscriptionState) and fact.ids.invoice_id is None:
            known = trial.before.subscriptions.get(fact.ids.subscription_id or "")
            if known is not None and known.estimated:
                yield f"a bill that may show the MRR of {known.id} before its change"


def missing_before_discounts(trial: Trial) -> Iterator[str]:
    """The facts before a discount on the customer, which concerns each subscription without stating its terms."""
    first = min(fact.at for fact in trial.facts)
    for fact in trial.facts:
        is_discount = isinstance(fact, Link) and fact.customer_discount is not None
        if is_discount and (trial.before.subscriptions or first < fact.at):
            yield f"what preceded the discount of {fact.ids.customer_id}"
