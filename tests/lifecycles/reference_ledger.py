"""What a merchant truly earns, in minor units and by arithmetic of its own: what the ledger must add up to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction

PER_YEAR = {"day": 365, "week": 52, "month": 12, "year": 1}  # periods of one unit
COUNTED = frozenset({"active", "past_due"})


@dataclass(frozen=True, kw_only=True)
class Cut:
    """A coupon on a subscription: so much percent, or so many minor units off each invoice, until `ends_at`."""

    percent: int = 0
    minor: int = 0
    lasts: str = "forever"
    ends_at: datetime | None = None

    def lowers_mrr(self, at: datetime, which: str) -> bool:
        """Whether it is subtracted at that moment, for a merchant who subtracts `which`: forever, recurring, none."""
        if which == "none" or self.lasts == "once":
            return False
        if self.lasts == "forever":
            return True
        return which == "recurring" and (self.ends_at is None or at < self.ends_at)


@dataclass(kw_only=True)
class Sold:
    """A subscription as it truly stands."""

    minor: int
    unit: str
    count: int
    seats: int
    status: str
    cut: Cut | None = None
    is_leaving: bool = False
    mrr: int = 0

    def monthly(self, at: datetime, discounts: str, leaving_counts: bool) -> int:
        """What it is worth a month, in whole minor units."""
        if self.status not in COUNTED or (self.is_leaving and not leaving_counts):
            return 0
        period = Fraction(self.minor * self.seats)
        if self.cut is not None and self.cut.lowers_mrr(at, discounts):
            period = max(Fraction(0), period * (100 - self.cut.percent) / 100 - self.cut.minor)
        exact = period * PER_YEAR[self.unit] / (12 * self.count)
        return int(exact + Fraction(1, 2))  # never below 0, so that this rounds halves up


@dataclass(kw_only=True)
class Books:
    """One customer's true books: money by kind, and movements of MRR by kind."""

    discounts: str
    leaving_counts: bool
    subscriptions: dict[str, Sold] = field(default_factory=dict)
    money: int = 0
    bought: int = 0  # payments outside subscriptions, and what came back of them
    billed: int = 0  # payments of subscriptions, and what came back of them
    given_back: int = 0  # refunds and disputes
    moves: Counter[str] = field(default_factory=Counter)

    @property
    def mrr(self) -> int:
        """All that recurs, a month."""
        return sum(sold.mrr for sold in self.subscriptions.values())

    def stands(self, name: str, at: datetime) -> None:
        """Stripe told how a subscription stands: its MRR moves, or not."""
        sold = self.subscriptions[name]
        before, sold.mrr = sold.mrr, sold.monthly(at, self.discounts, self.leaving_counts)
        if before == sold.mrr:
            return
        if sold.mrr == 0:
            self.moves["churn"] += 1
        elif before == 0:
            self.moves["subscription"] += 1
        else:
            self.moves["upgrade" if sold.mrr > before else "downgrade"] += 1

    def received(self, minor: int, *, of_subscription: bool) -> None:
        """Money came in."""
        self.money += minor
        self.billed += of_subscription
        self.bought += not of_subscription

    def gave(self, minor: int) -> None:
        """Money went back."""
        self.money -= minor
        self.given_back += 1
