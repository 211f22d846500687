"""The identifiers that partition the ledger, and the only place that knows how they are written.

scope       source|account|mode     stripe||live, stripe|acct_1|test
stream id   scope|customer          stripe||live|cus_1
            scope|~reference        stripe||live|~in_1   provisional: no customer is known yet
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SCOPE = re.compile(r"(?P<source>[^|]*)\|(?P<account>.*)\|(?P<mode>live|test)", re.DOTALL)
# An account never contains "|live|" or "|test|"; a customer id may contain anything.
_STREAM = re.compile(r"(?P<scope>[^|]*\|.*?\|(?:live|test))\|(?P<provisional>~?)(?P<key>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Scope:
    """One ledger: a source, its connected account (None: the source's own), live or test money. They never mix."""

    source: str
    account: str | None
    livemode: bool

    @classmethod
    @lru_cache(maxsize=256)
    def parse(cls, text: str) -> Scope:
        """Reads a stored scope. Raises `ValueError`."""
        found = _SCOPE.fullmatch(text)
        if found is None:
            raise ValueError(f"not a scope: {text!r}")
        return cls(found["source"], found["account"] or None, found["mode"] == "live")

    def __str__(self) -> str:
        return f"{self.source}|{self.account or ''}|{'live' if self.livemode else 'test'}"


@dataclass(frozen=True, slots=True)
class StreamId:
    """One customer of one ledger; provisional when `key` is a reference whose customer is not known yet."""

    scope: str
    key: str
    is_provisional: bool = False

    @classmethod
    def parse(cls, text: str) -> StreamId:
        """Reads a stored stream id. Raises `ValueError`."""
        found = _STREAM.fullmatch(text)
        if found is None:
            raise ValueError(f"not a stream id: {text!r}")
        return cls(found["scope"], found["key"], bool(found["provisional"]))

    def __str__(self) -> str:
        return f"{self.scope}|{'~' if self.is_provisional else ''}{self.key}"
