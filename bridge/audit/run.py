"""One audit: both sides are read into the spool, compared in the order of their keys, and added up by day."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from itertools import groupby, islice
from operator import itemgetter
from typing import TypeVar
from zoneinfo import ZoneInfo

from bridge.audit import causes
from bridge.audit.causes import Rules, Timeline
from bridge.audit.daily import Changes, OurDays, Settings, compare, undiscounted
from bridge.audit.evidence import Archive
from bridge.audit.levels import Levels
from bridge.audit.loading import (
    MARGIN,
    OPENING,
    Span,
    load_changes,
    load_levels,
    load_ours,
    load_revenue,
    read_flags,
    unscaled,
)
from bridge.audit.records import (
    NO_FLAGS,
    ZERO,
    Cause,
    Coupon,
    DayTotal,
    Difference,
    Flags,
    Items,
    Measure,
    Movements,
    Report,
    Sent,
    rounded,
)
from bridge.formatting import currency_order
from bridge.ledger.policy import AmountBasis, MovementsBy
from bridge.scope import Scope
from bridge.settings import Source
from bridge.store import Store
from bridge.store.audit_spool import Row, Spool, opened_spool
from bridge.store.daily_sums import day_of
from bridge.store.schema import EPOCH, MICROSECOND
from processors.totals import DailyMrr, MrrChange, Totals

T = TypeVar("T")
MAX_DIFFERENCES = 1000
BATCH = 500  # rows, or timelines, whose evidence is looked up together
IN_FLIGHT = timedelta(minutes=10)  # younger objects may not have their webhook yet


class Against(StrEnum):
    """The other side."""

    API = "api"
    STRIPE_CSV = "stripe-csv"
    STRIPE_SIGMA_CSV = "stripe-sigma-csv"


# Days until a source has everything (audit.md of each: a page lags up to two days, Sigma one).
LAG = {Against.API: 0, Against.STRIPE_CSV: 2, Against.STRIPE_SIGMA_CSV: 1}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One audit to be done. `totals`: the processor's lists; `changes`: the rows of an export, instead of them.

    `exported_at`: when that was made; None: on the day of its last row.
    """

    source: Source
    first: date
    last: date
    now: datetime
    against: Against = Against.API
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    livemode: bool = True
    totals: Totals | None = None
    changes: Iterable[MrrChange] | None = None
    exported_at: datetime | None = None

    @property
    def span(self) -> Span:
        """The days that are compared."""
        return Span(first=self.first, last=self.last, zone=self.zone)

    @property
    def by(self) -> MovementsBy:
        """Whether movements of customers or of subscriptions are compared: the page's export has customers only."""
        if self.against is Against.STRIPE_CSV:
            return MovementsBy.CUSTOMER
        return self.source.policy.movements_by


@dataclass(kw_only=True)
class Sums:
    """The sums and differences so far. `on_difference` is called with each."""

    compared: int = 0
    unexplained: list[Difference] = field(default_factory=list)
    explained: list[Difference] = field(default_factory=list)
    counts: dict[Cause, int] = field(default_factory=dict)
    days: dict[tuple[Measure, date | None, str], list[Decimal]] = field(default_factory=dict)
    on_difference: Callable[[Difference], None] = lambda found: None

    def add(self, measure: Measure, day: date | None, currency: str, ours: Decimal, theirs: Decimal) -> None:
        """Adds a row of both sides to its day."""
        found = self.days.setdefault((measure, day, currency), [ZERO, ZERO])
        found[0] += ours
        found[1] += theirs
        self.compared += 1

    def note(self, found: Difference) -> None:
        """Counts a differing row; keeps it unless there are too many."""
        self.counts[found.cause] = self.counts.get(found.cause, 0) + 1
        self.on_difference(found)
        kept = self.unexplained if found.cause is Cause.UNEXPLAINED else self.explained
        if len(kept) < MAX_DIFFERENCES:
            kept.append(found)


def run(
    store: Store,
    request: Request,
    on_row: Callable[[], None] = lambda: None,
    on_difference: Callable[[Difference], None] = lambda found: None,
) -> Report:
    """Compares, and returns the report. Raises `ApiError` and what the exports raise."""
    found = Sums(on_difference=on_difference)
    archive = Archive(store=store, scope=Scope(request.source.name, None, request.livemode))
    with opened_spool() as spool:
        load_ours(store, spool, request.source, request.span, request.by, request.livemode, on_row)
        if request.changes is not None:
            last = load_changes(spool, request.changes, request.span, request.by, on_row)
            _movements(spool, request, archive, found, _complete_until(request, last))
        elif request.totals is not None:
            if request.source.policy.amount_basis is AmountBasis.GROSS:  # the lists state amounts with tax only
                _revenue(spool, request, request.totals, archive, found, on_row)
            baselines = load_levels(store, spool, request.source, request.livemode)
            settings = _levels(spool, request, request.totals, archive, found, on_row)
            listed = list(request.totals.daily_mrr(request.first, request.last))
            if listed:
                _daily(
                    request,
                    listed,
                    found,
                    _our_days(spool, baselines, archive.coupons(request.source.policy)),
                    settings,
                )
    return _report(request, found)


def _complete_until(request: Request, last: date | None) -> date:
    """The last day that an export has in full: it lags behind the day on which it was made."""
    made_at = request.exported_at
    newest = last or request.last if made_at is None else request.span.day(made_at)
    return newest - timedelta(days=LAG[request.against])


def _report(request: Request, found: Sums) -> Report:
    codes = currency_order(Counter(code for _, _, code in found.days))
    days = [
        DayTotal(measure=measure, day=day, currency=code, ours=rounded(ours, code), theirs=rounded(theirs, code))
        for (measure, day, code), (ours, theirs) in sorted(
            found.days.items(), key=lambda one: (one[0][0], one[0][1] or date.max, codes.index(one[0][2]))
        )
    ]
    order = [
        *sorted(found.unexplained, key=lambda one: (one.measure, one.day or date.max)),
        *sorted(found.explained, key=lambda one: (one.measure, one.day or date.max)),
    ]
    return Report(
        source=request.source.name,
        livemode=request.livemode,
        against=request.against.value,
        first=request.first,
        last=request.last,
        time_zone=request.zone.key,
        at=request.now,
        compared=found.compared,
        days=tuple(days),
        differences=tuple(map(_rounded, order[:MAX_DIFFERENCES])),
        counts=found.counts,
    )


def _rounded(one: Difference) -> Difference:
    return replace(one, ours=rounded(one.ours, one.currency), theirs=rounded(one.theirs, one.currency))


def batched(values: Iterable[T]) -> Iterator[list[T]]:
    """The values in lists of `BATCH`."""
    rest = iter(values)
    while batch := list(islice(rest, BATCH)):
        yield batch


# ---- Movements of an export ----------------------------------------------------------------------------------------


def _movements(spool: Spool, request: Request, archive: Archive, found: Sums, complete_until: date) -> None:
    rules = Rules(complete_until=complete_until, churn_at=request.source.policy.churn_at)
    for lines in batched(_differing_timelines(spool, found)):
        for difference in causes.of_movements(lines, rules, archive.of_keys):
            found.note(difference)


def _differing_timelines(spool: Spool, found: Sums) -> Iterator[Timeline]:
    for key, raw in spool.moves():
        line = _timeline(key, raw)
        for row in line.rows:
            found.add(Measure.MOVEMENTS, row.day, row.currency, row.ours, row.theirs)
        if any(row.gap or row.ours != row.ledger or row.flags.kinds != row.their_kinds for row in line.rows):
            yield line


def _timeline(key: str, raw: Iterable[Row]) -> Timeline:
    """The opening levels, and a row for each day and currency on which something moved."""
    levels: dict[str, Decimal] = {}
    flags: dict[str, Flags] = {}
    line = Timeline(key=key, rows=[], opening=levels, seen=flags)
    for (day, code), group in groupby(raw, key=itemgetter(0, 1)):
        listed = list(group)
        if day == OPENING:
            levels[code] = unscaled(sum(row[3] for row in listed))
            flags[code] = _flags(listed)
            continue
        line.rows.append(_movement(day_of(day), code, listed))
    return line


def _movement(day: date, code: str, listed: Sequence[Row]) -> Movements:
    ours = [row for row in listed if row[2]]
    theirs = [row for row in listed if not row[2]]
    return Movements(
        day=day,
        currency=code,
        ours=unscaled(sum(row[3] for row in ours if row[5] == Sent.DELIVERED.value)),
        ledger=unscaled(sum(row[3] for row in ours)),
        theirs=unscaled(sum(row[3] for row in theirs)),
        amounts=tuple(unscaled(row[3]) for row in ours),
        their_amounts=tuple(unscaled(row[3]) for row in theirs),
        their_kinds=frozenset(row[4] for row in theirs),
        flags=_flags(ours),
        unsent=frozenset(Sent(row[5]) for row in ours) - {Sent.DELIVERED},
    )


def _flags(rows: Sequence[Row]) -> Flags:
    found = NO_FLAGS
    for row in rows:
        found = found | read_flags(row[6])
    return found


# ---- Revenue of the lists ------------------------------------------------------------------------------------------


def _revenue(
    spool: Spool, request: Request, totals: Totals, archive: Archive, found: Sums, on_row: Callable[[], None]
) -> None:
    span = request.span
    listed = totals.revenue(span.since - MARGIN, min(span.until + MARGIN, request.now - IN_FLIGHT))
    load_revenue(spool, listed, on_row)
    rules = Rules(complete_until=span.day(request.now - IN_FLIGHT), churn_at=request.source.policy.churn_at)
    for rows in batched(_unclear_items(spool, request, found)):
        for row, evidence in zip(rows, archive.of_refs([row.refs for row in rows]), strict=True):
            found.note(causes.of_items(row, rules, evidence))


def _unclear_items(spool: Spool, request: Request, found: Sums) -> Iterator[Items]:
    """Adds up all rows; those that differ, without the ones that are in two currencies."""
    for key, raw in spool.items():
        rows = [row for row in _items(key, raw, request) if request.first <= row.day <= request.last]
        for row in rows:
            found.add(Measure.REVENUE, row.day, row.currency, row.ours, row.theirs)
        differing = [row for row in rows if row.ours != row.theirs]
        if len(differing) == 2 and causes.in_other_currency(*differing):
            for row in differing:
                found.note(causes.of_currency(row))
        else:
            yield from differing


def _items(key: str, raw: Iterable[Row], request: Request) -> Iterator[Items]:
    """A row for each currency, on our day if it is here: the processor dates some payments by their beginning."""
    for code, group in groupby(raw, key=lambda row: row[0]):
        listed = list(group)
        ours = [row for row in listed if row[1]]
        theirs = [row for row in listed if not row[1]]
        moment = min(row[2] for row in ours or theirs)
        at = EPOCH + moment * MICROSECOND
        if not (ours and theirs) and at > request.now - IN_FLIGHT:
            continue  # its webhook is under way, or the list was read before it
        yield Items(
            key=key,
            currency=code,
            day=request.span.day(at),
            ours=unscaled(sum(row[3] for row in ours if row[4] == Sent.DELIVERED.value)),
            ledger=unscaled(sum(row[3] for row in ours)),
            theirs=unscaled(sum(row[3] for row in theirs)),
            is_here=bool(ours),
            is_there=bool(theirs),
            customer_id=next((row[7] for row in theirs if row[7]), ""),
            refs=tuple(dict.fromkeys((*(ref for row in theirs for ref in json.loads(row[5])), key))),
            # A payment is of an invoice only with it.
            object_ids=tuple(dict.fromkeys((*(row[6] for row in theirs), *(row[8] for row in theirs if row[8])))),
            unsent=frozenset(Sent(row[4]) for row in ours) - {Sent.DELIVERED},
        )


# ---- MRR of the API ------------------------------------------------------------------------------------------------


def _levels(
    spool: Spool, request: Request, totals: Totals, archive: Archive, found: Sums, on_row: Callable[[], None]
) -> dict[str, Settings]:
    """Compares the subscriptions. Returns what other settings would change, by currency."""
    levels = Levels(spool=spool, archive=archive, policy=request.source.policy)
    for one in levels.compared(totals.subscriptions(), on_row):
        found.add(Measure.MRR, None, one.currency, one.ours, one.theirs)
        if one.difference is not None:
            found.note(one.difference)
    return levels.settings()


def _daily(
    request: Request, listed: Sequence[DailyMrr], found: Sums, ours: OurDays, settings: dict[str, Settings]
) -> None:
    """The MRR by day that a processor publishes, in one currency, against ours at the end of those days."""
    today, churn_at = request.span.day(request.now), request.source.policy.churn_at
    for one in compare(listed, ours, today, settings, churn_at):
        found.add(Measure.MRR, one.day, one.currency, one.ours, one.theirs)
        if one.difference is not None:
            found.note(one.difference)


def _our_days(spool: Spool, baselines: Mapping[str, Decimal], coupons: Mapping[str, Coupon]) -> OurDays:
    """Our MRR by day. `coupons`: those that lower it."""
    own, full = Changes(), Changes()
    for _, raw in spool.moves():
        left: dict[frozenset[str], Decimal] = {}  # of each subscription
        for number, code, _, amount, kind, _, text in raw:
            day, change, flags = date.min if number == OPENING else day_of(number), unscaled(amount), read_flags(text)
            left[flags.subscriptions] = left.get(flags.subscriptions, ZERO) + change
            is_end = kind == "churn" or not left[flags.subscriptions]  # of one among several: a customer's downgrade
            own.add(day, code, change, is_end=is_end)
            full.add(day, code, undiscounted(change, code, flags, coupons), is_end=is_end)
    without = OurDays(changes=full.by_day, ends=full.ends) if coupons else None
    return OurDays(changes=own.by_day, baselines=baselines, ends=own.ends, undiscounted=without)
