"""The stream of each webhook: its customer's, else the one that its ids already lead to, else a provisional one.

A stream is one customer of one ledger. Ids are collected as webhooks arrive. A provisional stream that turns out to
be a customer's is united with the customer's stream, settled or not: the ledger of what was settled without a customer
goes along, so that no payment is ever counted in two streams.

A subscription stays in the stream of the customer under whom it was first seen: Paddle can move it to another customer,
together with its items, and only there is its MRR so far known. Its events name the customer that it has by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from bridge.ledger.settle_window import carries_money
from bridge.scope import StreamId
from processors.facts import Fact, Ids
from processors.values import Value

StreamLinks = Mapping[str, str]  # id -> stream


class RoutableWebhook(Value):
    """A webhook with facts, to be assigned to a stream of this `scope`."""

    row_id: int
    scope: str
    facts: tuple[Fact, ...]

    @property
    def refs(self) -> tuple[str, ...]:
        """Every id in its facts except the customer's."""
        return tuple(dict.fromkeys(ref for fact in self.facts for ref in fact.ids.refs()))

    @property
    def customer_id(self) -> str | None:
        """The customer, or None: no fact names one."""
        return next((fact.ids.customer_id for fact in self.facts if fact.ids.customer_id), None)

    @property
    def customer_stream(self) -> str | None:
        """The stream of the customer that it names, or None."""
        return None if self.customer_id is None else str(StreamId(self.scope, self.customer_id))

    @property
    def has_customer(self) -> bool:
        """Whether its customer is known, or known not to exist (a guest)."""
        return self.customer_id is not None or any(fact.ids.guest for fact in self.facts)

    @property
    def carries_money(self) -> bool:
        """Whether waiting for its customer delays revenue."""
        return carries_money(self.facts)


@dataclass(slots=True, kw_only=True)
class Routes:
    """The streams of a batch of webhooks of one scope. `links`: only those that are new or have changed.

    `merged`: the streams that are united with another one, and by the arrival of which webhook (its row id).
    """

    stream_of: dict[int, str] = field(default_factory=dict)  # by row id
    links: dict[str, str] = field(default_factory=dict)
    merged: dict[str, str] = field(default_factory=dict)  # old stream -> new stream
    merged_by: dict[str, int] = field(default_factory=dict)  # old stream -> row id


def route_webhooks(webhooks: Iterable[RoutableWebhook], links: StreamLinks, fixed: Set[str]) -> Routes:
    """Routes webhooks in the order of their arrival. `fixed`: the streams whose ledger cannot be united with another.

    These are the settled streams of customers, and those whose state cannot be read.
    """
    routes = Routes()
    for webhook in webhooks:
        known = _known_streams(webhook, links, routes)
        target = _target(webhook, known, fixed)
        for stream_id in dict.fromkeys(known.values()):
            if stream_id != target and StreamId.parse(stream_id).is_provisional and stream_id not in fixed:
                routes.merged[stream_id] = target
                routes.merged_by[stream_id] = webhook.row_id
        routes.stream_of[webhook.row_id] = target
        for ref in webhook.refs:
            if known.get(ref) is None or known[ref] in routes.merged:
                routes.links[ref] = target
    # A stream may be merged by a later webhook of the same batch: replace it wherever it was the target before.
    routes.stream_of = {row_id: _merged_into(stream, routes.merged) for row_id, stream in routes.stream_of.items()}
    routes.links = {ref: _merged_into(stream, routes.merged) for ref, stream in routes.links.items()}
    routes.merged = {old: _merged_into(new, routes.merged) for old, new in routes.merged.items()}
    return routes


def _known_streams(webhook: RoutableWebhook, links: StreamLinks, routes: Routes) -> dict[str, str]:
    """The streams that the webhook's ids already lead to, by id."""
    found: dict[str, str] = {}
    for ref in webhook.refs:
        stream_id = routes.links.get(ref) or links.get(ref)
        if stream_id is not None:
            found[ref] = _merged_into(stream_id, routes.merged)
    return found


def _target(webhook: RoutableWebhook, known: Mapping[str, str], fixed: Set[str]) -> str:
    # A payment that is already settled must stay in its stream even if the customer is another, or it counts twice.
    fixed_money = next((known[ref] for ref in _money_refs(webhook) if known.get(ref) in fixed), None)
    if fixed_money is not None:
        return fixed_money
    of_subscription = _stream_of_subscription(webhook, known)
    if of_subscription is not None:
        return of_subscription
    if webhook.customer_stream is not None:
        return webhook.customer_stream
    streams = list(dict.fromkeys(known.values()))
    of_customers = [stream_id for stream_id in streams if not StreamId.parse(stream_id).is_provisional]
    if streams:
        return (of_customers or streams)[0]
    return str(StreamId(webhook.scope, min(webhook.refs, default=str(webhook.row_id)), is_provisional=True))


def _stream_of_subscription(webhook: RoutableWebhook, known: Mapping[str, str]) -> str | None:
    """The stream of the customer under whom one of its subscriptions was first seen, or None."""
    streams = (known.get(fact.ids.subscription_id or "") for fact in webhook.facts)
    return next((found for found in streams if found and not StreamId.parse(found).is_provisional), None)


def _money_refs(webhook: RoutableWebhook) -> tuple[str, ...]:
    """The ids of payments and invoices."""
    return tuple(ref for fact in webhook.facts for ref in _owed(fact.ids))


def _owed(ids: Ids) -> tuple[str, ...]:
    return tuple(ref for ref in (ids.payment_id, ids.charge_id, ids.invoice_id) if ref)


def _merged_into(stream_id: str, merged: Mapping[str, str]) -> str:
    while stream_id in merged:
        stream_id = merged[stream_id]
    return stream_id
