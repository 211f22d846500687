"""An independent calculation of a merchant's revenue, in minor units, that the ledger must match."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

PER_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}  # periods of one unit
COUNTED = frozenset({"active", "past_due"})


@dataclass(frozen=True, kw_only=True)
class ReferenceCoupon:
    """A coupon on a subscription: a percentage or a number of minor units off each invoice, until `ends_at`.

    `product`: the only one that it comes off, if any.
    """

    percent: int = 0
    minor: int = 0
    product: str | None = None
    duration: str = "forever"
    ends_at: datetime | None = None

    def is_subtracted(self, at: datetime, which: str) -> bool:
        """Whether it lowers MRR at that time, for a merchant who subtracts `which`: forever, recurring or none."""
        if which == "none" or self.duration == "once":
            return False
        if self.duration == "forever":
            return True
        return which == "recurring" and (self.ends_at is None or at < self.ends_at)


@dataclass(frozen=True, kw_only=True)
class ReferenceItem:
    """So many seats of one product: `period` minor units in `count` units of time, with `tax` percent of tax inside."""

    product: str
    seats: int
    period: int
    unit: str
    count: int = 1
    tax: int = 0

    def invoiced(self, coupon: ReferenceCoupon | None) -> int:
        """Its invoice line for one period, less the coupon if it comes off this product."""
        if coupon is None or coupon.product not in (None, self.product):
            return self.period
        off = int(Fraction(self.period * coupon.percent, 100) + Fraction(1, 2)) + coupon.minor
        return max(0, self.period - off)

    def monthly(self, coupon: ReferenceCoupon | None) -> Fraction:
        """Its exact MRR, after a coupon if it comes off this product."""
        period = Fraction(self.period)
        if coupon is not None and coupon.product in (None, self.product):
            period = max(Fraction(0), period * (100 - coupon.percent) / 100 - coupon.minor)
        return period * 100 / (100 + self.tax) * PER_YEAR[self.unit] / (12 * self.count)


@dataclass(kw_only=True)
class ReferenceSubscription:
    """The true state of a subscription: what it sells, the main item first."""

    items: list[ReferenceItem]
    status: str
    coupon: ReferenceCoupon | None = None
    is_leaving: bool = False
    mrr: int = 0

    def monthly(self, at: datetime, discounts: str, leaving_counts: bool, coupon: ReferenceCoupon | None) -> int:
        """Its MRR in whole minor units, when this coupon applies."""
        if self.status not in COUNTED or (self.is_leaving and not leaving_counts):
            return 0
        is_reduced = coupon is not None and coupon.is_subtracted(at, discounts)
        exact = sum((item.monthly(coupon if is_reduced else None) for item in self.items), Fraction(0))
        return int(exact + Fraction(1, 2))  # never below 0, so that this rounds halves up


@dataclass(kw_only=True)
class ReferenceLedger:
    """One customer's true totals: money by kind, and MRR movements by kind.

    `coupon`: the customer's, which applies to subscriptions without one.
    """

    discounts: str
    leaving_counts: bool
    coupon: ReferenceCoupon | None = None
    subscriptions: dict[str, ReferenceSubscription] = field(default_factory=dict)
    money: int = 0
    bought: int = 0  # number of payments outside subscriptions, including reversed refunds
    billed: int = 0  # number of payments of subscriptions, including reversed refunds
    refunds: int = 0  # number of refunds and disputes
    moves: Counter[str] = field(default_factory=Counter)

    @property
    def mrr(self) -> int:
        """The MRR of all subscriptions."""
        return sum(sold.mrr for sold in self.subscriptions.values())

    def coupon_of(self, sold: ReferenceSubscription) -> ReferenceCoupon | None:
        """The coupon that applies to a subscription."""
        return sold.coupon or self.coupon

    def subscription_changed(self, name: str, at: datetime) -> None:
        """Updates the MRR after a change, and counts the movement."""
        sold = self.subscriptions[name]
        before, sold.mrr = sold.mrr, sold.monthly(at, self.discounts, self.leaving_counts, self.coupon_of(sold))
        if before == sold.mrr:
            return
        if sold.mrr == 0:
            self.moves["churn"] += 1
        elif before == 0:
            self.moves["subscription"] += 1
        else:
            self.moves["upgrade" if sold.mrr > before else "downgrade"] += 1

    def received(self, minor: int, *, of_subscription: bool) -> None:
        """Counts a payment."""
        self.money += minor
        self.billed += of_subscription
        self.bought += not of_subscription

    def refunded(self, minor: int) -> None:
        """Counts a refund."""
        self.money -= minor
        self.refunds += 1
