"""Paddle's webhook signature: `ts=<unix>;h1=<hex>[;h1=…]`, HMAC-SHA256 of "ts:body" (developer.paddle.com).

The official SDK's verifier raises on hostile headers and knows one tolerance of five seconds, so this is our own.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from processors.base import Event, SignatureError, SignatureProblem, Signed
from processors.reading import Unreadable, instant, parse, text

HEADER = "Paddle-Signature"
LONGEST_HEADER = 8192
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
SIMULATED = ("ntfsimevt_", "ntfsimntf_")
WHERE = "Paddle shows it under Developer tools > Notifications, beside the destination."
CLOCK = "Is this machine's clock right?"


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
    stamp, digests = _stated(_header(headers))
    usable = [secret.strip() for secret in secrets if secret.strip()]
    if not any(_fits(stamp, body, secret, digests) for secret in usable):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(usable)))
    _check_age(int(stamp), now, tolerance)
    return _envelope(body, now)


def secret_problem(value: str) -> str | None:
    """What is wrong with a configured secret, or None."""
    secrets = [part.strip() for part in value.split(",") if part.strip()]
    if not secrets:
        return f"is empty. A destination's secret key looks like pdl_ntfset_…; {WHERE}"
    for secret in secrets:
        if secret.startswith(("pdl_live_apikey_", "pdl_sdbx_apikey_")):
            return f"looks like an API key. Secret keys of destinations begin with pdl_ntfset_; {WHERE}"
        if not secret.startswith(("pdl_ntfset_", "pdl_ntf_")):
            return f"does not look like a destination's secret key, which begins with pdl_ntfset_; {WHERE}"
    return None


def _header(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == HEADER.lower() and value.strip():
            return value
    raise SignatureError(SignatureProblem.MISSING, f"There is no {HEADER} header. Does a proxy drop it?")


def _stated(header: str) -> tuple[str, list[str]]:
    """The time stamp and every h1; names that are not known yet are passed over."""
    if len(header) > LONGEST_HEADER:
        raise _malformed("is too long")
    pairs = [part.strip().partition("=") for part in header.split(";")]
    stamps = [value for name, _, value in pairs if name == "ts"]
    digests = [value for name, _, value in pairs if name == "h1" and value]
    if len(stamps) != 1 or not UNIX_SECONDS.fullmatch(stamps[0]):
        raise _malformed("has no single time stamp ts=…")
    if not digests:
        raise _malformed("has no signature h1=…")
    return stamps[0], digests


def _fits(stamp: str, body: bytes, secret: str, digests: Sequence[str]) -> bool:
    expected = _digest(stamp, body, secret).encode()
    return any(hmac.compare_digest(expected, digest.encode("utf-8", "replace")) for digest in digests)


def _digest(stamp: str, body: bytes, secret: str) -> str:
    return hmac.new(secret.encode("utf-8", "replace"), f"{stamp}:".encode() + body, hashlib.sha256).hexdigest()


def _check_age(stated_at: int, now: datetime, tolerance: timedelta) -> None:
    age, allowed = int(now.timestamp()) - stated_at, int(tolerance.total_seconds())
    if abs(age) <= allowed:
        return
    told = f"{age} s old" if age > 0 else f"{-age} s in the future"
    raise SignatureError(SignatureProblem.STALE, f"The signature is {told}; {allowed} s are allowed. {CLOCK}")


def _envelope(body: bytes, now: datetime) -> Event:
    try:
        found = parse(body)
    except Unreadable as unreadable:
        raise SignatureError(SignatureProblem.UNREADABLE, f"The body cannot be read: {unreadable}.") from None
    event_id, kind = text(found.get("event_id"), 255), text(found.get("event_type"), 255)
    if event_id is None or kind is None:
        raise SignatureError(SignatureProblem.UNREADABLE, "The body is no Paddle event with an event_id and a type.")
    simulated = event_id.startswith(SIMULATED) or (text(found.get("notification_id")) or "").startswith(SIMULATED)
    return Event(id=event_id, type=kind, created_at=instant(found.get("occurred_at")) or now, livemode=not simulated)


def _malformed(what: str) -> SignatureError:
    return SignatureError(SignatureProblem.MALFORMED, f"The {HEADER} header {what}.")


def _no_match(count: int) -> str:
    if count == 0:
        return "No secret key is configured."
    told = "The secret key does not match" if count == 1 else f"None of {count} secret keys matches"
    return f"{told}. Each destination has its own, sandbox and live apart; the body must arrive unchanged."
