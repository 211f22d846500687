"""A processor's own figures: neutral records of its lists, its metrics and its exports, for `audit`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol

from processors.facts import SubscriptionState
from processors.money import Money


@dataclass(frozen=True, slots=True, kw_only=True)
class RevenueItem:
    """One payment, refund or dispute. `amount` is negative for money that went back.

    `key`: as in a revenue event's `transaction_id`. `object_id`: the listed object. `refs`: ids under which a webhook
    about it would be known.
    """

    key: str
    at: datetime
    amount: Money
    object_id: str
    customer_id: str | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """A payment belongs to an invoice: its revenue event may have the id of either."""

    payment: str
    invoice: str


class ChangeKind(StrEnum):
    """The name that an export gives a change of MRR, in the words of the console. `CHANGE`: it does not say.

    `START`: new, or a reactivation.
    """

    NEW = "new"
    REACTIVATION = "reactivation"
    UPGRADE = "upgrade"
    DOWNGRADE = "downgrade"
    CHURN = "churn"
    START = "start"
    CHANGE = "change"


@dataclass(frozen=True, slots=True, kw_only=True)
class MrrChange:
    """One change of MRR in an export. `at`: its exact time; None: the export states only the day.

    `local_day`: the day as the export states it, in the account's time zone; None: it states a time only.
    """

    customer_id: str
    amount: Money
    kind: ChangeKind = ChangeKind.CHANGE
    at: datetime | None = None
    local_day: date | None = None
    subscription_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DailyMrr:
    """The processor's own figure of the MRR at the end of a day, in UTC, in the currency of the merchant's balance."""

    day: date
    amount: Money


class Totals(Protocol):
    """The lists and metrics of a processor's API. Each call raises `ApiError`. `livemode`: of the key."""

    @property
    def livemode(self) -> bool: ...

    def revenue(self, since: datetime, until: datetime) -> Iterator[RevenueItem | Joined]:
        """Payments, refunds and disputes of a time span."""
        ...

    def subscriptions(self) -> Iterator[SubscriptionState]:
        """Every subscription that has not ended."""
        ...

    def daily_mrr(self, first: date, last: date) -> Iterator[DailyMrr]:
        """The processor's own MRR by day; nothing if it publishes none."""
        ...

    def event_of(self, object_id: str) -> bytes | None:
        """The body of a webhook about a listed object, for one that was missed too long ago; None: there is none."""
        ...
