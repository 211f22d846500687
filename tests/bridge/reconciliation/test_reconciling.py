"""The worker reconciles: what never arrived is stored, wrong endpoints are found, and an error loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from bridge.reconciliation.endpoints import faults_of, own_route
from bridge.settings import Settings
from bridge.store import Store, arrivals, inbox, leases, reconciliations, schema
from bridge.store.arrivals import Arrivals
from bridge.store.reconciliations import Run
from bridge.worker import reconciling
from bridge.worker.reconciling import Reconciler
from processors import processors
from processors.endpoints import Endpoint
from processors.interface import ApiError
from tests.bridge.store.builders import a_webhook
from tests.bridge.worker.test_convergence import LATER, CurrentApi, compare, signed_up, state_of
from tests.bridge.worker.test_enrichment import FakeApi, receive
from tests.settings import some_settings

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
ALL = processors()["stripe"].event_types


@dataclass
class ListingApi(FakeApi):
    """An API with a list of events; it fails after `breaks_after` of them."""

    listed: list[tuple[str, datetime]] = field(default_factory=list)
    asked: list[datetime] = field(default_factory=list)
    breaks_after: int | None = None

    def events(self, since: datetime) -> Iterator[bytes]:
        self.asked.append(since)
        for number, (event_id, at) in enumerate(self.listed):
            if number == self.breaks_after:
                raise ApiError("Stripe's API is down")
            if at >= since:
                yield an_event(event_id, at)


def an_event(event_id: str, at: datetime) -> bytes:
    event = {"id": event_id, "object": "event", "type": "charge.succeeded", "created": int(at.timestamp())}
    return json.dumps({**event, "livemode": True, "data": {"object": {}}}).encode()


@pytest.fixture(name="settings")
def _settings(sqlite_url: str) -> Settings:
    return some_settings(sqlite_url)


def reconciler(store: Store, settings: Settings, api: ListingApi, started_at: datetime = NOON) -> Reconciler:
    return Reconciler(store=store, settings=settings, apis={"stripe": api}, owner="worker", started_at=started_at)


def runs(store: Store) -> list[Run]:
    with store.reading() as tx:
        return reconciliations.since(tx, NOON - 365 * DAY)


def stored_ids(store: Store) -> list[str]:
    with store.reading() as tx:
        return sorted(row.event_id for row in inbox.listing(tx, limit=1000))


def known(store: Store, at: datetime = NOON - DAY, until: datetime = NOON - DAY, **more: object) -> None:
    run = Run(source="stripe", at=at, since=until - HOUR, until=until, reason="schedule", listed=0, stored=0, **more)  # type: ignore[arg-type]
    with store.transaction() as tx:
        reconciliations.add(tx, run)


def test_what_is_older_than_the_first_start_is_not_fetched_and_what_comes_after_is(
    sqlite_store: Store, settings: Settings
) -> None:
    api = ListingApi(listed=[("evt_before", NOON - DAY), ("evt_after", NOON + HOUR)])
    first = reconciler(sqlite_store, settings, api)

    first.run(NOON)
    first.run(NOON + 7 * HOUR)

    assert stored_ids(sqlite_store) == ["evt_after"]
    assert [(one.reason, one.listed, one.stored) for one in runs(sqlite_store)] == [
        ("schedule", 1, 1),
        ("first start with an API key", 0, 0),
    ]


def test_a_start_after_an_outage_fetches_everything_since_the_last_run(store: Store, settings: Settings) -> None:
    known(store, at=NOON - 29 * DAY, until=NOON - 29 * DAY)
    receive(store, an_event("evt_0", NOON - 29 * DAY))
    api = ListingApi(listed=[(f"evt_{day}", NOON - (29 - day) * DAY) for day in range(29)])

    reconciler(store, settings, api).run(NOON)

    assert stored_ids(store) == sorted(f"evt_{day}" for day in range(29))
    [run, _] = runs(store)
    assert (run.reason, run.listed, run.stored, run.lost_since) == ("start of the worker", 29, 28, None)
    assert api.asked == [NOON - 29 * DAY - 10 * MINUTE]


def test_events_that_the_processor_no_longer_keeps_are_stated(sqlite_store: Store, settings: Settings) -> None:
    known(sqlite_store, at=NOON - 60 * DAY, until=NOON - 60 * DAY)

    reconciler(sqlite_store, settings, ListingApi()).run(NOON)

    run = runs(sqlite_store)[0]
    assert (run.since, run.lost_since) == (NOON - 30 * DAY, NOON - 60 * DAY - 10 * MINUTE)


def test_the_last_complete_run_of_every_source_is_kept_however_old(store: Store, settings: Settings) -> None:
    known(store, at=NOON - 60 * DAY, until=NOON - 60 * DAY)
    broken = ListingApi(listed=[("evt_1", NOON - HOUR)], breaks_after=0)

    reconciler(store, settings, broken).run(NOON)
    reconciler(store, settings, broken).run(NOON + HOUR)

    with store.reading() as tx:
        complete = reconciliations.latest_complete(tx, "stripe")
    assert complete is not None
    assert complete.until == NOON - 60 * DAY


def test_what_the_bridge_itself_put_into_the_inbox_does_not_say_how_long_it_received(
    sqlite_store: Store, settings: Settings
) -> None:
    receive(sqlite_store, an_event("evt_0", NOON - 20 * DAY))
    with sqlite_store.transaction() as tx:
        tx.execute(schema.inbox.update().values(received_at=NOON - 20 * DAY))
    sqlite_store.accept(a_webhook("refresh", type="bridge.refresh", received_at=NOON))
    api = ListingApi()

    reconciler(sqlite_store, settings, api).run(NOON)

    assert api.asked == [NOON - 20 * DAY]


def test_silent_subscriptions_wait_until_every_source_was_tried(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    current = CurrentApi(states={"sub_ada_1": state_of("ada")})
    worker = reconciler(sqlite_store, settings, ListingApi(breaks_after=0, listed=[("evt_1", LATER)]), LATER)
    comparison = compare(sqlite_store, current, may_begin=lambda: worker.has_caught_up)

    before = comparison.run(LATER), worker.has_caught_up
    with sqlite_store.transaction() as tx:
        leases.acquire(tx, "reconcile:stripe", "another", LATER, LATER + HOUR)
    worker.run(LATER)
    while_another_does = worker.has_caught_up
    with sqlite_store.transaction() as tx:
        leases.release(tx, "reconcile:stripe")
    worker.run(LATER)

    assert before == (0, False)
    assert while_another_does is False
    assert worker.has_caught_up
    assert comparison.run(LATER) == 1


def test_an_error_keeps_what_was_stored_and_the_next_run_begins_at_the_same_place(
    sqlite_store: Store, settings: Settings
) -> None:
    known(sqlite_store)
    api = ListingApi(listed=[("evt_1", NOON - HOUR), ("evt_2", NOON - HOUR)], breaks_after=1)
    worker = reconciler(sqlite_store, settings, api)

    worker.run(NOON)
    api.breaks_after = None
    worker.run(NOON + 9 * MINUTE)
    worker.run(NOON + 10 * MINUTE)

    assert [(one.reason, one.stored, one.error) for one in runs(sqlite_store)][:2] == [
        ("the last run failed", 1, None),
        ("start of the worker", 1, "Stripe's API is down"),
    ]
    assert api.asked == [NOON - DAY - 10 * MINUTE] * 2


def test_a_silent_source_is_reconciled_once(sqlite_store: Store, settings: Settings) -> None:
    silent = some_settings(settings.database_url, SILENCE_HOURS="2")
    known(sqlite_store, at=NOON - 3 * HOUR, until=NOON - 3 * HOUR)
    with sqlite_store.transaction() as tx:
        one = Arrivals(source="stripe", hour=NOON - 4 * HOUR, count=1, last_at=NOON - 4 * HOUR)
        arrivals.add(tx, [one], NOON)
    worker = reconciler(sqlite_store, silent, ListingApi(), started_at=NOON - 9 * HOUR)

    for minutes in range(0, 60, 5):
        worker.run(NOON + minutes * MINUTE)

    assert [one.reason for one in runs(sqlite_store)][:-1] == ["the source is silent"]


def test_one_worker_at_a_time_reconciles_a_source(sqlite_store: Store, settings: Settings) -> None:
    with sqlite_store.transaction() as tx:
        leases.acquire(tx, "reconcile:stripe", "another", NOON, NOON + HOUR)

    reconciler(sqlite_store, settings, ListingApi()).run(NOON)

    assert runs(sqlite_store) == []


def test_a_worker_that_stops_records_nothing_and_the_next_one_repeats_it(
    sqlite_store: Store, settings: Settings
) -> None:
    known(sqlite_store)
    worker = reconciler(sqlite_store, settings, ListingApi(listed=[("evt_1", NOON - HOUR)]))
    worker.stopping = lambda: True

    worker.run(NOON)

    assert len(runs(sqlite_store)) == 1


def test_reconcile_hours_0_means_never(sqlite_store: Store, settings: Settings) -> None:
    never = some_settings(settings.database_url, RECONCILE_HOURS="0")

    reconciler(sqlite_store, never, ListingApi()).run(NOON)

    assert runs(sqlite_store) == []


# ---- The endpoint ---------------------------------------------------------------------------------------------


def an_endpoint(url: str = "https://a.example/webhooks/stripe", **changes: object) -> Endpoint:
    values = {"id": "we_1", "url": url, "events": ALL, "is_enabled": True, "livemode": True, **changes}
    return Endpoint(**values)  # type: ignore[arg-type]


def test_without_public_url_the_only_endpoint_that_ends_like_the_source_is_compared() -> None:
    other, slash = an_endpoint("https://b.example/hooks"), an_endpoint("https://a.example/webhooks/stripe/")

    assert own_route([an_endpoint(), other, slash], "stripe", None) == "https://a.example/webhooks/stripe"
    assert own_route([an_endpoint(), an_endpoint("https://b.example/webhooks/stripe")], "stripe", None) is None
    assert own_route([other], "stripe", None) is None
    assert own_route([], "stripe", "https://c.example") == "https://c.example/webhooks/stripe"


def test_without_a_key_the_endpoint_is_not_compared(settings: Settings) -> None:
    assert faults_of(settings.sources["stripe"], "https://a.example") is None


def test_while_the_endpoint_is_wrong_events_are_fetched_every_quarter_of_an_hour_to_the_last_minute(
    sqlite_store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(sqlite_store)
    api = ListingApi(listed=[("evt_1", NOON - MINUTE), ("evt_2", NOON + 14 * MINUTE)])
    worker = reconciler(sqlite_store, settings, api)
    monkeypatch.setattr(reconciling, "faults_of", lambda *_: ("we_1 is disabled: nothing is sent",))

    worker.run(NOON)
    worker.run(NOON + 14 * MINUTE)
    worker.run(NOON + 15 * MINUTE)

    assert stored_ids(sqlite_store) == ["evt_1", "evt_2"]
    assert [(one.reason, one.faults) for one in runs(sqlite_store)][:2] == [
        ("the endpoint is wrong", ("we_1 is disabled: nothing is sent",)),
        ("start of the worker", ("we_1 is disabled: nothing is sent",)),
    ]
