"""Which visit earned an event, and who the customer is: the first place that is complete wins.

The places, best first, are `processors.facts.Place`; what the metadata of each said is kept as marks in the state.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import Decimal

from bridge.ledger.drafts import Draft
from bridge.ledger.events import Policy, RevenueEvent, Unattributed
from bridge.ledger.links import bill_of, payment_of, subscription_of
from bridge.ledger.state import Held, Links, Mark
from processors.facts import Attribution, Fact, Metadata, Payment, Place, Refund, SubscriptionState
from processors.money import Currency, Money, major

Spot = tuple[str, str]  # a place and the id it is remembered for; "" is the customer

CUSTOMER = ""
MARKS_KEPT = 200  # of single payments and invoices; those of subscriptions and the customer are kept for ever
_LASTING = tuple(f"{place}:" for place in (Place.SUBSCRIPTION, Place.CUSTOMER, Place.CUSTOMER_METADATA))


def marked(marks: Mapping[str, Mark], facts: Iterable[Fact], links: Links, policy: Policy) -> dict[str, Mark]:
    """What is remembered after these facts, in the order in which they happened: the latest of a place wins."""
    found = dict(marks)
    for fact in facts:
        for metadata, spots in _told_by(fact, links):
            mark = _mark(metadata, fact, policy)
            if mark is None:
                continue
            for place, ref in spots:
                key = f"{place}:{ref}"
                found[key] = _merged(found.get(key), mark)
    return _pruned(found)


def attributed(draft: Draft, marks: Mapping[str, Mark], customer_id: str | None, policy: Policy) -> RevenueEvent:
    """The event, with the visit of the first complete place, or with ids that keep totals right and customers apart."""
    spots = _spots(draft)
    customer = _customer(draft, marks, customer_id, policy)
    visit = _visit(spots, marks)
    unknown = _unknown(policy.source, customer)
    place, fingerprint, session = visit if visit is not None else (Place.NONE, unknown, unknown)
    return RevenueEvent(
        output_key=draft.output_key,
        event_type=draft.event_type,
        amount=_major(draft.minor, draft.currency),
        currency=draft.currency.code,
        transaction_id=draft.transaction_id,
        customer_id=customer,
        visitor_fingerprint=fingerprint,
        session_id=session,
        payment_processor=policy.payment_processor,
        is_recurring=draft.is_recurring,
        occurred_at=draft.at,
        subscription_id=draft.subscription_id,
        mrr_impact=None if draft.mrr is None else _major(draft.mrr, draft.currency),
        metadata=_metadata(draft, place, spots, marks),
        is_attributed=visit is not None,
        caused_by=draft.event_ids,
    )


def waiting(draft: Draft, event: RevenueEvent, policy: Policy) -> Held | None:
    """The event to be asked about again, when it goes out held."""
    if event.is_attributed or policy.unattributed is not Unattributed.HOLD:
        return None
    return Held(event=event, places=tuple(_spots(draft)))


def released(held: Iterable[Held], marks: Mapping[str, Mark]) -> tuple[tuple[RevenueEvent, ...], tuple[Held, ...]]:
    """Held events whose visit is known by now, completed; and those that go on waiting."""
    freed: list[RevenueEvent] = []
    kept: list[Held] = []
    for one in held:
        visit = _visit(one.places, marks)
        if visit is None:
            kept.append(one)
            continue
        place, fingerprint, session = visit
        metadata = {**one.event.metadata, "attribution": place.value}
        freed.append(
            replace(
                one.event, visitor_fingerprint=fingerprint, session_id=session, is_attributed=True, metadata=metadata
            )
        )
    return tuple(freed), tuple(kept)


def _told_by(fact: Fact, links: Links) -> Iterator[tuple[Metadata, tuple[Spot, ...]]]:
    """Each metadata in a fact, and the places it is remembered at."""
    subscription = subscription_of(links, fact.ids)
    lasting: tuple[Spot, ...] = ((Place.CUSTOMER, CUSTOMER),)
    if subscription is not None:
        lasting = ((Place.SUBSCRIPTION, subscription), *lasting)
    match fact:
        case Payment():
            yield fact.metadata, ((Place.OBJECT, fact.key), *lasting)
            if fact.ids.invoice_id is not None:
                yield fact.subscription_metadata, ((Place.INVOICE, fact.ids.invoice_id), *lasting)
        case SubscriptionState():
            yield fact.metadata, lasting
        case Refund():
            yield fact.metadata, ((Place.OBJECT, fact.key),)
        case Attribution(place=Place.CUSTOMER_METADATA):
            yield fact.metadata, ((Place.CUSTOMER_METADATA, CUSTOMER), (Place.CUSTOMER, CUSTOMER))
        case Attribution(place=Place.REGISTERED):
            yield fact.metadata, tuple((Place.REGISTERED, ref) for ref in fact.ids.refs() or (CUSTOMER,))
        case Attribution():
            named = (payment_of(links, fact.ids), bill_of(links, fact.ids), fact.ids.subscription_id)
            yield fact.metadata, (*((Place.CHECKOUT, ref) for ref in dict.fromkeys(named) if ref), *lasting)


def _spots(draft: Draft) -> list[Spot]:
    """Where to look for this event's visit, best place first."""
    invoice = (draft.invoice_id,) if draft.invoice_id else ()
    subscription = (draft.subscription_id,) if draft.subscription_id else ()
    return [
        *((Place.OBJECT, ref) for ref in draft.objects),
        *((Place.INVOICE, ref) for ref in invoice),
        *((Place.CHECKOUT, ref) for ref in dict.fromkeys((*draft.payment_ids, *invoice, *subscription))),
        *((Place.SUBSCRIPTION, ref) for ref in subscription),
        (Place.CUSTOMER_METADATA, CUSTOMER),
        (Place.CUSTOMER, CUSTOMER),
        *((Place.REGISTERED, ref) for ref in dict.fromkeys((*draft.payment_ids, *invoice, *subscription, CUSTOMER))),
    ]


def _visit(spots: Iterable[Spot], marks: Mapping[str, Mark]) -> tuple[Place, str, str] | None:
    for place, ref in spots:
        mark = marks.get(f"{place}:{ref}")
        if mark is not None and mark.fingerprint and mark.session:
            return Place(place), mark.fingerprint, mark.session
    return None


def _customer(draft: Draft, marks: Mapping[str, Mark], customer_id: str | None, policy: Policy) -> str:
    """The merchant's own id where it was seen, else the processor's, else the transaction's as a guest."""
    if policy.customer_id_key is not None:
        for place, ref in _spots(draft):
            mark = marks.get(f"{place}:{ref}")
            if mark is not None and mark.customer:
                return mark.customer
    return customer_id or f"guest:{draft.guest_id}"


def _metadata(draft: Draft, place: Place, spots: Iterable[Spot], marks: Mapping[str, Mark]) -> dict[str, object]:
    seen = [marks[key] for key in (f"{where}:{ref}" for where, ref in spots) if key in marks]
    told: dict[str, object | None] = {
        "plan": draft.labels.plan,
        "interval": draft.labels.interval,
        "coupon": draft.labels.coupon,
        "seats": draft.labels.seats,
        "occurred_at": draft.at.isoformat().replace("+00:00", "Z"),
        "processor_event_id": draft.event_ids[0] if draft.event_ids else None,
        "attribution": place.value,
        "source": next((mark.source for mark in seen if mark.source), None),
        "campaign": next((mark.campaign for mark in seen if mark.campaign), None),
        **draft.extra,
    }
    return {key: value for key, value in told.items() if value is not None and value is not False}


def _mark(metadata: Metadata, fact: Fact, policy: Policy) -> Mark | None:
    """What one metadata object says that is of use, or None."""
    customer = metadata.get(policy.customer_id_key) if policy.customer_id_key else None
    fingerprint, session = metadata.get(policy.fingerprint_key), metadata.get(policy.session_key)
    complete = fingerprint is not None and session is not None
    mark = Mark(
        at=fact.at,
        fingerprint=fingerprint if complete else None,
        session=session if complete else None,
        customer=customer,
        source=metadata.get("source"),
        campaign=metadata.get("campaign"),
    )
    return None if mark == Mark(at=fact.at) else mark


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


def _pruned(marks: dict[str, Mark]) -> dict[str, Mark]:
    """The marks without the oldest of single payments, which refunds hardly ever reach back to."""
    passing = sorted((key for key in marks if not key.startswith(_LASTING)), key=lambda key: (marks[key].at, key))
    for key in passing[: max(len(passing) - MARKS_KEPT, 0)]:
        del marks[key]
    return marks


def _unknown(source: str, customer: str) -> str:
    return "unattributed:" + hashlib.sha256(f"{source}\n{customer}".encode()).hexdigest()[:24]


def _major(minor: int, currency: Currency) -> Decimal:
    return major(Money(minor=minor, currency=currency))
