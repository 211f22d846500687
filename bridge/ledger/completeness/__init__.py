"""Whether everything that the waiting webhooks announce is there, so that they can be settled at once.

The webhooks are settled on trial. Complete is only what no further webhook about the same facts could change; in every
other case the first thing that is missing is named, and the stream waits for its window. Settling early may change when
something is reported, never what: where that cannot be shown for a kind of fact, that kind waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bridge.ledger.catalog import Catalog, missing_keys
from bridge.ledger.completeness.events import missing_before_discounts, missing_before_estimates, missing_visits
from bridge.ledger.completeness.payments import missing_for_payments, missing_for_refunds
from bridge.ledger.completeness.subscriptions import missing_for_changes, missing_for_subscriptions
from bridge.ledger.completeness.trial import Trial
from bridge.ledger.policy import Policy
from bridge.ledger.settlement import Settlement, settle
from bridge.ledger.state import State
from processors.facts import Discount, Fact, Link

MAX_DELAY = timedelta(seconds=60)  # of a webhook after its fact; more shows that others may be late as well
MAX_AHEAD = timedelta(seconds=60)  # of the processor's clock

Settle = Callable[[State, Sequence[Fact], Policy, Catalog], Settlement]

CHECKS: tuple[Callable[[Trial], Iterator[str]], ...] = (
    missing_for_payments,
    missing_for_subscriptions,
    missing_for_changes,
    missing_for_refunds,
    missing_visits,
    missing_before_discounts,
    missing_before_estimates,
)


def missing(
    state: State,
    arrived: Sequence[tuple[Fact, datetime]],
    policy: Policy,
    catalog: Catalog,
    settle: Settle = settle,
) -> str | None:
    """The fact that is still missing, in words; None: everything is there. `arrived`: each fact and when it arrived.

    `settle`: settles on trial; one that keeps the result spares a second settlement of the same facts.
    """
    late = next((fact for fact, at in arrived if not -MAX_AHEAD <= at - fact.at <= MAX_DELAY), None)
    if late is not None:
        return f"webhooks that may be as late as {late.processor_event_id}"
    facts = [fact for fact, _ in arrived]
    if keys := _missing_coupons(state, facts, catalog):
        return "a coupon: " + ", ".join(keys)
    trial = Trial(facts=facts, before=state, catalog=catalog, settlement=settle(state, facts, policy, catalog))
    if not (trial.settlement.events or trial.settlement.released):
        return "something to report"
    return next((found for check in CHECKS for found in check(trial)), None)


def _missing_coupons(state: State, facts: Sequence[Fact], catalog: Catalog) -> list[str]:
    """The coupons that are known by id only. Another webhook may contain one; it is not awaited a second time.

    Tiers of a price are not awaited at all: no webhook has them. With an API key they are requested before settling.
    """
    known = missing_keys(state.current_terms, (), catalog, state.customer_discounts)
    awaited = missing_keys((), facts, catalog, _customer_discounts(facts)) - known
    return sorted(entry_id for kind, entry_id in awaited if kind != "price")


def _customer_discounts(facts: Iterable[Fact]) -> Iterator[Discount]:
    """The discounts on the customer."""
    for fact in facts:
        if isinstance(fact, Link) and fact.customer_discount is not None:
            yield fact.customer_discount
