"""The MRR by day that a processor publishes, against ours, with the cause of each day that differs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction

from bridge.audit.causes import DETAILS, PER_MONTH, STARTS
from bridge.audit.records import ZERO, Cause, Coupon, Difference, Flags, Measure
from bridge.ledger.policy import ChurnAt
from processors.money import iso_digits, major, round_minor
from processors.totals import DailyMrr

DAY = timedelta(days=1)
MAX_SUMS = 2000  # of the amounts that are tried for one day


@dataclass(slots=True)
class Changes:
    """The changes of MRR as they are read, added up by day and currency. `ends`: those that ended a subscription."""

    by_day: dict[tuple[date, str], Decimal] = field(default_factory=dict)
    ends: dict[tuple[date, str], list[Decimal]] = field(default_factory=dict)

    def add(self, day: date, currency: str, change: Decimal, *, is_end: bool) -> None:
        """Adds one change."""
        self.by_day[day, currency] = self.by_day.get((day, currency), ZERO) + change
        if is_end:
            self.ends.setdefault((day, currency), []).append(-change)


@dataclass(frozen=True, slots=True, kw_only=True)
class OurDays:
    """Our MRR by day: what each day changed, and `baselines`, the MRR from before the bridge, by currency.

    `ends`: what each subscription that ended had been worth, by day and currency. `undiscounted`: the same as if no
    discount lowered MRR, without baselines; None: none does.
    """

    changes: Mapping[tuple[date, str], Decimal]
    baselines: Mapping[str, Decimal] = field(default_factory=dict)
    ends: Mapping[tuple[date, str], Sequence[Decimal]] = field(default_factory=dict)
    undiscounted: OurDays | None = None

    def at(self, day: date, currency: str) -> Decimal:
        """The MRR at the end of a day."""
        changed = sum((one for (at, code), one in self.changes.items() if at <= day and code == currency), ZERO)
        return changed + self.baselines.get(currency, ZERO)

    def others(self, day: date, currency: str) -> bool:
        """Whether there is MRR in another currency, which the processor's figure contains converted."""
        codes = {code for _, code in self.changes} | set(self.baselines)
        return any(self.at(day, code) for code in codes if code != currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The changes of the present level of a currency under other settings.

    `sums`: by how much another setting changes it, with its cause; `discounts`: by how much discounts lower it;
    `leaving`: the MRR of each subscription that is scheduled to end, and counts until then, `leaving_undiscounted`:
    the same without discounts.
    """

    sums: Mapping[Decimal, Cause] = field(default_factory=dict)
    discounts: Decimal = ZERO
    leaving: Sequence[Decimal] = ()
    leaving_undiscounted: Sequence[Decimal] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """One day. `difference` None: both sides agree."""

    day: date
    currency: str
    ours: Decimal
    theirs: Decimal
    difference: Difference | None = None


def compare(
    listed: Iterable[DailyMrr], ours: OurDays, today: date, settings: Mapping[str, Settings], churn_at: ChurnAt
) -> Iterator[Compared]:
    """Each day of the processor's figures, which are in one currency."""
    days = sorted(listed, key=lambda one: one.day)
    code = next((one.amount.currency.code for one in days), "")
    levels = {one.day: (ours.at(one.day, code), major(one.amount)) for one in days}
    theirs = {day: amount for day, (_, amount) in levels.items() if day < today - DAY}
    known = _explained(theirs, ours, code, settings.get(code, Settings()), churn_at)
    for day, (mine, amount) in levels.items():
        cause = Cause.FRESHNESS if day not in theirs else known.get(day, Cause.UNEXPLAINED)
        if mine != amount and ours.others(day, code):
            cause = Cause.CURRENCY
        difference = None if mine == amount else _difference(day, code, mine, amount, cause)
        yield Compared(day=day, currency=code, ours=mine, theirs=amount, difference=difference)


def _explained(
    theirs: Mapping[date, Decimal], ours: OurDays, code: str, settings: Settings, churn_at: ChurnAt
) -> dict[date, Cause]:
    """The cause of each day that another setting explains: of the present sums, of the ends, of discounts with them."""
    gaps = {day: ours.at(day, code) - amount for day, amount in theirs.items()}
    found: dict[date, Cause] = {}
    if ours.undiscounted is not None:
        full = _anchored(ours, ours.undiscounted, code, settings.discounts)
        full_gaps = {day: full.at(day, code) - amount for day, amount in theirs.items()}
        requested = _between_request_and_end(full_gaps, full, code, settings.leaving_undiscounted, churn_at)
        found |= {day: Cause.DISCOUNT for day, gap in full_gaps.items() if not gap or day in requested}
    found |= dict.fromkeys(_between_request_and_end(gaps, ours, code, settings.leaving, churn_at), Cause.CHURN_TIME)
    return found | {day: settings.sums[-gap] for day, gap in gaps.items() if -gap in settings.sums}


def _anchored(ours: OurDays, undiscounted: OurDays, code: str, discounts: Decimal) -> OurDays:
    """The undiscounted days, so that their last level is the present one without discounts."""
    level = ours.at(date.max, code) + discounts
    return replace(undiscounted, baselines={code: level - undiscounted.at(date.max, code)})


def undiscounted(change: Decimal, currency: str, flags: Flags, coupons: Mapping[str, Coupon]) -> Decimal:
    """A change of MRR as it would be without its coupon, to the minor unit."""
    exact, digits = Fraction(change), iso_digits(currency)
    period = next((PER_MONTH[one] for one in flags.intervals if one in PER_MONTH), Fraction(1))
    for coupon in (coupons[one] for one in flags.coupons if one in coupons):
        off = Fraction(coupon.amounts.get(currency, ZERO)) * period
        if coupon.share < 1:
            exact /= 1 - Fraction(coupon.share)
        if flags.kinds & (STARTS | {"churn"}):
            exact += off if change > 0 else -off
    return Decimal(round_minor(exact * 10**digits)).scaleb(-digits)


def _difference(day: date, code: str, ours: Decimal, theirs: Decimal, cause: Cause) -> Difference:
    return Difference(
        measure=Measure.MRR, day=day, currency=code, key="", ours=ours, theirs=theirs, cause=cause,
        detail=DETAILS[cause],
    )  # fmt: skip


# ---- Cancellations that one side counts at their request and the other at their end ---------------------------------


def _between_request_and_end(
    gaps: Mapping[date, Decimal], ours: OurDays, code: str, leaving: Sequence[Decimal], churn_at: ChurnAt
) -> set[date]:
    """The days whose gap is exactly the MRR of subscriptions between their request and their end.

    Our side has one of the two days. The other one is where the gap changes by that amount: with `CHURN_AT=end` the
    days are read backwards from the ends, with `request` forwards from the requests.
    """
    is_back = churn_at is ChurnAt.END
    first = min(gaps, default=date.max)
    own = sorted((day, one) for (day, each), listed in ours.ends.items() if each == code for one in listed)
    waiting = own[:] if is_back else [one for one in reversed(own) if one[0] >= first]
    counted = Counter(leaving if is_back else ())
    found: set[date] = set()
    for day in sorted(gaps, reverse=is_back):
        while waiting and (waiting[-1][0] > day if is_back else waiting[-1][0] <= day):
            counted[waiting.pop()[1]] += 1
        gap = gaps[day] if is_back else -gaps[day]
        gone = _smallest(counted, _sum(counted) - gap)
        if gone is not None:
            counted -= gone
            found |= {day} if gap else set()
    return found


def _sum(amounts: Counter[Decimal]) -> Decimal:
    return sum((amount * count for amount, count in amounts.items()), ZERO)


def _smallest(amounts: Counter[Decimal], total: Decimal) -> Counter[Decimal] | None:
    """The fewest of the amounts that add up to a total; None: none do, or too many would have to be tried."""
    if total < 0:
        return None
    sums: dict[Decimal, tuple[Decimal, ...]] = {ZERO: ()}
    for amount in amounts.elements():
        for reached, chosen in list(sums.items()):
            more = reached + amount
            if more <= total and len(chosen) + 1 < len(sums.get(more, (*chosen, amount, amount))):
                sums[more] = (*chosen, amount)
        if len(sums) > MAX_SUMS:
            return None
    return Counter(sums[total]) if total in sums else None
