"""Fetches what an audit found missing, and stores it as if it had arrived: the worker settles it like any webhook."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from bridge.comparison.records import Cause, Difference, Measure
from bridge.internal_events import imports, refreshes
from bridge.privacy.withholding import erased_ids
from bridge.reconciliation.missing_events import oldest_kept, store_missing
from bridge.scope import Scope
from bridge.settings import Source
from bridge.store import Store, streams
from bridge.store.inbox import NewWebhook
from processors import processors
from processors.interface import Api
from processors.totals import Totals


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """Numbers of what was stored: listed events; objects and subscriptions whose events are no longer listed."""

    events: int = 0
    objects: int = 0
    subscriptions: int = 0

    @property
    def total(self) -> int:
        """Everything that was stored."""
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
        erased = erased_ids(self.store, self._scope, [one.object_id for one in missing if one.object_id])
        left = [one for one in missing if one.object_id and one.object_id not in erased]
        objects = [one.object_id for one in left if one.measure is Measure.REVENUE and one.object_id]
        subscriptions = [one.object_id for one in left if one.measure is Measure.MRR and one.object_id]
        return Repaired(
            objects=sum(self._store_object(one, now) for one in objects),
            subscriptions=sum(self._store_subscription(one, now) for one in subscriptions),
        )

    @property
    def _scope(self) -> str:
        return str(Scope(self.source.name, None, self.livemode))

    def _store_object(self, object_id: str, now: datetime) -> bool:
        body = self.totals.event_of(object_id)
        if body is None:
            return False
        event = processors()[self.source.processor].envelope(body, self.source.options)
        return self.store.accept(NewWebhook.of_event(self.source.name, event, body, now))

    def _store_subscription(self, subscription_id: str, now: datetime) -> bool:
        state = self.api.subscription(subscription_id)
        if state is None:
            return False
        new = refreshes.encode(self.source.name, None, state, livemode=self.livemode, now=now)
        with self.store.reading() as tx:
            is_known = streams.links(tx, self._scope, [subscription_id])
        if not is_known:
            new = imports.encode(self.source, state, livemode=self.livemode, now=now)
        return self.store.accept(new)
