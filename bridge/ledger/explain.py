"""The story of one webhook: what it said, what the ledger knew, what came of it. Written as an accountant's note.

It names ids, amounts and statuses, and nothing of what metadata holds: a note is read over people's shoulders.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from bridge.ledger.events import RevenueEvent
from bridge.ledger.fold import Settlement
from bridge.ledger.links import bill_of, subscription_of
from bridge.ledger.prices import interval_name
from bridge.ledger.remarks import shown
from bridge.ledger.state import Bill, Links, State, Subscription
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

_FOR: Mapping[Reason, str] = {
    Reason.START: ", the first of subscription {}",
    Reason.CYCLE: ", for a period of subscription {}",
    Reason.CHANGE: ", for a change of subscription {}",
    Reason.ONE_OFF: ", a one-off on subscription {}",
    Reason.UNKNOWN: ", for subscription {}",
}
_PLACES: Mapping[Place, str] = {
    Place.CHECKOUT: "a checkout session",
    Place.CUSTOMER_METADATA: "the customer",
    Place.REGISTERED: "the merchant's site",
}
_GAVE_BACK: Mapping[RefundKind, str] = {
    RefundKind.REFUND: "refund {key}: {money} of {of}, {status}",
    RefundKind.DISPUTE: "dispute {key}: {money} of {of} taken",
    RefundKind.REVERSAL: "reversal {key}: {money} of {of} came back",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One webhook's story, in sentences.

    `said`: its facts. `became`: what the ledger made of them. `beside`: what was settled in the same window. `before`,
    `after`: the subscriptions and bills that it touched. `gave`: the revenue events that rest on it.
    """

    event_id: str
    said: tuple[str, ...] = ()
    became: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    gave: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """The note, line by line."""
        return tuple(line for title, sentences in self._parts() for line in _section(title, sentences))

    def as_json(self) -> dict[str, Any]:
        """The same for programs."""
        parts = ("said", "became", "beside", "before", "after", "gave")
        return {"event_id": self.event_id, **{part: list(getattr(self, part)) for part in parts}}

    def _parts(self) -> Iterator[tuple[str, Sequence[str]]]:
        yield f"{self.event_id} said", self.said or ("nothing that the bridge has a use for",)
        yield "What became of it", self.became
        yield "Settled together with", self.beside
        yield "The books before", self.before
        yield "The books after", self.after
        yield "Revenue events", self.gave or ("none",)


def explain(event_id: str, facts: Sequence[Fact], before: State, settlement: Settlement) -> Explanation:
    """The story of one webhook among the facts of the window in which it was settled."""
    own = [fact for fact in facts if fact.processor_event_id == event_id]
    others = [fact for fact in facts if fact.processor_event_id != event_id]
    events = (*settlement.events, *settlement.released)
    return Explanation(
        event_id=event_id,
        said=tuple(f"{_when(fact.at)}: {sentence(fact)}" for fact in own),
        became=tuple(settlement.remarks.get(event_id, ())),
        beside=tuple(f"{fact.processor_event_id}: {sentence(fact)}" for fact in others),
        before=tuple(_books(before, own, settlement.state.links)) if own else (),
        after=tuple(_books(settlement.state, own, settlement.state.links)) if own else (),
        gave=tuple(told(event) for event in events if event_id in event.caused_by),
    )


def sentence(fact: Fact) -> str:
    """A fact as a sentence."""
    return _SENTENCES[type(fact)](fact)


def told(event: RevenueEvent) -> str:
    """A revenue event as a sentence."""
    parts = [f"{event.event_type} {event.transaction_id} of {event.amount} {event.currency}"]
    if event.mrr_impact is not None:
        parts.append(f"MRR {event.mrr_impact:+} {event.currency}" if event.mrr_impact else "MRR unchanged")
    parts += [f"{key} {event.metadata[key]}" for key in ("plan", "reason") if key in event.metadata]
    parts += [word for key, word in _FLAGS.items() if event.metadata.get(key)]
    place = event.metadata.get("attribution")
    parts.append(f"visit known by {place}" if event.is_attributed else "visit not known")
    return ", ".join(parts)


_FLAGS: Mapping[str, str] = {"reactivation": "a return", "mrr_estimated": "MRR estimated"}


def _section(title: str, sentences: Sequence[str]) -> Iterator[str]:
    if sentences:
        yield f"{title}:"
        yield from (f"  {sentence}" for sentence in sentences)


def _when(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# ---- Facts --------------------------------------------------------------------------------------------------------


def _payment(payment: Payment) -> str:
    ids, money = payment.ids, shown(payment.amount.minor, payment.amount.currency)
    what = f"payment {payment.key}: {money}"
    if payment.is_total:
        what = f"invoice {payment.key}: {money} paid on it so far"
    elif ids.invoice_id is not None:
        what += f" on invoice {ids.invoice_id}"
    elif payment.membership is Membership.UNKNOWN:
        what += ", without a word on whether an invoice stands behind it"
    return what + (_FOR[payment.reason].format(ids.subscription_id) if ids.subscription_id else "")


def _refund(refund: Refund) -> str:
    of, money = (
        refund.ids.payment_id or refund.ids.charge_id or "nothing named",
        shown(refund.amount.minor, refund.amount.currency),
    )
    if refund.is_total:
        return f"refunds: {money} of {of} so far"
    said = _GAVE_BACK[refund.kind].format(key=refund.key, money=money, of=of, status=refund.status)
    return f"{said}, because {refund.reason}" if refund.reason else said


def _state(state: SubscriptionState) -> str:
    name, now = f"subscription {state.ids.subscription_id}", _terms(state.now)
    if state.stage is Stage.CREATED:
        return f"{name} began: {now}"
    if state.stage is Stage.IMPORTED:
        return f"{name} was made known: {now}"
    if state.before is None:
        return f"{name} stands at: {now}"
    if state.before == state.now:
        return f"{name} did not change: {now}"
    return f"{name} went from {_terms(state.before)} to {now}"


def _attribution(attribution: Attribution) -> str:
    refs = attribution.ids.refs() or ("the customer",)
    return f"metadata from {_PLACES.get(attribution.place, attribution.place)}, for {_listed(refs)}"


def _link(link: Link) -> str:
    named = (*link.ids.refs(), *([link.ids.customer_id] if link.ids.customer_id else []))
    return f"{_listed(named)} belong together"


_SENTENCES: Mapping[type[Fact], Callable[[Any], str]] = {
    Payment: _payment,
    Refund: _refund,
    SubscriptionState: _state,
    Attribution: _attribution,
    Link: _link,
}


def _listed(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _terms(terms: Terms) -> str:
    """Status and price: "active, 3 x Pro at 49.00 USD monthly, ends 2026-02-01"."""
    parts = [terms.status.value, *(_item(item) for item in terms.items)]
    if terms.discounts:
        parts.append(f"{len(terms.discounts)} discount{'s' if len(terms.discounts) > 1 else ''}")
    if terms.cancels_at is not None:
        parts.append(f"to end on {terms.cancels_at:%Y-%m-%d}")
    return ", ".join(parts)


def _item(item: Item) -> str:
    price = item.price
    name = f"{_plain(item.quantity)} x {price.name or price.id}"
    if price.unit_amount is None:
        return f"{name} by tiers" if price.tiered else name
    each = price.unit_amount.scaleb(-price.currency.digits)
    every = interval_name(price.interval, price.interval_count) if price.interval else "once"
    return f"{name} at {_plain(each, price.currency.digits)} {price.currency.code} {every}"


def _plain(number: Decimal, digits: int = 0) -> str:
    """A number as people write it, with at least so many digits after the point."""
    exact = number.normalize()
    places = max(digits, -int(exact.as_tuple().exponent))
    return f"{exact:.{places}f}"


# ---- The books ----------------------------------------------------------------------------------------------------


def _books(state: State, facts: Iterable[Fact], links: Links) -> Iterator[str]:
    """The subscriptions and bills that these facts are about, as the ledger has them."""
    own = list(facts)
    for subscription_id in dict.fromkeys(subscription_of(links, fact.ids) for fact in own):
        if subscription_id is not None:
            yield _subscription(subscription_id, state.subscriptions.get(subscription_id))
    for bill_id in dict.fromkeys(bill_of(links, fact.ids) for fact in own):
        bill = state.bills.get(bill_id or "")
        if bill is not None:
            yield _bill(bill)


def _subscription(subscription_id: str, known: Subscription | None) -> str:
    if known is None:
        return f"{subscription_id}: not known"
    status = known.terms.status.value if known.terms is not None else "known from payments alone"
    plan = " ".join(word for word in (known.labels.plan, known.labels.interval) if word)
    level = f"MRR {shown(known.told, known.currency)}{', estimated' if known.estimated else ''}"
    parts = [f"{subscription_id}: {status}", plan, level]
    if known.baseline:
        parts.append(f"of which {shown(known.baseline, known.currency)} was there before the bridge")
    return ", ".join(part for part in parts if part)


def _bill(bill: Bill) -> str:
    parts = [f"{bill.id}: {shown(bill.paid, bill.currency)} paid"]
    if bill.returned:
        parts.append(f"{shown(bill.returned, bill.currency)} given back")
    parts.append(f"told as {_listed(bill.told_as)}" if bill.told_as else "not told")
    return ", ".join(parts)
