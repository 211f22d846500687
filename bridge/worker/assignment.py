"""Assigns translated webhooks to streams, and unites streams that turn out to be one customer's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime

import structlog
from sqlalchemy import Connection

from bridge.ledger.adoption import unite
from bridge.ledger.routing import RoutableWebhook, Routes, route_webhooks
from bridge.ledger.settle_window import MAX_WINDOWS, first_look_at
from bridge.ledger.state import State, dump, load
from bridge.scope import StreamId
from bridge.settings import Settings
from bridge.store import inbox, ownership, streams, subscriptions
from bridge.store.inbox import InboxRow
from bridge.store.streams import StreamRow, StreamUpdate
from bridge.worker.batch import wait_rules
from processors.interface import Translation
from processors.values import Value, field

log = structlog.get_logger()

NOTHING = Translation()


class Translated(Value):
    """A received row with its translation, or the error of translating it."""

    row: InboxRow
    translation: Translation = NOTHING
    error: str | None = None


class Assignment(Value):
    """One ledger's webhooks while they are assigned, in one transaction.

    `stored`: the streams that exist and may be changed. `busy`: those that another transaction has locked just now.
    `states`: by stream, as far as read; None: it cannot be read.
    """

    tx: Connection
    rows: Mapping[int, InboxRow]
    settings: Settings
    now: datetime
    stored: Mapping[str, StreamRow]
    busy: Set[str]
    states: dict[str, State | None] = field(default_factory=dict)

    # ---- Who may be united with whom ---------------------------------------------------------------------------

    def routes(self, webhooks: Sequence[RoutableWebhook], links: Mapping[str, str]) -> Routes:
        """The routes of those webhooks that can be routed now: streams that are being settled are left alone."""
        fixed = {row.stream_id for row in self.stored.values() if self._is_fixed(row)}
        while True:
            routes = route_webhooks(webhooks, links, fixed)
            unreadable = {old for old, new in routes.merged.items() if not self._can_unite(old, new)}
            blocked = self._blocked(routes)
            if not unreadable and not blocked:
                return routes
            fixed |= unreadable
            webhooks = [webhook for webhook in webhooks if routes.stream_of[webhook.row_id] not in blocked]

    def _is_fixed(self, row: StreamRow) -> bool:
        """Whether money that is counted in this stream stays in it, whichever customer a later webhook names."""
        is_counted = row.settled_at is not None or self._is_leased(row.stream_id)
        return is_counted and not StreamId.parse(row.stream_id).is_provisional

    def _blocked(self, routes: Routes) -> set[str]:
        """The targets of webhooks that have to wait until another worker has settled a stream of theirs."""
        blocked = set(routes.stream_of.values()) & self.busy
        for old, new in routes.merged.items():
            if old in self.busy or self._is_leased(old) or (self._has_state(old) and self._is_leased(new)):
                blocked.add(new)
        return blocked

    def _is_leased(self, stream_id: str) -> bool:
        row = self.stored.get(stream_id)
        return row is not None and row.leased_until is not None and row.leased_until > self.now

    def _has_state(self, stream_id: str) -> bool:
        row = self.stored.get(stream_id)
        return row is not None and row.settled_at is not None

    def _can_unite(self, old: str, new: str) -> bool:
        if not self._has_state(old):
            return True
        return self._state(old) is not None and self._state(new) is not None

    def _state(self, stream_id: str) -> State | None:
        if stream_id not in self.states:
            try:
                self.states[stream_id] = load(streams.state_of(self.tx, stream_id))
            except ValueError as error:
                self.states[stream_id] = None
                log.error("state_unreadable", stream=stream_id, reason=str(error))
        return self.states[stream_id]

    # ---- Writing -----------------------------------------------------------------------------------------------

    def write(self, webhooks: Sequence[RoutableWebhook], routes: Routes) -> None:
        """Stores the routes, unites streams, and sets when each stream is looked at."""
        inbox.assign(self.tx, sorted(routes.stream_of.items()))
        updates = {update.stream_id: update for update in self._updates(webhooks, routes)}
        streams.upsert(self.tx, updates.values())
        for old, new in sorted(routes.merged.items()):
            if old in self.stored:
                joined_at = self.rows[routes.merged_by[old]].received_at
                self._unite(old, new, joined_at if updates[new].has_customer else None)
        for scope in {webhook.scope for webhook in webhooks}:
            streams.link(self.tx, scope, routes.links)

    def _unite(self, old: str, new: str, since: datetime | None) -> None:
        if not self._has_state(old):
            streams.merge(self.tx, old, new, self.now, since)
            return
        state, adopted = self._state(new), self._state(old)
        if state is None or adopted is None:
            raise AssertionError(f"the states of {old} and {new} were read before")
        self.states[new] = united = unite(state, adopted)
        streams.adopt(self.tx, old, new, dump(united), self.now, since)
        ownership.move(self.tx, old, new)
        subscriptions.move(self.tx, old, new)
        log.info("stream_adopted", stream=new, adopted=old)

    def _updates(self, webhooks: Sequence[RoutableWebhook], routes: Routes) -> Iterable[StreamUpdate]:
        by_stream: dict[str, list[RoutableWebhook]] = {}
        for webhook in webhooks:
            by_stream.setdefault(routes.stream_of[webhook.row_id], []).append(webhook)
        for stream_id, own in by_stream.items():
            olds = [row for old, new in routes.merged.items() if new == stream_id and (row := self.stored.get(old))]
            yield self._update(stream_id, own, olds)

    def _update(self, stream_id: str, own: Sequence[RoutableWebhook], olds: Sequence[StreamRow]) -> StreamUpdate:
        before = self.stored.get(stream_id)
        has_customer = (
            not StreamId.parse(stream_id).is_provisional
            or any(webhook.has_customer for webhook in own)
            or any(row.has_customer for row in (before, *olds) if row is not None)
        )
        received = [self.rows[webhook.row_id].received_at for webhook in own]
        return StreamUpdate(
            stream_id=stream_id,
            scope=own[0].scope,
            has_customer=has_customer,
            at=min(received),
            last_at=max(received),
            due_at=self._look_at(own, before, olds, has_customer=has_customer),
        )

    def _look_at(
        self,
        own: Sequence[RoutableWebhook],
        before: StreamRow | None,
        olds: Sequence[StreamRow],
        *,
        has_customer: bool,
    ) -> datetime:
        """When the stream is looked at: when it has been quiet, or when its money has waited for a customer.

        Looking too early costs one claim and changes nothing: what is ready is decided from the webhooks themselves.
        """
        received = {webhook.row_id: self.rows[webhook.row_id].received_at for webhook in own}
        rules = wait_rules(self.settings.sources[self.rows[own[0].row_id].source])
        looks = [
            first_look_at(webhook.facts, received[webhook.row_id], rules, has_customer=has_customer) for webhook in own
        ]
        if not has_customer:
            return min([*looks, *(row.due_at for row in olds if row.due_at is not None)])
        opened_at = min([*received.values(), *([before.first_at] if before is not None and before.due_at else [])])
        return min(max(looks), opened_at + MAX_WINDOWS * rules.window)


def assign(tx: Connection, scope: str, translated: Sequence[Translated], settings: Settings, now: datetime) -> int:
    """Assigns the webhooks of one ledger to streams; returns how many.

    Those that cannot be assigned while another worker is settling one of their streams are left for the next pass.
    """
    webhooks = [RoutableWebhook(row_id=one.row.id, scope=scope, facts=one.translation.facts) for one in translated]
    links = streams.links(tx, scope, sorted({ref for webhook in webhooks for ref in webhook.refs}))
    candidates = {*links.values(), *(webhook.customer_stream for webhook in webhooks if webhook.customer_stream)}
    # Every stream that may be changed is locked before it is read, and without waiting: until this transaction ends no
    # other worker can claim or save one of them, and two workers cannot wait for each other.
    stored = streams.lock(tx, candidates)
    assignment = Assignment(
        tx=tx,
        rows={one.row.id: one.row for one in translated},
        settings=settings,
        now=now,
        stored=stored,
        busy=set(streams.find(tx, candidates - set(stored))),
    )
    routes = assignment.routes(webhooks, links)
    assigned = [webhook for webhook in webhooks if webhook.row_id in routes.stream_of]
    assignment.write(assigned, routes)
    return len(assigned)
