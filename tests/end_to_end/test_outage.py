"""A bridge that was down for weeks: after its start everything is caught up, and the alerts come and go.

Stripe's source missed 29 days of webhooks; Paddle's missed 60, which Paddle still lists; the source `shop` missed 60 of
Stripe's, of which Stripe lists only the last 30, and its one subscription ended before those.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests
from pytest_httpserver import HTTPServer
from sqlalchemy import select, update

from bridge.settings import Settings
from bridge.store import Store, arrivals, inbox, leases, open_store, reconciliations, schema
from bridge.store.arrivals import Arrivals
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import listing
from bridge.store.reconciliations import Run
from bridge.store.refusals import hour_of
from processors import processors
from processors.payload import Json
from tests.end_to_end.service import PATIENCE_SECONDS, Service, running
from tests.end_to_end.test_alerts import QUICK, Mailbox
from tests.fake_processors import PADDLE_KEY, STRIPE_KEY, FakePaddle, FakeStripe
from tests.fake_pulsora import ScriptedPulsora
from tests.settings import STRIPE_SECRET, TOKEN, some_settings
from tests.working import settle_all

PUBLIC = "https://hooks.example.com"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOW = datetime.now(UTC).replace(microsecond=0)
ENDED_AT = NOW - 45 * DAY
DOWN_SINCE = {"stripe": NOW - 29 * DAY, "paddle": NOW - 60 * DAY, "shop": NOW - 60 * DAY}
# Scenario, and how many days ago it begins. Whatever would happen in the future is left out.
CUSTOMERS: Mapping[str, Sequence[tuple[str, float]]] = {
    "stripe": [
        ("lifecycle", 45), ("cancel", 35), ("upgrade", 30.5), ("refund", 29.5), ("dispute", 36), ("trial", 25),
        ("signup", 20), *(("one-off", day) for day in range(2, 46, 2)),
    ],
    "paddle": [
        ("lifecycle", 70), ("cancel", 75), ("upgrade", 62), ("refund", 60.5), ("chargeback", 90), ("trial", 25),
        ("signup", 20), *(("one-off", day) for day in range(1, 90, 4)),
    ],
}  # fmt: skip


def at_of(body: bytes) -> datetime:
    event = json.loads(body)
    created = event.get("created")
    return datetime.fromtimestamp(created, UTC) if created else datetime.fromisoformat(event["occurred_at"])


def happened(name: str) -> list[bytes]:
    """Everything that happened at a processor until ten minutes ago, oldest first."""
    bodies = [
        body
        for number, (scenario, days) in enumerate(CUSTOMERS[name])
        for body in processors()[name]
        .scenarios[scenario]
        .events(f"{scenario}{number}".replace("-", ""), NOW - days * DAY)
    ]
    return sorted((body for body in bodies if at_of(body) < NOW - timedelta(minutes=10)), key=at_of)


def accept(store: Store, settings: Settings, name: str, bodies: Sequence[bytes]) -> None:
    """Stores webhooks as the web process did when they happened."""
    source = settings.sources[name]
    envelope = processors()[source.processor].envelope
    rows = []
    for body in bodies:
        webhook = NewWebhook.of_event(name, envelope(body, source.options), body, at_of(body))
        rows.append(inbox.encode_row(webhook))
    counted = [Arrivals(source=name, hour=hour_of(at_of(body)), count=1, last_at=at_of(body)) for body in bodies]
    with store.transaction() as tx:
        inbox.insert_new(tx, rows)
        arrivals.add(tx, counted, NOW - 60 * DAY)


def work(store: Store, settings: Settings) -> None:
    settle_all(store, settings, NOW, "earlier")
    with store.transaction() as tx:
        leases.release_all(tx, "earlier")  # as a worker that stops does: the next one need not wait for the router's


def before_the_outage(store: Store, settings: Settings, bodies: Mapping[str, Sequence[bytes]]) -> None:
    """The webhooks that arrived, and the last run of reconcile."""
    for name, since in DOWN_SINCE.items():
        accept(store, settings, name, [body for body in bodies[name] if at_of(body) < since])
        run = Run(source=name, at=since, since=since - HOUR, until=since, reason="schedule", listed=0, stored=0)
        with store.transaction() as tx:
            reconciliations.add(tx, run)
    work(store, settings)


def missed(bodies: Mapping[str, Sequence[bytes]], name: str) -> list[Any]:
    return [json.loads(body) for body in bodies[name] if at_of(body) >= DOWN_SINCE[name]]


@contextmanager
def opened(url: str) -> Iterator[Store]:
    """The store, closed again: two open stores of one file in one process would lose SQLite's locks."""
    store = open_store(url)
    yield store
    store.close()


# ---- The bridge and everything around it --------------------------------------------------------------------------


@dataclass(kw_only=True)
class Bridge:
    url: str
    pulsora: ScriptedPulsora
    stripe: FakeStripe
    shop: FakeStripe
    paddle: FakePaddle
    mailbox: Mailbox = field(default_factory=Mailbox)
    _service: list[Service] = field(default_factory=list)

    @property
    def service(self) -> Service:
        return self._service[0]

    def wait_for(self, count: int) -> Sequence[Mapping[str, Any]]:
        until = time.monotonic() + PATIENCE_SECONDS
        while len(self.pulsora.accepted) < count and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(1.0)  # anything doubled would come now
        return self.pulsora.accepted


def a_config(folder: Path, api: str) -> Path:
    path = folder / "sources.toml"
    path.write_text(
        f'[sources.shop]\nprocessor = "stripe"\nwebhook_secret = "{STRIPE_SECRET}"\n'
        f'api_key = "{STRIPE_KEY}"\nstripe_api_base = "{api}"\n'
    )
    return path


@contextmanager
def started(folder: Path, bridge: Bridge) -> Iterator[Bridge]:
    with ExitStack() as stack:
        servers = [stack.enter_context(HTTPServer()) for _ in range(4)]
        stripe, shop, paddle = (
            fake.serve(server)
            for fake, server in zip((bridge.stripe, bridge.shop, bridge.paddle), servers, strict=False)
        )
        servers[3].expect_request("/path-with-a-secret-0123456789").respond_with_handler(bridge.mailbox.respond)
        settings = {
            "STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": stripe,
            "PADDLE_API_KEY": PADDLE_KEY, "PADDLE_API_BASE": paddle,
            "BRIDGE_CONFIG": str(a_config(folder, shop)), "PUBLIC_URL": PUBLIC,
            "SETTLE_SECONDS": "2", "WEB_WORKERS": "1",
            "ALERT_URLS": f"json://{servers[3].host}:{servers[3].port}/path-with-a-secret-0123456789",
        }  # fmt: skip
        stack.enter_context(bridge.pulsora)
        commands = [(QUICK, "serve")]
        bridge._service += [
            stack.enter_context(running(commands, folder, bridge.url, bridge.pulsora.endpoint, **settings))
        ]
        yield bridge


def an_ended_subscription(bodies: Sequence[bytes], ended_at: datetime) -> tuple[str, Json]:
    """The resource of the subscription that these webhooks started, as Stripe returns it after its end."""
    found = next(json.loads(one)["data"]["object"] for one in bodies if b"customer.subscription.created" in one)
    ended = int(ended_at.timestamp())
    return found["id"], {**found, "status": "canceled", "ended_at": ended, "canceled_at": ended}


def row_of(event: Mapping[str, Any]) -> tuple[str, ...]:
    mrr = f"{event['mrr_impact']:.2f}" if "mrr_impact" in event else "-"
    return event["payment_processor"], event["event_type"], f"{event['amount']:.2f}", mrr, event["transaction_id"]


def expected_rows(url: str, settings: Settings, bodies: Mapping[str, Sequence[bytes]]) -> list[tuple[str, ...]]:
    """The revenue events of the same webhooks without an outage: a reference that had a copy of all of them."""
    with opened(url) as store:
        before_the_outage(store, settings, bodies)
        for name in ("stripe", "paddle"):
            accept(store, settings, name, [body for body in bodies[name] if at_of(body) >= DOWN_SINCE[name]])
        work(store, settings)
        with store.reading() as tx:
            return [row_of(json.loads(one.body)) for one in listing(tx, limit=10_000)]


def with_fakes(url: str, bodies: Mapping[str, Sequence[bytes]]) -> Bridge:
    """What each processor has of the outage: its list of events, its endpoint, and for `shop` a subscription."""
    needed = {name: list(processors()[name].event_types) for name in ("stripe", "paddle")}
    stripe = FakeStripe(events=missed(bodies, "stripe"))
    stripe.add(f"{PUBLIC}/webhooks/stripe", needed["stripe"], status="disabled")  # Stripe does that after some days
    shop = FakeStripe(subscriptions=dict([an_ended_subscription(bodies["shop"], ENDED_AT)]))
    shop.add(f"{PUBLIC}/webhooks/shop", needed["stripe"])
    paddle = FakePaddle(events=missed(bodies, "paddle"))
    paddle.add(f"{PUBLIC}/webhooks/paddle", needed["paddle"])
    return Bridge(url=url, pulsora=ScriptedPulsora(TOKEN), stripe=stripe, shop=shop, paddle=paddle)


def test_weeks_of_missed_webhooks_are_caught_up_and_the_alerts_come_and_go(
    sqlite_url: str, sqlite_template: Path, tmp_path: Path
) -> None:
    bodies = {name: happened(name) for name in CUSTOMERS}
    bodies["shop"] = list(processors()["stripe"].scenarios["signup"].events("gone", NOW - 62 * DAY))
    config = str(a_config(tmp_path, "http://127.0.0.1:9"))
    settings = some_settings(sqlite_url, BRIDGE_CONFIG=config)
    reference = f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'reference.db')}"
    expected = Counter(expected_rows(reference, settings, bodies))
    with opened(sqlite_url) as store:
        before_the_outage(store, settings, bodies)

    with started(tmp_path, with_fakes(sqlite_url, bodies)) as bridge:
        arrived = bridge.wait_for(expected.total() + 1)
        bridge.mailbox.wait_for("A source is silent", "A webhook endpoint is wrong")
        bridge.stripe.endpoints[0]["status"] = "enabled"  # as `setup stripe --update` does
        recover(bridge)
        bridge.mailbox.wait_for("Resolved: A source is silent", "Resolved: A webhook endpoint is wrong")

    counted = {name: len(missed(bodies, name)) for name in CUSTOMERS}
    print(f"missed: {counted}; {len(arrived)} revenue events, {bridge.mailbox.titles()}")  # with -s
    found = Counter(map(row_of, arrived))
    ends = [one for one in arrived if one["event_type"] == "churn" and one["customer_subscription_id"] == "sub_gone_1"]
    assert (expected - found, found - expected) == (Counter(), Counter(map(row_of, ends)))
    assert [(one["mrr_impact"], one["metadata"]["occurred_at"]) for one in ends] == [(-49, f"{ENDED_AT:%FT%TZ}")]
    assert max(found.values()) == 1
    assert stored_by_source(bridge.service) == {name: needed_of(bodies, name) for name in ("stripe", "paddle")}
    assert [one["source"] for one in logged(bridge.service, "events_expired")] == ["shop"]
    assert len(bridge.mailbox.messages) == 4


def needed_of(bodies: Mapping[str, Sequence[bytes]], name: str) -> int:
    """How many of the missed webhooks have a type that the bridge asks for."""
    types = processors()[name].event_types
    return sum((one.get("type") or one.get("event_type")) in types for one in missed(bodies, name))


def stored_by_source(service: Service) -> dict[str, int]:
    return {one["source"]: one["stored"] for one in logged(service, "missing_webhooks_stored")}


def logged(service: Service, event: str) -> list[Any]:
    lines = [line for line in service.logged().splitlines() if line.startswith("{")]
    return [one for one in map(json.loads, lines) if one["event"] == event]


def recover(bridge: Bridge) -> None:
    """Webhooks arrive again at every source. What needs a quarter of an hour has its time moved back."""
    for name, url in (("stripe", "stripe"), ("shop", "stripe"), ("paddle", "paddle")):
        processor = processors()[url]
        body = processor.scenarios["one-off"].events(f"back{name}", datetime.now(UTC))[0]
        secret = STRIPE_SECRET if url == "stripe" else "pdl_ntfset_fake_secret_of_the_tests"
        signed = processor.sign(body, secret, datetime.now(UTC))
        response = requests.post(
            f"{bridge.service.url}/webhooks/{name}", data=signed.body, headers=dict(signed.headers), timeout=10
        )
        assert response.status_code == 200
    with opened(bridge.url) as store:
        await_absence(store)


def await_absence(store: Store) -> None:
    age(store, schema.reconciliations, schema.reconciliations.c.at, timedelta(minutes=20))
    until = time.monotonic() + PATIENCE_SECONDS
    absent = schema.alerts.c.absent_since
    gone: set[str] = set()
    while not {"silent", "endpoint"} <= gone and time.monotonic() < until:
        time.sleep(0.1)
        with store.reading() as tx:
            gone = set(tx.execute(select(schema.alerts.c.cause).where(absent.is_not(None))).scalars())
    age(store, schema.alerts, absent, timedelta(minutes=6))


def age(store: Store, table: Any, column: Any, by: timedelta) -> None:
    """Moves the times of a column back."""
    key = next(iter(table.primary_key.columns))
    with store.transaction() as tx:
        for row_key, at in tx.execute(select(key, column).where(column.is_not(None))).all():
            tx.execute(update(table).where(key == row_key).values({column.name: at - by}))
