"""Stripe's webhook signature: `t=<unix>,v1=<hex>[,v1=…]`, HMAC-SHA256 of "t.body" (docs.stripe.com/webhooks)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from stripe import SignatureVerificationError, WebhookSignature

from processors.base import Event, SignatureError, SignatureProblem, Signed
from processors.reading import Unreadable, parse
from processors.stripe.envelope import event_of

HEADER = "Stripe-Signature"
LONGEST_HEADER = 8192
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
WHERE = "Stripe shows it under Developers > Webhooks."
CLOCK = "Is this machine's clock right?"
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
    stated_at, digests = _stated(_header(headers))
    _prove(body, stated_at, digests, [secret.strip() for secret in secrets if secret.strip()])
    _check_age(stated_at, now, tolerance)
    return _envelope(body, now)


def secret_problem(value: str) -> str | None:
    """What is wrong with a configured secret or a comma-separated list of them, or None."""
    secrets = [part.strip() for part in value.split(",") if part.strip()]
    if not secrets:
        return f"is empty. A signing secret looks like whsec_…; {WHERE}"
    for secret in secrets:
        if secret.startswith(API_KEYS):
            return f"looks like an API key ({secret[:3]}…). Signing secrets begin with whsec_; {WHERE}"
        if not secret.startswith("whsec_"):
            return f"does not look like a signing secret: those begin with whsec_; {WHERE}"
    return None


def _header(headers: Mapping[str, str]) -> str:
    for name, value in headers.items():
        if name.lower() == HEADER.lower() and value.strip():
            return value
    raise SignatureError(SignatureProblem.MISSING, f"There is no {HEADER} header. Does a proxy drop it?")


def _stated(header: str) -> tuple[int, list[str]]:
    """The time stamp and the v1 digests that could be ones; other schemes and broken digests prove nothing."""
    if len(header) > LONGEST_HEADER:
        raise _malformed("is too long")
    pairs = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in pairs if name == "t"]
    digests = [value for name, _, value in pairs if name == "v1"]
    if len(stamps) != 1 or not UNIX_SECONDS.fullmatch(stamps[0]):
        raise _malformed("has no single time stamp t=…")
    if not digests:
        raise _malformed("has no signature v1=…")
    sound = list(dict.fromkeys(digest for digest in digests if HEX_DIGEST.fullmatch(digest)))
    if not sound:
        raise _malformed("has no v1 signature of 64 hexadecimal digits")
    return int(stamps[0]), sound


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


def _check_age(stated_at: int, now: datetime, tolerance: timedelta) -> None:
    age, allowed = int(now.timestamp()) - stated_at, int(tolerance.total_seconds())
    if abs(age) <= allowed:
        return
    told = f"{age} s old" if age > 0 else f"{-age} s in the future"
    raise SignatureError(SignatureProblem.STALE, f"The signature is {told}; {allowed} s are allowed. {CLOCK}")


def _envelope(body: bytes, now: datetime) -> Event:
    try:
        event = event_of(parse(body), now.astimezone(UTC))
    except Unreadable as unreadable:
        raise SignatureError(SignatureProblem.UNREADABLE, f"The body cannot be read: {unreadable}.") from None
    if event is None:
        raise SignatureError(SignatureProblem.UNREADABLE, "The body is no Stripe event with an id and a type.")
    return event


def _malformed(what: str) -> SignatureError:
    return SignatureError(SignatureProblem.MALFORMED, f"The {HEADER} header {what}.")


def _no_match(count: int) -> str:
    if count == 0:
        return "No signing secret is configured."
    told = "The signing secret does not match" if count == 1 else f"None of {count} signing secrets matches"
    return f"{told}. Each endpoint, each mode and `stripe listen` has its own; the body must arrive unchanged."
