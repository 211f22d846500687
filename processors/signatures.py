"""Checks that signed webhooks share in every scheme: the header, its time stamp, the age, the envelope.

Everything here raises `SignatureError` and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from processors.interface import Event, SignatureError, SignatureProblem
from processors.payload import Unreadable
from processors.values import replace

LONGEST_HEADER = 8192
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
CLOCK = "Is this machine's clock right?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of `name=value` pairs with one time stamp and one or more digests."""

    name: str
    separator: str
    stamp: str
    digest: str

    def read(self, headers: Mapping[str, str]) -> tuple[str, list[str]]:
        """The time stamp, in Unix seconds as written, and every digest. Other names are ignored."""
        written = self._written(headers)
        if len(written) > LONGEST_HEADER:
            raise self.malformed("is too long")
        pairs = [part.strip().partition("=") for part in written.split(self.separator)]
        stamps = [value for name, _, value in pairs if name == self.stamp]
        digests = [value for name, _, value in pairs if name == self.digest and value]
        if len(stamps) != 1 or not UNIX_SECONDS.fullmatch(stamps[0]):
            raise self.malformed(f"has no single time stamp {self.stamp}=…")
        if not digests:
            raise self.malformed(f"has no signature {self.digest}=…")
        return stamps[0], digests

    def malformed(self, what: str) -> SignatureError:
        """The error for a problem with this header, for the caller to raise."""
        return SignatureError(SignatureProblem.MALFORMED, f"The {self.name} header {what}.")

    def _written(self, headers: Mapping[str, str]) -> str:
        if written := headers.get(self.name, "").strip():
            return written
        for name, value in headers.items():
            if name.lower() == self.name.lower() and value.strip():
                return value
        raise SignatureError(SignatureProblem.MISSING, f"There is no {self.name} header. Does a proxy drop it?")


def usable(secrets: Sequence[str]) -> list[str]:
    """The secrets, stripped, without empty ones."""
    return [secret.strip() for secret in secrets if secret.strip()]


def check_age(stated_at: int, now: datetime, tolerance: timedelta) -> None:
    """Raises STALE when a time stamp, in Unix seconds, is further from `now` than `tolerance`, in either direction."""
    age, allowed = int(now.timestamp()) - stated_at, int(tolerance.total_seconds())
    if abs(age) <= allowed:
        return
    stated = f"{age} s old" if age > 0 else f"{-age} s in the future"
    raise SignatureError(SignatureProblem.STALE, f"The signature is {stated}; {allowed} s are allowed. {CLOCK}")


def verified_event(
    envelope: Callable[[bytes, Mapping[str, str]], Event], body: bytes, options: Mapping[str, str], now: datetime
) -> Event:
    """The envelope of a body whose signature is valid, dated `now` if it has no date. Raises UNREADABLE."""
    try:
        event = envelope(body, options)
    except Unreadable as unreadable:
        raise SignatureError(SignatureProblem.UNREADABLE, f"The body cannot be read: {unreadable}.") from None
    return event if event.created_at is not None else replace(event, created_at=now.astimezone(UTC))
