"""Whether everything that the waiting webhooks announce is there, so that they can be settled at once.

The webhooks are settled on trial. Complete is only what no further webhook about the same facts could change; in every
other case the first thing that is missing is named, and the stream waits for its window. Settling early may change when
something is reported, never what: where that cannot be shown for a kind of fact, that kind waits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bridge.ledger.catalog import Catalog, missing_keys
from bridge.ledger.events import EventType, RevenueEvent
from bridge.ledger.movements import CORRECTED
from bridge.ledger.policy import Policy
from bridge.ledger.receivables import SAME_PAYMENT
from bridge.ledger.references import receivable_of, receivable_of_payment
from bridge.ledger.settlement import Settlement, settle
from bridge.ledger.state import Receivable, State, Subscription
from processors.facts import (
    Discount,
    Duration,
    Fact,
    Link,
    Payment,
    Place,
    Reason,
    Refund,
    RefundStatus,
    Stage,
    Status,
    SubscriptionState,
    Terms,
)
from processors.values import Value, replace

MAX_DELAY = timedelta(seconds=60)  # of a webhook after its fact; more shows that others may be late as well
MAX_AHEAD = timedelta(seconds=60)  # of the processor's clock
RECENT_STATE = timedelta(hours=2)  # a renewal's state comes about an hour before its payment
COUNTING = (Status.ACTIVE, Status.PAST_DUE)
STOPPED = (Status.PAUSED, Status.UNPAID)
SPECIFIC = (Place.OBJECT.value, Place.INVOICE.value, Place.CHECKOUT.value)


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


def missing(state: State, arrived: Sequence[tuple[Fact, datetime]], policy: Policy, catalog: Catalog) -> str | None:
    """The fact that is still missing, in words; None: everything is there. `arrived`: each fact and when it arrived."""
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


# ---- Payments -----------------------------------------------------------------------------------------------------


def _payments(trial: Trial) -> Iterator[str]:
    payments = [fact for fact in trial.facts if isinstance(fact, Payment)]
    for owed_id in dict.fromkeys(_owed(trial.after, payments)):
        own = [fact for fact in payments if receivable_of_payment(trial.after.references, fact) == owed_id]
        receivable = trial.after.receivables.get(owed_id)
        if receivable is not None and _is_due_nothing(receivable, own):
            yield from _subscription_of(receivable, trial)
            yield from _discounts_of(receivable, own, trial)
            continue
        if receivable is None or not receivable.paid:
            yield f"the payment of {owed_id}"
            continue
        # Matched by time and amount only: another invoice of the same amount may arrive.
        if guessed := [key for key in receivable.payments if key in trial.after.references.matched]:
            yield f"whether {guessed[0]} belongs to {owed_id}"
        yield from _invoice(receivable, own)
        yield from _subscription_of(receivable, trial)
        yield from _discounts_of(receivable, own, trial)


def _owed(state: State, payments: Iterable[Payment]) -> Iterator[str]:
    return (receivable_of_payment(state.references, payment) for payment in payments)


def _is_due_nothing(receivable: Receivable, own: Sequence[Payment]) -> bool:
    """Whether it is an invoice or a transaction of 0: of a trial, of a coupon over the whole, paid from credit."""
    return not receivable.paid and any(fact.is_primary and fact.is_total for fact in own)


def _invoice(receivable: Receivable, own: Sequence[Payment]) -> Iterator[str]:
    """The missing facts about its invoice, or the missing statement that it has none."""
    is_unclear = receivable.reason is Reason.UNKNOWN and not (receivable.is_invoice and receivable.subscription_id)
    if receivable.may_have_invoice or is_unclear:
        yield f"whether {receivable.id} belongs to an invoice, and to which"
    if receivable.is_invoice and receivable.stated_paid != sum(receivable.payments.values()) and _names_payment(own):
        yield f"the payment of {receivable.id}"
    if not any(fact.is_primary and fact.is_total for fact in own) and receivable.is_invoice:
        yield f"the invoice {receivable.id} as paid"
    if not any(fact.is_primary and (fact.is_total == _is_one_object(fact)) for fact in own):
        yield f"the charge of {receivable.id}"


def _names_payment(own: Sequence[Payment]) -> bool:
    return not any(fact.is_total and _is_one_object(fact) for fact in own)


def _is_one_object(fact: Payment) -> bool:
    """Whether invoice and payment are the same object (Paddle's transaction)."""
    return fact.ids.invoice_id is not None and fact.ids.invoice_id == fact.ids.payment_id


def _subscription_of(receivable: Receivable, trial: Trial) -> Iterator[str]:
    """The missing state of the subscription that a payment is for."""
    if receivable.subscription_id is None or receivable.reason is Reason.ONE_OFF:
        return
    known = trial.after.subscriptions.get(receivable.subscription_id)
    expected = COUNTING if receivable.paid else (*COUNTING, Status.TRIALING)
    if known is None or known.terms is None or known.terms.status not in expected:
        yield f"the state of {receivable.subscription_id}"
    elif known.at < receivable.at - RECENT_STATE:
        yield f"the state of {receivable.subscription_id} at the time of {receivable.id}"
    elif receivable.reason is Reason.CHANGE and not _has_changed(receivable, trial.facts):
        yield f"the change of {receivable.subscription_id} that {receivable.id} bills"


def _discounts_of(receivable: Receivable, own: Sequence[Payment], trial: Trial) -> Iterator[str]:
    """A discount on a billed line that may be the customer's, whose webhook has not arrived: the MRR is without it.

    A discount on the subscription replaces the customer's.
    """
    has_own = False
    for state in (trial.before, trial.after):
        known = state.subscriptions.get(receivable.subscription_id or "")
        has_own = has_own or (known is not None and known.terms is not None and bool(_discounts(known.terms)))
    billed = {one for fact in own for line in fact.lines or () for one in line.discount_ids}
    if not has_own and billed - {one.id for one in (*trial.before.customer_discounts, *trial.after.customer_discounts)}:
        yield f"a discount of {receivable.id}"


def _has_changed(billed: Receivable, facts: Iterable[Fact]) -> bool:
    """Whether the change that it bills is there: one that names it, if changes name invoices."""
    states = _of((fact for fact in facts if isinstance(fact, SubscriptionState)), billed.subscription_id)
    return any(one.stage is Stage.CHANGED and one.ids.invoice_id in (None, billed.id) for one in states)


# ---- Subscriptions ------------------------------------------------------------------------------------------------


def _subscriptions(trial: Trial) -> Iterator[str]:
    states = [fact for fact in trial.facts if isinstance(fact, SubscriptionState)]
    for state in states:
        subscription_id = state.ids.subscription_id or ""
        if state.stage is Stage.IMPORTED:
            yield f"nothing that cannot wait: {subscription_id} was imported"
        if state.now.status in STOPPED and _is_stopped(trial.after.subscriptions.get(subscription_id)):
            yield f"an end of {subscription_id} that may follow at once"
        # Of the two webhooks for a pause, a return or an end, the primary one names the cause.
        if not any(one.is_primary and one.now == state.now for one in _of(states, subscription_id)):
            yield f"the other webhook for the change of {subscription_id}"
        if not _pays_change(trial, state):
            yield from _continuity(state, states, trial.before.subscriptions.get(subscription_id))
        yield from _announced(state, trial)


def _is_stopped(known: Subscription | None) -> bool:
    return known is not None and known.terms is not None and known.terms.status in STOPPED


def _of(states: Iterable[SubscriptionState], subscription_id: str | None) -> list[SubscriptionState]:
    return [one for one in states if one.ids.subscription_id == subscription_id]


def _pays_change(trial: Trial, state: SubscriptionState) -> bool:
    """Whether its payment shows a change without terms before it (Paddle's) to be the only one."""
    subscription_id = state.ids.subscription_id
    own = [one for one in trial.facts if isinstance(one, SubscriptionState) and one.ids == state.ids]
    return (
        state.before is None
        and state.now.status in COUNTING
        and all(one.now == state.now for one in own)
        and any(
            event.event_type in (EventType.UPGRADE, EventType.DOWNGRADE)
            and not _is_alone(event)
            and event.subscription_id == subscription_id
            for event in trial.settlement.events
        )
    )


def _continuity(
    state: SubscriptionState, states: Sequence[SubscriptionState], known: Subscription | None
) -> Iterator[str]:
    """An earlier change, between the known terms and this one, that has not arrived."""
    same = _of(states, state.ids.subscription_id)
    own = [one for one in same if one is not state]
    known_terms = None if known is None else known.terms
    if state.stage is Stage.CREATED:
        if known_terms is not None:
            yield f"nothing that cannot wait: {state.ids.subscription_id} was created before"
        return
    if known_terms is None and not any(one.stage is Stage.CREATED for one in own):
        yield f"the creation of {state.ids.subscription_id}"
        return
    earlier = [one.now for one in own] + ([] if known_terms is None else [known_terms])
    if state.before is None:
        follows = any(_differ_in_status_only(state, terms) for terms in earlier)
    else:
        follows = state.before in earlier and not _is_left_too_often(state.before, same, known_terms)
    if not follows:
        yield f"the change of {state.ids.subscription_id} before this one"


def _is_left_too_often(terms: Terms, states: Iterable[SubscriptionState], known_terms: Terms | None) -> bool:
    """Whether more changes begin with these terms than lead to them: the change back to them has not arrived.

    A pause followed by an upgrade seconds later: both begin with the terms of before the pause.
    """
    changes = [one for one in states if one.before != one.now]
    leaving = sum(one.before == terms for one in changes)
    leading = [one for one in changes if one.now == terms]
    stated = sum(one.before is not None or one.stage is Stage.CREATED for one in leading)
    return leaving > (stated or bool(leading)) + (known_terms == terms)


def _differ_in_status_only(state: SubscriptionState, terms: Terms) -> bool:
    """Whether nothing but the status is another one. A scheduled end that is stated now only was scheduled before."""
    if state.now.cancels_at is not None and terms.cancels_at is None:
        return False
    now = replace(state.now, status=Status.ACTIVE, cancels_at=None, fixed_term=False)
    return replace(terms, status=Status.ACTIVE, cancels_at=None, fixed_term=False) == now


def _announced(state: SubscriptionState, trial: Trial) -> Iterator[str]:
    """The payment that a start or a change announces."""
    subscription_id = state.ids.subscription_id or ""
    after, before = trial.after.subscriptions.get(subscription_id), trial.before.subscriptions.get(subscription_id)
    if state.now.status is Status.INCOMPLETE and (after is None or not after.has_counted):
        yield f"the first payment of {subscription_id}"
    starts = after is not None and after.start_count > (before.start_count if before is not None else 0)
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
        event.event_type is EventType.SUBSCRIPTION and not _is_alone(event) and event.subscription_id == subscription_id
        for event in trial.settlement.events
    )


def _bills_nothing(trial: Trial, subscription_id: str) -> bool:
    """Whether no payment is due for its start: its first invoice is one of 0, or it is back and names no new one.

    One that was active for nothing, by a discount, is back as well when that ends.
    """
    if any(_is_due_nothing(one, own) for one, own in _owed_by(trial, subscription_id)):
        return True
    before = trial.before.subscriptions.get(subscription_id)
    own_states = _of((fact for fact in trial.facts if isinstance(fact, SubscriptionState)), subscription_id)
    known = [trial.before.receivables.get(state.ids.invoice_id or "") for state in own_states]
    return (
        before is not None
        and (before.has_counted or (before.terms is not None and before.terms.status in COUNTING))
        and all(one is not None and one.is_invoice for one in known)
        # A return is reported by several webhooks; the one with the terms before it names the cause.
        and any(state.before is not None and state.now.status in COUNTING for state in own_states)
    )


def _owed_by(trial: Trial, subscription_id: str) -> Iterator[tuple[Receivable, list[Payment]]]:
    """The receivables of a subscription that the waiting payments are for, with these payments."""
    payments = [fact for fact in trial.facts if isinstance(fact, Payment)]
    for owed_id in dict.fromkeys(_owed(trial.after, payments)):
        receivable = trial.after.receivables.get(owed_id)
        if receivable is not None and receivable.subscription_id == subscription_id:
            references = trial.after.references
            yield receivable, [one for one in payments if receivable_of_payment(references, one) == owed_id]


def _is_alone(event: RevenueEvent) -> bool:
    """Whether it is a movement without a payment."""
    return event.output_key.startswith("movement:")


def _changes(trial: Trial) -> Iterator[str]:
    """The payment of a change. Not every processor names it in the change: then a change alone waits for it.

    Stripe names the latest invoice in each change: if that one is known (`_announced`), there is no new one.
    """
    unclear = {fact.ids.subscription_id for fact in trial.facts if _may_change_otherwise(fact, trial.catalog)}
    for event in trial.settlement.events:
        is_change = event.event_type in (EventType.UPGRADE, EventType.DOWNGRADE)
        if is_change and _is_alone(event) and event.subscription_id in unclear:
            yield f"a payment of the change of {event.subscription_id}"


def _may_change_otherwise(fact: Fact, catalog: Catalog) -> bool:
    """Whether the MRR may change by a new invoice, or by the end of a discount, which several webhooks may report."""
    if not isinstance(fact, SubscriptionState) or fact.stage is not Stage.CHANGED:
        return False
    before, now = _discounts(fact.before or fact.now), _discounts(fact.now)
    is_unknown = fact.before is None and bool(now)
    full = [catalog.full_discount(one) for one in before]
    has_ended = any(one.ends_at is not None and one.ends_at <= fact.at for one in full)
    removed = [one for one in full if (one.id or one.coupon_id) not in _ids_of(now)]
    return fact.ids.invoice_id is None or is_unknown or has_ended or any(_may_end(one) for one in removed)


def _may_end(discount: Discount) -> bool:
    """Whether the discount may end without an action of the merchant. One that is given for ever does not."""
    return discount.coupon is None or discount.coupon.duration is not Duration.FOREVER


def _discounts(terms: Terms) -> list[Discount]:
    return [*terms.discounts, *(one for item in terms.items for one in item.discounts)]


def _ids_of(discounts: Iterable[Discount]) -> set[str | None]:
    return {one.id or one.coupon_id for one in discounts}


# ---- Refunds ------------------------------------------------------------------------------------------------------


def _refunds(trial: Trial) -> Iterator[str]:
    refunds = [fact for fact in trial.facts if isinstance(fact, Refund)]
    for refund in refunds:
        receivable = trial.after.receivables.get(receivable_of(trial.after.references, refund.ids) or refund.key)
        if receivable is None or not receivable.reported_as or _may_be_of_invoice(receivable, refund, trial):
            yield f"the payment that {refund.key} refunds"
        elif any(receivable.unassigned_refunds.values()):
            yield f"the refunds of {receivable.id}, one by one"
        elif not refund.is_total:
            yield from _steps_of(refund, [one for one in refunds if one.key == refund.key], receivable, trial)


def _may_be_of_invoice(receivable: Receivable, refund: Refund, trial: Trial) -> bool:
    """Whether a webhook that names its invoice may still come: not for what was settled long before."""
    is_old = receivable.id in trial.before.receivables and refund.at - receivable.at > SAME_PAYMENT
    return receivable.may_have_invoice and not is_old


def _steps_of(refund: Refund, same: Sequence[Refund], receivable: Receivable, trial: Trial) -> Iterator[str]:
    """The missing webhook that names time and cause of its latest step, or the one of the step before."""
    stored = trial.before.receivables.get(receivable.id)
    known = stored.refunds.get(refund.key) if stored is not None else None
    if known is not None and known.status is refund.status and known.minor >= refund.amount.minor:
        return
    primary = {(one.status, one.amount.minor) for one in same if one.is_primary}
    if (refund.status, refund.amount.minor) not in primary:
        yield f"the webhook that names the cause of {refund.key}"
    if refund.status is RefundStatus.FAILED and known is None and {status for status, _ in primary} == {refund.status}:
        yield f"the refund {refund.key} as made"
    if refund.reverses is not None and refund.reverses not in receivable.refunds:
        yield f"the dispute that {refund.key} takes back"


# ---- Attribution --------------------------------------------------------------------------------------------------


def _visits(trial: Trial) -> Iterator[str]:
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


def _corrections(trial: Trial) -> Iterator[str]:
    """A change that may follow a corrected estimate: an end seconds later is reported with the correction."""
    for event in trial.settlement.events:
        if event.metadata.get("reason") == CORRECTED:
            yield f"a change that may follow the corrected MRR of {event.subscription_id}"


# ---- Discounts on the customer ------------------------------------------------------------------------------------


def _customers_discounts(trial: Trial) -> Iterator[str]:
    """The facts before a discount on the customer, which concerns each subscription without stating its terms."""
    first = min(fact.at for fact in trial.facts)
    for fact in trial.facts:
        is_discount = isinstance(fact, Link) and fact.customer_discount is not None
        if is_discount and (trial.before.subscriptions or first < fact.at):
            yield f"what preceded the discount of {fact.ids.customer_id}"


CHECKS: tuple[Callable[[Trial], Iterator[str]], ...] = (
    _payments,
    _subscriptions,
    _changes,
    _refunds,
    _visits,
    _customers_discounts,
    _corrections,
)
