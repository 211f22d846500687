"""The worker in memory: routing, waiting and settling of one ledger by a clock of the test, without a database.

It uses the product's pure functions and replaces only the store, so that thousands of orders and gaps can be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bridge.ledger import EMPTY, Policy, RevenueEvent, State, settle
from bridge.ledger.adoption import unite
from bridge.ledger.catalog import Catalog, CatalogKey, key_of
from bridge.ledger.completeness import missing
from bridge.ledger.routing import RoutableWebhook, route_webhooks
from bridge.ledger.settle_window import Readiness, WaitingWebhook, WaitRules, readiness
from bridge.ledger.state import dump, load
from bridge.scope import StreamId
from processors.facts import CatalogEntry, Fact
from tests.lifecycles.harness import TranslatedWebhook

SCOPE = "stripe||live"
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)  # after every event of the lifecycles
DEFAULT_RULES = WaitRules(window=timedelta(seconds=90), hold=timedelta(hours=1))
EARLY = WaitRules(window=timedelta(seconds=90), hold=timedelta(hours=1), quiet=timedelta(seconds=2))
NO_HOLD = WaitRules(window=timedelta(seconds=90), hold=timedelta(0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settled:
    """One settlement with revenue events: when, the last arrival before it, and its facts."""

    at: datetime
    last_arrival: datetime
    facts: tuple[Fact, ...]


@dataclass(slots=True, kw_only=True)
class Stream:
    """One stream: its state as stored, and what waits in it."""

    state: str | None = None
    waiting: list[WaitingWebhook] = field(default_factory=list)
    has_customer: bool = False
    due_at: datetime | None = None  # None: to be computed


@dataclass(kw_only=True)
class Pipeline:
    """One ledger. `settled_at`: when each stream was settled, `arrivals`: when each webhook arrived."""

    policy: Policy
    rules: WaitRules = DEFAULT_RULES
    catalog: dict[CatalogKey, CatalogEntry] = field(default_factory=dict)
    streams: dict[str, Stream] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    events: list[RevenueEvent] = field(default_factory=list)
    settlements: list[Settled] = field(default_factory=list)
    missing: Callable[..., str | None] = missing
    count: int = 0

    def play(self, arrivals: Iterable[tuple[datetime, TranslatedWebhook]]) -> Pipeline:
        """Receives each webhook at its time, settles whatever is due in between, and in the end everything."""
        for at, webhook in sorted(arrivals, key=lambda one: one[0]):
            self._settle_until(at)
            self._receive(at, webhook)
        self._settle_until(datetime.max.replace(tzinfo=UTC))
        return self

    def sorted_events(self) -> list[RevenueEvent]:
        """The events, in an order that does not depend on which stream was settled first."""
        return sorted(self.events, key=lambda event: event.output_key)

    # ---- Routing ----

    def _receive(self, at: datetime, webhook: TranslatedWebhook) -> None:
        self.catalog |= {key: found for found in webhook.catalog if (key := key_of(found))}
        if not webhook.facts:
            return
        self.count += 1
        routable = RoutableWebhook(row_id=self.count, scope=SCOPE, facts=webhook.facts)
        fixed = {
            one
            for one, stream in self.streams.items()
            if stream.state is not None and not StreamId.parse(one).is_provisional
        }
        routes = route_webhooks([routable], self.links, fixed)
        self.links |= routes.links
        stream_id = routes.stream_of[self.count]
        stream = self.streams.setdefault(stream_id, Stream())
        stream.has_customer |= routable.has_customer or not StreamId.parse(stream_id).is_provisional
        stream.waiting.append(WaitingWebhook(row_id=self.count, since=at, facts=webhook.facts))
        stream.due_at = None
        for old in routes.merged:
            if old in self.streams:
                self._unite(old, stream_id, at)

    def _unite(self, old_id: str, new_id: str, at: datetime) -> None:
        old, new = self.streams.pop(old_id), self.streams[new_id]
        self.links |= {ref: new_id for ref, stream_id in self.links.items() if stream_id == old_id}
        new.has_customer |= old.has_customer
        new.waiting += [
            WaitingWebhook(row_id=one.row_id, since=at if new.has_customer else one.since, facts=one.facts)
            for one in old.waiting
        ]
        if old.state is not None:
            new.state = dump(unite(load(new.state), load(old.state)))

    # ---- Settling ----

    def _settle_until(self, end: datetime) -> None:
        while (due := min(self._due(), default=None)) is not None and due[0] <= end:
            at, stream_id = due
            self._settle(stream_id, at)

    def _due(self) -> Iterable[tuple[datetime, str]]:
        for stream_id, stream in self.streams.items():
            if stream.waiting and stream.due_at is None:
                stream.due_at = self._readiness(stream, NOON - timedelta(days=36500)).next_at
            if stream.waiting and stream.due_at is not None:
                yield stream.due_at, stream_id

    def _readiness(self, stream: Stream, now: datetime) -> Readiness:
        state = load(stream.state)

        def lacks(webhooks: Sequence[WaitingWebhook]) -> str | None:
            arrived = [(fact, one.since) for one in webhooks for fact in one.facts]
            return self.missing(state, arrived, self.policy, Catalog(entries=self.catalog))

        return readiness(state, stream.waiting, self.rules, now, has_customer=stream.has_customer, missing=lacks)

    def _settle(self, stream_id: str, at: datetime) -> None:
        stream = self.streams[stream_id]
        ready = self._readiness(stream, at).ready
        assert ready, "a stream that is due has nothing to settle"
        facts = [fact for one in stream.waiting if one.row_id in ready for fact in one.facts]
        settled = settle(load(stream.state), facts, self.policy, Catalog(entries=self.catalog))
        if settled.events:
            last = max(one.since for one in stream.waiting if one.row_id in ready)
            self.settlements.append(Settled(at=at, last_arrival=last, facts=tuple(facts)))
        stream.waiting = [one for one in stream.waiting if one.row_id not in ready]
        stream.due_at = None
        stream.state = dump(settled.state)
        released = {event.output_key: event for event in settled.released}
        self.events = [released.get(event.output_key, event) for event in self.events] + list(settled.events)

    def state(self) -> State:
        """The states of all streams as one, for checks of sums."""
        found = EMPTY
        for stream in self.streams.values():
            found = unite(found, load(stream.state))
        return found


def at_once(webhooks: Sequence[TranslatedWebhook]) -> list[tuple[datetime, TranslatedWebhook]]:
    """All webhooks at one time, in the order given."""
    return [(NOON, webhook) for webhook in webhooks]


def with_gaps(webhooks: Sequence[TranslatedWebhook], gaps: Iterable[float]) -> list[tuple[datetime, TranslatedWebhook]]:
    """The webhooks in the order given, each so many seconds after the one before."""
    found, at = [], NOON
    for webhook, gap in zip(webhooks, gaps, strict=False):
        at += timedelta(seconds=gap)
        found.append((at, webhook))
    return found
