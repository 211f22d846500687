"""The errors of the bridge. Each message says what is wrong, where, and how to fix it.

BridgeError
├── SettingsError      settings are missing or invalid; carries every problem found
├── StoreUnavailable   nothing was stored; the web application responds 503 with Retry-After
│   └── Deadlock       the database undid one of two transactions that waited for each other; repeat it
├── SchemaMismatch     the database's schema is older or newer than this program
└── UsageError         a command or setting names something that does not exist or does not fit
"""

from __future__ import annotations

from collections.abc import Sequence


class BridgeError(Exception):
    """An error that the operator can fix; the message says how."""


class SettingsError(BridgeError):
    """The settings are invalid. `problems`: one sentence each, all found in one pass."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StoreUnavailable(BridgeError):
    """The store cannot be read or written at present; nothing was stored. `retry_after_seconds`: for the client."""

    def __init__(self, message: str, retry_after_seconds: int = 5) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class Deadlock(StoreUnavailable):
    """The database undid this transaction, because it and another one waited for each other. To be repeated."""


class SchemaMismatch(BridgeError):
    """The database's schema does not match this program. Fixed by `pulsora-bridge migrate`, or a newer program."""


class UsageError(BridgeError):
    """A command or setting names something that does not exist or does not fit."""
