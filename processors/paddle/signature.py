"""Paddle's webhook signature: `ts=<unix>;h1=<hex>[;h1=…]`, HMAC-SHA256 of "ts:body" (developer.paddle.com).

The official SDK's verifier raises on hostile headers and knows one tolerance of five seconds, so this is our own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from processors.base import Event, SignatureError, SignatureProblem, Signed
from processors.proof import Header, check_age, proven_json, usable
from processors.reading import instant, text

HEADER = "Paddle-Signature"
STATED = Header(name=HEADER, separator=";", stamp="ts", digest="h1")
SIMULATED = ("ntfsimevt_", "ntfsimntf_")
WHERE = "Paddle shows it under Developer tools > Notifications, beside the destination."


def sign(body: bytes, secret: str, now: datetime) -> Signed:
    """The webhook as Paddle would post it at `now`."""
    stamp = str(int(now.timestamp()))
    header = f"ts={stamp};h1={_digest(stamp, body, secret)}"
    return Signed(body=body, headers={HEADER: header, "Content-Type": "application/json"})


def verify(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime, tolerance: timedelta
) -> Event:
    """The proven event. Raises `SignatureError` and nothing else: MISSING, MALFORMED, MISMATCH, STALE or UNREADABLE.

    The age is looked at after the signature, so that "stale" is only told of what Paddle did sign.
    """
    stamp, digests = STATED.read(headers)
    keys = usable(secrets)
    if not any(_fits(stamp, body, key, digests) for key in keys):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(keys)))
    check_age(int(stamp), now, tolerance)
    return _envelope(body, now)


def secret_problem(value: str) -> str | None:
    """What is wrong with a configured secret, or None."""
    secrets = usable(value.split(","))
    if not secrets:
        return f"is empty. A destination's secret key looks like pdl_ntfset_…; {WHERE}"
    for secret in secrets:
        if secret.startswith(("pdl_live_apikey_", "pdl_sdbx_apikey_")):
            return f"looks like an API key. Secret keys of destinations begin with pdl_ntfset_; {WHERE}"
        if not secret.startswith(("pdl_ntfset_", "pdl_ntf_")):
            return f"does not look like a destination's secret key, which begins with pdl_ntfset_; {WHERE}"
    return None


def _fits(stamp: str, body: bytes, secret: str, digests: Sequence[str]) -> bool:
    expected = _digest(stamp, body, secret).encode()
    return any(hmac.compare_digest(expected, digest.encode("utf-8", "replace")) for digest in digests)


def _digest(stamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode("utf-8", "replace"), f"{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def _envelope(body: bytes, now: datetime) -> Event:
    found = proven_json(body)
    event_id, kind = text(found.get("event_id"), 255), text(found.get("event_type"), 255)
    if event_id is None or kind is None:
        raise SignatureError(SignatureProblem.UNREADABLE, "The body is no Paddle event with an event_id and a type.")
    simulated = event_id.startswith(SIMULATED) or (text(found.get("notification_id")) or "").startswith(SIMULATED)
    return Event(id=event_id, type=kind, created_at=instant(found.get("occurred_at")) or now, livemode=not simulated)


def _no_match(count: int) -> str:
    if count == 0:
        return "No secret key is configured."
    told = "The secret key does not match" if count == 1 else f"None of {count} secret keys matches"
    return f"{told}. Each destination has its own, sandbox and live apart; the body must arrive unchanged."
