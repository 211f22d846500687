"""Fetches what an audit found missing, and stores it as if it had arrived: the worker settles it like any webhook."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.audit.records import Cause, Difference, Measure
from bridge.internal_events import imports, refreshes
from bridge.privacy.withholding import erased_ids
from bridge.reconciliation.missing_events import oldest_kept, store_missing
from bridge.scope import Scope
from bridge.settings import Source
from bridge.store import Store, audits, streams
from bridge.store.inbox import NewWebhook
from processors import processors
from processors.facts import Ids, Stage, Status, SubscriptionState
from processors.interface import Api
from processors.totals import Totals
from processors.values import replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """Numbers of what was stored: listed events; objects and subscriptions whose events are no longer listed."""

    events: int = 0
    objects: int = 0
    subscriptions: int = 0

    @property
    def total(self) -> int:
        """The number of everything that was stored."""
        return self.events + self.objects + self.subscriptions


@dataclass(frozen=True, slots=True, kw_only=True)
class Repair:
    """The means: the ledger's source, its API with the list of events, and its lists of objects."""

    store: Store
    source: Source
    api: Api
    totals: Totals
    livemode: bool = True

    def run(
        self,
        differences: Sequence[Difference],
        since: datetime,
        now: datetime,
        on_event: Callable[[int], None] = lambda listed: None,
    ) -> Repaired:
        """Stores what is missing. Raises `ApiError` and `Incomplete`; what was stored until then stays stored.

        If the processor still lists the events, they are all that is stored: each says more than its object does now.
        """
        missing = [one for one in differences if one.cause is Cause.MISSING]
        if not missing:
            return Repaired()
        oldest = oldest_kept(self.source, now)
        _, events = store_missing(self.store, self.source, self.api, max(since, oldest), on_event=on_event)
        if events:
            return Repaired(events=events)
        with self.store.reading() as tx:
            began_at = audits.first_received(tx, self.source.name) or now
        objects = [name for one in missing if one.measure is Measure.REVENUE for name in one.object_ids]
        subscriptions = [name for one in missing if one.measure is Measure.MRR for name in one.object_ids]
        bodies = [body for name in self._kept(objects) if (body := self.totals.event_of(name)) is not None]
        named = [*subscriptions, *(name for body in bodies for name in self._subscriptions_of(body))]
        return Repaired(
            objects=sum(self._store_object(body, now) for body in bodies),
            subscriptions=sum(self._store_subscription(name, began_at, now) for name in self._kept(named)),
        )

    @property
    def _scope(self) -> str:
        return str(Scope(self.source.name, None, self.livemode))

    def _kept(self, names: Sequence[str]) -> list[str]:
        """Each of these ids once, without those of erased customers."""
        erased = erased_ids(self.store, self._scope, names)
        return [name for name in dict.fromkeys(names) if name not in erased]

    def _subscriptions_of(self, body: bytes) -> Iterator[str]:
        """The subscriptions that an object belongs to: its payment is theirs only if they are known."""
        for fact in processors()[self.source.processor].translate(body, self.source.options).facts:
            ids = getattr(fact, "ids", None)
            if isinstance(ids, Ids) and ids.subscription_id is not None:
                yield ids.subscription_id

    def _store_object(self, body: bytes, now: datetime) -> bool:
        event = processors()[self.source.processor].envelope(body, self.source.options)
        return self.store.accept(NewWebhook.of_event(self.source.name, event, body, now))

    def _store_subscription(self, subscription_id: str, began_at: datetime, now: datetime) -> bool:
        """Its present state. If it is not known here, it began then, unless that was before the bridge."""
        state = self.api.subscription(subscription_id)
        if state is None:
            return False
        with self.store.reading() as tx:
            is_known = streams.links(tx, self._scope, [subscription_id])
        stored = [refreshes.encode(self.source.name, None, state, livemode=self.livemode, now=now)]
        if not is_known and (state.started_at is None or state.started_at < began_at):
            stored = [imports.encode(self.source, state, livemode=self.livemode, now=now)]
        elif not is_known:
            start = imports.encode(self.source, _start_of(state), livemode=self.livemode, now=now, keeps_time=True)
            stored.insert(0, start)
        return any([self.store.accept(one) for one in stored])


def _start_of(state: SubscriptionState) -> SubscriptionState:
    """The subscription as it began, as far as its present state shows it."""
    terms = replace(state.now, status=Status.ACTIVE, cancels_at=None) if state.now.status is Status.ENDED else state.now
    at = state.started_at or state.at
    return replace(state, at=at, changed_at=None, now=terms, stage=Stage.CREATED, ended_reason=None)
