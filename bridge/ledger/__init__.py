"""The ledger: one customer's facts become that customer's state and revenue events. Pure: values in, values out."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bridge.ledger.events import RevenueEvent
    from bridge.ledger.policy import Policy
    from bridge.ledger.settlement import Settlement, settle
    from bridge.ledger.state import EMPTY, State

__all__ = ["EMPTY", "Policy", "RevenueEvent", "Settlement", "State", "settle"]
PLACES = {"EMPTY": "state", "Policy": "policy", "RevenueEvent": "events", "Settlement": "settlement", "State": "state",
          "settle": "settlement"}  # fmt: skip


def __getattr__(name: str) -> object:
    """Imports a module when one of its names is first used: the settings need `policy` alone."""
    if name not in PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{PLACES[name]}"), name)
