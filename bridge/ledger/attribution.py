"""Which visit earned an event, and who the customer is: the first place that is complete wins.

The places, best first, are `processors.facts.Place`; what the metadata of each said is kept as marks in the state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from bridge.ledger.drafts import Draft
from bridge.ledger.events import Policy, RevenueEvent, Unattributed
from bridge.ledger.links import bill_of, payment_of, subscription_of
from bridge.ledger.remarks import Remarks
from bridge.ledger.state import Links, Mark
from bridge.ledger.writing import Shelf
from processors.facts import Attribution, Fact, Metadata, Payment, Place, Refund, SubscriptionState
from processors.money import Currency, Money, major

Spot = tuple[Place, str]  # a place and the id it is remembered for; "" is the customer

CUSTOMER = ""
MARKS_KEPT = 200  # of single payments and invoices; those of subscriptions and the customer are kept for ever
VISIT_NAMED = "names the visit"
HELD_KEPT = 100  # events of a customer whose visit nobody names for years would pile up
_LASTING = tuple(f"{place.value}:" for place in (Place.SUBSCRIPTION, Place.CUSTOMER, Place.CUSTOMER_METADATA))


@dataclass(frozen=True, slots=True, kw_only=True)
class Origins:
    """Everything that is remembered of where this customer's events come from."""

    marks: Shelf[Mark]
    customer_id: str | None
    policy: Policy


# ---- What is remembered -------------------------------------------------------------------------------------------


def marked(marks: Shelf[Mark], facts: Iterable[Fact], links: Links, policy: Policy, remarks: Remarks) -> Shelf[Mark]:
    """What is remembered after these facts, in the order in which they happened: the latest of a place wins."""
    changes: dict[str, Mark | None] = {}
    for fact in facts:
        for metadata, spots in _told_by(fact, links):
            mark = _mark(metadata, fact, policy)
            if mark is not None or isinstance(fact, Attribution):
                remarks.add((fact.processor_event_id,), _remark(mark))
            if mark is None:
                continue
            for spot in spots:
                key = _key(spot)
                known = changes.get(key) or marks.get(key)
                merged = _merged(known, mark)
                if merged != known:
                    changes[key] = merged
    return _pruned(marks.having(changes))


def _told_by(fact: Fact, links: Links) -> Iterator[tuple[Metadata, Sequence[Spot]]]:
    """Each metadata in a fact, and the places it is remembered at."""
    match fact:
        case Payment():
            if fact.metadata:
                yield fact.metadata, ((Place.OBJECT, fact.key), *_lasting(fact, links))
            if fact.subscription_metadata and fact.ids.invoice_id is not None:
                yield fact.subscription_metadata, ((Place.INVOICE, fact.ids.invoice_id), *_lasting(fact, links))
        case SubscriptionState() if fact.metadata:
            yield fact.metadata, _lasting(fact, links)
        case Refund() if fact.metadata:
            yield fact.metadata, ((Place.OBJECT, fact.key),)
        case Attribution():
            yield fact.metadata, _told_by_attribution(fact, links)


def _told_by_attribution(fact: Attribution, links: Links) -> Sequence[Spot]:
    if fact.place is Place.CUSTOMER_METADATA:
        return ((Place.CUSTOMER_METADATA, CUSTOMER), (Place.CUSTOMER, CUSTOMER))
    if fact.place is Place.REGISTERED:
        named = [links.payment_of.get(ref, ref) for ref in fact.ids.refs()]
        return [(Place.REGISTERED, ref) for ref in named or (CUSTOMER,)]
    paid = (payment_of(links, fact.ids), bill_of(links, fact.ids), subscription_of(links, fact.ids))
    return [*((Place.CHECKOUT, ref) for ref in dict.fromkeys(paid) if ref), *_lasting(fact, links)]


def _lasting(fact: Fact, links: Links) -> Sequence[Spot]:
    """What later events of the same subscription, or at least of the same customer, may fall back on."""
    subscription = subscription_of(links, fact.ids)
    if subscription is None:
        return ((Place.CUSTOMER, CUSTOMER),)
    return ((Place.SUBSCRIPTION, subscription), (Place.CUSTOMER, CUSTOMER))


def _mark(metadata: Metadata, fact: Fact, policy: Policy) -> Mark | None:
    """What one metadata object says that is of use, or None. Half a visit is none."""
    customer = metadata.get(policy.customer_id_key) if policy.customer_id_key else None
    fingerprint, session = metadata.get(policy.fingerprint_key), metadata.get(policy.session_key)
    is_visit = bool(fingerprint and session)
    source, campaign = metadata.get("source"), metadata.get("campaign")
    if not (is_visit or customer or source or campaign):
        return None
    return Mark(
        at=fact.at,
        fingerprint=fingerprint if is_visit else None,
        session=session if is_visit else None,
        customer=customer,
        source=source,
        campaign=campaign,
    )


def _remark(mark: Mark | None) -> str:
    if mark is None:
        return "names no visit"
    return VISIT_NAMED if mark.fingerprint else "names customer, source or campaign, but no whole visit"


def _merged(old: Mark | None, new: Mark) -> Mark:
    """The later of two marks, completed by the earlier where it says nothing."""
    if old is None:
        return new
    later, earlier = (new, old) if new.at >= old.at else (old, new)
    visit = later if later.fingerprint else earlier
    return Mark(
        at=later.at,
        fingerprint=visit.fingerprint,
        session=visit.session,
        customer=later.customer or earlier.customer,
        source=later.source or earlier.source,
        campaign=later.campaign or earlier.campaign,
    )


def _pruned(marks: Shelf[Mark]) -> Shelf[Mark]:
    """The marks without the first learnt of single payments, which refunds hardly ever reach back to."""
    passing = [key for key in marks if not key.startswith(_LASTING)]
    return marks.having(dict.fromkeys(passing[:-MARKS_KEPT]))


# ---- What an event is told with -----------------------------------------------------------------------------------


def attributed(draft: Draft, origins: Origins) -> RevenueEvent:
    """The event, with the visit of the first complete place, or with ids that keep totals right and customers apart."""
    seen = _seen(draft, origins.marks)
    policy = origins.policy
    customer = _customer(draft, seen, origins)
    visit = next(((place, mark) for place, mark in seen if mark.fingerprint), None)
    place = visit[0] if visit else Place.NONE
    unknown = _unknown(policy.source, customer) if visit is None else ""
    return RevenueEvent(
        output_key=draft.output_key,
        event_type=draft.event_type,
        amount=_major(draft.minor, draft.currency),
        currency=draft.currency.code,
        transaction_id=draft.transaction_id,
        customer_id=customer,
        visitor_fingerprint=(visit and visit[1].fingerprint) or unknown,
        session_id=(visit and visit[1].session) or unknown,
        payment_processor=policy.payment_processor,
        is_recurring=draft.is_recurring,
        occurred_at=draft.at,
        subscription_id=draft.subscription_id,
        mrr_impact=None if draft.mrr is None else _major(draft.mrr, draft.currency),
        metadata=_metadata(draft, place, seen),
        is_attributed=visit is not None,
        caused_by=draft.event_ids,
    )


def released(held: Shelf[Draft], origins: Origins) -> tuple[RevenueEvent, ...]:
    """Held events whose visit is known by now, completed."""
    events = (attributed(draft, origins) for draft in held.values())
    return tuple(event for event in events if event.is_attributed)


def remark_released(freed: Sequence[RevenueEvent], remarks: Remarks) -> None:
    """Says of the webhooks that named a visit which events waited for it."""
    if freed:
        named = [event_id for event_id, texts in remarks.of_event.items() if VISIT_NAMED in texts]
        remarks.add(named, f"releases {', '.join(event.transaction_id for event in freed)}")


def still_held(
    held: Shelf[Draft], freed: Iterable[RevenueEvent], told: Iterable[tuple[Draft, RevenueEvent]], policy: Policy
) -> Shelf[Draft]:
    """The drafts to be asked about again: those that go out without a visit, while the merchant wants them held."""
    changes: dict[str, Draft | None] = {event.output_key: None for event in freed}
    if policy.unattributed is Unattributed.HOLD:
        changes |= {draft.output_key: draft for draft, event in told if not event.is_attributed}
    return held.having(changes).latest(HELD_KEPT)


def _seen(draft: Draft, marks: Shelf[Mark]) -> list[tuple[Place, Mark]]:
    """What is remembered at the places of this event, best first."""
    if not marks:
        return []
    return [(spot[0], marks[key]) for spot in _spots(draft) if (key := _key(spot)) in marks]


def _spots(draft: Draft) -> Iterator[Spot]:
    """Where to look for this event's visit, best place first."""
    invoice = (draft.invoice_id,) if draft.invoice_id else ()
    subscription = (draft.subscription_id,) if draft.subscription_id else ()
    named = tuple(dict.fromkeys((*draft.payment_ids, *invoice, *subscription)))
    yield from ((Place.OBJECT, ref) for ref in draft.objects)
    yield from ((Place.INVOICE, ref) for ref in invoice)
    yield from ((Place.CHECKOUT, ref) for ref in named)
    yield from ((Place.SUBSCRIPTION, ref) for ref in subscription)
    yield Place.CUSTOMER_METADATA, CUSTOMER
    yield Place.CUSTOMER, CUSTOMER
    yield from ((Place.REGISTERED, ref) for ref in (*named, CUSTOMER))


def _key(spot: Spot) -> str:
    place, ref = spot
    return place + ":" + ref


def _customer(draft: Draft, seen: Iterable[tuple[Place, Mark]], origins: Origins) -> str:
    """The merchant's own id where it was seen, else the processor's, else the transaction's as a guest."""
    own = next((mark.customer for _, mark in seen if mark.customer), None) if origins.policy.customer_id_key else None
    return own or origins.customer_id or f"guest:{draft.guest_id}"


def _metadata(draft: Draft, place: Place, seen: Sequence[tuple[Place, Mark]]) -> dict[str, object]:
    told: dict[str, object | None] = {
        "plan": draft.labels.plan,
        "interval": draft.labels.interval,
        "coupon": draft.labels.coupon,
        "seats": draft.labels.seats,
        "occurred_at": draft.at.isoformat().replace("+00:00", "Z"),
        "processor_event_id": draft.event_ids[0] if draft.event_ids else None,
        "attribution": place.value,
        "source": next((mark.source for _, mark in seen if mark.source), None),
        "campaign": next((mark.campaign for _, mark in seen if mark.campaign), None),
        **draft.extra,
    }
    return {key: value for key, value in told.items() if value is not None}


def _unknown(source: str, customer: str) -> str:
    return "unattributed:" + hashlib.sha256(f"{source}\n{customer}".encode()).hexdigest()[:24]


def _major(minor: int, currency: Currency) -> Decimal:
    return major(Money(minor=minor, currency=currency))
