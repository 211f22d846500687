"""Stripe's webhook signature: `t=<unix>,v1=<hex>[,v1=…]`, HMAC-SHA256 of "t.body" (docs.stripe.com/webhooks)."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from processors.interface import Event, SignatureError, SignatureProblem, SignedWebhook
from processors.payload import NOTHING
from processors.placeholders import is_placeholder
from processors.signatures import Header, check_age, usable, verified_event
from processors.stripe.envelope import envelope

HEADER = "Stripe-Signature"
STATED = Header(name=HEADER, separator=",", stamp="t", digest="v1")
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
WHERE = "Stripe shows it under Developers > Webhooks"
API_KEYS = ("sk_", "rk_", "pk_")


def sign(body: bytes, secret: str, now: datetime) -> SignedWebhook:
    """The webhook as Stripe would post it at `now`."""
    from stripe import WebhookSignature

    header = WebhookSignature.generate_signature_header(body.decode("utf-8"), secret, int(now.timestamp()))
    return SignedWebhook(body=body, headers={HEADER: header, "Content-Type": "application/json; charset=utf-8"})


def verify(
    body: bytes,
    headers: Mapping[str, str],
    secrets: Sequence[str],
    now: datetime,
    tolerance: timedelta,
    options: Mapping[str, str] = NOTHING,
) -> Event:
    """The envelope of a signed webhook. Raises `SignatureError` and nothing else, with any of its problems."""
    stated_at, digests = _stated(headers)
    _check(body, stated_at, digests, usable(secrets))
    check_age(stated_at, now, tolerance)  # last, so that STALE is only reported of a body that Stripe did sign
    return verified_event(envelope, body, options, now)


def secret_problem(value: str) -> str | None:
    """The problem with a configured secret, or with a comma-separated list of them, or None."""
    secrets = usable(value.split(","))
    if not secrets:
        return f"is empty. A signing secret looks like whsec_…; {WHERE}"
    for secret in secrets:
        if is_placeholder(secret):
            return f"is still the placeholder of the documentation; {WHERE}"
        if secret.startswith(API_KEYS):
            return f"looks like an API key ({secret[:3]}…). Signing secrets begin with whsec_; {WHERE}"
        if not secret.startswith("whsec_"):
            return f"does not look like a signing secret: those begin with whsec_; {WHERE}"
    return None


def _stated(headers: Mapping[str, str]) -> tuple[int, list[str]]:
    """The time stamp and the well-formed v1 digests; other schemes are ignored."""
    stamp, digests = STATED.read(headers)
    sound = list(dict.fromkeys(digest for digest in digests if HEX_DIGEST.fullmatch(digest)))
    if not sound:
        raise STATED.malformed("has no v1 signature of 64 hexadecimal digits")
    return int(stamp), sound


def _check(body: bytes, stated_at: int, digests: Sequence[str], secrets: Sequence[str]) -> None:
    """The SDK's `WebhookSignature.verify_header`, without reading the header again for each secret."""
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        raise SignatureError(SignatureProblem.MISMATCH, "The body is not UTF-8, so Stripe did not sign it.") from None
    signed = b"%d." % stated_at + body
    if not any(_fits(signed, digests, secret) for secret in secrets):
        raise SignatureError(SignatureProblem.MISMATCH, _no_match(len(secrets)))


def _fits(signed: bytes, digests: Sequence[str], secret: str) -> bool:
    try:
        key = secret.encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate
        return False
    expected = hmac.digest(key, signed, "sha256").hex()
    return any(hmac.compare_digest(expected, digest) for digest in digests)


def _no_match(count: int) -> str:
    if count == 0:
        return "No signing secret is configured."
    problem = "The signing secret does not match" if count == 1 else f"None of {count} signing secrets matches"
    return f"{problem}. Each endpoint, each mode and `stripe listen` has its own; the body must arrive unchanged."
