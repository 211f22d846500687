"""Adoption: the ledger of a stream that was settled without a customer is united with the customer's ledger.

Everything that either has reported stays reported; what their references join is joined by the next settlement, which
also reports the difference if both have reported the same money.
"""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from bridge.ledger.attribution import merged_touchpoint
from bridge.ledger.receivables import merged_receivable
from bridge.ledger.references import References
from bridge.ledger.state import State, Subscription
from processors.values import replace


def unite(state: State, adopted: State) -> State:
    """The ledger of both streams. `state` is the customer's and takes precedence."""
    references = _references(state.references, adopted.references)
    receivables = {
        key: one if (own := state.receivables.get(key)) is None else merged_receivable(own, one, references)
        for key, one in adopted.receivables.items()
    }
    touchpoints = {key: merged_touchpoint(state.touchpoints.get(key), one) for key, one in adopted.touchpoints.items()}
    subscriptions = {
        key: one if (own := state.subscriptions.get(key)) is None else _subscription(own, one)
        for key, one in adopted.subscriptions.items()
    }
    return State(
        customer_id=state.customer_id or adopted.customer_id,
        references=references,
        touchpoints=state.touchpoints.updated(touchpoints),
        subscriptions={**state.subscriptions, **subscriptions},
        receivables=state.receivables.updated(receivables),
        unmatched={**adopted.unmatched, **state.unmatched},
        held=adopted.held.updated(dict(state.held)),
        customer_discounts=tuple(
            {one.id or one.coupon_id: one for one in (*adopted.customer_discounts, *state.customer_discounts)}.values()
        ),
        customer_discounts_at=max(
            (at for at in (state.customer_discounts_at, adopted.customer_discounts_at) if at is not None), default=None
        ),
        adopted=tuple(dict.fromkeys((*state.adopted, *adopted.adopted, *_payments(adopted, references)))),
    )


def _payments(adopted: State, references: References) -> tuple[str, ...]:
    """The receivables and payments that the next settlement has to look at again."""
    joined = (*adopted.references.payment_of, *adopted.references.invoice_of)
    return (*adopted.receivables, *joined)


def _references(own: References, adopted: References) -> References:
    return References(
        invoice_of=_united(own.invoice_of, adopted.invoice_of),
        subscription_of=_united(own.subscription_of, adopted.subscription_of),
        payment_of=_united(own.payment_of, adopted.payment_of),
        matched=_united(own.matched, adopted.matched),
    )


def _united(own: Mapping[str, str], adopted: Mapping[str, str]) -> Mapping[str, str]:
    return {**adopted, **own}


def _subscription(own: Subscription, adopted: Subscription) -> Subscription:
    """One subscription that both count, at the MRR that both have reported; the next settlement corrects it.

    `reported_mrr == baseline + sum of reported deltas` must hold for the movements of both.
    """
    moved = adopted.reported_mrr - adopted.baseline
    if not adopted.movement_count:
        return own
    reported = own.reported_mrr + moved
    return replace(
        own,
        reported_mrr=reported,
        mrr=Fraction(reported),
        estimated=True,
        has_counted=True,
        movement_count=max(own.movement_count, adopted.movement_count),
        start_count=max(own.start_count, adopted.start_count),
    )
