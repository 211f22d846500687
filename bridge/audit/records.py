"""The values of a comparison: what is compared, the causes of a difference, and the result. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from processors.facts import Duration
from processors.money import iso_digits

ZERO = Decimal()


def rounded(amount: Decimal, currency: str) -> Decimal:
    """The amount with all digits of its currency: 28.50, not 28.5. More digits are kept."""
    whole = amount.quantize(Decimal(1).scaleb(-iso_digits(currency)))
    return whole if whole == amount else amount


class Measure(StrEnum):
    """A figure that both sides have."""

    REVENUE = "revenue"
    MRR = "mrr"
    MOVEMENTS = "movements"


class Cause(StrEnum):
    """Why a row differs."""

    TIME_ZONE = "time zone of the day"
    CURRENCY = "currency conversion"
    FRESHNESS = "freshness of the source"
    CHURN_TIME = "churn time setting"
    DISCOUNT = "discount setting"
    FACTOR = "week or day factor"
    PAUSED = "paused collection"
    BUCKET = "bucket by customer"
    ESTIMATED = "estimated here"
    MISSING = "webhook missing here"
    NOT_FORWARDED = "not forwarded"
    WAITING = "held, pending or rejected here"
    UNEXPLAINED = "unexplained"


class Sent(StrEnum):
    """The state of a revenue event's delivery."""

    DELIVERED = "delivered"
    WAITING = "waiting"  # held, pending, rejected or dropped
    NOT_FORWARDED = "not_forwarded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A row that differs, in major units. `ours`: what Pulsora has; `key`: a transaction, customer or subscription.

    `day` None: the present level. `detail`: what makes the cause certain, or what to do.
    """

    measure: Measure
    day: date | None
    currency: str
    key: str
    ours: Decimal
    theirs: Decimal
    cause: Cause
    detail: str = ""
    customer_id: str = ""  # if the processor states it
    object_ids: tuple[str, ...] = ()  # at the processor, for `--repair`

    @property
    def amount(self) -> Decimal:
        """The difference: ours less theirs."""
        return self.ours - self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class DayTotal:
    """Both sides of one day and currency. `day` None: the present level."""

    measure: Measure
    day: date | None
    currency: str
    ours: Decimal
    theirs: Decimal

    @property
    def amount(self) -> Decimal:
        """The difference: ours less theirs."""
        return self.ours - self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Flags:
    """Properties of our revenue events of a row."""

    kinds: frozenset[str] = frozenset()
    coupons: frozenset[str] = frozenset()
    intervals: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()
    subscriptions: frozenset[str] = frozenset()
    is_estimated: bool = False

    def __or__(self, other: Flags) -> Flags:
        return Flags(
            kinds=self.kinds | other.kinds,
            coupons=self.coupons | other.coupons,
            intervals=self.intervals | other.intervals,
            reasons=self.reasons | other.reasons,
            subscriptions=self.subscriptions | other.subscriptions,
            is_estimated=self.is_estimated or other.is_estimated,
        )


NO_FLAGS = Flags()


@dataclass(frozen=True, slots=True, kw_only=True)
class Movements:
    """The movements of one customer or subscription on one day. `ledger`: ours, whether delivered or not.

    `amounts`, `their_amounts`: of each single movement.
    """

    day: date
    currency: str
    ours: Decimal = ZERO
    ledger: Decimal = ZERO
    theirs: Decimal = ZERO
    amounts: tuple[Decimal, ...] = ()
    their_amounts: tuple[Decimal, ...] = ()
    their_kinds: frozenset[str] = frozenset()
    flags: Flags = NO_FLAGS
    unsent: frozenset[Sent] = frozenset()

    @property
    def gap(self) -> Decimal:
        """The ledger's amount less the processor's."""
        return self.ledger - self.theirs


@dataclass(frozen=True, slots=True, kw_only=True)
class Items:
    """The revenue of one invoice, payment, refund or dispute. `refs`: the processor's ids of it."""

    key: str
    currency: str
    day: date
    ours: Decimal = ZERO
    ledger: Decimal = ZERO
    theirs: Decimal = ZERO
    is_here: bool = False
    is_there: bool = False
    customer_id: str = ""
    refs: tuple[str, ...] = ()
    object_ids: tuple[str, ...] = ()
    unsent: frozenset[Sent] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Coupon:
    """The discount of a coupon: a share, or an amount by currency in major units. `duration`: how long, if stated."""

    duration: Duration | None = None
    share: Decimal = ZERO
    amounts: Mapping[str, Decimal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """The stored data of the customer of a differing row, looked up for differing rows only.

    `webhook_days`: the days of its stored webhooks, in UTC; None: it is not known here at all.
    `unsettled`: how many of them are not settled, or failed. `ends_later`: a cancellation is scheduled.
    `money`: the ids of the payments, paid invoices and refunds that its ledger knows.
    """

    webhook_days: frozenset[date] | None = None
    unsettled: int = 0
    ends_later: bool = False
    stopped_collecting: bool = False
    money: frozenset[str] = frozenset()
    coupons: Mapping[str, Coupon] = field(default_factory=dict)


NOTHING_KNOWN = Evidence()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The result. `compared`: rows of either side; `differences`: at most the first thousand, `counts` has all."""

    source: str
    livemode: bool
    against: str
    first: date
    last: date
    time_zone: str
    at: datetime
    compared: int = 0
    days: tuple[DayTotal, ...] = ()
    differences: tuple[Difference, ...] = ()
    counts: Mapping[Cause, int] = field(default_factory=dict)

    @property
    def differing(self) -> int:
        """How many rows differ."""
        return sum(self.counts.values())

    @property
    def unexplained(self) -> int:
        """How many of them have no known cause."""
        return self.counts.get(Cause.UNEXPLAINED, 0)
