"""The facts that the waiting states of subscriptions lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from bridge.ledger.catalog import Catalog
from bridge.ledger.completeness.trial import (
    COUNTING,
    Trial,
    bills_of,
    discounts_of,
    is_alone,
    is_due_nothing,
    states_of,
)
from bridge.ledger.events import EventType
from bridge.ledger.state import Subscription
from processors.facts import Discount, Duration, Fact, Reason, Stage, Status, SubscriptionState, Terms
from processors.values import replace


def missing_for_subscriptions(trial: Trial) -> Iterator[str]:
    """The facts that each state lacks: the other webhook, the change before it, the payment that it announces."""
    states = [fact for fact in trial.facts if isinstance(fact, SubscriptionState)]
    for state in states:
        subscription_id = state.ids.subscription_id or ""
        if state.stage is Stage.IMPORTED:
            yield f"nothing that cannot wait: {subscription_id} was imported"
        if state.now.status is Status.PAUSED and _is_paused(trial.after.subscriptions.get(subscription_id)):
            yield f"an end of {subscription_id} that may follow at once"
        # Of the two webhooks for a pause, a return or an end, the primary one names the cause.
        if not any(one.is_primary and one.now == state.now for one in states_of(states, subscription_id)):
            yield f"the other webhook for the change of {subscription_id}"
        if not _pays_change(trial, state):
            yield from _continuity(state, states, trial)
        yield from _announced(state, trial)


def _is_paused(known: Subscription | None) -> bool:
    return known is not None and known.terms is not None and known.terms.status is Status.PAUSED


def _pays_change(trial: Trial, state: SubscriptionState) -> bool:
    """Whether a bill shows a change without terms before it (Paddle's) to be the only one since the known terms.

    The bill of a change that followed another one seconds later would show the step from what came between.
    """
    own = [one for one in trial.facts if isinstance(one, SubscriptionState) and one.ids == state.ids]
    known = trial.before.subscriptions.get(state.ids.subscription_id or "")
    if state.before is not None or state.now.status not in COUNTING or any(one.now != state.now for one in own):
        return False
    return known is not None and known.terms is not None and _is_billed_step(trial, known.id, known.terms, state.now)


def _is_billed_step(trial: Trial, subscription_id: str, before: Terms, now: Terms) -> bool:
    """Whether the bill of a change leads from the one to the other: it charges the new items, and takes back the rest
    of an item before it unless all of these stay.
    """
    kept, sold = _quantities(before), _quantities(now)
    for bill, own in bills_of(trial, subscription_id):
        lines = [line for fact in own for line in fact.lines or ()] if bill.reason is Reason.CHANGE else []
        charged = {(line.price_id, line.quantity) for line in lines if line.amount > 0}
        credited = {(line.price_id, abs(line.quantity)) for line in lines if line.amount < 0}
        if charged == sold - kept if kept < sold else charged and charged <= sold and credited & kept:
            return True
    return False


def _quantities(terms: Terms) -> set[tuple[str | None, Decimal]]:
    return {(item.price.id, item.quantity) for item in terms.items}


def _is_change_billed_nothing(trial: Trial, subscription_id: str | None) -> bool:
    """Whether the bill of a change is there, which nothing had to be paid for."""
    return any(
        bill.reason is Reason.CHANGE and is_due_nothing(bill, own)
        for bill, own in bills_of(trial, subscription_id or "")
    )


def _continuity(state: SubscriptionState, states: Sequence[SubscriptionState], trial: Trial) -> Iterator[str]:
    """An earlier change, between the known terms and this one, that has not arrived."""
    known = trial.before.subscriptions.get(state.ids.subscription_id or "")
    same = states_of(states, state.ids.subscription_id)
    own = [one for one in same if one is not state]
    known_terms = None if known is None else known.terms
    if state.stage is Stage.CREATED and known is not None and known_terms is not None and state.at <= known.at:
        yield f"nothing that cannot wait: {state.ids.subscription_id} was created before"
        return
    if state.stage is Stage.CREATED and known_terms is None:
        return
    if known_terms is None and not any(one.stage is Stage.CREATED for one in own):
        yield f"the creation of {state.ids.subscription_id}"
        return
    earlier = [one.now for one in own] + ([] if known_terms is None else [known_terms])
    if state.before is None:
        follows = any(_follows_alone(state, terms, trial.catalog) for terms in earlier)
    else:
        follows = state.before in earlier and not _is_left_too_often(state.before, same, known_terms)
    if not follows:
        yield f"the change of {state.ids.subscription_id} before this one"
    statuses = {one.status for one in earlier}
    if state.now.status is Status.ENDED and Status.PAST_DUE in statuses and Status.UNPAID not in statuses:
        yield f"whether {state.ids.subscription_id} was unpaid before its end"


def _is_left_too_often(terms: Terms, states: Iterable[SubscriptionState], known_terms: Terms | None) -> bool:
    """Whether more changes begin with these terms than lead to them: the change back to them has not arrived.

    A pause followed by an upgrade seconds later: both begin with the terms of before the pause.
    """
    changes = [one for one in states if one.before != one.now]
    leaving = sum(one.before == terms for one in changes)
    leading = [one for one in changes if one.now == terms]
    stated = sum(one.before is not None or one.stage is Stage.CREATED for one in leading)
    return leaving > (stated or bool(leading)) + (known_terms == terms)


def _follows_alone(state: SubscriptionState, terms: Terms, catalog: Catalog) -> bool:
    """Whether nothing but the status is another one, or a discount has run out: no change of the merchant's.

    An end that was scheduled has the webhook of that before it.
    """
    if state.now.status is Status.ENDED and state.now.cancels_at is not None and terms.cancels_at is None:
        return False
    kept = tuple(one for one in terms.discounts if one in state.now.discounts or not _has_run_out(one, state, catalog))
    return _without_status(replace(terms, discounts=kept)) == _without_status(state.now)


def _without_status(terms: Terms) -> Terms:
    items = tuple(replace(item, counts=True) for item in terms.items)
    return replace(terms, status=Status.ACTIVE, items=items, cancels_at=None, fixed_term=False)


def _has_run_out(discount: Discount, state: SubscriptionState, catalog: Catalog) -> bool:
    full = catalog.full_discount(discount)
    is_once = full.coupon is not None and full.coupon.duration is Duration.ONCE
    return is_once or (full.ends_at is not None and full.ends_at <= state.at)


def _announced(state: SubscriptionState, trial: Trial) -> Iterator[str]:
    """The payment that a start or a change announces."""
    subscription_id = state.ids.subscription_id or ""
    after, before = trial.after.subscriptions.get(subscription_id), trial.before.subscriptions.get(subscription_id)
    if state.now.status is Status.INCOMPLETE and (after is None or not after.has_counted):
        yield f"the first payment of {subscription_id}"
    starts = after is not None and after.start_count > (before.start_count if before is not None else 0)
    is_unpriced = state.stage is Stage.CREATED and state.now.status in COUNTING and not starts
    starts = starts or (is_unpriced and after is not None and not after.has_counted)
    if starts and not (_pays_start(trial, subscription_id) or _bills_nothing(trial, subscription_id)):
        yield f"the first payment of {subscription_id}"
    invoice = state.ids.invoice_id
    if invoice is not None and invoice not in trial.after.receivables:
        yield f"the outcome of {invoice}, which {subscription_id} names"
    yield from _invoice_before(state, trial)


def _invoice_before(state: SubscriptionState, trial: Trial) -> Iterator[str]:
    """The payment of the invoice that a change replaces as the latest, so that it is reported with the plan before.

    An invoice that was named before may be older than the bridge: it is not awaited.
    """
    invoice = state.previous_invoice_id
    if invoice is not None and invoice not in {**trial.before.references.subscription_of, **trial.after.receivables}:
        yield f"the outcome of {invoice}, the invoice before the change of {state.ids.subscription_id}"


def _pays_start(trial: Trial, subscription_id: str) -> bool:
    return any(
        event.event_type is EventType.SUBSCRIPTION and not is_alone(event) and event.subscription_id == subscription_id
        for event in trial.settlement.events
    )


def _bills_nothing(trial: Trial, subscription_id: str) -> bool:
    """Whether no payment is due for its start: its first invoice is one of 0, or it is back and names no new one.

    One that was active for nothing, by a discount, is back as well when that ends.
    """
    if any(is_due_nothing(one, own) for one, own in bills_of(trial, subscription_id)):
        return True
    before = trial.before.subscriptions.get(subscription_id)
    own_states = states_of((fact for fact in trial.facts if isinstance(fact, SubscriptionState)), subscription_id)
    known = [trial.before.receivables.get(state.ids.invoice_id or "") for state in own_states]
    return (
        before is not None
        and (before.has_counted or (before.terms is not None and before.terms.status in COUNTING))
        and all(one is not None and one.is_invoice for one in known)
        # A return is reported by several webhooks; the one with the terms before it names the cause.
        and any(state.before is not None and state.now.status in COUNTING for state in own_states)
    )


def missing_for_changes(trial: Trial) -> Iterator[str]:
    """The payment of a change. Not every processor names it in the change: then a change alone waits for it.

    Stripe names the latest invoice in each change: if that one is known (`_announced`), there is no new one.
    """
    unclear = {fact.ids.subscription_id for fact in trial.facts if _may_change_otherwise(fact, trial)}
    for event in trial.settlement.events:
        is_change = event.event_type in (EventType.UPGRADE, EventType.DOWNGRADE)
        is_billed = _is_change_billed_nothing(trial, event.subscription_id)
        if is_change and is_alone(event) and event.subscription_id in unclear and not is_billed:
            yield f"a payment of the change of {event.subscription_id}"


def _may_change_otherwise(fact: Fact, trial: Trial) -> bool:
    """Whether the MRR may change by a new invoice, by a discount whose products are not known before it is billed, or
    by the end of one, which several webhooks may report.
    """
    if not isinstance(fact, SubscriptionState) or fact.stage is not Stage.CHANGED:
        return False
    before, now = discounts_of(fact.before or fact.now), discounts_of(fact.now)
    is_unknown = fact.before is None and bool(now)
    is_added = bool(_ids_of(now) - _ids_of(before))  # a bill may show that it comes off nothing
    may_end = any(_may_be_ending(one, fact, trial) for one in before)
    is_billed_unnamed = fact.ids.invoice_id is None and not _is_discount_over(fact, trial)
    return is_billed_unnamed or is_unknown or is_added or may_end


def _is_discount_over(state: SubscriptionState, trial: Trial) -> bool:
    """Whether a discount has run out and nothing else is another: no bill is made for that."""
    known = trial.before.subscriptions.get(state.ids.subscription_id or "")
    if state.before is not None or known is None or known.terms is None:
        return False
    return len(known.terms.discounts) > len(state.now.discounts) and _follows_alone(state, known.terms, trial.catalog)


def _may_be_ending(discount: Discount, state: SubscriptionState, trial: Trial) -> bool:
    """Whether the discount ends without an action of the merchant, and only one of the two webhooks for that is there:
    of the period that begins without it, and of the terms without it. One that is given for ever does not end so.
    """
    full = trial.catalog.full_discount(discount)
    has_ended = full.ends_at is not None and full.ends_at <= state.at
    is_removed = (full.id or full.coupon_id) not in _ids_of(discounts_of(state.now))
    if not has_ended and not (is_removed and (full.coupon is None or full.coupon.duration is not Duration.FOREVER)):
        return False
    same = states_of((one for one in trial.facts if isinstance(one, SubscriptionState)), state.ids.subscription_id)
    at_end = [discount in discounts_of(one.now) for one in same if one.at == state.at and one.before is not None]
    return not (has_ended and True in at_end and False in at_end)


def _ids_of(discounts: Iterable[Discount]) -> set[str | None]:
    return {one.id or one.coupon_id for one in discounts}
