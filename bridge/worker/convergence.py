"""Compares active subscriptions that were silent for too long with the processor's API.

A subscription that ended during a long outage, whose webhooks the processor gave up, would otherwise count for ever.
Its state goes through the inbox like a webhook. Only with an API key.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from bridge.internal_events import refreshes
from bridge.ledger.mrr import COUNTING
from bridge.ledger.state import Subscription, load
from bridge.scope import Scope, StreamId
from bridge.store import Store, inbox, leases, streams, subscriptions
from bridge.store.subscriptions import SubscriptionRow
from processors.facts import Interval
from processors.interface import Api, ApiError

log = structlog.get_logger()

INTERVAL = timedelta(hours=6)  # between the beginnings of two rounds over all subscriptions
RETRY_AFTER = timedelta(minutes=10)  # after an error of the API
GRACE = timedelta(days=4)  # longer than the processors' own retries: Stripe three days, Paddle three
PAGE = 200
SHARE_SECONDS = 1.0  # of one pass of the worker
LEASE_NAME = "convergence"
LEASE = timedelta(minutes=10)
DAYS: Mapping[Interval, int] = {Interval.DAY: 1, Interval.WEEK: 7, Interval.MONTH: 31, Interval.YEAR: 366}
START = ("", "")


@dataclass(kw_only=True)
class Convergence:
    """Goes through all subscriptions with MRR, a page at a time, and begins again after INTERVAL.

    `may_begin`: whether missing webhooks have been fetched. A subscription that only seems silent because they have
    not would be reported as of now, and its changes in between would lose their payments.
    """

    store: Store
    apis: Mapping[str, Api]
    owner: str
    may_begin: Callable[[], bool] = lambda: True
    next_at: datetime | None = None
    after: tuple[str, str] = START
    _round_began_at: datetime | None = None

    def run(self, now: datetime) -> int:
        """Continues the round for its share of the pass; returns how many subscriptions it has read from the API."""
        if not self.apis or (self.next_at is not None and now < self.next_at):
            return 0
        if not self.may_begin() or not self._may_run(now):
            return 0
        count, until = 0, time.monotonic() + SHARE_SECONDS
        try:
            for row, known in self._silent(now):
                count += self._refresh(row, known, now)
                self.after = (row.stream_id, row.subscription_id)
                if time.monotonic() >= until:
                    return count
        except ApiError as error:
            log.warning("not_compared", reason=str(error))
            self.next_at = now + RETRY_AFTER
        return count

    def _may_run(self, now: datetime) -> bool:
        """One worker at a time, and only when nothing waits to be routed: it may be what is missing."""
        with self.store.reading() as tx:
            if inbox.routed_until(tx, now) < now:
                return False
        with self.store.transaction() as tx:
            if leases.acquire(tx, LEASE_NAME, self.owner, now, now + LEASE):
                return True
        self.next_at = now + LEASE  # another worker does it
        return False

    def _silent(self, now: datetime) -> Iterator[tuple[SubscriptionRow, Subscription]]:
        """The silent subscriptions of the next page. At the end of the last page the round is over."""
        if self.after == START:
            self._round_began_at = now
        with self.store.reading() as tx:
            page = subscriptions.with_mrr(tx, sorted(self.apis), self.after, PAGE)
            found = [(row, streams.state_of(tx, row.stream_id)) for row in page]
        for row, state in found:
            known = _known(state, row.subscription_id)
            if known is not None and is_silent(known, now):
                yield row, known
        if len(page) < PAGE:
            self.next_at, self.after = (self._round_began_at or now) + INTERVAL, START
        else:
            self.after = (page[-1].stream_id, page[-1].subscription_id)

    def _refresh(self, row: SubscriptionRow, known: Subscription, now: datetime) -> bool:
        """Stores the API's state of a subscription. False: that was done today already, or it has none."""
        with self.store.reading() as tx:
            if inbox.find(tx, refreshes.event_id(known.id, now), row.source) is not None:
                return False
        scope = Scope.parse(StreamId.parse(row.stream_id).scope)
        state = self.apis[row.source].for_account(scope.account).subscription(known.id)
        if state is None:
            log.warning("not_compared", source=row.source, reason=f"the API has no subscription {known.id}")
            return False
        log.info("refreshed", source=row.source, subscription=known.id, status=state.now.status.value)
        return self.store.accept(refreshes.encode(row.source, scope.account, state, livemode=scope.livemode, now=now))


def _known(state: str | None, subscription_id: str) -> Subscription | None:
    try:
        return load(state).subscriptions.get(subscription_id)
    except ValueError:  # a state of another layout; settling reports it
        return None


def is_silent(known: Subscription, now: datetime) -> bool:
    """Whether nothing was heard of an active subscription for longer than its period.

    Each period begins with a webhook, so the end of the period, and the processor's retries after it, have passed.
    """
    if known.ended or known.terms is None or known.terms.status not in COUNTING or not known.reported_mrr:
        return False
    ends = [period.ends_at for period in known.periods.values() if period.ends_at > known.at]
    return now > (min(ends) if ends else known.at + _shortest_period(known)) + GRACE


def _shortest_period(known: Subscription) -> timedelta:
    assert known.terms is not None
    lengths = [
        timedelta(days=DAYS[item.price.interval] * max(item.price.interval_count, 1))
        for item in known.terms.items
        if item.price.interval is not None
    ]
    return min(lengths, default=timedelta(days=DAYS[Interval.YEAR]))
