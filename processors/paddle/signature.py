"""Paddle's webhook signature: `ts=<unix>;h1=<hex>[;h1=…]`, HMAC-SHA256 of "ts:body" (developer.paddle.com).

The official SDK's verifier raises on hostile headers and knows one tolerance of five seconds, so this is our own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from processors.interface import Event, SignatureError, SignatureProblem, SignedWebhook
from processors.paddle.envelope import envelope
from processors.payload import NOTHING
from processors.placeholders import is_placeholder
from processors.signatures import Header, check_age, usable, verified_event

HEADER = "Paddle-Signature"
STATED = Header(name=HEADER, separator=";", stamp="ts", digest="h1")
WHERE = "Paddle shows it under Developer tools > Notifications, with the destination"


def sign(body: bytes, secret: str, now: datetime) -> SignedWebhook:
    """The webhook as Paddle would post it at `now`."""
    stamp = str(int(now.timestamp()))
    header = f"ts={stamp};h1={_digest(stamp, body, secret)}"
    return SignedWebhook(body=body, headers={HEADER: header, "Content-Type": "application/json"})


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta,
    options: Mapping[str, str] = NOTHING,
) -> Event:
    """The envelope of a signed webhook. Raises `SignatureError` and nothing else, with any of its problems."""
    stamp, digests = STATED.read(headers)
    keys = usable(secrets)
    if not any(_fits(stamp, body, key, digests) for key in keys):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(keys)))
    check_age(int(stamp), now, tolerance)  # last, so that STALE is only reported of a body that Paddle did sign
    return verified_event(envelope, body, options, now)


def secret_problem(value: str) -> str | None:
    """The problem with a configured secret, or with a comma-separated list of them, or None."""
    secrets = usable(value.split(","))
    if not secrets:
        return f"is empty. A destination's secret key looks like pdl_ntfset_…; {WHERE}"
    for secret in secrets:
        if is_placeholder(secret):
            return f"is still the placeholder of the documentation; {WHERE}"
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


def _no_match(count: int) -> str:
    if count == 0:
        return "No secret key is configured."
    problem = "The secret key does not match" if count == 1 else f"None of {count} secret keys matches"
    return f"{problem}. Each destination has its own, sandbox and live apart; the body must arrive unchanged."
