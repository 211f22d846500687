"""Stripe's webhook signature: `t=<unix>,v1=<hex>[,v1=…]`, HMAC-SHA256 of "t.body" (docs.stripe.com/webhooks)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from stripe import SignatureVerificationError, WebhookSignature

from processors.base import Event, SignatureError, SignatureProblem, Signed
from processors.proof import Header, check_age, proven_json, usable
from processors.stripe.envelope import event_of

HEADER = "Stripe-Signature"
STATED = Header(name=HEADER, separator=",", stamp="t", digest="v1")
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
WHERE = "Stripe shows it under Developers > Webhooks."
API_KEYS = ("sk_", "rk_", "pk_")


def sign(body: bytes, secret: str, now: datetime) -> Signed:
    """The webhook as Stripe would post it at `now`."""
    header = WebhookSignature.generate_signature_header(body.decode("utf-8"), secret, int(now.timestamp()))
    return Signed(body=body, headers={HEADER: header, "Content-Type": "application/json; charset=utf-8"})


def verify(
    body: bytes, headers: Mapping[str, str], secrets: Sequence[str], now: datetime, tolerance: timedelta
) -> Event:
    """The proven event. Raises `SignatureError` and nothing else: MISSING, MALFORMED, MISMATCH, STALE or UNREADABLE.

    The age is looked at after the signature, so that "stale" is only told of what Stripe did sign.
    """
    stated_at, digests = _stated(headers)
    _prove(body, stated_at, digests, usable(secrets))
    check_age(stated_at, now, tolerance)
    return _envelope(body, now)


def secret_problem(value: str) -> str | None:
    """What is wrong with a configured secret or a comma-separated list of them, or None."""
    secrets = usable(value.split(","))
    if not secrets:
        return f"is empty. A signing secret looks like whsec_…; {WHERE}"
    for secret in secrets:
        if secret.startswith(API_KEYS):
            return f"looks like an API key ({secret[:3]}…). Signing secrets begin with whsec_; {WHERE}"
        if not secret.startswith("whsec_"):
            return f"does not look like a signing secret: those begin with whsec_; {WHERE}"
    return None


def _stated(headers: Mapping[str, str]) -> tuple[int, list[str]]:
    """The time stamp and the v1 digests that could be ones; other schemes and broken digests prove nothing."""
    stamp, digests = STATED.read(headers)
    sound = list(dict.fromkeys(digest for digest in digests if HEX_DIGEST.fullmatch(digest)))
    if not sound:
        raise STATED.malformed("has no v1 signature of 64 hexadecimal digits")
    return int(stamp), sound


def _prove(body: bytes, stated_at: int, digests: Sequence[str], secrets: Sequence[str]) -> None:
    try:
        payload = body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError(SignatureProblem.MISMATCH, "The body is not UTF-8, so Stripe did not sign it.") from None
    header = f"t={stated_at}," + ",".join(f"v1={digest}" for digest in digests)
    if not any(_fits(payload, header, secret) for secret in secrets):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(secrets)))


def _fits(payload: str, header: str, secret: str) -> bool:
    try:
        return bool(WebhookSignature.verify_header(payload, header, secret, tolerance=None))
    except (SignatureVerificationError, ValueError):  # a secret with a lone surrogate cannot be encoded
        return False


def _envelope(body: bytes, now: datetime) -> Event:
    event = event_of(proven_json(body), now.astimezone(UTC))
    if event is None:
        raise SignatureError(SignatureProblem.UNREADABLE, "The body is no Stripe event with an id and a type.")
    return event


def _no_match(count: int) -> str:
    if count == 0:
        return "No signing secret is configured."
    told = "The signing secret does not match" if count == 1 else f"None of {count} signing secrets matches"
    return f"{told}. Each endpoint, each mode and `stripe listen` has its own; the body must arrive unchanged."
