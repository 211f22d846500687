"""The MRR by day that a processor publishes, against ours, with the cause of each day that differs. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal

from bridge.audit.causes import DETAILS
from bridge.audit.records import ZERO, Cause, Difference, Measure
from bridge.ledger.policy import ChurnAt
from processors.money import major
from processors.totals import DailyMrr

DAY = timedelta(days=1)
MAX_SUMS = 2000  # of the amounts that are tried for one day


@dataclass(frozen=True, slots=True, kw_only=True)
class OurDays:
    """Our MRR by day: what each day changed, and `baselines`, the MRR from before the bridge, by currency.

    `ends`: what each subscription that ended had been worth, by day and currency.
    """

    changes: Mapping[tuple[date, str], Decimal]
    baselines: Mapping[str, Decimal] = field(default_factory=dict)
    ends: Mapping[tuple[date, str], Sequence[Decimal]] = field(default_factory=dict)

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

    `sums`: by how much another setting changes it, with its cause; `leaving`: the MRR of each subscription that is
    scheduled to end, and counts until then.
    """

    sums: Mapping[Decimal, Cause] = field(default_factory=dict)
    leaving: Sequence[Decimal] = ()


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
    chosen = settings.get(code, Settings())
    levels = {one.day: (ours.at(one.day, code), major(one.amount)) for one in days}
    is_late = {day: day >= today - DAY for day in levels}
    gaps = {day: mine - theirs for day, (mine, theirs) in levels.items() if not is_late[day]}
    requested = _between_request_and_end(gaps, ours, code, chosen.leaving, churn_at)
    for day, (mine, theirs) in levels.items():
        cause = Cause.FRESHNESS if is_late[day] else chosen.sums.get(theirs - mine, Cause.UNEXPLAINED)
        if cause is Cause.UNEXPLAINED and day in requested:
            cause = Cause.CHURN_TIME
        if mine != theirs and ours.others(day, code):
            cause = Cause.CURRENCY
        difference = None if mine == theirs else _difference(day, code, mine, theirs, cause)
        yield Compared(day=day, currency=code, ours=mine, theirs=theirs, difference=difference)


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
