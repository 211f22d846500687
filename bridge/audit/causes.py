"""The cause of each row that differs: a rule per cause, from the most to the least specific. Pure.

A rule names its cause only if the figures prove it: a discount must be as large as the difference, a day must be the
neighbour. Whatever no rule proves is unexplained.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, groupby, pairwise, product

from bridge.audit.records import ZERO, Cause, Coupon, Difference, Evidence, Flags, Items, Measure, Movements, Sent
from bridge.ledger.policy import ChurnAt
from processors.money import iso_digits

DAY = timedelta(days=1)
STARTS = {"new", "reactivation"}
MAX_AMOUNTS = 8  # of one day, of which every combination is tried
PAUSES = ("pause", "collection")
# Factors that others use for weeks and days, each with the ledger's own.
FACTORS: Mapping[str, tuple[Fraction, Sequence[Fraction]]] = {
    "week": (Fraction(52, 12), [Fraction(one) for one in ("4", "30/7", "4.33", "4.345", "4.35", "1461/336")]),
    "day": (Fraction(365, 12), [Fraction(one) for one in ("28", "30", "30.4", "30.42", "30.44", "31", "1461/48")]),
}
PER_MONTH = {
    "annual": Fraction(1, 12),
    "quarterly": Fraction(1, 3),
    "semiannual": Fraction(1, 6),
    "weekly": Fraction(52, 12),
    "daily": Fraction(365, 12),
}
UNITS = {"daily": "day", "weekly": "week"}
DETAILS = {
    Cause.TIME_ZONE: "the same amount on the neighbouring day: give the account's zone with --time-zone",
    Cause.CURRENCY: "the source states it in another currency",
    Cause.FRESHNESS: "the source does not reach to this day yet",
    Cause.CHURN_TIME: "counted when requested on one side, when it took effect on the other (CHURN_AT)",
    Cause.DISCOUNT: "exactly a discount (MRR_DISCOUNTS)",
    Cause.FACTOR: "another number of weeks or days in a month",
    Cause.PAUSED: "its collection is paused",
    Cause.BUCKET: "the same amount under another name: MOVEMENTS_BY decides",
    Cause.ESTIMATED: "a payload left something out (mrr_estimated)",
    Cause.MISSING: "a webhook about it is missing: run audit --repair",
    Cause.NOT_FORWARDED: "in the ledger, and not sent: test mode or a dry run",
    Cause.WAITING: "in the database, and not delivered yet",
    Cause.UNEXPLAINED: "no cause is known: please report it",
}

Lookup = Callable[[Sequence[str]], Sequence[Evidence]]  # of customers or subscriptions, in their order


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """The rules of an audit. `complete_until`: the last day that the source has in full."""

    complete_until: date
    churn_at: ChurnAt = ChurnAt.END


# ---- Revenue -------------------------------------------------------------------------------------------------------


def of_items(row: Items, rules: Rules, evidence: Evidence) -> Difference:
    """The cause of a payment, refund or dispute that differs."""
    return _of_item(row, _of_items(row, rules, evidence))


def _of_items(row: Items, rules: Rules, evidence: Evidence) -> Cause:
    if row.ledger == row.theirs:
        return _unsent(row.unsent)
    if not row.is_there and row.day > rules.complete_until:
        return Cause.FRESHNESS
    if row.is_there and abs(row.theirs) > abs(row.ledger):
        if evidence.unsettled:
            return Cause.WAITING
        if not row.is_here and evidence.money.isdisjoint(_ids_of(row)):
            return Cause.MISSING
    return Cause.UNEXPLAINED


def _ids_of(row: Items) -> Iterator[str]:
    """The ids of a payment or refund itself. The `refs` of a refund are those of its payment."""
    yield from (row.key, *row.object_ids, *(row.refs if row.theirs > 0 else ()))


def of_currency(row: Items) -> Difference:
    """The difference of a row whose money is in another currency on the other side."""
    return _of_item(row, Cause.CURRENCY)


def _of_item(row: Items, cause: Cause) -> Difference:
    found = _difference(Measure.REVENUE, row.key, row, cause)
    return replace(found, customer_id=row.customer_id, object_ids=row.object_ids)


def in_other_currency(row: Items, other: Items) -> bool:
    """Whether two rows are the same money in two currencies: ours in one, theirs in the other."""
    mine, theirs = (row, other) if row.is_here else (other, row)
    return (
        mine.is_here and theirs.is_there and not (mine.is_there or theirs.is_here) and mine.ledger * theirs.theirs > 0
    )


# ---- Movements -----------------------------------------------------------------------------------------------------


@dataclass(slots=True, kw_only=True)
class Timeline:
    """The rows of one customer or subscription in the order of their days, each with its cause once that is found.

    `opening`: the ledger's MRR before the first day, by currency; `seen`: what its events said of themselves.
    """

    key: str
    rows: list[Movements]
    opening: Mapping[str, Decimal] = field(default_factory=dict)
    seen: Mapping[str, Flags] = field(default_factory=dict)
    causes: dict[int, Cause] = field(default_factory=dict)

    def open_rows(self) -> list[int]:
        """The positions of the rows that differ and have no cause yet."""
        return [place for place, row in enumerate(self.rows) if row.gap and place not in self.causes]


def of_movements(lines: Sequence[Timeline], rules: Rules, lookup: Lookup) -> Iterator[Difference]:
    """The rows of several customers or subscriptions that differ, with their causes.

    Evidence is looked up for all of them at once, and only for those whose rows do not explain each other.
    """
    for line in lines:
        _currency(line)
        _time_zone(line)
    unclear = [line for line in lines if line.open_rows()]
    for line, evidence in zip(unclear, lookup([line.key for line in unclear]), strict=True):
        for rule in (_churn_time, _fresh, _levels):
            rule(line, rules, evidence)
    for line in lines:
        yield from (one for place, row in enumerate(line.rows) if (one := _finished(line, place, row)) is not None)


def _finished(line: Timeline, place: int, row: Movements) -> Difference | None:
    if row.gap:
        return _difference(Measure.MOVEMENTS, line.key, row, line.causes.get(place, Cause.UNEXPLAINED))
    if row.ours != row.theirs:
        return _difference(Measure.MOVEMENTS, line.key, row, _unsent(row.unsent))
    if not _kinds_differ(row):
        return None
    # Within one subscription there is nothing to put into another bucket.
    several = len({one for each in line.rows for one in each.flags.subscriptions}) > 1
    cause = line.causes.get(place) or (Cause.BUCKET if several else Cause.UNEXPLAINED)
    words = f"{next(iter(row.flags.kinds))} here, {next(iter(row.their_kinds))} there"
    return replace(_difference(Measure.MOVEMENTS, line.key, row, cause), detail=f"{words}; {DETAILS[Cause.BUCKET]}")


def _kinds_differ(row: Movements) -> bool:
    """Whether one movement is called differently. Of several on one day only the sum is compared."""
    ours, theirs = row.flags.kinds, row.their_kinds - {"change"}
    if theirs == {"start"} and ours <= STARTS:
        return False
    return len(ours) == len(theirs) == 1 and ours != theirs


def _currency(line: Timeline) -> None:
    for _, places in groupby(line.open_rows(), key=lambda place: line.rows[place].day):
        for place, other in combinations(list(places), 2):
            row, found = sorted((line.rows[place], line.rows[other]), key=lambda one: one.ledger == 0)
            if row.currency != found.currency and not row.theirs and not found.ledger and row.ledger * found.theirs > 0:
                line.causes |= {place: Cause.CURRENCY, other: Cause.CURRENCY}


def _time_zone(line: Timeline) -> None:
    """Rows of consecutive days whose gaps cancel: each movement is on the neighbouring day on the other side.

    A day between them may have no gap: the same amount has left it and has come to it.
    """
    for currency in {row.currency for row in line.rows}:
        run: list[int] = []
        left = ZERO
        for place, row in enumerate(line.rows):
            if row.currency != currency or place in line.causes:
                continue
            if run and row.day - line.rows[run[-1]].day != DAY:
                run, left = [], ZERO
            if not run and not row.gap:
                continue
            run.append(place)
            left += row.gap
            if len(run) > 1 and not left:
                if _are_moved([line.rows[one] for one in run]):
                    line.causes |= dict.fromkeys(run, Cause.TIME_ZONE)
                run = []


def _are_moved(rows: Sequence[Movements]) -> bool:
    """Whether whole movements are on the next or the previous day on the other side.

    Otherwise the gaps cancel by chance: a subscription that begins on one day and ends on the next is worth less
    there. What one side alone has was not moved to another day either.
    """
    left = ZERO
    for row, after in pairwise(rows):
        left += row.gap
        later = _partial_sums(row.amounts) | _partial_sums(after.their_amounts)
        if left not in later and -left not in _partial_sums(after.amounts) | _partial_sums(row.their_amounts):
            return False
    return any(row.ledger for row in rows) and any(row.theirs for row in rows)


def _partial_sums(amounts: Sequence[Decimal]) -> set[Decimal]:
    """The sums of some of the amounts; of many, of the first and the last ones."""
    sums = {ZERO}
    if len(amounts) > MAX_AMOUNTS:
        return {sum(part, ZERO) for cut in range(len(amounts)) for part in (amounts[:cut], amounts[cut:])}
    for one in amounts:
        sums |= {each + one for each in sums}
    return sums


def _churn_time(line: Timeline, rules: Rules, evidence: Evidence) -> None:
    """A churn on two days: theirs at the request is earlier than ours at the end, and the reverse."""
    sooner_there = rules.churn_at is ChurnAt.END

    def fits(here: Movements, there: Movements) -> bool:
        is_churn = here.ledger < 0 and "churn" in here.flags.kinds and there.their_kinds <= {"churn", "change"}
        return is_churn and there.theirs < 0 and (there.day < here.day) is sooner_there

    _pair(line, Cause.CHURN_TIME, fits)
    for place in line.open_rows():
        row = line.rows[place]
        is_theirs = sooner_there and evidence.ends_later and row.theirs < 0 and not row.ledger
        is_ours = not sooner_there and row.ledger < 0 and not row.theirs and "churn" in row.flags.kinds
        if is_theirs or (is_ours and "cancellation_requested" in row.flags.reasons):
            line.causes[place] = Cause.CHURN_TIME


def _pair(line: Timeline, cause: Cause, fits: Callable[[Movements, Movements], bool]) -> None:
    """Gives a cause to each two rows whose gaps cancel and that fit."""
    by_gap: dict[tuple[str, Decimal], list[int]] = {}
    for place in line.open_rows():
        by_gap.setdefault((line.rows[place].currency, line.rows[place].gap), []).append(place)
    for (currency, gap), places in by_gap.items():
        others = by_gap.get((currency, -gap), ()) if gap < 0 else ()
        for place, other in product(places, others):
            if not {place, other} & line.causes.keys() and fits(line.rows[place], line.rows[other]):
                line.causes |= {place: cause, other: cause}


def _fresh(line: Timeline, rules: Rules, evidence: Evidence) -> None:
    for place in line.open_rows():
        if line.rows[place].day > rules.complete_until and not line.rows[place].theirs:
            line.causes[place] = Cause.FRESHNESS


def _levels(line: Timeline, rules: Rules, evidence: Evidence) -> None:
    """Causes that show in the level, before or after a row: a discount, a factor, a pause, an estimate."""
    ours, theirs = dict(line.opening), dict(line.opening)
    seen = dict(line.seen)
    before: dict[str, Cause | None] = {}
    for place, row in enumerate(line.rows):
        code = row.currency
        seen[code] = seen[code] | row.flags if code in seen else row.flags
        ours[code] = ours.get(code, ZERO) + row.ledger
        theirs[code] = theirs.get(code, ZERO) + (row.ledger if place in line.causes else row.theirs)
        after = level_cause(ours[code], theirs[code], code, seen[code], evidence)
        if row.gap and place not in line.causes:
            found = after or (before.get(code) if ours[code] == theirs[code] else None)
            line.causes[place] = found or _missing(row, evidence)
            if found is None:
                theirs[code] += row.gap  # it is the cause of this row only, and not of later ones
        before[code] = after if ours[code] != theirs[code] else None


def level_cause(ours: Decimal, theirs: Decimal, currency: str, flags: Flags, evidence: Evidence) -> Cause | None:
    """The cause of two levels that differ; None: they do not, or it is not known."""
    if ours == theirs:
        return None
    if _is_paused(ours, theirs, flags, evidence):
        return Cause.PAUSED
    units = {UNITS.get(one) or next((unit for unit in FACTORS if unit in one), "") for one in flags.intervals}
    if any(_is_factor(ours, theirs, currency, unit) for unit in units & set(FACTORS)):
        return Cause.FACTOR
    periods = {PER_MONTH.get(one, Fraction(1)) for one in flags.intervals} or {Fraction(1)}
    coupons = [evidence.coupons[one] for one in flags.coupons if one in evidence.coupons]
    if any(_is_discount(ours, theirs, currency, one, periods) for one in coupons):
        return Cause.DISCOUNT
    return Cause.ESTIMATED if flags.is_estimated else None


def _is_paused(ours: Decimal, theirs: Decimal, flags: Flags, evidence: Evidence) -> bool:
    named = any(word in reason for reason in flags.reasons for word in PAUSES)
    return (not ours or not theirs) and (named or evidence.stopped_collecting)


def _is_factor(ours: Decimal, theirs: Decimal, currency: str, unit: str) -> bool:
    own, others = FACTORS[unit]
    one, two = Fraction(ours), Fraction(theirs)
    return any(
        _is_close(two, one / own * other, currency) or _is_close(one, two / own * other, currency) for other in others
    )


def _is_discount(ours: Decimal, theirs: Decimal, currency: str, coupon: Coupon, periods: Iterable[Fraction]) -> bool:
    less, more = sorted((ours, theirs))
    if coupon.share and _is_close(less, Fraction(more) * (1 - Fraction(coupon.share)), currency):
        return True
    off = [Fraction(coupon.amounts.get(currency, ZERO)) * one for one in periods]
    return any(one and (_is_close(more - less, one, currency) or (not less and more <= one)) for one in off)


def _is_close(amount: Decimal | Fraction, exact: Fraction, currency: str) -> bool:
    """Whether an amount is the exact one within a minor unit."""
    return abs(Fraction(amount) - exact) <= Fraction(1, 10 ** iso_digits(currency))


def _missing(row: Movements, evidence: Evidence) -> Cause:
    if not row.theirs:
        return Cause.UNEXPLAINED
    if evidence.webhook_days is None:
        return Cause.MISSING
    if evidence.unsettled:
        return Cause.WAITING
    near = {row.day - DAY, row.day, row.day + DAY}
    return Cause.UNEXPLAINED if row.ledger or near & evidence.webhook_days else Cause.MISSING


# ---- Shared --------------------------------------------------------------------------------------------------------


def _unsent(found: Iterable[Sent]) -> Cause:
    states = set(found)
    if Sent.WAITING in states:
        return Cause.WAITING
    return Cause.NOT_FORWARDED if Sent.NOT_FORWARDED in states else Cause.UNEXPLAINED


def _difference(measure: Measure, key: str, row: Items | Movements, cause: Cause) -> Difference:
    return Difference(
        measure=measure, day=row.day, currency=row.currency, key=key, ours=row.ours, theirs=row.theirs, cause=cause,
        detail=DETAILS[cause],
    )  # fmt: skip
