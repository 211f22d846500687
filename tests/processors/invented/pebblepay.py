"""Pebble Pay, an invented processor: everything that the bridge needs to know about a new one, in one file.

Its webhooks are JSON: {"id", "kind", "at", "customer", "subscription", "amount", "currency", "visit"}, amounts in minor
units. The header `Pebble-Proof` is `<unix seconds> <hex HMAC-SHA256 of "seconds.body">`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from processors.facts import (
    Ids,
    Interval,
    Item,
    Membership,
    Payment,
    Price,
    Reason,
    Refund,
    Stage,
    Status,
    SubscriptionState,
    Terms,
)
from processors.interface import (
    Event,
    Option,
    Processor,
    Scenario,
    SignatureError,
    SignatureProblem,
    SignedWebhook,
    Simulation,
    Translation,
)
from processors.money import Currency, Money, iso_digits, whole_minor
from processors.payload import NOTHING, Json, Unreadable, ident, instant, parse, strings, text
from processors.signatures import verified_event

HEADER = "Pebble-Proof"

# ---- Step 1: verify -----------------------------------------------------------------------------------------------


def sign(body: bytes, secret: str, now: datetime) -> SignedWebhook:
    """The webhook as Pebble Pay would post it at `now`."""
    stamp = str(int(now.timestamp()))
    return SignedWebhook(body=body, headers={HEADER: f"{stamp} {_proof(stamp, body, secret)}"})


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta,
    options: Mapping[str, str] = NOTHING,
) -> Event:
    """The envelope of a signed webhook. Raises `SignatureError` and nothing else."""
    stated = next((value for name, value in headers.items() if name.lower() == HEADER.lower()), "")
    stamp, _, proof = stated.partition(" ")
    if not stated.strip():
        raise SignatureError(SignatureProblem.MISSING, f"There is no {HEADER} header.")
    if not (stamp.isascii() and stamp.isdigit() and len(stamp) < 12):
        raise SignatureError(SignatureProblem.MALFORMED, f"The {HEADER} header has no time stamp.")
    expected = [_proof(stamp, body, secret).encode() for secret in secrets if secret]
    if not any(hmac.compare_digest(one, proof.encode("utf-8", "replace")) for one in expected):
        raise SignatureError(SignatureProblem.MISMATCH, "The secret does not match.")
    age = int(now.timestamp()) - int(stamp)
    if abs(age) > tolerance.total_seconds():
        raise SignatureError(SignatureProblem.STALE, f"The signature is {age} s old.")
    return verified_event(envelope, body, options, now)


def _proof(stamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode("utf-8", "replace"), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()


# ---- Step 2: envelope ---------------------------------------------------------------------------------------------


def envelope(body: bytes, options: Mapping[str, str]) -> Event:
    """The envelope for the inbox. Raises `Unreadable`: this is not an event of Pebble Pay."""
    found = parse(body)
    event_id, kind = text(found.get("id"), 255), text(found.get("kind"), 255)
    if event_id is None or kind is None:
        raise Unreadable("no id or no kind")
    return Event(id=event_id, type=kind, created_at=instant(found.get("at")), livemode=True)


# ---- Step 3: translate --------------------------------------------------------------------------------------------


def translate(body: bytes, options: Mapping[str, str]) -> Translation:
    """The facts of an event, or the reason why it has none."""
    try:
        found = parse(body)
    except Unreadable as unreadable:
        return Translation(reason=str(unreadable))
    translator = TRANSLATORS.get(text(found.get("kind")) or "")
    at, money, event_id = instant(found.get("at")), _money(found), text(found.get("id"), 255)
    if translator is None or at is None or money is None or event_id is None:
        return Translation(reason="has nothing to do with revenue")
    return translator(found, at, money, event_id)


def _paid(found: Json, at: datetime, money: Money, event_id: str) -> Translation:
    ids = _ids(found)
    payment = Payment(
        key=f"pay_{event_id}",
        at=at,
        ids=Ids(customer_id=ids.customer_id, subscription_id=ids.subscription_id, payment_id=f"pay_{event_id}"),
        amount=money,
        membership=Membership.NONE,
        reason=Reason.UNKNOWN if ids.subscription_id else Reason.ONE_OFF,
        metadata=strings(found.get("visit")),
        processor_event_id=event_id,
    )
    return Translation(facts=(payment,))


def _refunded(found: Json, at: datetime, money: Money, event_id: str) -> Translation:
    ids = Ids(customer_id=_ids(found).customer_id, payment_id=f"pay_{ident(found.get('payment'))}")
    key = f"back_{event_id}"
    refund = Refund(key=key, at=at, ids=ids, amount=money, transaction_id=key, processor_event_id=event_id)
    return Translation(facts=(refund,))


def _state(status: Status, stage: Stage = Stage.CHANGED) -> Translator:
    def translator(found: Json, at: datetime, money: Money, event_id: str) -> Translation:
        amount = Decimal(money.minor)
        price = Price(id="pebble", currency=money.currency, unit_amount=amount, interval=Interval.MONTH, name="Pebble")
        state = SubscriptionState(
            at=at,
            ids=_ids(found),
            now=Terms(status=status, currency=money.currency, items=(Item(price=price),)),
            stage=stage,
            metadata=strings(found.get("visit")),
            processor_event_id=event_id,
        )
        return Translation(facts=(state,)) if state.ids.subscription_id else Translation(reason="no subscription")

    return translator


Translator = Callable[[Json, datetime, Money, str], Translation]

TRANSLATORS: Mapping[str, Translator] = {
    "paid": _paid,
    "refunded": _refunded,
    "begun": _state(Status.ACTIVE, Stage.CREATED),
    "changed": _state(Status.ACTIVE),
    "ended": _state(Status.ENDED),
}


def _ids(found: Json) -> Ids:
    return Ids(customer_id=ident(found.get("customer")), subscription_id=ident(found.get("subscription")))


def _money(found: Json) -> Money | None:
    minor, code = whole_minor(found.get("amount")), text(found.get("currency"), 3)
    if minor is None or minor < 0 or code is None:
        return None
    return Money(minor=minor, currency=Currency(code=code.upper(), digits=iso_digits(code.upper())))


# ---- Simulation and declaration ----------------------------------------------------------------------------------


def _lifecycle(tag: str, start: datetime) -> Sequence[bytes]:
    """Signs up for 9.00 a month, pays twice, moves to 15.00, gets 5.00 back, and leaves."""
    steps = [
        ("begun", 0, 900),
        ("paid", 0, 900),
        ("paid", 30, 900),
        ("changed", 40, 1500),
        ("refunded", 41, 500),
        ("ended", 50, 1500),
    ]
    return [_webhook(tag, start, number, *step) for number, step in enumerate(steps, start=1)]


def _webhook(tag: str, start: datetime, number: int, kind: str, days: int, amount: int) -> bytes:
    body: dict[str, Any] = {
        "id": f"{tag}-{number}",
        "kind": kind,
        "at": (start + timedelta(days=days, seconds=number)).isoformat(),
        "customer": f"{tag}-c",
        "subscription": f"{tag}-s",
        "payment": f"{tag}-3",
        "amount": amount,
        "currency": "EUR",
        "visit": {"visitor_fingerprint": f"fp_{tag}", "session_id": f"sess_{tag}"},
    }
    return json.dumps(body).encode()


simulation = Simulation(
    scenarios={"lifecycle": Scenario(name="lifecycle", summary=_lifecycle.__doc__ or "", events=_lifecycle)},
    demo_secret="pebble_demo_not_a_real_secret",
)

processor = Processor(
    name="pebble",
    title="Pebble Pay",
    payment_processor="pebble",
    secret=Option(name="PEBBLE_SECRET", help="Secret of the webhook.", example="pebble_…", secret=True, multiple=True),
    verify=verify,
    envelope=envelope,
    translate=translate,
    sign=sign,
    event_types=tuple(TRANSLATORS),
    simulation="pebblepay:simulation",
)
