"""Attribution: which visit earned an event, and who its customer is. The best source with a complete visit wins.

The sources, best first, are `processors.facts.Place`. The metadata found at each is kept in the state as touchpoints.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal

from bridge.ledger.audit_notes import AuditNotes
from bridge.ledger.events import Draft, RevenueEvent
from bridge.ledger.policy import Policy, Unattributed
from bridge.ledger.references import References, payment_of, receivable_of, subscription_of
from bridge.ledger.serialization import LazyMapping
from bridge.ledger.state import Touchpoint
from processors.facts import Attribution, Fact, Metadata, Payment, Place, Refund, SubscriptionState
from processors.money import Currency, Money, major
from processors.values import Value
from processors.visit import is_composite, placeholder, read_visit, rejection

SourceKey = tuple[Place, str]  # a source and the id that it is stored for

CUSTOMER = ""  # the id of the stream's customer
MAX_TOUCHPOINTS = 200  # of single payments and invoices; those of subscriptions and the customer are kept for ever
MAX_HELD = 100  # otherwise the events of a customer whose visit is never registered would pile up
VISIT_FOUND = "visit found"  # the note of a webhook with a complete visit
_LASTING = tuple(f"{place.value}:" for place in (Place.SUBSCRIPTION, Place.CUSTOMER, Place.CUSTOMER_METADATA))


class AttributionContext(Value):
    """Everything known about the origin of this customer's events."""

    touchpoints: LazyMapping[Touchpoint]
    customer_id: str | None
    policy: Policy


# ---- Touchpoints --------------------------------------------------------------------------------------------------


def collect_touchpoints(
    facts: Iterable[Fact],
    references: References,
    context: AttributionContext,
    notes: AuditNotes,
) -> LazyMapping[Touchpoint]:
    """The touchpoints after these facts, in the order in which they happened: the latest of a source counts."""
    touchpoints = context.touchpoints
    changes: dict[str, Touchpoint | None] = {}
    for fact in facts:
        for metadata, stated_keys in _metadata_with_keys(fact, references):
            keys = [key for key in stated_keys if key[1] != CUSTOMER or _is_own(fact, context)]
            found = _touchpoint(metadata, fact, context.policy)
            if found is not None or isinstance(fact, Attribution):
                notes.add((fact.processor_event_id,), _note(found))
            if found is None or found.fingerprint is None:
                _note_rejection(fact, metadata, context.policy, notes)
            if found is None:
                continue
            for key in map(_stored_key, keys):
                known = changes.get(key) or touchpoints.get(key)
                merged = merged_touchpoint(known, found)
                if merged != known:
                    changes[key] = merged
    return _pruned(touchpoints.updated(changes))


def _is_own(fact: Fact, context: AttributionContext) -> bool:
    """Whether a fact is about the stream's customer, and not about one who took over one of its subscriptions."""
    return fact.ids.customer_id in (None, context.customer_id)


def _metadata_with_keys(fact: Fact, references: References) -> Iterator[tuple[Metadata, Sequence[SourceKey]]]:
    """Each metadata object of a fact, with the keys to store it under."""
    match fact:
        case Payment():
            if fact.metadata:
                yield fact.metadata, ((Place.OBJECT, fact.key), *_lasting_keys(fact, references))
            if fact.subscription_metadata and fact.ids.invoice_id is not None:
                invoice = (Place.INVOICE, fact.ids.invoice_id)
                yield fact.subscription_metadata, (invoice, *_lasting_keys(fact, references))
        case SubscriptionState() if fact.metadata:
            yield fact.metadata, _lasting_keys(fact, references)
        case Refund() if fact.metadata:
            yield fact.metadata, ((Place.OBJECT, fact.key),)
        case Attribution():
            yield fact.metadata, _attribution_keys(fact, references)


def _attribution_keys(fact: Attribution, references: References) -> Sequence[SourceKey]:
    if fact.place is Place.CUSTOMER_METADATA:
        return ((Place.CUSTOMER_METADATA, CUSTOMER), (Place.CUSTOMER, CUSTOMER))
    if fact.place in (Place.OBJECT, Place.INVOICE):
        return ((fact.place, fact.ids.invoice_id or ""), *_lasting_keys(fact, references))
    if fact.place is Place.REGISTERED:
        ids = [references.payment_of.get(ref, ref) for ref in fact.ids.refs()]
        return [(Place.REGISTERED, ref) for ref in ids or (CUSTOMER,)]
    paid = (
        payment_of(references, fact.ids),
        receivable_of(references, fact.ids),
        subscription_of(references, fact.ids),
    )
    return [*((Place.CHECKOUT, ref) for ref in dict.fromkeys(paid) if ref), *_lasting_keys(fact, references)]


def _lasting_keys(fact: Fact, references: References) -> Sequence[SourceKey]:
    """The keys that later events of the same subscription, or at least of the same customer, fall back on."""
    subscription = subscription_of(references, fact.ids)
    if subscription is None:
        return ((Place.CUSTOMER, CUSTOMER),)
    return ((Place.SUBSCRIPTION, subscription), (Place.CUSTOMER, CUSTOMER))


def _touchpoint(metadata: Metadata, fact: Fact, policy: Policy) -> Touchpoint | None:
    """The touchpoint in one metadata object, or None. Half a visit is no visit."""
    customer = _merchant_id(metadata, policy)
    visit = read_visit(metadata, policy.fingerprint_key, policy.session_key)
    source, campaign = metadata.get("source"), metadata.get("campaign")
    if not (visit or customer or source or campaign):
        return None
    return Touchpoint(
        at=fact.at,
        fingerprint=visit.fingerprint if visit else None,
        session=visit.session if visit else None,
        customer=customer,
        source=source,
        campaign=campaign,
    )


def _merchant_id(metadata: Metadata, policy: Policy) -> str | None:
    """The merchant's own customer id. A placeholder would make one customer of all."""
    found = metadata.get(policy.customer_id_key) if policy.customer_id_key else None
    return None if found is None or placeholder(found) or is_composite(found) else found


def _note_rejection(fact: Fact, metadata: Metadata, policy: Policy, notes: AuditNotes) -> None:
    """Notes why there is no visit if its ids are placeholders: the worker counts these notes."""
    note = rejection(metadata, policy.fingerprint_key, policy.session_key)
    if note is not None:
        notes.add((fact.processor_event_id,), note)


def _note(touchpoint: Touchpoint | None) -> str:
    if touchpoint is None:
        return "no visit found"
    return VISIT_FOUND if touchpoint.fingerprint else "customer, source or campaign found, but no complete visit"


def merged_touchpoint(old: Touchpoint | None, new: Touchpoint) -> Touchpoint:
    """The later of two touchpoints, completed by the earlier. Fingerprint and session are never mixed."""
    if old is None:
        return new
    later, earlier = (new, old) if new.at >= old.at else (old, new)
    visit = later if later.fingerprint else earlier
    return Touchpoint(
        at=later.at,
        fingerprint=visit.fingerprint,
        session=visit.session,
        customer=later.customer or earlier.customer,
        source=later.source or earlier.source,
        campaign=later.campaign or earlier.campaign,
    )


def _pruned(touchpoints: LazyMapping[Touchpoint]) -> LazyMapping[Touchpoint]:
    """Without the oldest of single payments, which refunds rarely reach back to."""
    single = [key for key in touchpoints if not key.startswith(_LASTING)]
    return touchpoints.updated(dict.fromkeys(single[:-MAX_TOUCHPOINTS]))


# ---- Events -------------------------------------------------------------------------------------------------------


def attributed(draft: Draft, context: AttributionContext) -> RevenueEvent:
    """The event with the visit of the best source; without one, with ids that keep totals right and customers apart."""
    found = _touchpoints_of(draft, context.touchpoints)
    policy = context.policy
    customer = _customer_id(draft, found, context)
    visit = next(((place, touchpoint) for place, touchpoint in found if touchpoint.fingerprint), None)
    place = visit[0] if visit else Place.NONE
    unattributed = _unattributed_id(policy.source, customer) if visit is None else ""
    return RevenueEvent(
        output_key=draft.output_key,
        event_type=draft.event_type,
        amount=_major(draft.amount_minor, draft.currency),
        currency=draft.currency.code,
        transaction_id=draft.transaction_id,
        customer_id=customer,
        visitor_fingerprint=(visit and visit[1].fingerprint) or unattributed,
        session_id=(visit and visit[1].session) or unattributed,
        payment_processor=policy.payment_processor,
        is_recurring=draft.is_recurring,
        occurred_at=draft.at,
        subscription_id=draft.subscription_id,
        mrr_impact=None if draft.mrr_minor is None else _major(draft.mrr_minor, draft.currency),
        metadata=_metadata(draft, place, found),
        is_attributed=visit is not None,
        caused_by=draft.event_ids,
    )


def released(held: LazyMapping[Draft], context: AttributionContext) -> tuple[RevenueEvent, ...]:
    """The held events whose visit is known by now."""
    events = (attributed(draft, context) for draft in held.values())
    return tuple(event for event in events if event.is_attributed)


def still_held(
    held: LazyMapping[Draft],
    released: Iterable[RevenueEvent],
    created: Iterable[tuple[Draft, RevenueEvent]],
    policy: Policy,
) -> LazyMapping[Draft]:
    """The drafts to hold: those without a visit, if the merchant holds them."""
    changes: dict[str, Draft | None] = {event.output_key: None for event in released}
    if policy.unattributed is Unattributed.HOLD:
        changes |= {draft.output_key: draft for draft, event in created if not event.is_attributed}
    return held.updated(changes).latest(MAX_HELD)


def _touchpoints_of(draft: Draft, touchpoints: LazyMapping[Touchpoint]) -> list[tuple[Place, Touchpoint]]:
    """The touchpoints of an event, best first."""
    if not touchpoints:
        return []
    keys = ((place, _stored_key((place, ref))) for place, ref in _search_keys(draft))
    return [(place, touchpoints[key]) for place, key in keys if key in touchpoints]


def _search_keys(draft: Draft) -> Iterator[SourceKey]:
    """The keys to search for an event's visit, best first."""
    invoice = (draft.invoice_id,) if draft.invoice_id else ()
    subscription = (draft.subscription_id,) if draft.subscription_id else ()
    refs = tuple(dict.fromkeys((*draft.payment_ids, *invoice, *subscription)))
    yield from ((Place.OBJECT, ref) for ref in draft.object_ids)
    yield from ((Place.INVOICE, ref) for ref in invoice)
    yield from ((Place.CHECKOUT, ref) for ref in refs)
    yield from ((Place.SUBSCRIPTION, ref) for ref in subscription)
    yield Place.CUSTOMER_METADATA, CUSTOMER
    yield Place.CUSTOMER, CUSTOMER
    yield from ((Place.REGISTERED, ref) for ref in (*refs, CUSTOMER))


def _stored_key(key: SourceKey) -> str:
    place, ref = key
    return place + ":" + ref


def _customer_id(draft: Draft, found: Iterable[tuple[Place, Touchpoint]], context: AttributionContext) -> str:
    """The merchant's own customer id if it was seen, else the processor's, else the transaction's as a guest."""
    own = None
    if context.policy.customer_id_key:
        own = next((touchpoint.customer for _, touchpoint in found if touchpoint.customer), None)
    return own or draft.customer_id or context.customer_id or f"guest:{draft.guest_id}"


def _metadata(draft: Draft, place: Place, found: Sequence[tuple[Place, Touchpoint]]) -> dict[str, object]:
    values: dict[str, object | None] = {
        "plan": draft.plan_details.plan,
        "interval": draft.plan_details.interval,
        "coupon": draft.plan_details.coupon,
        "seats": draft.plan_details.seats,
        "occurred_at": draft.at.isoformat().replace("+00:00", "Z"),
        "processor_event_id": draft.event_ids[0] if draft.event_ids else None,
        "attribution": place.value,
        "source": next((touchpoint.source for _, touchpoint in found if touchpoint.source), None),
        "campaign": next((touchpoint.campaign for _, touchpoint in found if touchpoint.campaign), None),
        **draft.extra_metadata,
    }
    return {key: value for key, value in values.items() if value is not None}


def _unattributed_id(source: str, customer: str) -> str:
    return "unattributed:" + hashlib.sha256(f"{source}\n{customer}".encode()).hexdigest()[:24]


def _major(minor: int, currency: Currency) -> Decimal:
    return major(Money(minor=minor, currency=currency))
