"""The ledger: one customer's facts become that customer's state and revenue events. Pure: values in, values out."""

from bridge.ledger.events import RevenueEvent
from bridge.ledger.policy import Policy
from bridge.ledger.settlement import Settlement, settle
from bridge.ledger.state import EMPTY, State

__all__ = ["EMPTY", "Policy", "RevenueEvent", "Settlement", "State", "settle"]
