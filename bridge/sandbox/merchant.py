"""Twelve months of a small merchant: a database filled through the real ledger, for the console of `demo --keep`.

Simulated customers of Stripe and Paddle sign up, renew, upgrade, ask for refunds and leave. Their webhooks go through
inbox, routing, settling and outbox day by day, with a clock that is passed in; only the sending is replaced, by records
of deliveries, so that nothing is sent and everything has its time. The same seed gives the same merchant.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

from sqlalchemy import Connection

from bridge.settings import Settings
from bridge.store import Store, attempts, inbox, interventions, outbox
from bridge.store.attempts import NewAttempt
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import Delivery, DeliveryStatus, Outcome
from bridge.worker.routing import route
from bridge.worker.settling import settle_due
from processors import processors
from processors.paddle.simulation import customer as paddle
from processors.stripe.simulation import customer as stripe

SEED = 2026
SETTLING = timedelta(seconds=3)
LATEST = timedelta(minutes=5)  # before now: the last webhook
ARRIVAL = timedelta(seconds=4)
OWNER = "demo merchant"

JOINING = (3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 9, 6)  # new customers by month
PADDLE_SHARE = 0.35
CHURN, UPGRADE, DOWNGRADE, REFUND, EXTRA = 0.055, 0.07, 0.025, 0.02, 0.04  # chances per month
RETURN = 0.4  # the share of those who leave that only pauses
AWAY = timedelta(days=40)
LADDER = ("STARTER", "PRO", "TEAM")
FIRST_PLAN = (0.35, 0.5, 0.15)
BILLED: Mapping[str, object] = {"stripe": True, "paddle": 2000}  # charges a change at once
ACCEPTED = 202


@dataclass(frozen=True, slots=True, kw_only=True)
class Dated:
    """A webhook of the merchant: when it was made, its source and its body."""

    at: datetime
    source: str
    body: bytes


def fill(store: Store, settings: Settings, now: datetime, seed: int = SEED, joining: Sequence[int] = JOINING) -> None:
    """Fills an empty database with the months that end `now`; `joining`: new customers in each of them."""
    webhooks = sorted(_merchant(random.Random(seed), settings, now, joining), key=lambda one: one.at)
    for day, group in groupby(webhooks, key=lambda one: one.at.date()):
        own = list(group)
        _pass(store, settings, own, max(one.at for one in own) + ARRIVAL, random.Random(day.toordinal()))
    _pass(store, settings, (), now - SETTLING, random.Random(seed))  # what still waited yesterday


# ---- The customers ---------------------------------------------------------------------------------------------


def _merchant(chance: random.Random, settings: Settings, now: datetime, joining: Sequence[int]) -> Iterator[Dated]:
    for month, count in enumerate(joining):
        for number in range(count):
            age = timedelta(days=30.4 * (len(joining) - month) - chance.uniform(2, 29))
            tag = f"{_word(chance)}{month:02d}{number}"
            source = "paddle" if chance.random() < PADDLE_SHARE else "stripe"
            is_recent_unknown = month == len(joining) - 1 and number < 2
            customer = _lifecycle(source, tag, now - age, now, chance, has_visit=not is_recent_unknown)
            yield from _dated(source, customer.webhooks, settings, now)
    for number in range(2):  # bought within the last hour, without a visit: held, for the attribution page
        at = now - timedelta(minutes=12 + 15 * number)
        customer = _begin("stripe", f"walkin{number}", at, has_visit=False).subscribe(stripe.PRO)
        yield from _dated("stripe", customer.webhooks, settings, now)


def _lifecycle(source: str, tag: str, at: datetime, now: datetime, chance: random.Random, *, has_visit: bool) -> Any:
    """A customer's months until now: each renews, changes or ends the subscription."""
    plans = [getattr(stripe if source == "stripe" else paddle, name) for name in LADDER]
    step = chance.choices(range(len(plans)), FIRST_PLAN)[0]
    customer = _begin(source, tag, at, has_visit=has_visit).subscribe(plans[step])
    while customer.at + timedelta(days=31) < now - LATEST:
        dice = chance.random()
        if dice < CHURN:
            customer = customer.later(days=chance.randint(3, 20))
            if chance.random() > RETURN or customer.at + AWAY > now - LATEST:
                return customer.cancel()
            away = customer.become("paused").later(days=AWAY.days)
            customer = away.become("active") if source == "stripe" else away.resume()
            continue
        if dice < CHURN + UPGRADE and step + 1 < len(plans):
            step += 1
            customer = customer.later(days=chance.randint(2, 12)).change(plans[step], billed=BILLED[source])
        elif dice < CHURN + UPGRADE + DOWNGRADE and step > 0:
            step -= 1
            customer = customer.later(days=chance.randint(2, 12)).change(plans[step])
        elif dice > 1 - REFUND:
            customer = customer.later(days=2).refund(900)
        elif dice > 1 - REFUND - EXTRA:
            customer = customer.later(days=4).buy(*((2900,) if source == "stripe" else ()))
        customer = customer.renew()
    return customer


def _begin(source: str, tag: str, at: datetime, *, has_visit: bool) -> Any:
    kind = stripe.Customer if source == "stripe" else paddle.Customer
    return kind.begin(tag, at) if has_visit else kind.begin(tag, at, visit={})


def _word(chance: random.Random) -> str:
    return "".join(chance.choice("bdfgklmnprstvz") + chance.choice("aeiou") for _ in range(3))


def _dated(source: str, bodies: Iterable[bytes], settings: Settings, now: datetime) -> Iterator[Dated]:
    envelope = processors()[source].envelope
    for body in bodies:
        at = envelope(body, settings.sources[source].options).created_at
        if at is not None and at < now - LATEST:
            yield Dated(at=at, source=source, body=body)


# ---- One day ---------------------------------------------------------------------------------------------------


def _pass(store: Store, settings: Settings, webhooks: Sequence[Dated], at: datetime, chance: random.Random) -> None:
    """Receives a day's webhooks, settles them, and records the deliveries."""
    with store.transaction() as tx:
        inbox.insert_new(tx, [_row(one, settings, at) for one in webhooks])
    while route(store, settings, OWNER, at):
        pass
    while settle_due(store, settings, OWNER, at + SETTLING):
        pass
    with store.transaction() as tx:
        _deliver(tx, at + SETTLING, chance)


def _row(one: Dated, settings: Settings, at: datetime) -> inbox.EncodedRow:
    event = processors()[one.source].envelope(one.body, settings.sources[one.source].options)
    return inbox.encode_row(NewWebhook.of_event(one.source, event, one.body, at))


def _deliver(tx: Connection, now: datetime, chance: random.Random) -> None:
    """Records that everything is delivered that would have been by now."""
    held = [one for one in interventions.every(tx, DeliveryStatus.HELD) if one.hold_until and one.hold_until <= now]
    made = [_attempt(one, chance) for one in [*interventions.every(tx, DeliveryStatus.PENDING), *held]]
    outcomes = [
        Outcome(id=one.delivery_id, status=DeliveryStatus.DELIVERED, attempts=1, at=one.at, last_status=ACCEPTED)
        for one in made
    ]
    outbox.record(tx, outcomes)
    attempts.add(tx, made)


def _attempt(one: Delivery, chance: random.Random) -> NewAttempt:
    return NewAttempt(
        delivery_id=one.id,
        at=(one.hold_until or one.created_at) + timedelta(seconds=chance.uniform(0.2, 2.5)),
        status=ACCEPTED,
        response=str(ACCEPTED),
        took_ms=chance.randint(24, 140),
        result=DeliveryStatus.DELIVERED,
    )
