"""The errors of the bridge, each a sentence that says what is wrong, where, and what to do.

BridgeError
├── SettingsError      one or more settings are missing or wrong; carries every problem at once
├── StoreUnavailable   nothing could be stored just now; the processor is told to come back (503)
├── SchemaBehind       the database has an older or newer schema than this program
└── WrongUsage         a command was given something that does not exist or does not fit
"""

from __future__ import annotations

from collections.abc import Sequence


class BridgeError(Exception):
    """Something the operator can mend; the message says how."""


class SettingsError(BridgeError):
    """The settings cannot be used. `problems`: one sentence for each, all found at once."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class StoreUnavailable(BridgeError):
    """The store cannot take anything just now; nothing was stored. `retry_after_seconds`: when to come back."""

    def __init__(self, message: str, retry_after_seconds: int = 5) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class SchemaBehind(BridgeError):
    """The database's schema does not fit this program. Run `pulsora-bridge migrate`."""


class WrongUsage(BridgeError):
    """What was asked for does not exist, or does not fit."""
