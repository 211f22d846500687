"""The explanation of one webhook: its facts, the ledger before and after, and its revenue events, as sentences.

It shows ids, amounts and statuses, but no metadata: other people may be looking on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from bridge.ledger.audit_notes import format_amount
from bridge.ledger.events import RevenueEvent
from bridge.ledger.plan_details import interval_name
from bridge.ledger.references import References, receivable_of, subscription_of
from bridge.ledger.settlement import Settlement
from bridge.ledger.state import Receivable, State, Subscription
from processors.facts import (
    Attribution,
    Fact,
    Item,
    Link,
    Membership,
    Payment,
    Place,
    Reason,
    Refund,
    RefundKind,
    Stage,
    SubscriptionState,
    Terms,
)
from processors.values import Value

_PAYMENT_REASONS: Mapping[Reason, str] = {
    Reason.START: ", the first of subscription {}",
    Reason.CYCLE: ", for a period of subscription {}",
    Reason.CHANGE: ", for a change of subscription {}",
    Reason.ONE_OFF: ", a one-off on subscription {}",
    Reason.UNKNOWN: ", for subscription {}",
}
_SOURCES: Mapping[Place, str] = {
    Place.INVOICE: "the subscription as the invoice remembers it",
    Place.CHECKOUT: "a checkout session",
    Place.CUSTOMER_METADATA: "the customer",
    Place.REGISTERED: "the merchant's site",
}
_REFUNDS: Mapping[RefundKind, str] = {
    RefundKind.REFUND: "refund {key}: {money} of {of}, {status}",
    RefundKind.DISPUTE: "dispute {key}: {money} of {of} withdrawn",
    RefundKind.REVERSAL: "reversal {key}: {money} of {of} returned",
}
_FLAGS: Mapping[str, str] = {"reactivation": "a reactivation", "mrr_estimated": "MRR estimated"}


class Explanation(Value):
    """The explanation of one webhook, in sentences.

    `notes`: the effect of its facts. `settled_with`: the other facts of the same settlement. `ledger_before`,
    `ledger_after`: its subscriptions and receivables. `revenue_events`: those it caused.
    """

    event_id: str
    facts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settled_with: tuple[str, ...] = ()
    ledger_before: tuple[str, ...] = ()
    ledger_after: tuple[str, ...] = ()
    revenue_events: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The explanation line by line."""
        return tuple(line for title, sentences in self._sections() for line in _section(title, sentences))

    def as_json(self) -> dict[str, Any]:
        """The explanation for programs."""
        parts = ("facts", "notes", "settled_with", "ledger_before", "ledger_after", "revenue_events")
        return {"event_id": self.event_id, **{part: list(getattr(self, part)) for part in parts}}

    def _sections(self) -> Iterator[tuple[str, Sequence[str]]]:
        yield f"Facts of {self.event_id}", self.facts or ("none that the bridge uses",)
        yield "Effects", self.notes
        yield "Settled together with", self.settled_with
        yield "Ledger before", self.ledger_before
        yield "Ledger after", self.ledger_after
        yield "Revenue events", self.revenue_events or ("none",)


def explain(event_id: str, facts: Sequence[Fact], before: State, settlement: Settlement) -> Explanation:
    """Explains one webhook among the facts that were settled together."""
    own = [fact for fact in facts if fact.processor_event_id == event_id]
    others = [fact for fact in facts if fact.processor_event_id != event_id]
    events = (*settlement.events, *settlement.released)
    references = settlement.state.references
    return Explanation(
        event_id=event_id,
        facts=tuple(f"{_timestamp(fact.at)}: {describe_fact(fact)}" for fact in own),
        notes=tuple(settlement.notes.get(event_id, ())),
        settled_with=tuple(f"{fact.processor_event_id}: {describe_fact(fact)}" for fact in others),
        ledger_before=tuple(_ledger(before, own, references)),
        ledger_after=tuple(_ledger(settlement.state, own, references)),
        revenue_events=tuple(describe_event(event) for event in events if event_id in event.caused_by),
    )


def describe_fact(fact: Fact) -> str:
    """A fact as a sentence."""
    return _DESCRIBE[type(fact)](fact)


def describe_event(event: RevenueEvent) -> str:
    """A revenue event as a sentence."""
    parts = [f"{event.event_type} {event.transaction_id} of {event.amount} {event.currency}"]
    if event.mrr_impact is not None:
        parts.append(f"MRR {event.mrr_impact:+} {event.currency}" if event.mrr_impact else "MRR unchanged")
    parts += [f"{key} {event.metadata[key]}" for key in ("plan", "reason") if key in event.metadata]
    parts += [word for key, word in _FLAGS.items() if event.metadata.get(key)]
    parts.append(f"visit found: {event.metadata.get('attribution')}" if event.is_attributed else "no visit found")
    return ", ".join(parts)


def _section(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"{title}:"
        yield from (f"  {sentence}" for sentence in sentences)


def _timestamp(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# ---- Facts --------------------------------------------------------------------------------------------------------


def _payment(payment: Payment) -> str:
    ids, money = payment.ids, format_amount(payment.amount.minor, payment.amount.currency)
    text = f"payment {payment.key}: {money}"
    if payment.is_total:
        text = f"invoice {payment.key}: {money} paid so far"
    elif ids.invoice_id is not None:
        text += f" on invoice {ids.invoice_id}"
    elif payment.membership is Membership.UNKNOWN:
        text += ", possibly for an invoice that it does not name"
    return text + (_PAYMENT_REASONS[payment.reason].format(ids.subscription_id) if ids.subscription_id else "")


def _refund(refund: Refund) -> str:
    of = refund.ids.payment_id or refund.ids.charge_id or "an unnamed payment"
    money = format_amount(refund.amount.minor, refund.amount.currency)
    if refund.is_total:
        return f"refunds: {money} of {of} so far"
    text = _REFUNDS[refund.kind].format(key=refund.key, money=money, of=of, status=refund.status)
    return f"{text}, because {refund.reason}" if refund.reason else text


def _state(state: SubscriptionState) -> str:
    name, now = f"subscription {state.ids.subscription_id}", _terms(state.now)
    if state.stage is Stage.CREATED:
        return f"{name} created: {now}"
    if state.stage is Stage.IMPORTED:
        return f"{name} imported: {now}"
    if state.before is None:
        return f"{name} is now: {now}"
    if state.before == state.now:
        return f"{name} unchanged: {now}"
    return f"{name} changed from {_terms(state.before)} to {now}"


def _attribution(attribution: Attribution) -> str:
    refs = attribution.ids.refs() or ("the customer",)
    return f"metadata from {_SOURCES.get(attribution.place, attribution.place)}, for {_joined(refs)}"


def _link(link: Link) -> str:
    ids = (*link.ids.refs(), *([link.ids.customer_id] if link.ids.customer_id else []))
    return f"{_joined(ids)} belong together"


_DESCRIBE: Mapping[type[Fact], Callable[[Any], str]] = {
    Payment: _payment,
    Refund: _refund,
    SubscriptionState: _state,
    Attribution: _attribution,
    Link: _link,
}


def _joined(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _terms(terms: Terms) -> str:
    """Status and prices: `active, 3 x Pro at 49.00 USD monthly, ends on 2026-02-01`."""
    parts = [terms.status.value, *(_item(item) for item in terms.items)]
    if terms.discounts:
        parts.append(f"{len(terms.discounts)} discount{'s' if len(terms.discounts) > 1 else ''}")
    if terms.cancels_at is not None:
        parts.append(f"ends on {terms.cancels_at:%Y-%m-%d}")
    return ", ".join(parts)


def _item(item: Item) -> str:
    price = item.price
    name = f"{_number(item.quantity)} x {price.name or price.id}"
    if price.unit_amount is None:
        return f"{name} by tiers" if price.tiered else name
    amount = price.unit_amount.scaleb(-price.currency.digits)
    interval = interval_name(price.interval, price.interval_count) if price.interval else "once"
    return f"{name} at {_number(amount, price.currency.digits)} {price.currency.code} {interval}"


def _number(number: Decimal, digits: int = 0) -> str:
    """A number without an exponent and with at least this many decimals."""
    exact = number.normalize()
    places = max(digits, -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f}"


# ---- The ledger ---------------------------------------------------------------------------------------------------


def _ledger(state: State, facts: Iterable[Fact], references: References) -> Iterator[str]:
    """The subscriptions and receivables that these facts are about."""
    own = list(facts)
    for subscription_id in dict.fromkeys(subscription_of(references, fact.ids) for fact in own):
        if subscription_id is not None:
            yield _subscription(subscription_id, state.subscriptions.get(subscription_id))
    for receivable_id in dict.fromkeys(receivable_of(references, fact.ids) for fact in own):
        receivable = state.receivables.get(receivable_id or "")
        if receivable is not None:
            yield _receivable(receivable)


def _subscription(subscription_id: str, known: Subscription | None) -> str:
    if known is None:
        return f"{subscription_id}: not known"
    status = known.terms.status.value if known.terms is not None else "known from payments only"
    plan = " ".join(word for word in (known.plan_details.plan, known.plan_details.interval) if word)
    mrr = f"MRR {format_amount(known.reported_mrr, known.currency)}{', estimated' if known.estimated else ''}"
    parts = [f"{subscription_id}: {status}", plan, mrr]
    if known.baseline:
        parts.append(f"of which {format_amount(known.baseline, known.currency)} is its baseline, not reported")
    return ", ".join(part for part in parts if part)


def _receivable(receivable: Receivable) -> str:
    parts = [f"{receivable.id}: {format_amount(receivable.paid, receivable.currency)} paid"]
    if receivable.refunded:
        parts.append(f"{format_amount(receivable.refunded, receivable.currency)} refunded")
    reported = receivable.reported_as
    parts.append(f"reported as {_joined(reported)}" if reported else "not reported")
    return ", ".join(parts)
