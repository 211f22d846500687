"""The facts that may change an event after all: its visit, a correction, a discount on the customer."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.ledger.completeness.trial import Trial
from bridge.ledger.events import EventType, RevenueEvent
from bridge.ledger.movements import CORRECTED
from bridge.ledger.state import State
from processors.facts import Link, Place

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


def missing_after_corrections(trial: Trial) -> Iterator[str]:
    """A change that may follow a corrected estimate: an end seconds later is reported with the correction."""
    corrected = {one.subscription_id for one in trial.settlement.events if one.metadata.get("reason") == CORRECTED}
    for known in trial.after.subscriptions.values():
        before = trial.before.subscriptions.get(known.id)
        is_exact_now = before is not None and before.estimated and not known.estimated
        if is_exact_now or known.id in corrected:
            yield f"a change that may follow the corrected MRR of {known.id}"


def missing_before_discounts(trial: Trial) -> Iterator[str]:
    """The facts before a discount on the customer, which concerns each subscription without stating its terms."""
    first = min(fact.at for fact in trial.facts)
    for fact in trial.facts:
        is_discount = isinstance(fact, Link) and fact.customer_discount is not None
        if is_discount and (trial.before.subscriptions or first < fact.at):
            yield f"what preceded the discount of {fact.ids.customer_id}"
