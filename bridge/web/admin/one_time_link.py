"""One-time login links: a code that only a holder of the admin token can make, valid for some minutes.

    <seconds since 1970 when it ends>.<random>.<signature by the admin token>

The code does not reveal the token. That it is used once is ensured by the caller, who takes the lease named after it.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import UTC, datetime, timedelta

LIFETIME = timedelta(minutes=10)
PURPOSE = "pulsora-bridge one-time link"


def make_code(token: str, now: datetime) -> str:
    """A new code."""
    plain = f"{int((now + LIFETIME).timestamp())}.{secrets.token_hex(12)}"
    return f"{plain}.{derived(token, f'{PURPOSE} {plain}')}"


def valid_until(code: str, token: str, now: datetime) -> datetime | None:
    """When the code ends; None if it has ended or was not made with this token."""
    plain, _, signature = code.rpartition(".")
    expected = derived(token, f"{PURPOSE} {plain}")
    if not hmac.compare_digest(signature.encode("utf-8", "replace"), expected.encode()):
        return None
    end = datetime.fromtimestamp(int(plain.partition(".")[0]), UTC)  # signed, so it is a number
    return end if now < end else None


def lease_name(code: str) -> str:
    """The lease that is taken when the code is used."""
    return f"login {hashlib.sha256(code.encode()).hexdigest()[:32]}"


def derived(token: str, purpose: str) -> str:
    """A value that only the admin token yields, and that does not reveal it."""
    return hmac.new(token.encode(), purpose.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
