"""The invariants of the design, numbered as there, checked on the real database and on what Pulsora received."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from sqlalchemy import bindparam, select

from bridge.ledger import RevenueEvent
from bridge.ledger.state import Subscription, load
from bridge.scope import Scope
from bridge.sender import payload
from bridge.sender.retry_policy import WAITS
from bridge.store.schema import bodies as body_table
from bridge.store.schema import decompress, inbox, outbox, states, streams
from processors.money import Money, major, round_minor
from tests.lifecycles.harness import TranslatedWebhook
from tests.lifecycles.virtual_pipeline import DEFAULT_RULES, Pipeline
from tests.simulation import merchants
from tests.simulation.pulsora import InvariantBroken, identity

if TYPE_CHECKING:
    from tests.simulation.merchants import Merchant
    from tests.simulation.world import World

FINAL = ("delivered", "failed", "dropped", "not_forwarded")
DELIVERIES = select(
    outbox.c.id, outbox.c.source, outbox.c.stream_id, outbox.c.status, outbox.c.body, outbox.c.attempts,
    outbox.c.last_status, outbox.c.output_key, outbox.c.subscription_id, outbox.c.mrr_impact,
).order_by(outbox.c.id)  # fmt: skip
STORED = select(inbox.c.id, inbox.c.source, inbox.c.event_id, inbox.c.received_at, body_table.c.body).join(
    body_table, body_table.c.inbox_id == inbox.c.id
)
STORED_ONE = STORED.where(inbox.c.source == bindparam("source"), inbox.c.event_id == bindparam("event_id"))
WEBHOOKS = select(inbox.c.event_id, inbox.c.status, inbox.c.stream_id, inbox.c.reason)
DUE = select(streams.c.stream_id).where(streams.c.due_at.is_not(None))
STATES = select(streams.c.scope, states.c.state).join(states, states.c.stream_id == streams.c.stream_id)


# ---- 1 and 5: the inbox --------------------------------------------------------------------------------------------


def is_stored(world: World, source: str, event_id: str) -> None:
    """1: the webhook that was just acknowledged is on disk."""
    rows = world.read(STORED_ONE, source=source, event_id=event_id)
    if not rows or decompress(rows[0].body) != world.acknowledged[source, event_id]:
        raise InvariantBroken(f"1: {source} {event_id} was acknowledged and is not stored")


def acknowledged_is_stored(world: World) -> None:
    """1: every acknowledged webhook is on disk, once, byte for byte, and nothing else is."""
    rows = world.read(STORED)
    found = {(row.source, row.event_id): _body(bytes(row.body)) for row in rows}
    if len(found) != len(rows):
        raise InvariantBroken("2: a webhook is stored twice")
    for key, body in world.acknowledged.items():
        if found.get(key) != body:
            raise InvariantBroken(f"1: {key} was acknowledged and is lost")


@lru_cache(maxsize=5000)
def _body(stored: bytes) -> bytes:
    return decompress(stored)


def nothing_vanishes(world: World) -> None:
    """5: what waits has a time at which it is looked at; everything else has its end."""
    due = {row.stream_id for row in world.read(DUE)}
    for row in world.read(WEBHOOKS):
        if row.status == "waiting" and row.stream_id not in due:
            raise InvariantBroken(f"5: {row.event_id} waits in {row.stream_id}, which is never looked at again")
        if row.status == "ignored" and not row.reason:
            raise InvariantBroken(f"5: {row.event_id} is ignored without a reason")
        if row.status not in ("received", "waiting", "settled", "ignored"):
            raise InvariantBroken(f"5: {row.event_id} is {row.status}: {row.reason}")


# ---- 4: the ledger -------------------------------------------------------------------------------------------------


def movements_add_up(world: World) -> None:
    """4: baseline and movements make the MRR that each subscription was reported to have; 2: each key once."""
    deliveries = world.read(DELIVERIES)
    keys = Counter((row.source, row.output_key) for row in deliveries)
    if twice := [key for key, count in keys.items() if count > 1]:
        raise InvariantBroken(f"2: more than one revenue event has the key {twice}")
    moved = _moved(deliveries)
    for source, one in _subscriptions(world):
        shown = _major(one.baseline, one) + moved.get((source, one.id), Decimal())
        if shown != _major(one.reported_mrr, one):
            raise InvariantBroken(f"4: {one.id}: baseline and movements make {shown}, reported is {one.reported_mrr}")


def levels_are_reported(world: World) -> None:
    """4, in the end: the MRR that was reported is the present one."""
    for _, one in _subscriptions(world):
        if one.reported_mrr != round_minor(one.mrr):
            raise InvariantBroken(f"4: {one.id} has {one.mrr}, and {one.reported_mrr} were reported")


def _subscriptions(world: World) -> Iterator[tuple[str, Subscription]]:
    for row in world.read(STATES):
        source = Scope.parse(row.scope).source
        yield from ((source, one) for one in _loaded(bytes(row.state)))


@lru_cache(maxsize=1000)  # of most streams the state is the same as at the last check
def _loaded(state: bytes) -> tuple[Subscription, ...]:
    return tuple(load(decompress(state).decode()).subscriptions.values())


def _moved(deliveries: Sequence[Any]) -> dict[tuple[str, str], Decimal]:
    moved: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    for row in deliveries:
        if row.subscription_id is not None and row.mrr_impact is not None:
            moved[row.source, row.subscription_id] += row.mrr_impact
    return moved


def _major(minor: int, one: Subscription) -> Decimal:
    return major(Money(minor=minor, currency=one.currency))


# ---- 6 and 8: the wire ---------------------------------------------------------------------------------------------


def order_is_kept(world: World, token: str, data: dict[str, Any]) -> None:
    """8: every earlier revenue event of the customer has been accepted, rejected or given up."""
    rows = [row for row in world.read(DELIVERIES) if merchants.token(row.source) == token]
    likely = (row for row in rows if data["transaction_id"] in row.body)
    own = [row for row in likely if identity(json.loads(row.body)) == identity(data)]
    if len(own) != 1:
        raise InvariantBroken(f"2: {len(own)} revenue events in the outbox are what was sent: {data}")
    for row in rows:
        if row.stream_id == own[0].stream_id and row.id < own[0].id and row.status not in FINAL:
            raise InvariantBroken(f"8: delivery {own[0].id} is sent before delivery {row.id} of the same customer")


def all_arrived(world: World) -> None:
    """1, 2, 5, in the end: each revenue event was accepted, or rejected by Pulsora, or given up after all attempts."""
    known = set()
    for row in world.read(DELIVERIES):
        key = (merchants.token(row.source), identity(json.loads(row.body)))
        known.add(key)
        event = world.pulsora.events.get(key)
        if row.status == "delivered" and (event is None or not event.accepted):
            raise InvariantBroken(f"5: delivery {row.id} counts as delivered, and Pulsora has not accepted it")
        if event is not None and event.body != payload.body(row.body, merchants.token(row.source)):
            raise InvariantBroken(f"6: delivery {row.id} is {row.body}, and what was sent is {event.body!r}")
        is_given_up = row.status == "failed" and (row.last_status == 400 or row.attempts > len(WAITS))
        if row.status != "delivered" and not is_given_up:
            raise InvariantBroken(f"5: delivery {row.id} is {row.status} in the end")
    if unknown := set(world.pulsora.events) - known:
        raise InvariantBroken(f"2: Pulsora received what is no revenue event: {unknown}")


# ---- 2 and 3: the result -------------------------------------------------------------------------------------------


def result_is_expected(world: World) -> None:
    """2, 3: the revenue events of the pure core with the full window, in the order sent and without faults.

    Byte for byte; one that was held may have the visit that was found later, or not.
    """
    deliveries = world.read(DELIVERIES)
    arrived = {(row.source, decompress(row.body)): row.received_at for row in world.read(STORED)}
    for merchant in world.merchants:
        expected = _expected(world, merchant, arrived)
        found = {row.output_key: row.body for row in deliveries if row.source == merchant.source}
        wrong = {key: body for key, body in found.items() if body not in expected.get(key, ())}
        missing = {key: bodies[-1] for key, bodies in expected.items() if key not in found or key in wrong}
        if wrong or missing:
            raise InvariantBroken(f"3: {merchant.source}: missing {missing}, unexpected {wrong}")


@dataclass(kw_only=True)
class Expected(Pipeline):
    """`bodies`: by output key, when it is first held or sent, and with the visit that was found later."""

    bodies: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    known: dict[str, RevenueEvent] = field(default_factory=dict)

    def _settle(self, stream_id: str, at: datetime) -> None:
        super()._settle(stream_id, at)
        for event in self.events:
            if self.known.get(event.output_key) is not event:
                self.known[event.output_key] = event
                self.bodies[event.output_key].append(payload.dump(event))


def _expected(world: World, merchant: Merchant, arrived: dict[tuple[str, bytes], datetime]) -> dict[str, list[str]]:
    """Each step arrives in the order sent, at the times at which its webhooks arrived."""
    webhooks: list[tuple[datetime, TranslatedWebhook]] = []
    for step in merchant.steps:
        times = sorted(arrived[merchant.source, body] for _, body, made in step if made is not None)
        webhooks += zip(times, (made for _, _, made in step if made is not None), strict=True)
    played = Expected(policy=world.settings.sources[merchant.source].policy, rules=DEFAULT_RULES)
    played.play(webhooks)
    return played.bodies


def mrr_is_the_merchants(world: World) -> None:
    """4, in the end: the MRR of each subscription is that of the merchant's own records."""
    for merchant in world.merchants:
        if merchant.mrr is None:
            continue
        reported = {one.id: one.reported_mrr for source, one in _subscriptions(world) if source == merchant.source}
        if reported != merchant.mrr:
            raise InvariantBroken(f"4: {merchant.source}: its records say {merchant.mrr}, reported are {reported}")
