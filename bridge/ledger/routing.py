"""Which stream each event belongs to: its customer's, else the one that its ids already lead to, else one of its own.

A stream is one customer of one ledger. Ids are learnt as events come by; streams that turn out to be one customer's are
merged as long as nothing of them was settled. What is settled stays where it is, and its ids keep leading there, so
that no payment is ever counted in two streams.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from processors.facts import Fact, Ids, Payment, Refund, SubscriptionState

Links = Mapping[str, str]  # id -> stream


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """An event with facts, on its way to a stream. `scope`: its ledger."""

    row_id: int
    scope: str
    facts: tuple[Fact, ...]

    @property
    def refs(self) -> tuple[str, ...]:
        """Every id but the customer's that its facts name."""
        return tuple(dict.fromkeys(ref for fact in self.facts for ref in fact.ids.refs()))

    @property
    def customer_id(self) -> str | None:
        """The customer, where a fact names one."""
        return next((fact.ids.customer_id for fact in self.facts if fact.ids.customer_id), None)

    @property
    def is_anchored(self) -> bool:
        """Whether it is known whose it is: a customer's, or expressly nobody's."""
        return self.customer_id is not None or any(fact.ids.guest for fact in self.facts)

    @property
    def tells_money(self) -> bool:
        """Whether waiting for its customer keeps revenue from being told."""
        return any(isinstance(fact, Payment | Refund | SubscriptionState) for fact in self.facts)


@dataclass(slots=True, kw_only=True)
class Routes:
    """Where a batch of events goes, within one ledger. `links` holds what is new or was repointed."""

    stream_of: dict[int, str] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)  # old stream -> new stream


def routes(arrived: Iterable[Arrived], links: Links, settled: Set[str]) -> Routes:
    """The way of each event, in the order in which they came. `settled`: the streams that have a state already."""
    found = Routes()
    for event in arrived:
        leads = _leads(event, links, found)
        target = _target(event, leads, settled)
        for stream_id in dict.fromkeys(leads.values()):
            if stream_id != target and _is_provisional(event.scope, stream_id) and stream_id not in settled:
                found.merged[stream_id] = target
        found.stream_of[event.row_id] = target
        for ref in event.refs:
            if leads.get(ref) is None or leads[ref] in found.merged:
                found.links[ref] = target
    found.stream_of = {row_id: _followed(stream_id, found.merged) for row_id, stream_id in found.stream_of.items()}
    found.links = {ref: _followed(stream_id, found.merged) for ref, stream_id in found.links.items()}
    found.merged = {old: _followed(new, found.merged) for old, new in found.merged.items()}
    return found


def customer_stream(scope: str, customer_id: str) -> str:
    """The stream of a customer."""
    return f"{scope}|{customer_id}"


def _leads(event: Arrived, links: Links, found: Routes) -> dict[str, str]:
    """The streams that the event's ids lead to already, by id."""
    leads: dict[str, str] = {}
    for ref in event.refs:
        stream_id = found.links.get(ref) or links.get(ref)
        if stream_id is not None:
            leads[ref] = _followed(stream_id, found.merged)
    return leads


def _target(event: Arrived, leads: Mapping[str, str], settled: Set[str]) -> str:
    customer_id = event.customer_id
    own = None if customer_id is None else customer_stream(event.scope, customer_id)
    counted = next((leads[ref] for ref in _money_refs(event) if leads.get(ref) in settled), None)
    if counted is not None:
        return counted
    if own is not None:
        return own
    known = list(dict.fromkeys(leads.values()))
    named = [stream_id for stream_id in known if not _is_provisional(event.scope, stream_id)]
    if named or known:
        return (named or known)[0]
    return f"{event.scope}|~{min(event.refs, default=str(event.row_id))}"


def _money_refs(event: Arrived) -> tuple[str, ...]:
    """The ids of payments and bills: what was settled under one of them is counted there, whoever the customer is."""
    return tuple(ref for fact in event.facts for ref in _owed(fact.ids))


def _owed(ids: Ids) -> tuple[str, ...]:
    return tuple(ref for ref in (ids.payment_id, ids.charge_id, ids.invoice_id) if ref)


def _is_provisional(scope: str, stream_id: str) -> bool:
    return stream_id.startswith(f"{scope}|~")


def _followed(stream_id: str, merged: Mapping[str, str]) -> str:
    while stream_id in merged:
        stream_id = merged[stream_id]
    return stream_id
