"""What a signed webhook must pass whatever its scheme: a header, one time stamp in it, an age, a body that can be read.

All that is raised here is `SignatureError`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from processors.base import SignatureError, SignatureProblem
from processors.reading import Json, Unreadable, parse

LONGEST_HEADER = 8192
UNIX_SECONDS = re.compile(r"[0-9]{1,12}")
CLOCK = "Is this machine's clock right?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A header of `name=value` pairs: where a scheme finds its time stamp and its digests."""

    name: str
    separator: str
    stamp: str
    digest: str

    def read(self, headers: Mapping[str, str]) -> tuple[str, list[str]]:
        """The time stamp, in unix seconds as written, and every digest; other names are passed over."""
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
        """The error that says what is wrong with this header, for the caller to raise."""
        return SignatureError(SignatureProblem.MALFORMED, f"The {self.name} header {what}.")

    def _written(self, headers: Mapping[str, str]) -> str:
        for name, value in headers.items():
            if name.lower() == self.name.lower() and value.strip():
                return value
        raise SignatureError(SignatureProblem.MISSING, f"There is no {self.name} header. Does a proxy drop it?")


def usable(secrets: Sequence[str]) -> list[str]:
    """The secrets without the blanks around them, and without those that are nothing else."""
    return [secret.strip() for secret in secrets if secret.strip()]


def check_age(stated_at: int, now: datetime, tolerance: timedelta) -> None:
    """Raises when a time stamp is further from `now` than `tolerance`, in the past or in the future."""
    age, allowed = int(now.timestamp()) - stated_at, int(tolerance.total_seconds())
    if abs(age) <= allowed:
        return
    told = f"{age} s old" if age > 0 else f"{-age} s in the future"
    raise SignatureError(SignatureProblem.STALE, f"The signature is {told}; {allowed} s are allowed. {CLOCK}")


def proven_json(body: bytes) -> Json:
    """What a proven body says; raises UNREADABLE when it is no JSON object."""
    try:
        return parse(body)
    except Unreadable as unreadable:
        raise SignatureError(SignatureProblem.UNREADABLE, f"The body cannot be read: {unreadable}.") from None
